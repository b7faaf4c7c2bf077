"""Faults that other systems had, each with a test; the docstrings name where they were found."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support import settle

from rapidz import Collect, Count, First, Last, Stream, Sum
from rapidz.testing import record


def at(ts: Any, key: Any = "a", v: Any = 0) -> dict[str, Any]:
    return {"ts": ts, "k": key, "v": v}


def timed(source: Any, lag: Any = 0, **options: Any) -> Any:
    return source.event_time("ts", lag=lag, **options).key_by("k")


def spans(results: Iterable[Any]) -> list[tuple[Any, ...]]:
    return [(r.key, r.start, r.end, r.value["n"]) for r in results]


# --- windows that never close --------------------------------------------------------------------


def test_a_silent_key_is_closed_by_the_time_of_the_others() -> None:
    """quix#591, #747, #790: one clock per key never closes the last window of a key."""
    source: Stream[Any] = Stream()
    results = timed(source).tumbling("10s").aggregate(n=Count()).sink_to_list()
    source.emit(at(1, "silent"))
    source.emit(at(30, "loud"))
    assert spans(results) == [("silent", 0, 10, 1)]


async def test_watermark_of_an_idle_input_follows_the_clock() -> None:
    """What `watermark` says is what `held_by` says, while no element comes."""
    source: Stream[Any] = Stream(asynchronous=True)
    node = source.event_time("ts", lag=5, idle=10)
    results = node.tumbling("1 min").aggregate(n=Count()).sink_to_list()
    await source.emit(at(50))
    await asyncio.sleep(9)
    assert node.watermark == 45
    await asyncio.sleep(5)
    assert node.watermark == 59
    assert not results
    await source.close()
    assert [(r.start, r.value) for r in results] == [(0, {"n": 1})]


async def test_the_last_window_closes_without_new_data() -> None:
    """quix#790, #923, kafka#15864, ksql#9007, faust#251: users post dummy records."""
    async with Stream[Any](asynchronous=True) as source:
        log = record(timed(source, idle="30s").tumbling("10s").aggregate(n=Count()))
        await settle(source.emit(at(1)))
        await asyncio.sleep(31)
        assert [(instant, r.end) for instant, r in log] == [(30.0, 10)]


def test_the_end_of_a_finite_source_closes_all_windows() -> None:
    """paimon#3345, delta#7401, FLINK-28386, gcp-ingestion#1689: the end of a bounded run."""
    source = Stream.from_iterable([at(1), at(25), at(14)])
    stream = timed(source, lag="20s")
    results = stream.tumbling("10s").aggregate(n=Count()).sink_to_list()
    ended = stream.session("3s").aggregate(n=Count()).sink_to_list()
    with source:
        source.start()
    assert spans(results) == [("a", 0, 10, 1), ("a", 10, 20, 1), ("a", 20, 30, 1)]
    assert spans(ended) == [("a", 1, 4, 1), ("a", 14, 17, 1), ("a", 25, 28, 1)]


# --- a watermark moves by data, not by the machine -----------------------------------------------


async def test_slow_processing_makes_no_element_late() -> None:
    """bytewax adds elapsed system time: a slow replay made 15 % of on-time data late."""
    async with Stream[Any](asynchronous=True) as source:
        node = timed(source, lag="5s").tumbling("10s").aggregate(n=Count())
        log = record(node)
        for ts in (1, 9, 4, 12, 8):
            await settle(source.emit(at(ts)))
            await asyncio.sleep(3600)
        assert log == []
    assert [r.value["n"] for _, r in log] == [4, 1]
    assert node.late_count == 0


def test_one_record_from_the_future_makes_no_other_late() -> None:
    """turbolytics/sql-flow#358: a device with a fast clock made 10 of 10 rows late."""
    import time

    now = time.time() // 10 * 10
    source: Stream[Any] = Stream()
    first = source.event_time("ts", ahead="1h")
    wrong = first.late.sink_to_list()
    node = first.key_by("k").tumbling("10s").aggregate(n=Count())
    results = node.sink_to_list()
    source.emit(at(now + 10_000_000))
    source.emit_many([at(now + i) for i in range(10)])
    source.close()
    assert [x.reason for x in wrong] == ["future"]
    assert [r.value["n"] for r in results] == [10]


# --- off by one ----------------------------------------------------------------------------------


def test_a_session_ends_exactly_a_gap_after_its_last_element() -> None:
    """KAFKA-8289: sessions and their grace were off by one."""
    source: Stream[Any] = Stream()
    node = timed(source).session("5s").aggregate(n=Count())
    results = node.sink_to_list()
    source.emit_many([at(0), at(4.999999)])
    source.emit(at(9.999998, "b"))
    assert results == []
    source.emit(at(9.999999, "b"))
    assert spans(results) == [("a", 0, 9.999999, 2)]
    source.emit(at(9.999999))
    source.close()
    assert sorted(spans(results)[1:]) == [
        ("a", 9.999999, 14.999999, 1),
        ("b", 9.999998, 14.999999, 2),
    ]


def test_an_element_exactly_a_gap_later_is_a_session_of_its_own() -> None:
    """KAFKA-8289: half-open, so sessions that only meet are two."""
    source: Stream[Any] = Stream()
    results = timed(source, "1h").session("5s").aggregate(n=Count()).sink_to_list()
    source.emit_many([at(10), at(5), at(0)])
    source.close()
    assert spans(results) == [("a", 0, 5, 1), ("a", 5, 10, 1), ("a", 10, 15, 1)]


def test_a_window_closes_exactly_at_its_end_plus_the_lag() -> None:
    """KAFKA-8289: windows and grace, to the nanosecond."""
    source: Stream[Any] = Stream()
    stream = source.event_time("ts", lag="3us", unit="ns").key_by("k")
    node = stream.tumbling("10us").aggregate(n=Count())
    results, late = node.sink_to_list(), node.late.sink_to_list()
    source.emit_many([at(9_999), at(12_999), at(9_999)])
    assert results == []
    source.emit(at(13_000))
    assert spans(results) == [("a", 0, 10_000, 2)]
    source.emit(at(9_999))
    assert node.late_count == len(late) == 1


# --- alignment -----------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [0, 10**9, 2**53, 2**62, -(2**53), -1])
def test_windows_far_from_the_epoch_lose_nothing(base: int) -> None:
    """bytewax#413: alignment arithmetic far from the epoch lost data."""
    source: Stream[Any] = Stream()
    stream = source.event_time("ts", lag="1us", unit="ns").key_by("k")
    node = stream.tumbling("7us", offset="3us").aggregate(n=Count(), all=Collect("ts"))
    results = node.sink_to_list()
    moments = [base + 500 * n for n in range(60)]
    source.emit_many(map(at, moments))
    source.close()
    assert node.late_count == 0
    assert [ts for r in results for ts in r.value["all"]] == moments
    assert {(r.start - 3000) % 7000 for r in results} == {0}
    assert all(r.start <= ts < r.end for r in results for ts in r.value["all"])


def test_days_that_begin_at_nine_are_aligned_for_all_datetimes() -> None:
    """bytewax#413: with an offset, before and long after the epoch."""
    source: Stream[Any] = Stream()
    node = timed(source).tumbling("1 day", offset="9h").aggregate(n=Count())
    results = node.sink_to_list()
    for year in (1902, 1969, 1970, 2026, 2261, 9998):
        source.emit(at(datetime(year, 5, 3, 8, 59, 59, 999999, UTC)))
        source.emit(at(datetime(year, 5, 3, 9, tzinfo=UTC)))
    source.close()
    assert len(results) == 12
    assert all((r.start.hour, r.start.minute) == (9, 0) for r in results)
    assert all(r.end - r.start == timedelta(days=1) for r in results)


# --- late elements -------------------------------------------------------------------------------


def test_a_late_element_never_recreates_a_closed_window() -> None:
    """sql-flow#203: it was sent as a second, smaller result."""
    source: Stream[Any] = Stream()
    node = timed(source).tumbling("10s").aggregate(n=Count())
    results, late = node.sink_to_list(), node.late.sink_to_list()
    source.emit_many([at(1), at(2), at(10), at(3), at(30), at(9)])
    source.close()
    assert spans(results) == [("a", 0, 10, 2), ("a", 10, 20, 1), ("a", 30, 40, 1)]
    assert [x.element["ts"] for x in late] == [3, 9]


def test_an_old_element_opens_no_window_that_is_over_already() -> None:
    """The watermark must be exact at the moment when a window is opened."""
    source: Stream[Any] = Stream()
    node = timed(source).tumbling("10s").aggregate(n=Count())
    results, late = node.sink_to_list(), node.late.sink_to_list()
    source.emit(at(1000))
    source.emit(at(5))
    source.emit(at(999, "b"))
    source.close()
    assert spans(results) == [("a", 1000, 1010, 1)]
    assert [x.element["ts"] for x in late] == [5, 999]


def test_an_input_that_joins_later_takes_nothing_back() -> None:
    """An edit of the graph makes no window open that was closed."""
    a, b = Stream[Any](), Stream[Any]()
    joined = a.event_time("ts").union(b.event_time("ts"))
    node = joined.key_by("k").tumbling("10s").aggregate(n=Count())
    results, late = node.sink_to_list(), node.late.sink_to_list()
    a.emit(at(5))
    b.emit(at(100))
    a.emit(at(100))
    assert spans(results) == [("a", 0, 10, 1)]
    later = Stream[Any]()
    later.event_time("ts").connect(joined)
    later.emit(at(6))
    a.emit(at(7))
    for source in (a, b, later):
        source.close()
    assert [x.element["ts"] for x in late] == [6, 7]
    assert spans(results) == [("a", 0, 10, 1), ("a", 100, 110, 2)]


def test_elements_that_were_filtered_out_move_the_watermark() -> None:
    """The watermark is that of the input, not of what reaches the window."""
    source: Stream[Any] = Stream()
    stream = source.event_time("ts").filter(lambda x: x["k"] == "a").key_by("k")
    node = stream.tumbling("10s").aggregate(n=Count())
    results, late = node.sink_to_list(), node.late.sink_to_list()
    source.emit_many([at(5), at(100, "b")])
    assert spans(results) == [("a", 0, 10, 1)]
    source.emit(at(6))
    source.emit(at(50))
    assert [x.element["ts"] for x in late] == [6, 50]


def test_an_element_late_for_one_of_its_windows_is_in_the_others() -> None:
    """FLINK-21305: the pane stays until the last window over it is gone."""
    source: Stream[Any] = Stream()
    node = timed(source).sliding("30s", "10s").aggregate(n=Count())
    results, late = node.sink_to_list(), node.late.sink_to_list()
    source.emit_many([at(25), at(41), at(26), at(9)])
    source.close()
    assert spans(results) == [
        ("a", 0, 30, 1),
        ("a", 10, 40, 1),
        ("a", 20, 50, 3),
        ("a", 30, 60, 1),
        ("a", 40, 70, 1),
    ]
    assert [x.element["ts"] for x in late] == [9]


def test_late_elements_are_counted_and_warned_of_once() -> None:
    """rw#23270, SPARK-24634: silent loss is the most frequent complaint."""
    source: Stream[Any] = Stream()
    node = timed(source).tumbling("10s").aggregate(n=Count())
    node.sink_to_list()
    source.emit(at(100))
    with pytest.warns(RuntimeWarning, match="tumbling.*late") as told:
        source.emit_many([at(1), at(2), at(3)])
    source.close()
    assert node.late_count == 3
    assert len(told) == 1


def test_late_elements_make_revisions_of_the_session_they_belong_to() -> None:
    """FLINK-4994: after the emission they made new sessions of one element."""
    source: Stream[Any] = Stream()
    node = timed(source).session("5s", lateness="1 min").aggregate(n=Count())
    results = node.sink_to_list()
    source.emit_many([at(0), at(3), at(20, "b"), at(2)])
    assert [(r.key, r.start, r.end, r.value, r.final, r.revision) for r in results] == [
        ("a", 0, 8, {"n": 2}, True, 0),
        ("a", 0, 8, {"n": 3}, True, 1),
    ]


def test_corrections_have_ascending_revisions() -> None:
    """KIP-633: lateness is none by default, and as long as it is told."""
    source: Stream[Any] = Stream()
    node = timed(source).tumbling("10s", lateness="20s").aggregate(n=Count())
    results, late = node.sink_to_list(), node.late.sink_to_list()
    source.emit_many([at(1), at(10)])
    source.emit(at(2))
    source.emit(at(29))
    source.emit(at(3))
    source.emit(at(30))
    source.emit(at(4))
    first = [(r.revision, r.value["n"], r.final) for r in results if r.start == 0]
    assert first == [(0, 1, True), (1, 2, True), (2, 3, True)]
    assert node.late_count == len(late) == 1


# --- order within a window -----------------------------------------------------------------------


def test_elements_are_ordered_by_time_within_a_window() -> None:
    """bytewax#461: folds saw elements in order of arrival."""
    source: Stream[Any] = Stream()
    node = timed(source, "1h").tumbling("10s")
    values = node.aggregate(all=Collect("v"), first=First("v"), last=Last("v")).sink_to_list()
    whole = node.collect().sink_to_list()
    source.emit_many([at(5, v="e"), at(1, v="a"), at(5, v="f"), at(3, v="c"), at(1, v="b")])
    source.close()
    assert values[0].value == {"all": list("abcef"), "first": "a", "last": "f"}
    assert [x["v"] for x in whole[0].value] == list("abcef")


def test_slices_keep_the_order_by_time_for_sliding_windows() -> None:
    """bytewax#461: also where a window is put together from slices."""
    source: Stream[Any] = Stream()
    node = timed(source, "1h").sliding("20s", "10s")
    values = node.aggregate(all=Collect("v"), first=First("v"), last=Last("v")).sink_to_list()
    source.emit_many([at(15, v="d"), at(11, v="c"), at(5, v="b"), at(1, v="a")])
    source.close()
    assert [r.value["all"] for r in values] == [list("ab"), list("abcd"), list("cd")]
    assert [(r.value["first"], r.value["last"]) for r in values] == [
        ("a", "b"),
        ("a", "d"),
        ("c", "d"),
    ]


# --- sessions ------------------------------------------------------------------------------------


def test_a_merged_session_is_emitted_once_at_its_own_end() -> None:
    """FLINK-5713, -5972: clean-up timers of the parts fired for the whole."""
    source: Stream[Any] = Stream()
    node = timed(source, "20s").session("5s").aggregate(n=Count())
    results = node.sink_to_list()
    source.emit_many([at(0), at(8), at(16)])
    source.emit_many([at(4), at(12)])
    source.emit(at(40, "b"))
    assert results == []
    source.emit(at(41, "b"))
    assert spans(results) == [("a", 0, 21, 5)]
    source.emit(at(100, "b"))
    assert spans(results)[1:] == [("b", 40, 46, 2)]


def test_a_merged_session_starts_with_its_first_element() -> None:
    """beam#18928: output times of merged windows were arbitrary."""
    source: Stream[Any] = Stream()
    first = timed(source, "1h").session("5s").aggregate(n=Count())
    outer = first.tumbling("10s").aggregate(n=Sum(lambda r: r.value["n"])).sink_to_list()
    results = first.sink_to_list()
    source.emit_many([at(12), at(8), at(4)])
    source.close()
    assert spans(results) == [("a", 4, 17, 3)]
    assert [(r.start, r.end, r.value["n"]) for r in outer] == [(10, 20, 3)]


def test_an_absorbed_session_is_withdrawn_after_an_early_result() -> None:
    """seznam/euphoria#43: the identity of early results changed at merges."""
    source: Stream[Any] = Stream()
    node = timed(source, "1h").session("5s", emit="update").aggregate(n=Count())
    results = node.sink_to_list()
    source.emit_many([at(0), at(8)])
    source.emit(at(4))
    withdrawn = [(r.key, r.start, r.final) for r in results if r.value is None]
    assert withdrawn == [("a", 8, False)]
    shown = {(r.key, r.start): r.value for r in results if r.value}
    assert shown[("a", 0)] == {"n": 3}


# --- work per element ----------------------------------------------------------------------------


def calls(function: Callable[[], object]) -> int:
    """Return the number of calls that a function makes, those of builtins included."""
    n = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal n
        n += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return n


@pytest.mark.parametrize("kind", ["tumbling", "sliding", "session"])
def test_open_windows_cost_nothing_while_none_is_over(kind: str) -> None:
    """quix scanned the whole store for each element while nothing had expired."""
    counts = []
    for keys in (10, 2000):
        source: Stream[Any] = Stream()
        sizes = {"tumbling": ["1h"], "sliding": ["1h", "30 min"], "session": ["1h"]}[kind]
        node = getattr(timed(source, "1 min"), kind)(*sizes).aggregate(n=Count())
        node.sink_to_list()
        source.emit_many([at(n % 100, n) for n in range(keys)])
        elements = [at(100 + n % 60, n % 10) for n in range(500)]
        counts.append(calls(lambda s=source, e=elements: s.emit_many(e)))  # type: ignore[misc]
        source.close()
    assert counts[1] <= counts[0] * 1.1 + 50, counts


def test_a_session_that_grows_costs_the_same_for_each_element() -> None:
    """FLINK-4207: deletion of a timer walked the list of all timers."""
    counts = []
    for n in (1000, 4000):
        source: Stream[Any] = Stream()
        node = timed(source).session("5s").aggregate(n=Count())
        results = node.sink_to_list()
        elements = [at(i / 10, i % 7) for i in range(n)]
        counts.append(calls(lambda s=source, e=elements: s.emit_many(e)))  # type: ignore[misc]
        source.close()
        assert len(results) == 7
    assert counts[1] <= counts[0] * 4.4 + 50, counts


def test_thousands_of_windows_fall_due_at_once_in_order() -> None:
    """beam#12551: many timers fall due at once after a jump of the watermark."""
    source: Stream[Any] = Stream()
    stream = timed(source, "1 day")
    results = stream.tumbling("10s").aggregate(n=Count()).sink_to_list()
    ended = stream.session("5s").aggregate(n=Count()).sink_to_list()
    source.emit_many([at(10 * n, key) for n in range(1000) for key in range(5)])
    assert results == ended == []
    source.emit(at(10_000_000))
    assert [(r.end, r.key) for r in results] == [
        (10 * n + 10, key) for n in range(1000) for key in range(5)
    ]
    assert [r.end for r in ended] == sorted(r.end for r in ended)
    assert len(ended) == len(results) == 5000


# --- memory --------------------------------------------------------------------------------------


class Heavy:
    """An element or a key that is watched."""

    def __init__(self, ts: float, k: Any = "a") -> None:
        self.ts = ts
        self.k = k


@pytest.mark.parametrize("kind", ["tumbling", "sliding", "session"])
def test_what_closed_windows_kept_is_released(kind: str) -> None:
    """rw#13907: the state of windows was never cleaned, repaired after three years."""
    source: Stream[Any] = Stream()
    sizes = {"tumbling": ["10s"], "sliding": ["10s", "5s"], "session": ["10s"]}[kind]
    node = getattr(timed(source), kind)(*sizes).collect()
    seen: list[int] = []
    node.sink(lambda result: seen.append(len(result.value)))
    watched = []
    for n in range(100):
        key = Heavy(0)
        x = Heavy(n, key)
        watched += [weakref.ref(x), weakref.ref(key)]
        source.emit(x)
        del x, key
    source.emit(Heavy(1000, "last"))
    gc.collect()
    assert seen
    assert sum(ref() is not None for ref in watched) <= 4
    source.close()


# --- chained windows -----------------------------------------------------------------------------


def test_results_of_a_window_are_in_time_for_the_next_one() -> None:
    """SPARK-28074, -40925, -42376, KAFKA-7895: one watermark dropped chained results."""
    source: Stream[Any] = Stream()
    first = timed(source, "5s").tumbling("10s").aggregate(n=Count())
    second = first.tumbling("20s").aggregate(n=Sum(lambda r: r.value["n"]))
    third = second.tumbling("1 min").aggregate(n=Sum(lambda r: r.value["n"]))
    hours, days = second.sink_to_list(), third.sink_to_list()
    source.emit_many([at(n) for n in range(200)])
    source.close()
    assert (second.late_count, third.late_count) == (0, 0)
    assert [(r.start, r.end, r.value["n"]) for r in hours] == [
        (20 * n, 20 * n + 20, 20) for n in range(10)
    ]
    assert [r.value["n"] for r in days] == [60, 60, 60, 20]


def test_early_results_are_not_counted_twice_in_chained_windows() -> None:
    """Windows ignore results that are not final."""
    source: Stream[Any] = Stream()
    first = timed(source, "5s").tumbling("10s", emit="update").aggregate(n=Count())
    second = first.tumbling("20s").aggregate(n=Sum(lambda r: r.value["n"]))
    results = second.sink_to_list()
    source.emit_many([at(n) for n in range(40)])
    source.close()
    assert [r.value["n"] for r in results] == [20, 20]


def test_a_jump_closes_inner_windows_before_outer_ones() -> None:
    """Timers fire before the watermark goes on, with the watermark that was reached."""
    source: Stream[Any] = Stream()
    first = timed(source).sliding("20s", "10s").aggregate(n=Count())
    second = first.tumbling("1 min").aggregate(n=Sum(lambda r: r.value["n"]))
    results = second.sink_to_list()
    source.emit_many([at(5), at(25), at(55), at(10_000)])
    assert second.late_count == 0
    assert [(r.start, r.value["n"]) for r in results] == [(0, 5), (60, 1)]
    source.close()


# --- a refused window ----------------------------------------------------------------------------


def test_a_window_that_is_refused_leaves_the_pipeline_as_it_was() -> None:
    """A node enters the graph after its checks."""
    source: Stream[Any] = Stream()
    stream = source.map(dict)
    results = stream.sink_to_list()
    with pytest.raises(ValueError, match="event_time"):
        stream.tumbling("10s").aggregate(n=Count())
    source.emit(at(1))
    assert results == [at(1)]
