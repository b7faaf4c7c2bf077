"""A cycle drains before it ends, and a flush goes round it while elements come back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import bounded, send, settle

from rapidz import Stream, StreamClosed
from rapidz.testing import run

Node = Stream[Any]


def through_pipeline(source: Node, again: Node) -> None:
    other = Node(asynchronous=source._pipeline.asynchronous)
    again.sink(other.emit)
    other.sink(lambda x: source.emit(x))


ways = pytest.mark.parametrize(
    "feed_back",
    [
        pytest.param(lambda source, again: again.connect(source), id="connect"),
        pytest.param(lambda source, again: again.sink(source.emit), id="emit"),
        pytest.param(lambda source, again: again.sink(lambda x: source.emit(x)), id="lambda"),
        pytest.param(through_pipeline, id="another pipeline"),
    ],
)
ends = pytest.mark.parametrize("end", ["flush", "close"])
Feedback = Callable[[Node, Node], object]


async def later(x: int) -> int:
    await asyncio.sleep(0.01)
    return x


middles: dict[str, Callable[[Node], Node]] = {
    "nothing": lambda stream: stream,
    "buffer": lambda stream: stream.buffer(2),
    "delay": lambda stream: stream.delay(0.5),
    "async map": lambda stream: stream.map(later),
    "map_async": lambda stream: stream.map_async(later, parallelism=2),
    "rate_limit": lambda stream: stream.rate_limit(0.5),
}


def cycle(source: Node, feed_back: Feedback, middle: str = "nothing") -> list[Any]:
    """Pairs of numbers, each of which comes back one less."""
    pairs = source.partition(2)
    again = middles[middle](pairs).flatten().map(lambda x: x - 1).filter(lambda x: x > 0)
    seen = pairs.sink_to_list()
    feed_back(source, again)
    return seen


@ways
@ends
def test_a_cycle_drains(feed_back: Feedback, end: str) -> None:
    source = Node()
    seen = cycle(source, feed_back)
    source.emit(4)
    getattr(source, end)()
    assert seen == [(4,), (3,), (2,), (1,)]


@ways
@pytest.mark.parametrize("middle", middles)
def test_a_cycle_drains_at_the_close_in_a_loop(feed_back: Feedback, middle: str) -> None:
    async def go() -> list[Any]:
        source = Node(asynchronous=True)
        seen = cycle(source, feed_back, middle)
        await send(source, 4)
        await settle(source.close())
        with pytest.raises(StreamClosed):
            await send(source, 5)
        return seen

    assert run(go()) == [(4,), (3,), (2,), (1,)]


@ways
@pytest.mark.parametrize("middle", middles)
@pytest.mark.parametrize("close_in", ["thread", "with"])
def test_a_cycle_drains_at_the_close_in_the_background(
    feed_back: Feedback, middle: str, close_in: str, virtual_background: object
) -> None:
    def go() -> list[Any]:
        source = Node(asynchronous=False)
        seen = cycle(source, feed_back, middle)
        if close_in == "with":
            with source:
                source.emit(4)
        else:
            source.emit(4)
            source.close()
        return seen

    assert bounded(go) == [(4,), (3,), (2,), (1,)]


@pytest.mark.parametrize("middle", ["nothing", "buffer", "async map"])
def test_a_flush_goes_round_a_cycle_in_a_loop(middle: str) -> None:
    async def go() -> list[Any]:
        source = Node(asynchronous=True)
        seen = cycle(source, lambda source, again: again.connect(source), middle)
        await send(source, 4)
        await settle(source.flush())
        await settle(source.join())
        return seen

    assert run(go()) == [(4,), (3,), (2,), (1,)]


def test_no_element_is_taken_from_outside_while_a_cycle_drains() -> None:
    async def go() -> list[Any]:
        source = Node(asynchronous=True)
        seen = cycle(source, lambda source, again: again.sink(source.emit), "buffer")
        await send(source, 4)
        closing = source.close()
        with pytest.raises(StreamClosed):
            await send(source, 9)
        await settle(closing)
        return seen

    assert run(go()) == [(4,), (3,), (2,), (1,)]


@ways
@ends
def test_a_cycle_that_never_drains_is_named(feed_back: Feedback, end: str) -> None:
    source = Node(stream_name="start")
    pairs = source.partition(2, stream_name="pairs")
    feed_back(source, pairs.flatten())
    source.emit(1)
    with pytest.warns(RuntimeWarning, match="1000 rounds") as caught:
        getattr(source, end)()
    assert len(caught) == 1
    assert re.search(r"pairs; partition", str(caught[0].message))


def test_a_node_that_emits_at_every_flush_emits_once_at_the_close() -> None:
    class Total(Stream[int]):
        total = 0

        def update(self, x: int, who: Any = None) -> None:
            self.total += x

        def _emit_buffered(self) -> Any:
            return self._outlet.send(self.total)

    source = Stream[int]()
    seen = Total(source).sink_to_list()
    source.emit_many([1, 2])
    source.close()
    assert seen == [3]


def test_a_flush_of_one_input_counts_when_the_other_one_ends() -> None:
    a, b = Stream[int](), Stream[int]()
    seen = a.union(b).partition(5).sink_to_list()
    b.emit(1)
    b.flush()
    a.emit(2)
    assert seen == []
    a.close()
    assert seen == [(1, 2)]


async def a_while(x: Any) -> Any:
    await asyncio.sleep(1)
    return x


@pytest.mark.parametrize(
    "build",
    [
        lambda s: s.rate_limit(1),
        lambda s: s.map(a_while),
        lambda s: s.map(a_while).on_error("skip"),
        lambda s: s.buffer(1).map(a_while),
        lambda s: s.map(a_while).buffer(1).rate_limit(2),
    ],
)
@pytest.mark.parametrize("distance", [0, 0.4, 1])
async def test_closes_and_flushes_at_once_do_not_take_each_other_for_elements(
    build: Any, distance: float
) -> None:
    """Else each would go round for the other, and warn of a cycle at last."""
    source = Stream[int](asynchronous=True)
    node = build(source)
    seen = node.sink_to_list()
    for x in range(3):
        source.emit(x)
    calls: list[Any] = []
    for _ in range(3):
        calls += [asyncio.ensure_future(f()) for f in (source.close, source.flush, node.close)]
        await asyncio.sleep(distance)
    await asyncio.gather(*calls)
    assert seen == [0, 1, 2]


async def at_once(x: int) -> int:
    return x


async def test_the_same_edge_leads_back_after_an_edit() -> None:
    """The close compiles anew, and the window is the first to send an element after it."""
    source = Node(asynchronous=True)
    elements = source.map(at_once).timed_window(0.7, emit_empty=False).flatten()
    seen = elements.sink_to_list()
    elements.filter(lambda x: x >= 10).map(lambda x: x - 10).connect(source)
    source.filter(lambda x: x == 0).sink(lambda _: source.close())
    others = source.buffer(2).sink_to_list()

    async def go() -> None:
        for x in (10, 11):
            await source.emit(x)
        await source.flush()
        await source.close()

    await asyncio.wait_for(go(), 100)
    assert sorted(seen) == sorted(others) == [0, 1, 10, 11]


async def test_an_edge_of_a_cycle_that_was_cut_has_back_pressure() -> None:
    source, seen = Node(asynchronous=True), list[int]()

    async def slow(x: int) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    source.sink(slow)
    back = source.filter(lambda x: x < 0)
    back.connect(source)
    await source.emit(1)
    source.disconnect(back)
    await back.emit(2)
    assert seen == [1, 2]
