"""latest: the newest element, whenever downstream has capacity."""

from __future__ import annotations

import asyncio
import functools

import pytest
from hypothesis import given
from tests.support import Boom, arrivals, bounded, fail_on, feed, gaps, send, settle, turns

from rapidz import RefCounter, Stream
from rapidz.testing import record, run


@given(gaps)
def test_latest_skips_what_came_while_downstream_was_busy(distances: list[float]) -> None:
    """Ruling 10 (docs/rulings.md): the last value always arrives."""
    busy = 1 + 1 / 64  # so that no arrival falls on the instant when the sink is free
    coming = arrivals(distances)
    seen: list[tuple[float, int]] = []

    async def slow(x: int) -> None:
        seen.append((asyncio.get_running_loop().time(), x))
        await asyncio.sleep(busy)

    async def go() -> None:
        async with Stream[int](asynchronous=True) as source:
            source.latest().sink(slow)
            for instant, x in coming:
                await feed(source, [(instant, x)])
                await turns()

    run(go())
    wanted: list[tuple[float, int]] = []
    free = 0.0
    waiting: int | None = None
    for instant, x in coming:
        if waiting is not None and free < instant:
            wanted.append((free, waiting))
            free, waiting = free + busy, None
        if free <= instant:
            wanted.append((instant, x))
            free = instant + busy
        else:
            waiting = x
    if waiting is not None:
        wanted.append((free, waiting))
    assert seen == wanted


def test_latest_delivers_the_last_value_that_came_while_the_sink_was_busy() -> None:
    """Defect D8 (docs/rulings.md): never delivered, 20 of 20 trials."""

    async def go() -> list[int]:
        seen: list[int] = []

        async def slow(x: int) -> None:
            await asyncio.sleep(1)
            seen.append(x)

        async with Stream[int](asynchronous=True) as source:
            source.latest().sink(slow)
            await feed(source, [(0.0, 0), (0.25, 1), (0.5, 2)])
            await asyncio.sleep(10)
            assert seen == [0, 2]
        return seen

    assert run(go()) == [0, 2]


def test_latest_never_applies_back_pressure() -> None:
    async def stuck(_: int) -> None:
        await asyncio.sleep(1000)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            source.latest().sink(stuck)
            for x in range(5):
                await send(source, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 0.0


def test_latest_delivers_the_last_value_before_the_end() -> None:
    """Ruling 4 (docs/rulings.md)."""
    seen: list[int] = []

    async def slow(x: int) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.latest().sink(slow)
        await send(source, 0)
        await turns()
        await send(source, 1)
        await settle(source.close())

    run(go())
    assert seen == [0, 1]


def test_latest_delivers_each_value_once() -> None:
    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.latest())
            await feed(source, [(0.0, 0), (1.0, 1)])
            await asyncio.sleep(5)
        return seen

    assert run(go()) == [(0.0, 0), (1.0, 1)]


def test_latest_lives_on_after_a_failure_downstream() -> None:
    """Defect D2: the node died silently; ruling 1 (docs/rulings.md)."""

    async def go() -> tuple[list[int], Boom]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.latest().map(fail_on(1)).sink_to_list()
            await send(source, 1)
            await turns()
            with pytest.raises(Boom) as caught:
                await send(source, 2)
            await send(source, 3)
        return seen, caught.value

    seen, failure = run(go())
    assert failure.subject == 1
    assert seen == [3]


def test_latest_releases_every_counter_exactly_once() -> None:
    """Defect D35: `RefCounter` through `latest` never fired; ruling 13 (docs/rulings.md)."""

    async def go() -> list[int]:
        fired: list[int] = []

        async def slow(_: int) -> None:
            await asyncio.sleep(1)

        async with Stream[int](asynchronous=True) as source:
            source.latest().sink(slow)
            for x in range(4):
                counter = RefCounter(cb=functools.partial(fired.append, x))
                await settle(source.emit(x, metadata=[{"ref": counter}]))
                await turns()
        return fired

    fired = run(go())
    assert sorted(fired) == [0, 1, 2, 3]
    assert fired[-1] == 3


def test_latest_works_from_a_thread_without_a_loop() -> None:
    def go() -> list[int]:
        with Stream[int]() as source:
            seen = source.latest().sink_to_list()
            for x in range(50):
                source.emit(x)
        return seen

    seen = bounded(go)
    assert seen[-1] == 49
    assert seen == sorted(set(seen))
