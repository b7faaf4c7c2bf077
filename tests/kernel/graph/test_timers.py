"""Timers: they fire no earlier than their time, and once for each period."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.support import send, settle

from rapidz import Stream
from rapidz.sources import PeriodicCallback, from_periodic
from rapidz.testing import VirtualLoop, record, run


class CoarseLoop(VirtualLoop):
    """A loop whose clock is so coarse that it calls up to 60 ms early."""

    def _be_exact(self) -> None:
        self._clock_resolution = 0.06


def coarsely(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=CoarseLoop) as runner:
        return runner.run(main())


async def tick_every(seconds: float) -> None:
    """Wake the loop again and again, at instants that are sums of floats."""
    while True:
        await asyncio.sleep(seconds)


async def windows(interval: Any, operator: str, beside: float, end: float) -> list[Any]:
    async with Stream[int](asynchronous=True) as source:
        seen: list[Any] = record(getattr(source, operator)(interval))
        other = asyncio.create_task(tick_every(beside))
        await send(source, 1)
        await asyncio.sleep(end)
        other.cancel()
    return seen


@pytest.mark.parametrize("operator", ["timed_window", "timed_window_unique"])
def test_a_window_closes_once_a_period_next_to_other_timers(operator: str) -> None:
    seen = run(windows("1 min", operator, 0.1, 200))
    assert [(instant, list(window)) for instant, window in seen] == [
        (60.0, [1]),
        (120.0, []),
        (180.0, []),
    ]


@pytest.mark.parametrize("operator", ["timed_window", "timed_window_unique"])
def test_a_window_closes_once_a_period_on_a_coarse_clock(operator: str) -> None:
    seen = coarsely(lambda: windows(0.5, operator, 0.11, 2.2))
    assert [round(instant / 0.5, 1) >= n for n, (instant, _) in enumerate(seen, 1)] == [True] * 4


@pytest.mark.parametrize("build", [from_periodic, lambda f, s: PeriodicCallback(f, s * 1000, True)])
def test_a_periodic_source_calls_once_a_period_on_a_coarse_clock(build: Any) -> None:
    async def go() -> list[float]:
        loop = asyncio.get_running_loop()
        source = build(loop.time, 0.5)
        seen: list[float] = source.sink_to_list()
        source.start()
        other = asyncio.create_task(tick_every(0.11))
        await asyncio.sleep(2.3)
        other.cancel()
        source.stop()
        await settle(source.join())
        return [instant for instant in seen if instant > 0]

    seen = coarsely(go)
    assert len(seen) == 4
    assert all(instant >= 0.5 * n for n, instant in enumerate(seen, 1))


@pytest.mark.parametrize("operator", ["rate_limit", "delay"])
def test_elements_leave_no_earlier_than_their_time_on_a_coarse_clock(operator: str) -> None:
    async def go() -> list[float]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(getattr(source, operator)(0.5))
            other = asyncio.create_task(tick_every(0.11))
            for x in range(4):
                await send(source, x)
            await settle(source.join())
            other.cancel()
        return [instant for instant, _ in seen]

    first = 0 if operator == "rate_limit" else 1
    assert all(instant >= 0.5 * n for n, instant in enumerate(coarsely(go), first))


def test_a_batch_waits_for_all_of_its_timeout_on_a_coarse_clock() -> None:
    async def go() -> list[float]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.partition(9, timeout=0.5))
            other = asyncio.create_task(tick_every(0.115))
            await send(source, 1)
            await asyncio.sleep(1)
            other.cancel()
        return [instant for instant, _ in seen]

    (instant,) = coarsely(go)
    assert instant >= 0.5


def test_a_timer_of_a_virtual_loop_never_runs_before_its_time() -> None:
    async def go() -> list[float]:
        loop = asyncio.get_running_loop()
        early: list[float] = []
        for due in (119.99999999999746, 120.0, 120.0 + 1e-12, 120.0 + 2e-14):
            loop.call_at(due, lambda at: early.append(at - loop.time()), due)
        await asyncio.sleep(121)
        return early

    assert run(go()) == [0.0] * 4
