"""Handles: references to elements that are in tasks, or on workers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from rapidz.kernel.protocol.push import BulkSlice, no_default
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.parallel.scheduling.batch import ElementBatch
from rapidz.parallel.scheduling.task import Task
from rapidz.parallel.wire.containers import CONTAINERS, iter_leaves, map_leaves, rebuild
from rapidz.parallel.wire.outcomes import PENDING, REMOTE, SPECIAL, Expanded


class LocalHandle:
    """Handle of an element that was scattered and is still in this process."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return short_repr(self.value)


class RemoteHandle:
    """Handle of an element of a batch, which was sent or waits for that."""

    __slots__ = ("batch", "index", "key")

    def __init__(self, batch: ElementBatch, index: int) -> None:
        self.batch, self.index = batch, index

    def __repr__(self) -> str:
        return short_repr(find_origin(self))

    def outcome(self) -> Any:
        """Return what is known in this process: a value, or a special outcome."""
        return self.batch.outcomes[self.index]

    def amend(self, outcome: Any) -> None:
        """Replace the outcome, as after a retry."""
        self.batch.outcomes[self.index] = outcome
        self.batch.amended.add(self.index)

    def root(self) -> RemoteHandle:
        """Return the handle of the element of the batch."""
        return self

    def path(self) -> tuple[int, ...]:
        """Return which item of which item of the root this is."""
        return ()

    def task(self) -> Task | None:
        """Return the task that makes the element; None if it is in none yet."""
        return self.batch.task_at(self.index)

    def source(self) -> Any:
        """Return the input of the chain from which the element is made; None if forgotten."""
        task = self.task()
        if task is None:
            return self.batch.inputs[self.index]
        return task.inputs[self.index - task.start] if task.inputs else None


class ItemHandle:
    """Handle of one item of an element that was flattened; methods as of `RemoteHandle`."""

    __slots__ = ("at", "key", "whole")

    def __init__(self, whole: RemoteHandle | ItemHandle, at: int) -> None:
        self.whole, self.at = whole, at

    def __repr__(self) -> str:
        return short_repr(find_origin(self))

    def outcome(self) -> Any:
        expanded = self.whole.outcome()
        return expanded.outcomes[self.at] if type(expanded) is Expanded else expanded

    def amend(self, outcome: Any) -> None:
        self.whole.outcome().outcomes[self.at] = outcome
        root = self.root()
        root.batch.amended.add(root.index)

    def root(self) -> RemoteHandle:
        return self.whole.root()

    def path(self) -> tuple[int, ...]:
        return (*self.whole.path(), self.at)

    def task(self) -> Task | None:
        return self.root().task()


class HandleRange(BulkSlice):
    """Range of elements of one batch that are pushed together."""

    __slots__ = ()

    items: ElementBatch

    def values_stop(self) -> int:
        """Return up to where the elements from the present position on are known values."""
        task = self.items.task_at(self.at)
        if task is None or not task.all_values:
            return self.at
        return min(self.stop, task.start + task.size)

    def next(self) -> RemoteHandle:
        """Return the handle of the next element, which leaves the range."""
        self.at += 1
        return RemoteHandle(self.items, self.at - 1)


HANDLES: Final = frozenset({LocalHandle, RemoteHandle, ItemHandle})


def iter_handles(x: Any) -> Iterable[Any]:
    """Return the handles in *x*, a handle or nested containers of them."""
    if type(x) in HANDLES:
        return (x,)
    return (leaf for leaf in iter_leaves(x) if type(leaf) in HANDLES)


def outcome_of(x: Any) -> Any:
    """Return the outcome of *x*, a handle or containers of them; the first special one in it."""
    kind = type(x)
    if kind is LocalHandle:
        return x.value
    if kind in HANDLES:
        return x.outcome()
    if kind in CONTAINERS:
        known = [outcome_of(item) for item in (x.values() if kind is dict else x)]
        special = next((item for item in known if type(item) in SPECIAL), no_default)
        return rebuild(x, known) if special is no_default else special
    return x


def is_local(x: Any) -> bool:
    """Return whether every outcome in *x* is known in this process."""
    return all(
        type(handle) is LocalHandle or not _is_remote(handle.outcome())
        for handle in iter_handles(x)
    )


def _is_remote(outcome: Any) -> bool:
    if type(outcome) is Expanded:
        return any(_is_remote(item) for item in outcome.outcomes)
    return outcome is PENDING or outcome is REMOTE


def find_origin(x: Any) -> Any:
    """Return the value of *x*, or else the input from which it is made, as far as that is kept."""
    if type(x) in CONTAINERS:
        return map_leaves(x, find_origin)
    seen = x
    while type(seen) is RemoteHandle or type(seen) is ItemHandle:
        outcome = seen.outcome()
        if type(outcome) not in SPECIAL:
            return outcome
        source = seen.root().source()
        if source is None:
            break
        seen = source
    return seen.value if type(seen) is LocalHandle else seen


async def wait_all(futures: Iterable[Any]) -> list[asyncio.Future[Any]]:
    """Wait until all of *futures*, which belong to threads, are done; do not raise."""
    waits = [asyncio.wrap_future(future) for future in futures]
    if waits:
        await asyncio.wait(waits)
    return waits
