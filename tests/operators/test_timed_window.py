"""timed_window: a list of what has come, at every tick."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, fail_on, feed, refused, send, settle

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
