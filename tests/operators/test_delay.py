"""delay: every element leaves some time after it came."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, arrivals, fail_on, feed, gaps, refused, send, settle

from rapidz import Stream
from rapidz.testing import record, run

intervals = st.integers(0, 8).map(lambda quarters: quarters / 4)


async def delayed(
    coming: list[tuple[float, int]], interval: Any, spaced: bool
) -> list[tuple[float, int]]:
    async with Stream[int](asynchronous=True) as source:
        seen = record(source.delay(interval, spaced=spaced))
        await feed(source, coming)
    return seen


@given(gaps, intervals)
def test_delay_spaces_the_elements_too(distances: list[float], interval: float) -> None:
    """Ruling 9: not before arrival + interval, nor closer than interval to the last."""
    coming = arrivals(distances)
    wanted: list[tuple[float, int]] = []
    for instant, x in coming:
        earliest = wanted[-1][0] + interval if wanted else 0.0
        wanted.append((max(instant + interval, earliest), x))
    assert run(delayed(coming, interval, spaced=True)) == wanted


@given(gaps, intervals)
def test_delay_is_a_pure_shift_when_not_spaced(distances: list[float], interval: float) -> None:
    """Ruling 9 (docs/rulings.md): `spaced=False`."""
    coming = arrivals(distances)
    wanted = [(instant + interval, x) for instant, x in coming]
    assert run(delayed(coming, interval, spaced=False)) == wanted


def test_delay_delays_after_it_has_been_idle() -> None:
    """Defect D9: `delay(1.0)`, idle 2 s, then 4 emits: +0, +0, +1, +2; right is arrival + 1."""
    coming = [(2.0, x) for x in range(4)]
    assert run(delayed(coming, "1s", spaced=False)) == [(3.0, x) for x in range(4)]
    assert run(delayed(coming, "1s", spaced=True)) == [(3.0 + x, x) for x in range(4)]


def test_delay_delivers_its_elements_before_the_end() -> None:
    """Ruling 4 and engine rule 4: the end travels behind the elements, which keep their time."""

    async def go() -> tuple[list[tuple[float, int]], float]:
        source = Stream[int](asynchronous=True)
        seen = record(source.delay(2))
        await send(source, 1)
        await settle(source.close())
        return seen, asyncio.get_running_loop().time()

    assert run(go()) == ([(2.0, 1)], 2.0)


def test_delay_lives_on_after_a_failure_downstream() -> None:
    """Defect D2: the node died silently; ruling 1 (docs/rulings.md)."""

    async def go() -> tuple[list[int], Boom]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.delay(1).map(fail_on(1)).sink_to_list()
            source.emit(0)
            source.emit(1)
            await asyncio.sleep(5)
            with pytest.raises(Boom) as caught:
                await send(source, 2)
            await send(source, 3)
        return seen, caught.value

    seen, failure = run(go())
    assert failure.subject == 1
    assert seen == [0, 3]


def test_delay_follows_a_new_interval() -> None:
    """Ruling 20 (docs/rulings.md): it applies to the elements that come from now on."""

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.delay(1)
            seen: list[tuple[float, int]] = record(node)
            await feed(source, [(0.0, 0)])
            await asyncio.sleep(4)
            assert node.interval == 1
            node.interval = 3
            await feed(source, [(4.0, 1)])
        return seen

    assert run(go()) == [(1.0, 0), (7.0, 1)]


@pytest.mark.parametrize("interval", [-1, "soon", None, [1]])
def test_delay_refuses_what_is_no_interval(interval: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.delay(interval), "delay", "interval", interval)


def test_an_element_delayed_at_the_end_of_a_loop_goes_on_in_the_next() -> None:
    source = Stream[int](asynchronous=True)
    seen = source.delay(0.01).sink_to_list()

    async def first() -> None:
        await source.emit(1)
        await source.emit(2)
        await asyncio.sleep(0)  # the delay begins to wait

    asyncio.run(first())
    asyncio.run(closed(source))
    assert seen == [1, 2]


def test_delay_loses_nothing_when_a_loop_is_closed_with_its_tasks() -> None:
    source = Stream[int](asynchronous=True)
    seen = source.delay(0.01).sink_to_list()
    loop = asyncio.new_event_loop()

    async def first() -> None:
        await source.emit(1)
        await source.emit(2)
        await asyncio.sleep(0)

    loop.run_until_complete(first())
    left = asyncio.all_tasks(loop)
    loop.close()
    asyncio.run(closed(source))
    assert seen == [1, 2]
    for task in left:  # nobody has ended these
        task._log_destroy_pending = False  # type: ignore[attr-defined]


async def closed(source: Stream[int]) -> None:
    await source.close()
