"""rate_limit: elements no closer than an interval."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    Boom,
    arrivals,
    begin,
    bounded,
    fail_on,
    feed,
    gaps,
    refused,
    send,
    settle,
    turns,
)

from rapidz import Stream
from rapidz.testing import record, run

intervals = st.integers(0, 8).map(lambda quarters: quarters / 4)


@given(gaps, intervals)
def test_rate_limit_never_lets_elements_come_closer(
    distances: list[float], interval: float
) -> None:
    """Ruling 10 (docs/rulings.md)."""
    coming = arrivals(distances)

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.rate_limit(interval))
            await feed(source, coming)
        return seen

    wanted: list[tuple[float, int]] = []
    for instant, x in coming:
        earliest = wanted[-1][0] + interval if wanted else 0.0
        wanted.append((max(instant, earliest), x))
    assert run(go()) == wanted


def test_rate_limit_applies_back_pressure() -> None:
    async def go() -> list[float]:
        now = asyncio.get_running_loop().time
        taken = []
        async with Stream[int](asynchronous=True) as source:
            source.rate_limit("500ms").sink(lambda _: None)
            for x in range(4):
                await send(source, x)
                taken.append(now())
        return taken

    assert run(go()) == [0.0, 0.5, 1.0, 1.5]


def test_rate_limit_before_a_slow_sink_does_not_add_up() -> None:
    """The interval runs while the sink works."""

    async def go() -> list[float]:
        starts: list[float] = []

        async def slow(_: int) -> None:
            starts.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.75)

        async with Stream[int](asynchronous=True) as source:
            source.rate_limit(1).sink(slow)
            for x in range(3):
                await send(source, x)
        return starts

    assert run(go()) == [0.0, 1.0, 2.0]


def test_rate_limit_never_undercuts_the_interval_on_a_real_clock() -> None:
    """Defect D10: 10 of 20 gaps below 0.05 (wall clock); right: monotonic clock, never below."""
    instants: list[float] = []

    def go() -> None:
        with Stream[int](asynchronous=False) as source:
            source.rate_limit(0.01).sink(lambda _: instants.append(time.monotonic()))
            for x in range(20):
                source.emit(x)

    bounded(go)
    assert min(b - a for a, b in itertools.pairwise(instants)) >= 0.01


def test_rate_limit_does_not_block_a_running_loop() -> None:
    """Defect D21: the user's loop was blocked 0.91 s; right: an awaitable. Ruling 6."""

    async def go() -> bool:
        source: Stream[int] = Stream()
        async with source:
            source.rate_limit(1).sink(lambda _: None)
            await begin(source, 0)
            wait = begin(source, 1)
            await turns()
            waiting = not wait.done()
            await wait
            assert asyncio.get_running_loop().time() == 1.0
        return waiting

    assert run(go())


def test_rate_limit_blocks_a_thread_without_a_loop() -> None:
    """Ruling 6 (docs/rulings.md): a timed node by default: emit blocks until capacity is free."""
    threads: list[str] = []

    def go() -> float:
        with Stream[int]() as source:
            source.rate_limit(0.05).sink(lambda _: threads.append(threading.current_thread().name))
            start = time.monotonic()
            source.emit(0)
            source.emit(1)
            return time.monotonic() - start

    assert bounded(go) >= 0.05


def test_rate_limit_lets_a_flush_pass_in_order() -> None:
    async def go() -> list[tuple[float, Any]]:
        async with Stream[int](asynchronous=True) as source:
            seen: list[tuple[float, Any]] = record(source.rate_limit(1).partition(5))
            for x in range(3):
                source.emit(x)
            await settle(source.flush())
            await settle(source.join())
        return seen

    assert run(go()) == [(2.0, (0, 1, 2))]


def test_rate_limit_lives_on_after_a_failure_downstream() -> None:
    """Ruling 1; an awaiting emitter gets its failure once, from the emit or from join."""

    async def emit_and_join(source: Stream[int], x: int) -> None:
        await send(source, x)
        await settle(source.join())

    async def go() -> list[int]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.rate_limit(1).map(fail_on(1)).sink_to_list()
            await emit_and_join(source, 0)
            with pytest.raises(Boom):
                await emit_and_join(source, 1)
            await emit_and_join(source, 2)
        return seen

    assert run(go()) == [0, 2]


def test_rate_limit_follows_a_new_interval() -> None:
    """Ruling 20 (docs/rulings.md)."""

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.rate_limit(1)
            seen: list[tuple[float, int]] = record(node)
            await send(source, 0)
            await send(source, 1)
            node.interval = 3
            await send(source, 2)
            await send(source, 3)
        return seen

    got = run(go())
    assert got[:2] == [(0.0, 0), (1.0, 1)]
    assert got[3][0] - got[2][0] == 3.0


@pytest.mark.parametrize("interval", [-1, "soon", None, [1]])
def test_rate_limit_refuses_what_is_no_interval(interval: object) -> None:
    """Defect D33: `rate_limit(-1)` was accepted; ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.rate_limit(interval), "rate_limit", "interval", interval)
