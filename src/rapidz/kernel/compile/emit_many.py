"""Bulk entry of elements: `emit_many`, in chunks, as far as there is capacity.

On a loop, elements go in at the call as by `emit`; what has to wait for capacity goes in by
a task.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import operator
from collections.abc import Awaitable, Iterable, Iterator, Sized
from threading import get_ident
from typing import TYPE_CHECKING, Any

from rapidz.kernel.compile.compiler import link
from rapidz.kernel.compile.emit import closed_error, push_in, push_with
from rapidz.kernel.compile.feedback import is_feedback
from rapidz.kernel.compile.fusion import EDITED
from rapidz.kernel.protocol.checks import check_elements
from rapidz.kernel.protocol.push import BulkSlice, Pending
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.tasks import detach

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

#: At most so many elements go in before others have the loop.
BULK_CHUNK = 4096

#: Iterators that never wait for anything, and do not care in which thread they are.
_COLLECTIONS: list[Any] = [[], (), range(0), range(1 << 64), {}, {}.values(), {}.items(), set(), ""]
IN_MEMORY_ITERATORS = frozenset(type(iter(each)) for each in _COLLECTIONS)


def emit_many(node: Node, elements: Iterable[Any]) -> Any:
    """Take *elements* into *node* one after the other, each as capacity allows.

    No more is taken from an iterator than is pushed.  One that may be slow, or
    belongs to a thread, is asked for elements in the thread that calls.
    """
    check_elements(elements)
    pipeline, rest = node._pipeline, iter(elements)
    if pipeline.lock.inside == get_ident():
        if pipeline.lock.defer(functools.partial(bulk_later, node, rest)):
            return pipeline.as_awaitable(None) if pipeline.needs_loop else None
        if pipeline.needs_loop and is_feedback(node):
            return bulk_fed_back(node, rest)
        return bulk_within(node, rest)
    sized = isinstance(elements, Sized)
    if not pipeline.needs_loop:
        if not sized:
            return _one_by_one(node, rest)
        lock = pipeline.lock
        if lock.is_taken() and lock.defer(functools.partial(bulk_later, node, rest)):
            return None
        with lock:
            pipeline.resume_interrupted()
            wait = pipeline.reentry.emit(functools.partial(take_bulk, node), rest)
        return None if wait is None else pipeline.start(_take_rest(node, wait, rest))
    if loops.running_loop() is not None and not pipeline.emit_blocks():
        if pipeline.runs_here() and pipeline.active and is_feedback(node):
            return bulk_fed_back(node, rest)
        return pipeline.run(lambda: _take_all(node, rest, sized))
    if sized or type(rest) in IN_MEMORY_ITERATORS:
        wait = pipeline.run(lambda: _take_all(node, rest, sized))
        return _waited(wait)
    wait = None
    for x in rest:
        wait = _waited(node.emit(x))
    return wait


def _waited(wait: Any) -> Any:
    """Wait for an element that is on its way to a loop; return what `emit` does."""
    if wait is not None:
        wait.result()
    return wait


def bulk_later(node: Node, rest: Iterator[Any]) -> None:
    """Take in *rest*, which an interrupt has left behind; what fails is kept."""
    try:
        bulk_within(node, rest)
    except Exception as error:
        node._pipeline.record_failure(error)


def bulk_within(node: Node, rest: Iterator[Any]) -> Any:
    """Take in *rest* in a step of the pipeline: see `emit_within`."""
    pipeline = node._pipeline
    try:
        wait = pipeline.reentry.emit(functools.partial(take_bulk, node), rest)
    except Exception as error:
        if pipeline.needs_loop:
            return pipeline.failed_awaitable(error)
        raise
    if wait is not None:
        wait = pipeline.start(_take_rest(node, wait, rest))
    return pipeline.as_awaitable(wait) if pipeline.needs_loop else wait


def bulk_fed_back(node: Node, rest: Iterator[Any]) -> Awaitable[object]:
    """Take in *rest*, each element at once, as nothing waits for feedback.

    So all of them are in the pipeline before an end can be sent through it.
    """
    pipeline = node._pipeline
    try:
        for x in rest:
            if node._ended:
                raise closed_error(node, x)
            if (wait := pipeline.reentry.emit(push_with(node, None), x)) is not None:
                detach(pipeline, wait)
    except Exception as error:
        return pipeline.failed_awaitable(error)
    return pipeline.as_awaitable(None)


def take_bulk(node: Node, elements: Iterator[Any]) -> Pending:
    """Take in *elements* until one must be waited for, or all are in."""
    while True:
        pipeline = node._pipeline
        if node._closing or node._ended or pipeline.tracked:
            for x in elements:
                if (wait := push_in(node, x, None)) is not None:
                    return wait
            return None
        pipeline.raise_pending()
        wait = node._compiled_entry().bulk()(elements)
        if wait is not EDITED:
            return wait  # type: ignore[no-any-return]


async def _take_rest(node: Node, wait: Awaitable[object], rest: Iterator[Any]) -> None:
    again: Pending = wait
    while again is not None:
        await again
        again = take_bulk(node, rest)


def _take_all(node: Node, elements: Iterator[Any], sized: bool) -> Pending:
    """Take in *elements* as far as there is capacity now, as `emit` does, and then the rest."""
    waits = _take_chunks(node, elements, sized)
    for wait in waits:
        return node._pipeline.start(_take_others(wait, waits))
    return None


async def _take_others(wait: Pending, waits: Iterator[Pending]) -> None:
    """Take in the other chunks, and let others have the loop now and then."""
    for each in itertools.chain([wait], waits):
        if each is not None:
            await each
        else:
            await asyncio.sleep(0)
            loops.let_others_run()


def _take_chunks(node: Node, elements: Iterator[Any], sized: bool) -> Iterator[Pending]:
    """Take in all of *elements*; yield what must be awaited, and None between two chunks."""
    ended: list[bool] = []
    elements = itertools.chain(elements, _tell_end(ended))
    while not ended:
        some: Any = itertools.islice(elements, BULK_CHUNK)
        if sized:
            items = list(some)
            some = BulkSlice(items, 0, len(items))
        step = functools.partial(_take_together if sized else take_bulk, node)
        while (wait := node._pipeline.reentry.emit(step, some)) is not None:
            yield wait
        if not ended:
            yield None


def _tell_end(ended: list[bool]) -> Iterator[Any]:
    ended.append(True)
    yield from ()


def _take_together(node: Node, rest: BulkSlice) -> Pending:
    """Take in the rest of a chunk, as much at once as the nodes downstream can."""
    pipeline = node._pipeline
    while rest.at < rest.stop:
        if not (node._ended or pipeline.tracked or node._outlet.linked):
            link(node)
        many = None if node._ended else node._outlet.push_many
        if many is None:
            left = iter(rest.items)
            left.__setstate__(rest.at)  # a copy of the rest for each that waits would be quadratic
            try:
                return take_bulk(node, left)
            finally:
                rest.at = rest.stop - operator.length_hint(left)
        pipeline.raise_pending()
        if (wait := many(rest)) is not None:
            return wait
    return None


def _one_by_one(node: Node, elements: Iterator[Any]) -> Pending:
    """Take in what may be slow to come: others get in between."""
    for x in elements:
        if (wait := node.emit(x)) is not None:
            return node._pipeline.start(_take_rest(node, wait, elements))
    return None
