"""from_periodic and PeriodicCallback: a function called at a fixed cadence."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from tests.support import Boom, settle

from rapidz import SKIP
from rapidz.sources import PeriodicCallback, from_periodic
from rapidz.testing import VirtualBackground, record


async def test_from_periodic_calls_at_once_and_keeps_its_cadence() -> None:
    source = from_periodic(itertools.count().__next__, "250ms")
    seen = record(source)
    source.start()
    await asyncio.sleep(1.1)
    source.stop()
    await asyncio.sleep(5)
    assert seen == [(0.0, 0), (0.25, 1), (0.5, 2), (0.75, 3), (1.0, 4)]


async def test_from_periodic_does_not_drift() -> None:
    source = from_periodic(lambda: asyncio.get_running_loop().time(), 0.1)
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(100.05)
    source.stop()
    assert seen == pytest.approx([n * 0.1 for n in range(1001)])


async def test_from_periodic_leaves_out_instants_that_have_passed() -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(1.5)

    instants: list[float] = []

    def callback() -> int:
        instants.append(asyncio.get_running_loop().time())
        return 0

    source = from_periodic(callback, 1)
    source.sink(slow)
    source.start()
    await asyncio.sleep(5)
    source.stop()
    await settle(source.join())
    assert instants == [0, 2, 4]


async def test_from_periodic_keeps_an_instant_that_is_just_reached() -> None:
    async def exactly(_: int) -> None:
        await asyncio.sleep(0.1)

    source = from_periodic(lambda: 0, 0.1)
    seen = record(source)
    source.sink(exactly)
    source.start()
    await asyncio.sleep(1.05)
    source.stop()
    await settle(source.join())
    assert len(seen) == 11


async def test_from_periodic_awaits_an_async_function() -> None:
    async def ask() -> str:
        await asyncio.sleep(0.5)
        return "answer"

    source: Any = from_periodic(ask, 2)
    seen = record(source)
    source.start()
    await asyncio.sleep(3)
    source.stop()
    assert seen == [(0.5, "answer"), (2.5, "answer")]


async def test_from_periodic_emits_none_but_not_skip() -> None:
    results = iter([None, SKIP, 1])
    source = from_periodic(lambda: next(results), 1)
    seen = record(source)
    source.start()
    await asyncio.sleep(2.5)
    source.stop()
    assert seen == [(0.0, None), (2.0, 1)]


async def test_from_periodic_may_be_stopped_within_its_function() -> None:
    def callback() -> int:
        source.stop()
        return 1

    source = from_periodic(callback, 1)
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(3)
    assert (seen, source.state) == ([], "stopped")


async def test_from_periodic_fast_stop_and_start_leave_one_cadence() -> None:
    calls: list[float] = []
    source = from_periodic(lambda: calls.append(asyncio.get_running_loop().time()), 1)
    source.start()
    await asyncio.sleep(0.25)
    for _ in range(3):
        source.stop()
        source.start()
    await asyncio.sleep(2.5)
    source.stop()
    assert calls == [0, 0.25, 1.25, 2.25]


async def test_from_periodic_fails_and_starts_again() -> None:
    results = iter([1, Boom("once"), 2])

    def callback() -> Any:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    source = from_periodic(callback, 1)
    seen = record(source)
    source.start()
    await asyncio.sleep(5)
    assert (source.state, source.stopped) == ("failed", True)
    with pytest.raises(Boom):
        await source.join()
    source.start()
    await asyncio.sleep(0.5)
    source.stop()
    assert seen == [(0.0, 1), (5.0, 2)]


async def test_from_periodic_with_a_policy_goes_on() -> None:
    results = iter([1, 0, 2])
    source = from_periodic(lambda: 2 // next(results), 1).on_error("skip")
    seen = record(source)
    source.start()
    await asyncio.sleep(2.5)
    source.stop()
    assert seen == [(0.0, 2), (2.0, 1)]
    assert source.skipped == 1


async def test_from_periodic_interval_may_be_changed() -> None:
    source = from_periodic(lambda: 0, 1)
    seen = record(source)
    source.start()
    await asyncio.sleep(1.5)
    source.poll_interval = "250ms"
    await asyncio.sleep(1.1)
    source.stop()
    assert [instant for instant, _ in seen] == [0, 1, 2, 2.25, 2.5]
    assert source.poll_interval == 0.25
    with pytest.raises(ValueError, match=r"from_periodic: poll_interval must be .+, got 0"):
        source.poll_interval = 0


async def test_periodic_callback_has_started_and_counts_in_milliseconds() -> None:
    source = PeriodicCallback(itertools.count().__next__, 500, asynchronous=True)
    seen = record(source)
    assert source.state == "running"
    await asyncio.sleep(1.75)
    source.stop()
    assert seen == [(0.5, 0), (1.0, 1), (1.5, 2)]


def test_periodic_callback_runs_in_the_background(virtual_background: VirtualBackground) -> None:
    source = PeriodicCallback(itertools.count().__next__, 500)
    seen = record(source)
    virtual_background.let_pass(10)
    source.stop()
    source.join()
    assert len(seen) in (19, 20)


def test_what_cannot_be_called_or_waited_is_refused() -> None:
    with pytest.raises(TypeError, match="from_periodic: callback must be callable, got 3"):
        from_periodic(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"from_periodic: poll_interval must be .+, got -1"):
        from_periodic(int, -1)
    with pytest.raises(ValueError, match=r"PeriodicCallback: callback_time must be .+, got 0"):
        PeriodicCallback(int, 0)
    with pytest.raises(TypeError, match=r"PeriodicCallback: callback_time must be .+, got '1s'"):
        PeriodicCallback(int, "1s")  # type: ignore[arg-type]


async def test_close_of_a_periodic_source() -> None:
    source = from_periodic(itertools.count().__next__, 1)
    seen = source.partition(10).sink_to_list()
    source.start()
    await asyncio.sleep(2.5)
    await settle(source.close())
    assert seen == [(0, 1, 2)]
