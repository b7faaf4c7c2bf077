"""What type checkers make of event time: mypy and pyright check this file, pytest runs it.

A line that must be refused carries both ignores, as in `test_inference.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, assert_type

from rapidz import Count, Mean, Stream
from rapidz.eventtime.joins.asof import asof_join
from rapidz.eventtime.joins.interval import interval_join
from rapidz.eventtime.keyed.accumulate import keyed_accumulate, map_with_state
from rapidz.eventtime.keyed.key_context import KeyContext
from rapidz.eventtime.keyed.keyed_stream import KeyedStream
from rapidz.eventtime.keyed.process import process
from rapidz.eventtime.windows.base import WindowNode
from rapidz.eventtime.windows.definition import Windows
from rapidz.eventtime.windows.results import WindowResult


class Click(NamedTuple):
    at: float
    user: str
    size: int


class Payment(NamedTuple):
    at: float
    user: str


def user_of(click: Click) -> str:
    return click.user


def total(sizes: float, click: Click) -> float:
    return sizes + click.size


def clicks() -> Stream[Click]:
    return Stream[Click]().event_time("at", lag="10s", idle=None, unit="s")


def test_event_time_changes_no_types() -> None:
    timed = Stream[Click]().event_time("at", lag=3)
    assert_type(timed.map(user_of), Stream[str])
    assert_type(timed.timestamps("at"), Stream[Click])
    assert_type(timed.late_count, int)
    assert_type(timed.unique(key=user_of, within="1h"), Stream[Click])
    assert_type(timed.sliding_window(time="5 min"), Stream[tuple[Click, ...]])


def test_windows_of_a_stream_have_no_key() -> None:
    windows = clicks().tumbling("1 min", offset=5, emit="update", lateness="10s")
    assert_type(windows, Windows[None, Click])
    counts = windows.aggregate(n=Count(), mean=Mean("size"))
    assert_type(counts, WindowNode[None, dict[str, Any]])
    assert_type(counts.map(lambda result: result), Stream[WindowResult[None, dict[str, Any]]])
    assert_type(counts.map(lambda result: result.key), Stream[None])
    assert_type(clicks().sliding("1h", "5 min").collect(), WindowNode[None, list[Click]])
    assert_type(clicks().session("15 min").collect().late_count, int)


def test_a_reduction_has_the_type_of_its_state() -> None:
    windows = clicks().tumbling(60)
    assert_type(windows.reduce(total, 0.0), WindowNode[None, float])
    assert_type(windows.reduce(total, 0.0).map(lambda result: result.value), Stream[float])
    assert_type(windows.reduce(max), WindowNode[None, Click])


def test_a_keyed_stream_knows_its_keys() -> None:
    keyed = clicks().key_by(user_of)
    assert_type(keyed, KeyedStream[str, Click])
    assert_type(clicks().key_by("user"), KeyedStream[Any, Click])
    assert_type(keyed.map(lambda click: click.size), Stream[int])
    assert_type(keyed.tumbling("1 min"), Windows[str, Click])
    assert_type(keyed.sliding("1h", "1 min").collect(), WindowNode[str, list[Click]])
    results = keyed.session("5 min", early=None).aggregate(n=Count())
    assert_type(results.map(lambda result: result.key), Stream[str])


def last_size(last: int, click: Click) -> tuple[int, float]:
    return click.size, click.size - last


async def last_size_later(last: int, click: Click) -> tuple[int, float]:
    return last_size(last, click)


def test_keyed_state_is_emitted_with_its_key() -> None:
    keyed = clicks().key_by(user_of)
    totals = keyed.accumulate(total, start=0.0, ttl="1h")
    assert_type(totals, keyed_accumulate[str, float])
    assert_type(totals.map(lambda pair: pair[1]), Stream[float])
    assert_type(keyed.accumulate(max, max_keys=9), keyed_accumulate[str, Click])
    changes = keyed.map_with_state(last_size, start=0, ttl="1h")
    assert_type(changes, map_with_state[str, float])
    assert_type(keyed.map_with_state(last_size_later, start=0, ttl=1), map_with_state[str, float])
    assert_type(changes.map(lambda pair: pair), Stream[tuple[str, float]])
    assert_type(keyed.unique(within="1h").map(user_of), Stream[str])
    sizes = keyed.pipelines(lambda stream, key: stream.map(lambda click: click.size), ttl="1h")
    assert_type(sizes.map(lambda size: size), Stream[int])


class Alarms:
    """A class for `process`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def on_element(self, key: str, x: Click, ctx: KeyContext) -> Iterator[bytes]:
        if x.size > self.limit:
            yield key.encode()


class Silent:
    """One that emits nothing."""

    def on_element(self, key: str, x: Click, ctx: KeyContext) -> None:
        ctx.state = x


class OfNumbers:
    """One for other elements."""

    def on_element(self, key: str, x: int, ctx: KeyContext) -> list[int]:
        return [x]


def test_process_emits_what_its_class_does() -> None:
    keyed = clicks().key_by(user_of)
    assert_type(keyed.process(Alarms, 5), process[bytes])
    assert_type(keyed.process(Alarms, limit=5).map(len), Stream[int])
    assert_type(keyed.process(Alarms, 5, hold=False, timestamp="at").map(len), Stream[int])
    keyed.process(Silent)


def test_a_class_for_other_elements_is_refused() -> None:
    keyed = clicks().key_by(user_of)
    keyed.process(OfNumbers)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_joins_emit_pairs() -> None:
    left, right = clicks(), Stream[Payment]().event_time("at")
    inner = left.interval_join(right, key="user", within="1h")
    assert_type(inner, interval_join[tuple[Click, Payment]])
    outer = left.interval_join(right, "user", within=("1h", 0), how="left")
    assert_type(outer, interval_join[tuple[Click, Payment | None]])
    both = left.interval_join(right, key="user", within="1h", how="outer")
    assert_type(both, interval_join[tuple[Click | None, Payment | None]])
    assert_type(inner.starmap(lambda click, payment: click.size), Stream[int])
    newest = left.asof_join(right, key="user", tolerance="1 day")
    assert_type(newest, asof_join[tuple[Click, Payment | None]])
    known = left.asof_join(right, key="user", how="inner")
    assert_type(known, asof_join[tuple[Click, Payment]])


def test_a_lookup_has_a_row_or_none() -> None:
    table = Stream[Payment]()
    assert_type(clicks().lookup(table, key="user"), Stream[tuple[Click, Payment | None]])
    found = clicks().lookup(table, key="user", how="inner")
    assert_type(found, Stream[tuple[Click, Payment]])


def test_results_of_windows_are_generic_at_run_time_too() -> None:
    result = WindowResult[str, int]("a", 0, 60, 3, True, 0)
    assert result == WindowResult("a", 0, 60, 3, True, 0)
    assert result.value == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        source = Stream[Click]()
        node = source.event_time("at").key_by(user_of).tumbling(10).reduce(total, 0.0)
        seen = node.sink_to_list()
        with source:
            source.emit_many([Click(1, "a", 3), Click(2, "a", 4)])
    assert [(r.key, r.value) for r in seen] == [("a", 7.0)]
