"""throttle: at most one element an interval; the others are dropped."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import arrivals, bounded, feed, gaps, refused, send, settle

from rapidz import Stream
from rapidz.testing import check_operator, record, run

Edge = Literal["leading", "trailing", "both"]
intervals = st.integers(1, 8).map(lambda quarters: quarters / 4)


@pytest.mark.parametrize(
    ("edge", "outputs"), [("leading", [0]), ("trailing", [5]), ("both", [0, 5])]
)
def test_throttle_is_a_conforming_node(edge: Edge, outputs: list[int]) -> None:
    check_operator(lambda stream: stream.throttle(1, edge), range(6), outputs=outputs)


def throttled(
    coming: list[tuple[float, int]], interval: float, edge: Edge
) -> list[tuple[float, int]]:
    """What throttle emits, by a list of all that has arrived."""
    out: list[tuple[float, int]] = []
    left, due = -float("inf"), float("inf")
    waiting: int | None = None
    for at, x in [*coming, (float("inf"), -1)]:
        if waiting is not None and due <= at:
            out.append((due, waiting))
            left, waiting = due, None
        if waiting is None and edge != "trailing" and at >= left + interval:
            out.append((at, x))
            left = at
        elif edge != "leading":
            if waiting is None:
                due = left + interval if edge == "both" else at + interval
            waiting = x
    return [(at, x) for at, x in out if at < float("inf")]


@given(gaps, intervals, st.sampled_from(["leading", "trailing", "both"]))
def test_throttle_emits_at_most_one_element_an_interval(
    distances: list[float], interval: float, edge: Edge
) -> None:
    coming = arrivals(distances)

    async def go() -> tuple[list[tuple[float, int]], int]:
        async with Stream[int](asynchronous=True) as source:
            node = source.throttle(interval, edge)
            seen = record(node)
            await feed(source, coming)
            await settle(source.join())
            return seen, node.dropped

    wanted = throttled(coming, interval, edge)
    assert run(go()) == (wanted, len(coming) - len(wanted))
    assert all(b - a >= interval for (a, _), (b, _) in itertools.pairwise(wanted))
    if edge != "leading":
        assert wanted[-1][1] == coming[-1][1], "the last element is always emitted"


def test_throttle_by_the_leading_edge_needs_no_loop() -> None:
    """Ruling 6 (docs/rulings.md): it runs in the thread that emits."""
    threads: list[str] = []

    def go() -> None:
        source = Stream[int]()
        node = source.throttle(0.05)
        node.sink(lambda _: threads.append(threading.current_thread().name))
        for x in range(3):
            assert source.emit(x) is None
        time.sleep(0.06)
        source.emit_many(range(10))
        source.close()
        assert node.dropped == 11

    bounded(go)
    assert len(threads) == 2
    assert not any(name.startswith("rapidz") for name in threads)


async def test_throttle_without_a_loop_reads_the_clock_of_the_running_one() -> None:
    with Stream[int]() as source:
        seen = record(source.throttle("1h"))
        for x in range(5):
            source.emit(x)
            await asyncio.sleep(1500)
    assert seen == [(0.0, 0), (4500.0, 3)]


def test_throttle_by_the_leading_edge_passes_back_pressure() -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(3)

    async def go(edge: Edge) -> float:
        async with Stream[int](asynchronous=True) as source:
            source.throttle(1, edge).sink(slow)
            await send(source, 0)
            return asyncio.get_running_loop().time()

    assert [run(go("leading")), run(go("both")), run(go("trailing"))] == [3.0, 3.0, 0.0]


def test_throttle_of_both_edges_never_overtakes_a_slow_sink() -> None:
    """While an element of the leading edge is in flight, the next ones replace each other."""
    seen: list[tuple[float, int]] = []

    async def slow(x: int) -> None:
        seen.append((asyncio.get_running_loop().time(), x))
        await asyncio.sleep(2.125)

    async def go() -> int:
        async with Stream[int](asynchronous=True) as source:
            node = source.throttle(1, "both")
            node.sink(slow)
            await feed(source, [(x / 2, x) for x in range(12)])
            await settle(source.join())
            return node.dropped

    assert run(go()) == 8
    assert seen == [(0.0, 0), (2.125, 4), (4.25, 8), (6.375, 11)]


def test_throttle_follows_a_new_interval_and_edge() -> None:
    """Ruling 20 (docs/rulings.md)."""

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.throttle(1)
            seen: list[tuple[float, int]] = record(node)
            await feed(source, [(0.0, 0), (0.5, 1)])
            node.edge = "both"
            await feed(source, [(0.75, 2), (0.875, 3)])
            node.interval = 3
            await feed(source, [(1.5, 4), (3.5, 5), (3.75, 6)])
            node.edge = "leading"
            await feed(source, [(3.875, 7), (10.0, 8), (10.5, 9)])
        return seen

    assert run(go()) == [(0.0, 0), (1.0, 3), (4.0, 6), (10.0, 8)]


@pytest.mark.parametrize("interval", [0, -1, "soon", None, [1]])
def test_throttle_refuses_what_is_no_positive_interval(interval: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.throttle(interval), "throttle", "interval", interval)


@pytest.mark.parametrize("edge", ["first", None, 1])
def test_throttle_refuses_an_edge_that_it_does_not_know(edge: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.throttle(1, edge), "throttle", "edge", edge)
