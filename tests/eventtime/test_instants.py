"""Event time and the wall clock, in virtual time: idleness, early results, flush and close."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import pytest
from tests.support import settle

from rapidz import Collect, Count, Stream
from rapidz.testing import record
from rapidz.testing.background import VirtualBackground


def at(ts: float, key: str = "a") -> dict[str, Any]:
    return {"ts": ts, "k": key}


def counted(stream: Any, size: Any = "10s", **options: Any) -> Any:
    return stream.tumbling(size, **options).aggregate(n=Count(), at=Collect("ts"))


def ends(log: Iterable[tuple[float, Any]]) -> list[tuple[float, Any]]:
    """Return when windows were closed, and their ends."""
    return [(instant, result.end) for instant, result in log if result.final]


async def send_at(source: Any, instants: dict[float, float]) -> None:
    """Emit timestamps at instants of the loop's clock."""
    now = asyncio.get_running_loop().time
    for instant, ts in instants.items():
        await asyncio.sleep(instant - now())
        await settle(source.emit(at(ts)))


# --- one input -----------------------------------------------------------------------------------


async def test_idle_closes_a_window_exactly_then() -> None:
    async with Stream[Any](asynchronous=True) as source:
        log = record(counted(source.event_time("ts", idle="1 min")))
        await send_at(source, {0: 100, 20: 105})
        await asyncio.sleep(59.999)
        assert log == []
        await asyncio.sleep(0.002)
        assert ends(log) == [(80.0, 110)]


async def test_an_idle_stream_follows_the_wall_clock_from_its_last_element() -> None:
    async with Stream[Any](asynchronous=True) as source:
        log = record(counted(source.event_time("ts", idle="1 min", lag="5s"), "10 min"))
        await send_at(source, {0: 100, 20: 105})
        await asyncio.sleep(1000)
        assert ends(log) == [(520.0, 600)]  # 20 + 600 - (105 - 5)


async def test_an_element_starts_the_countdown_anew() -> None:
    async with Stream[Any](asynchronous=True) as source:
        log = record(counted(source.event_time("ts", idle="1 min")))
        await send_at(source, {0: 0, 59: 1, 118: 2, 177: 3})
        assert log == []
        await asyncio.sleep(100)
        assert ends(log) == [(237.0, 10)]


async def test_an_element_after_an_idle_time_is_late_for_what_was_closed() -> None:
    async with Stream[Any](asynchronous=True) as source:
        node = counted(source.event_time("ts", idle="1 min"))
        log, late = record(node), record(node.late)
        await send_at(source, {0: 100, 70: 101, 71: 170})
        assert ends(log) == [(60.0, 110)]
        assert [(instant, x.element["ts"], x.reason) for instant, x in late] == [(70, 101, "late")]


async def test_event_time_does_not_move_by_the_wall_clock_without_idle() -> None:
    async with Stream[Any](asynchronous=True) as source:
        node = counted(source.event_time("ts"))
        log, late = record(node), record(node.late)
        await send_at(source, {0: 0, 86_400: 1, 200_000: 9})
        assert log == late == []
    assert ends(log) == [(200_000.0, 10)]
    assert log[0][1].value["n"] == 3


async def test_a_stream_that_never_spoke_is_idle_and_closes_nothing() -> None:
    async with Stream[Any](asynchronous=True) as source:
        node = counted(source.event_time("ts", idle="1s"))
        log = record(node)
        await asyncio.sleep(3600)
        await send_at(source, {3600: 5})
        assert log == []
        assert node.late_count == 0


def test_idleness_makes_a_plain_pipeline_use_the_background_loop(
    virtual_background: VirtualBackground,
) -> None:
    with Stream[Any]() as source:
        log = record(counted(source.event_time("ts", idle="1 min")))
        source.emit(at(3))
        virtual_background.let_pass(59)
        assert log == []
        virtual_background.let_pass(2)
        assert ends(log) == [(60.0, 10)]


async def test_chained_windows_close_by_idleness_too() -> None:
    async with Stream[Any](asynchronous=True) as source:
        inner = counted(source.event_time("ts", idle="1 min"), "10s")
        log = record(inner.tumbling("20s").aggregate(n=Count()))
        await send_at(source, {0: 3, 10: 13})
        await asyncio.sleep(100)
        assert [(instant, r.end, r.value) for instant, r in log] == [(70.0, 20, {"n": 2})]


async def test_sessions_close_by_idleness_too() -> None:
    async with Stream[Any](asynchronous=True) as source:
        stream = source.event_time("ts", idle="1 min").key_by("k").session("5s")
        log = record(stream.aggregate(n=Count()))
        await send_at(source, {0: 0, 10: 2})
        await asyncio.sleep(100)
        assert [(instant, r.start, r.end) for instant, r in log] == [(70.0, 0, 7)]


# --- several inputs ------------------------------------------------------------------------------


def two(idle: Any = "1 min", **options: Any) -> tuple[Any, Any, Any]:
    a, b = Stream[Any](asynchronous=True), Stream[Any](asynchronous=True)
    joined = a.event_time("ts", idle=idle).union(b.event_time("ts", idle=idle))
    return a, b, counted(joined, **options)


async def test_an_idle_input_leaves_the_minimum() -> None:
    a, b, node = two()
    log = record(node)
    await send_at(b, {0: 100})
    await send_at(a, {5: 105, 15: 115, 25: 125, 35: 135, 45: 145, 55: 155})
    assert log == []
    await send_at(a, {65: 165})
    assert ends(log) == [(60.0, 110), (60.0, 120), (60.0, 130), (60.0, 140), (60.0, 150), (65, 160)]
    await settle(a.close())
    await settle(b.close())


@pytest.mark.parametrize("alone", [False, True], ids=["together", "alone too"])
async def test_an_input_that_wakes_up_takes_nothing_back(alone: bool) -> None:
    a, b = Stream[Any](asynchronous=True), Stream[Any](asynchronous=True)
    second = b.event_time("ts", idle="1 min")
    node = counted(a.event_time("ts", idle="1 min").union(second))
    if alone:  # where all inputs are idle, and follow the wall clock
        other = counted(second)
        other.sink(print)
        other.late.sink(print)
    log, late = record(node), record(node.late)
    await send_at(b, {0: 100})
    await send_at(a, {30: 130, 65: 165})
    closed = len(log)
    await send_at(b, {70: 101})
    await send_at(a, {75: 185})
    assert [x.element["ts"] for _, x in late] == [101]
    assert len(log) == closed, "the input that woke up holds the watermark"
    await send_at(b, {80: 300})
    assert ends(log)[closed:] == [(80.0, 170)]
    await settle(a.close())
    await settle(b.close())


async def test_an_input_becomes_idle_once_more_after_it_woke_up() -> None:
    a, b, node = two()
    log = record(node)
    await send_at(b, {0: 100})
    await send_at(a, {30: 130, 65: 165})
    await send_at(b, {70: 300})
    await send_at(a, {75: 375, 110: 410})
    closed = len(log)
    await asyncio.sleep(19.9)
    assert len(log) == closed
    await send_at(a, {131: 411})
    assert ends(log)[closed:] == [(130.0, 310), (130.0, 380)]
    await settle(a.close())
    await settle(b.close())


async def test_when_all_inputs_are_idle_the_maximum_counts() -> None:
    a, b, node = two()
    log = record(node)
    await send_at(b, {0: 50})
    await send_at(a, {10: 1000})
    await asyncio.sleep(49.9)
    assert log == []
    await asyncio.sleep(20)
    assert ends(log) == [(60.0, 60), (70.0, 1010)]
    await settle(a.close())
    await settle(b.close())


async def test_an_input_that_ended_no_longer_holds_the_watermark() -> None:
    a, b, node = two(idle=None)
    log = record(node)
    await send_at(b, {0: 3})
    await send_at(a, {1: 45})
    assert log == []
    await asyncio.sleep(1)
    await settle(b.close())
    assert ends(log) == [(2.0, 10)]
    await send_at(a, {3: 55})
    assert ends(log) == [(2.0, 10), (3.0, 50)]
    await settle(a.close())


async def test_an_input_that_never_spoke_holds_the_watermark() -> None:
    a, b, node = two(idle=None)
    log = record(node)
    await send_at(a, {0: 0, 1: 1000})
    assert log == []
    await send_at(b, {2: 990})
    assert ends(log) == [(2.0, 10)]
    await settle(a.close())
    await settle(b.close())


# --- back pressure is not idleness ---------------------------------------------------------------


async def test_an_hour_under_back_pressure_is_not_idle() -> None:
    opened = asyncio.Event()

    async def blocked(x: Any) -> None:
        await opened.wait()

    async with Stream[Any](asynchronous=True) as source:
        stream = source.event_time("ts", idle="1 min")
        log = record(counted(stream))
        stream.sink(blocked)
        sent = asyncio.ensure_future(source.emit(at(3)))
        await asyncio.sleep(3600)
        assert log == []
        opened.set()
        await sent
        await asyncio.sleep(59.9)
        assert log == []
        await asyncio.sleep(0.2)
        assert ends(log) == [(3660.0, 10)]


async def test_elements_that_wait_in_front_of_a_full_buffer_are_not_idle() -> None:
    opened = asyncio.Event()

    async def blocked(x: Any) -> None:
        await opened.wait()

    async with Stream[Any](asynchronous=True) as source:
        stream = source.event_time("ts", idle="1 min")
        node = counted(stream)
        log, late = record(node), record(node.late)
        stream.buffer(1).sink(blocked)
        sent = [asyncio.ensure_future(source.emit(at(ts))) for ts in (1, 2, 3, 4, 5)]
        await asyncio.sleep(3600)
        assert log == []
        opened.set()
        await asyncio.gather(*sent)
        assert log == late == []
        await asyncio.sleep(61)
        assert ends(log) == [(3660.0, 10)]


async def test_a_slow_function_downstream_makes_no_element_late() -> None:
    async def slow(x: Any) -> Any:
        await asyncio.sleep(300)
        return x

    async with Stream[Any](asynchronous=True) as source:
        node = counted(source.event_time("ts", idle="1 min").map(slow))
        log, late = record(node), record(node.late)
        for ts in (1, 2, 3, 11):
            await settle(source.emit(at(ts)))
    assert late == []
    assert [r.value["at"] for _, r in log] == [[1, 2, 3], [11]]


# --- early results -------------------------------------------------------------------------------


async def test_early_results_come_every_ten_seconds_if_something_changed() -> None:
    async with Stream[Any](asynchronous=True) as source:
        log = record(counted(source.event_time("ts"), "1h", early="10s"))
        await send_at(source, {0: 0, 3: 1})
        await asyncio.sleep(100)
        found = [(instant, r.value["n"], r.final, r.revision) for instant, r in log]
        assert found == [(10.0, 2, False, 0)]
        await send_at(source, {200: 2})
        await asyncio.sleep(100)
        assert [r.value["n"] for _, r in log] == [2, 3]
        assert 200 < log[1][0] <= 210
    assert [(instant, r.final, r.value["n"]) for instant, r in log][2:] == [(300.0, True, 3)]


async def test_early_results_are_of_the_windows_that_changed_only() -> None:
    async with Stream[Any](asynchronous=True) as source:
        keyed = source.event_time("ts").key_by("k")
        log = record(counted(keyed, "1h", early="10s"))
        await settle(source.emit(at(0, "a")))
        await settle(source.emit(at(1, "b")))
        await asyncio.sleep(15)
        await settle(source.emit(at(2, "b")))
        await asyncio.sleep(20)
        assert [(r.key, r.value["n"]) for _, r in log] == [("a", 1), ("b", 1), ("b", 2)]
        assert not any(r.final for _, r in log)


# --- the future ----------------------------------------------------------------------------------


async def test_a_timestamp_in_the_far_future_goes_to_late_and_moves_nothing() -> None:
    async with Stream[Any](asynchronous=True) as source:
        timed = source.event_time("ts", ahead="1h")
        late = record(timed.late)
        log = record(counted(timed))
        await send_at(source, {0: 0, 10: 3610.5, 20: 1, 21: 7300, 30: 3630})
        assert [(instant, x.element["ts"], x.reason) for instant, x in late] == [
            (10.0, 3610.5, "future"),
            (21.0, 7300, "future"),
        ]
        assert timed.late_count == 2
        assert [(instant, r.start, r.value["n"]) for instant, r in log] == [(30.0, 0, 2)]


# --- flush and close -----------------------------------------------------------------------------


async def test_a_flush_gives_early_results_and_leaves_windows_open() -> None:
    async with Stream[Any](asynchronous=True) as source:
        node = counted(source.event_time("ts"))
        log, late = record(node), record(node.late)
        await send_at(source, {0: 3, 1: 14})
        await settle(source.flush())
        await send_at(source, {5: 15, 6: 20})
        assert [(r.start, r.final, r.value["n"]) for _, r in log] == [
            (0, True, 1),
            (10, False, 1),
            (10, True, 2),
        ]
        assert late == []


def test_a_flush_of_a_synchronous_pipeline_does_not_move_event_time() -> None:
    source: Stream[Any] = Stream()
    node = counted(source.event_time("ts", lag="5s"))
    results = node.sink_to_list()
    for ts in (3, 14, 4):
        source.emit(at(ts))
        source.flush()
    assert not any(r.final for r in results)
    last = {r.start: r.value["at"] for r in results}
    assert last == {0: [3, 4], 10: [14]}
    source.close()
    assert [(r.start, r.value["at"]) for r in results if r.final] == [(0, [3, 4]), (10, [14])]


def test_close_closes_all_windows_in_order_of_their_ends() -> None:
    source: Stream[Any] = Stream()
    results = counted(source.event_time("ts", lag="1h")).sink_to_list()
    source.emit_many([at(35), at(3), at(14)])
    assert results == []
    source.close()
    assert [(r.end, r.final, r.revision) for r in results] == [
        (10, True, 0),
        (20, True, 0),
        (40, True, 0),
    ]


async def test_close_does_not_wait_for_idleness_or_early_results() -> None:
    loop = asyncio.get_running_loop()
    async with Stream[Any](asynchronous=True) as source:
        timed = source.event_time("ts", idle="1 min")
        log = record(counted(timed, early="10s"))
        await send_at(source, {0: 3})
    assert loop.time() == 0.0
    assert ends(log) == [(0.0, 10)]
    await asyncio.sleep(1000)
    assert len(log) == 1


# --- being told ----------------------------------------------------------------------------------


async def test_an_input_that_wakes_up_late_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    a, b = Stream[Any](asynchronous=True), Stream[Any](asynchronous=True)
    first = a.event_time("ts", idle="1 min")
    second = b.event_time("ts", idle="1 min", stream_name="sensor-3")
    node = counted(first.union(second))
    late = record(node.late)
    with caplog.at_level(logging.INFO, logger="rapidz"):
        await send_at(b, {0: 100})
        await send_at(a, {30: 130, 65: 165})
        await send_at(b, {70: 101, 71: 102})
    assert len(late) == 2
    assert sum("sensor-3" in line.getMessage() for line in caplog.records) == 1
    await settle(a.close())
    await settle(b.close())
