"""Aggregators in windows: what a window reads, keeps and emits."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eventtime.direct import CASES, same

from rapidz import (
    Aggregator,
    Collect,
    Count,
    Distinct,
    First,
    Last,
    Max,
    Mean,
    Min,
    Quantile,
    Std,
    Stream,
    Sum,
)

ALL = {
    "n": Count(),
    "total": Sum("v"),
    "mean": Mean("v"),
    "least": Min("v"),
    "most": Max("v"),
    "first": First("v"),
    "last": Last("v"),
    "std": Std("v"),
    "median": Quantile(0.5, "v"),
    "values": Collect("v"),
    "kinds": Distinct("v"),
}
EXPECTED = {
    "n": 3,
    "total": 6.5,
    "mean": 6.5 / 3,
    "least": 1.0,
    "most": 3.0,
    "first": 2.5,
    "last": 1.0,
    "std": pytest.approx(1.0408, abs=1e-4),
    "median": 2.5,
    "values": [2.5, 3.0, 1.0],
    "kinds": 3,
}
ELEMENTS = [{"at": 2, "v": 3.0}, {"at": 3, "v": 1.0}, {"at": 1, "v": 2.5}]


class Timed(Aggregator):
    def start(self) -> list[Any]:
        return []

    def add(self, state: list[Any], value: Any, timestamp: int) -> list[Any]:
        return [*state, (timestamp, value)]

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        return a + b


class Product(Aggregator):
    def start(self) -> int:
        return 1

    def add(self, state: int, value: int) -> int:
        return state * value

    def merge(self, a: int, b: int) -> int:
        return a * b

    def result(self, state: int) -> str:
        return str(state)


WINDOWS = {
    "tumbling": lambda stream, **options: stream.tumbling("10s", **options),
    "sliding": lambda stream, **options: stream.sliding("10s", "10s", **options),
    "slices": lambda stream, **options: stream.sliding("10s", "5s", **options),
    "session": lambda stream, **options: stream.session("10s", **options),
}
each_window = pytest.mark.parametrize("window", WINDOWS)
each_way = pytest.mark.parametrize(
    "options", [{}, {"emit": "update"}, {"lateness": "1 min"}], ids=str
)


def results_of(
    window: str,
    options: dict[str, Any],
    aggregators: Mapping[str, Aggregator],
    elements: list[Any],
    at: Any = "at",
) -> list[Any]:
    source: Stream[Any] = Stream()
    stream = source.event_time(at, lag="5s")
    found = WINDOWS[window](stream, **options).aggregate(**aggregators).sink_to_list()
    with source:
        source.emit_many(elements[:1])
        for x in elements[1:]:
            source.emit(x)
    return [result.value for result in found if result.final]


@each_window
@each_way
def test_every_aggregator_works_in_every_window(window: str, options: dict[str, Any]) -> None:
    assert EXPECTED in results_of(window, options, ALL, ELEMENTS)


@each_window
@each_way
@pytest.mark.parametrize("name", ALL)
def test_an_aggregator_works_alone(window: str, options: dict[str, Any], name: str) -> None:
    found = results_of(window, options, {name: ALL[name]}, ELEMENTS)
    assert {name: EXPECTED[name]} in found


@each_window
@each_way
def test_own_aggregators_work_with_and_without_timestamps(
    window: str, options: dict[str, Any]
) -> None:
    own = {"times": Timed("v"), "product": Product("v"), "again": Product(lambda x: 2 * x["v"])}
    elements = [{"at": n, "v": n} for n in (1, 2, 3)]
    expected = {"times": [(1, 1), (2, 2), (3, 3)], "product": "6", "again": "48"}
    assert expected in results_of(window, options, own, elements)
    for name in own:
        found = results_of(window, options, {name: own[name]}, elements)
        assert {name: expected[name]} in found


def test_what_aggregators_share_is_read_once_for_each_element() -> None:
    reads: list[int] = []

    def value(x: dict[str, int]) -> int:
        reads.append(x["at"])
        return x["v"]

    shared = {"a": Sum(value), "b": Mean(value), "c": Max(value)}
    elements = [{"at": n, "v": n} for n in range(5)]
    assert results_of("tumbling", {}, shared, elements) == [{"a": 10, "b": 2.0, "c": 4}]
    assert reads == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("value", [0.1, 3, True, -0.0, 5e-324, 1e300, math.inf, math.nan, 10**30])
def test_what_aggregators_share_gives_what_each_gives_alone(value: float) -> None:
    elements = [{"at": n, "v": v} for n, v in enumerate([1.5, value, 2, value, -7.25])]
    several = {"a": Sum("v"), "b": Mean("v"), "c": Std("v"), "d": Sum("v"), "e": Std("at")}
    (together,) = results_of("tumbling", {}, several, elements)
    for name, aggregator in several.items():
        (alone,) = results_of("tumbling", {}, {name: aggregator}, elements)
        assert same(alone[name], together[name])


def test_an_attribute_is_read_once_for_each_element() -> None:
    class Sample(SimpleNamespace):
        @property
        def v(self) -> float:
            self.reads += 1
            return 1.5

    samples = [Sample(at=n, reads=0) for n in range(4)]
    found = results_of("tumbling", {}, {"a": Max("v"), "b": Std("v")}, samples)
    assert found == [{"a": 1.5, "b": 0.0}]
    assert [sample.reads for sample in samples[1:]] == [1, 1, 1]


@each_window
@each_way
def test_a_value_that_fails_changes_no_state(window: str, options: dict[str, Any]) -> None:
    source: Stream[Any] = Stream()
    stream = source.event_time("at")
    node = WINDOWS[window](stream, **options).aggregate(n=Count(), a=Sum("v"), b=Sum("w"))
    found = node.sink_to_list()
    source.emit({"at": 1, "v": 1, "w": 1})
    with pytest.raises(TypeError, match=r"Sum\('w'\): value must be a number .* got 'x'"):
        source.emit({"at": 2, "v": 10, "w": "x"})
    source.emit({"at": 3, "v": 1, "w": 1})
    source.close()
    assert {"n": 2, "a": 2, "b": 2} in [result.value for result in found]
    assert all(result.value["n"] == result.value["a"] for result in found)


@each_window
@each_way
@pytest.mark.parametrize("before", [0, 1, 2])
def test_an_element_without_what_is_aggregated_is_an_error_that_shows_both(
    window: str, options: dict[str, Any], before: int
) -> None:
    source: Stream[Any] = Stream()
    stream = source.event_time("at")
    WINDOWS[window](stream, **options).aggregate(a=Sum("v")).sink_to_list()
    for n in range(before):
        source.emit({"at": n, "v": 1})
    with pytest.raises(ValueError, match="of must name something in the element, 'v' is not in"):
        source.emit({"at": 5, "w": 1})
    source.close()


@each_window
def test_the_error_of_a_value_is_not_its_own_cause(window: str) -> None:
    source: Stream[Any] = Stream()
    stream = source.event_time("at")
    WINDOWS[window](stream).aggregate(a=Sum("v")).sink_to_list()
    for at in (1, 2, 3):
        with pytest.raises(TypeError) as caught:
            source.emit({"at": at, "v": "a"})
        assert caught.value.__cause__ is None
    source.close()


def test_a_result_that_was_emitted_stays_as_it_was() -> None:
    source: Stream[Any] = Stream()
    windows = source.event_time("at").tumbling("10s", emit="update")
    found = windows.aggregate(values=Collect("at"), n=Count()).sink_to_list()
    source.emit_many([{"at": 1}, {"at": 2}])
    source.close()
    values = [{"values": [1], "n": 1}, {"values": [1, 2], "n": 2}, {"values": [1, 2], "n": 2}]
    assert [result.value for result in found] == values


@pytest.mark.parametrize(
    ("aggregator", "message"),
    [
        (Count, "tumbling: n must be an aggregator such as Count() or Mean('price'), got the "
         "class Count: write Count(...)"),
        (len, "tumbling: n must be an aggregator such as Count() or Mean('price'), got "
         "<built-in function len>"),
        (Aggregator(), "tumbling: n must define start(), got Aggregator()"),
    ],
)  # fmt: skip
def test_what_is_no_aggregator_is_refused_by_the_window(aggregator: Any, message: str) -> None:
    source: Stream[Any] = Stream()
    windows = source.event_time("at").tumbling("10s")
    with pytest.raises(TypeError) as caught:
        windows.aggregate(n=aggregator)
    assert str(caught.value) == message
    assert all(not node.downstreams for node in source.downstreams)


def test_reduce_is_written_as_a_call_of_its_function() -> None:
    source: Stream[Any] = Stream()
    windows = source.event_time("at").tumbling("10s")
    joined = windows.reduce(lambda a, b: a + b["v"], start="").sink_to_list()
    with source:
        source.emit_many([{"at": n, "v": str(n)} for n in range(12)])
    assert [result.value for result in joined] == ["0123456789", "1011"]


# Against the direct computation


class Arrival(NamedTuple):
    """An element, its timestamp and its value."""

    at: int
    v: float


LAG = 12

arrivals = st.lists(
    st.tuples(
        st.integers(0, 40), st.integers(0, LAG), st.one_of(st.floats(-1e9, 1e9), st.integers(-9, 9))
    ),
    min_size=1,
    max_size=30,
).map(lambda rows: [Arrival(at, v) for at, _, v in sorted(rows, key=lambda r: r[0] + r[1])])


def windows_of(window: str, elements: list[Arrival]) -> dict[tuple[int, int], list[Arrival]]:
    """Return the elements of each window by time, ties by arrival."""
    by_time = sorted(elements, key=lambda x: x.at)
    found: dict[tuple[int, int], list[Arrival]] = {}
    if window == "session":
        group: list[Arrival] = []
        for x in [*by_time, None]:
            if group and (x is None or x.at >= group[-1].at + 10):
                found[group[0].at, group[-1].at + 10] = group
                group = []
            if x is not None:
                group.append(x)
        return found
    every = 5 if window == "slices" else 10
    for start in range(-10, 50, every):
        inside = [x for x in by_time if start <= x.at < start + 10]
        if inside:
            found[start, start + 10] = inside
    return found


def with_value(aggregator: Aggregator) -> Aggregator:
    """Return *aggregator* of the values of elements."""
    changed = copy.copy(aggregator)
    changed.of = "v"
    return changed


@each_window
@each_way
@settings(max_examples=25)
@given(elements=arrivals, cut=st.integers(0, 30))
def test_windows_agree_with_the_direct_computation(
    window: str, options: dict[str, Any], elements: list[Arrival], cut: int
) -> None:
    source: Stream[Any] = Stream()
    stream = source.event_time("at", lag=LAG + 1)
    shared = {f"a{n}": with_value(case.aggregator) for n, case in enumerate(CASES.values())}
    found = WINDOWS[window](stream, **options).aggregate(**shared).sink_to_list()
    with source:
        source.emit_many(elements[:cut])
        for x in elements[cut:]:
            source.emit(x)
    results = {(r.start, r.end): r.value for r in found if r.final}
    expected = windows_of(window, elements)
    assert list(results) == sorted(expected, key=lambda w: w[1])
    for (start, end), inside in expected.items():
        direct = [case.direct([x.v for x in inside]) for case in CASES.values()]
        assert same(list(results[start, end].values()), direct)
