"""Reentrant calls: `join`, `close` and `flush` in a function of the pipeline never wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import bounded, settle

from rapidz import Stream, TimedNode

Node = Stream[Any]
Function = Callable[[Any], Any]


async def later(x: int) -> int:
    await asyncio.sleep(0.001)
    return x


class ByElement(TimedNode[Any]):
    def __init__(self, upstream: Node, function: Function, **kwargs: Any) -> None:
        self.function = function
        super().__init__(upstream, **kwargs)

    def on_element(self, x: Any) -> Any:
        return self.function(x)


class ByTimer(ByElement):
    def on_element(self, x: Any) -> Any:
        self.set_timer(0, x)

    def on_timer(self, name: Any) -> Any:
        return self.function(name)


class ByFlush(ByElement):
    def on_element(self, x: Any) -> Any:
        self.last = x

    def on_flush(self) -> Any:
        if (last := getattr(self, "last", None)) is not None:
            self.last = None
            return self.function(last)


class ByUpdate(Stream[Any]):
    def __init__(self, upstream: Node, function: Function) -> None:
        self.function = function
        super().__init__(upstream)

    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        return self.function(x)


def by_predicate(node: Node, function: Function) -> Node:
    return node.filter(lambda x: (function(x), True)[1]).sink(id)


PLACES: dict[str, Callable[[Node, Function], Node]] = {
    "sink": lambda node, function: node.sink(function),
    "map": lambda node, function: node.map(function).sink(id),
    "map and sink": lambda node, function: node.map(id).sink(function),
    "filter": by_predicate,
    "starmap": lambda node, function: node.map(lambda x: (x,)).starmap(function).sink(id),
    "accumulate": lambda node, function: node.accumulate(lambda _, x: function(x), start=0).sink(
        id
    ),
    "unique": lambda node, function: node.unique(key=lambda x: (function(x), x)[1]).sink(id),
    "policy": lambda node, function: node.sink(function).on_error("raise"),
    "on_element": ByElement,
    "update": ByUpdate,
}
LATER = {"on_timer": ByTimer, "on_flush": ByFlush}
FRONTS: dict[str, Callable[[Node], Node]] = {
    "nothing": lambda source: source,
    "async map": lambda source: source.map(later),
    "buffer": lambda source: source.buffer(2),
    "timed_window": lambda source: source.timed_window(0.001, emit_empty=False).flatten(),
    "rate_limit": lambda source: source.rate_limit(0.001),
}
places = pytest.mark.parametrize("place", [*PLACES, *LATER])
fronts = pytest.mark.parametrize("front", FRONTS)
modes = pytest.mark.parametrize("asynchronous", [True, False])


def build(source: Node, place: str, front: str, function: Function) -> Node:
    """A branch beside the one of the function needs a loop."""
    node = ({**PLACES, **LATER}[place])(FRONTS[front](source), function)
    source.rate_limit(0.001).sink(later)
    return node


def feed(asynchronous: bool, make: Callable[[Node], object], *, flush: bool = False) -> None:
    """Emit twice, and wait for the end; what fails is looked at by the function alone."""

    async def go() -> None:
        source = Node(asynchronous=True)
        kept = make(source)
        steps: list[Callable[[], Any]]
        steps = [lambda: source.emit(1), source.flush, source.join, source.close]
        for step in steps:
            with contextlib.suppress(RuntimeError, ExceptionGroup):
                await settle(step())
        del kept

    def block() -> None:
        source = Node(asynchronous=False)
        kept = make(source)
        steps: list[Callable[[], Any]]
        steps = [lambda: source.emit(1), source.flush, source.join, source.close]
        for step in steps:
            with contextlib.suppress(RuntimeError, ExceptionGroup):
                step()
        del kept

    bounded(block if not asynchronous else lambda: asyncio.run(asyncio.wait_for(go(), 4)))


@modes
@fronts
@places
def test_join_by_any_plain_function_says_that_it_would_wait_for_itself(
    place: str, front: str, asynchronous: bool
) -> None:
    said: list[str] = []

    def make(source: Node) -> Node:
        def joins(x: int) -> Any:
            try:
                return source.join()
            except RuntimeError as error:
                said.append(str(error))
                raise

        return build(source, place, front, joins)

    feed(asynchronous, make)
    assert said
    assert all(text.startswith("join: called by ") for text in said)


@modes
@fronts
@places
@pytest.mark.parametrize("kind", ["close", "flush"])
@pytest.mark.parametrize("awaits", [False, True])
def test_close_and_flush_by_any_function_come_to_their_end(
    place: str, front: str, asynchronous: bool, kind: str, awaits: bool
) -> None:
    called: list[int] = []

    def make(source: Node) -> Node:
        def ends(x: int) -> Any:
            called.append(x)
            return getattr(source, kind)()

        async def ends_and_waits(x: int) -> None:
            await settle(ends(x))

        takes = awaits and place in ("sink", "on_timer", "on_element", "on_flush", "update")
        return build(source, place, front, ends_and_waits if takes else ends)

    feed(asynchronous, make)
    assert called


def test_join_in_a_pipeline_without_a_loop_says_so_too() -> None:
    source = Node()
    source.map(lambda x: x).sink(lambda _: source.join(), stream_name="waits for itself")
    with pytest.raises(RuntimeError, match=r"join: .*waits for itself.* element 7"):
        source.emit(7)
    source.close()


@modes
def test_join_by_a_plain_function_names_node_and_element(asynchronous: bool) -> None:
    async def go() -> None:
        source = Node(asynchronous=True)
        source.map(later).sink(lambda _: source.join(), stream_name="waits for itself")
        await settle(source.emit(7))

    def block() -> None:
        source = Node(asynchronous=False)
        source.map(later).sink(lambda _: source.join(), stream_name="waits for itself")
        source.emit(7)

    with pytest.raises(RuntimeError, match=r"join: .*waits for itself.* element 7"):
        bounded(block if not asynchronous else lambda: asyncio.run(asyncio.wait_for(go(), 4)))


def test_join_of_another_pipeline_by_a_plain_function_waits() -> None:
    outer, inner = Node(asynchronous=True), Node(asynchronous=True)
    seen = inner.map(later).sink_to_list()

    def passes_on(x: int) -> Any:
        inner.emit(x)
        return inner.join()

    outer.sink(passes_on)

    async def go() -> list[Any]:
        wait = outer.emit(1)
        assert inspect.isawaitable(wait)
        await wait
        return list(seen)

    assert asyncio.run(asyncio.wait_for(go(), 4)) == [1]
