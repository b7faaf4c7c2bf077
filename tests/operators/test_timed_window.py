"""timed_window: a list of what has come, at every tick."""

from __future__ import annotations

import asyncio
import functools
import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, bounded, fail_on, feed, refused, send, settle

from rapidz import Stream
from rapidz.testing import record, run

# Arrivals never fall on a tick: which side of it they belong to is nobody's business.
offsets = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([0.25, 0.5, 0.75])).map(sum), max_size=10
).map(sorted)


@given(offsets, st.booleans())
def test_timed_window_ticks_at_a_fixed_cadence(later: list[float], emit_empty: bool) -> None:
    """Ruling 10 (docs/rulings.md): lists, fixed cadence, empties as in rapidz by default."""
    instants = [0.0, *later]

    async def go() -> list[tuple[float, list[int]]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.timed_window(1, emit_empty=emit_empty))
            await feed(source, zip(instants, range(len(instants)), strict=True))
            await asyncio.sleep(7.5 - instants[-1])
        return seen

    wanted = [
        (float(tick), [x for x, at in enumerate(instants) if tick - 1 <= at < tick])
        for tick in range(1, 8)
    ]
    assert run(go()) == [window for window in wanted if window[1] or emit_empty]


def test_timed_window_counts_its_ticks_from_the_first_use() -> None:
    async def go() -> list[tuple[float, list[int]]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.timed_window(1))
            await feed(source, [(0.25, 0), (0.5, 1), (1.5, 2)])
            await asyncio.sleep(1)
        return seen

    assert run(go()) == [(1.25, [0, 1]), (2.25, [2])]


@pytest.mark.parametrize("interval", [0.5, "500ms", "0.5 s", timedelta(seconds=0.5)])
def test_timed_window_takes_any_spelling_of_an_interval(interval: Any) -> None:
    async def go() -> tuple[list[tuple[float, list[int]]], object]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.timed_window(interval)
            seen: list[tuple[float, list[int]]] = record(node)
            await send(source, 1)
            await asyncio.sleep(0.75)
            return list(seen), node.interval

    assert run(go()) == ([(0.5, [1])], 0.5)


def test_timed_window_keeps_its_cadence_before_a_slow_sink() -> None:
    """Defect D11 (docs/rulings.md): the period was interval + sink time."""
    seen: list[tuple[float, list[int]]] = []

    async def slow(window: list[int]) -> None:
        seen.append((asyncio.get_running_loop().time(), window))
        await asyncio.sleep(0.75)

    async def go() -> None:
        async with Stream[int](asynchronous=True) as source:
            source.timed_window(1).sink(slow)
            await feed(source, [(0.0, 0), (1.5, 1), (2.5, 2)])
            await asyncio.sleep(1)

    run(go())
    assert seen == [(1.0, [0]), (2.0, [1]), (3.0, [2])]


def test_timed_window_loses_nothing_to_a_sink_slower_than_the_interval() -> None:
    seen: list[int] = []

    async def slow(window: list[int]) -> None:
        await asyncio.sleep(2.25)
        seen.extend(window)

    async def go() -> None:
        async with Stream[int](asynchronous=True) as source:
            source.timed_window(1).sink(slow)
            await feed(source, [(x / 2, x) for x in range(20)])

    run(go())
    assert seen == list(range(20))


def test_timed_window_emits_its_window_at_a_flush_and_the_end() -> None:
    """Defect D12: "process ends with data held": 0 of 10; ruling 4 (docs/rulings.md)."""

    async def go() -> list[tuple[float, list[int]]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.timed_window(10, emit_empty=False))
            await feed(source, [(0.0, 0), (1.0, 1)])
            await settle(source.flush())
            await feed(source, [(2.0, 2)])
            await asyncio.sleep(1)
        await asyncio.sleep(100)
        return seen

    assert run(go()) == [(1.0, [0, 1]), (3.0, [2])]


def test_timed_window_lives_on_after_a_failure_downstream() -> None:
    """Defect D2: the node died silently; ruling 1 (docs/rulings.md)."""

    async def go() -> tuple[list[list[int]], list[Boom]]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.timed_window(1, emit_empty=False).map(fail_on([1])).sink_to_list()
            await send(source, 1)
            await asyncio.sleep(1.5)
            with pytest.raises(Boom) as first:
                await send(source, 2)
            await send(source, 3)
            await asyncio.sleep(1)
            await send(source, 1)
            await asyncio.sleep(1)
            with pytest.raises(Boom) as second:
                await settle(source.join())
        return seen, [first.value, second.value]

    seen, failures = run(go())
    assert seen == [[3]]
    assert [failure.subject for failure in failures] == [[1], [1]]


def test_timed_window_follows_a_new_interval() -> None:
    """Ruling 20 (docs/rulings.md): from the next window on."""

    async def go() -> list[float]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.timed_window(1)
            seen: list[tuple[float, list[int]]] = record(node)
            await send(source, 0)
            await asyncio.sleep(2.5)
            node.interval = 4
            await asyncio.sleep(10)
            return [instant for instant, _ in seen]

    instants = run(go())
    assert instants[:2] == [1.0, 2.0]
    assert instants[-1] - instants[-2] == 4.0


def test_timed_window_stops_ticking_at_the_end() -> None:
    async def go() -> list[tuple[float, list[int]]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.timed_window(1))
            await send(source, 0)
            await settle(source.close())
            await asyncio.sleep(5)
        return seen

    assert run(go()) == [(0.0, [0])]


@pytest.mark.parametrize("interval", [0, -1, "soon", None, [1]])
def test_timed_window_refuses_what_is_no_positive_interval(interval: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.timed_window(interval), "timed_window", "interval", interval)


@pytest.mark.parametrize("name", ["timed_window", "timed_window_unique"])
async def test_close_ends_although_windows_come_faster_than_they_are_taken(name: str) -> None:
    """Empty windows wait in a queue: the end goes behind those that are there, and no more come."""
    seen: list[Any] = []

    async def slow(window: Any) -> None:
        await asyncio.sleep(1)
        seen.append(window)

    source: Stream[int] = Stream(asynchronous=True)
    getattr(source, name)(0.1).buffer(2).sink(slow)
    await settle(source.emit(1))
    await asyncio.sleep(2)
    await settle(source.emit(2))
    async with asyncio.timeout(10):
        await settle(source.close())
    assert [x for window in seen for x in window] == [1, 2]


@given(offsets, st.sampled_from([0.0, 0.5, 1.25, 1_700_000_000.75]))
def test_timed_window_aligned_ends_at_multiples_of_the_wall_clock(
    instants: list[float], wall_start: float
) -> None:
    """The first window is shorter, all ends are multiples of the interval since 1970."""
    first = -wall_start % 1 or 1.0
    ends = [first + n for n in range(8)]
    coming = [at for at in instants if at not in ends]

    async def go() -> list[tuple[float, list[int]]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.timed_window(1, align=True))
            source._outlet.link()
            await feed(source, zip(coming, range(len(coming)), strict=True))
            await asyncio.sleep(ends[-1] - asyncio.get_running_loop().time() + 0.125)
        return seen

    wanted = [(end, [x for x, at in enumerate(coming) if end - 1 <= at < end]) for end in ends]
    assert run(go(), wall_start=wall_start) == wanted


async def test_timed_window_aligned_ends_at_full_minutes() -> None:
    async with Stream[str](asynchronous=True) as source:
        seen = record(source.timed_window("1 min", emit_empty=False, align=True))
        await asyncio.sleep(50)
        for x in "abc":
            await send(source, x)
            await asyncio.sleep(8)
    assert seen == [(60.0, ["a", "b"]), (74.0, ["c"])]


@pytest.mark.parametrize("step", [-3600, -90, -20, 20, 90, 3600])
def test_timed_window_aligned_follows_a_wall_clock_that_was_set(step: int) -> None:
    """Every end is a multiple of the wall clock, and no window takes two intervals more."""

    async def go() -> list[tuple[float, float]]:
        loop: Any = asyncio.get_running_loop()
        ends: list[tuple[float, float]] = []
        async with Stream[int](asynchronous=True) as source:
            node = source.timed_window("1 min", align=True)
            node.sink(lambda _: ends.append((loop.time(), loop.wall_ns() / 1e9)))
            await send(source, 0)
            await asyncio.sleep(130)
            loop._wall_start += step * 1_000_000_000
            await asyncio.sleep(300)
        return ends[:-1]

    ends = run(go(), wall_start=1_000_000_000.0)
    assert all(wall % 60 == 0 for monotonic, wall in ends if monotonic < 130)
    after = [(monotonic, wall) for monotonic, wall in ends if monotonic > 130]
    assert all(wall % 60 == 0 for _, wall in after[1:])
    times = [monotonic for monotonic, _ in ends]
    assert max(b - a for a, b in pairwise(times)) <= 120
    assert min(b - a for a, b in pairwise(times)) > 0
    assert [b - a for a, b in pairwise(times)][-1] == 60


def test_timed_window_aligned_never_ends_early_on_a_real_clock() -> None:
    walls: list[float] = []

    def go() -> None:
        with Stream[int](asynchronous=False) as source:
            source.timed_window(0.05, align=True).sink(lambda _: walls.append(time.time()))
            source.emit(0)
            time.sleep(0.3)

    bounded(go)
    assert len(walls) >= 3
    assert all(wall % 0.05 < 0.04 for wall in walls[:-1])


async def test_timed_window_may_be_aligned_while_it_runs() -> None:
    """Ruling 20 (docs/rulings.md)."""
    async with Stream[int](asynchronous=True) as source:
        node: Any = source.timed_window(10)
        seen: list[tuple[float, list[int]]] = record(node)
        await asyncio.sleep(3)
        await send(source, 0)
        await asyncio.sleep(12)
        node.align = True
        await asyncio.sleep(12)
        node.interval = 4
        await asyncio.sleep(6)
        node.align = False
        await asyncio.sleep(5)
    assert [instant for instant, _ in seen] == [13.0, 20.0, 28.0, 32.0, 37.0]


def test_timed_window_refuses_an_align_that_is_no_bool() -> None:
    """Ruling 19 (docs/rulings.md)."""
    for name in ("timed_window", "timed_window_unique"):
        build: Any = getattr(Stream, name)
        refused(functools.partial(build, interval=1, align="UTC"), name, "align", "UTC")
