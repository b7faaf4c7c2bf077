"""Bad arguments are refused when built; bad elements go to the policy; none breaks a pipeline."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rapidz import Aggregator, Collect, Count, Stream, Sum

NAN = math.nan
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def timed() -> tuple[Stream[Any], Any]:
    source: Stream[Any] = Stream()
    return source, source.event_time("ts")


def refuses(build: Callable[[Any], Any], stream: Any, *words: str) -> str:
    """Check that a node is refused in the one form, and stays out of the graph; return why."""
    before = list(stream.downstreams)
    with pytest.raises((TypeError, ValueError)) as caught:
        build(stream)
    said = str(caught.value)
    for word in words:
        assert word in said, said
    assert list(stream.downstreams) == before, "a refused node stays out of the graph"
    return said


# --- arguments -----------------------------------------------------------------------------------

SPANS = [0, -1, NAN, math.inf, "abc", "", "5", None, [], True, timedelta(0), timedelta(-1), b"5s"]


@pytest.mark.parametrize("bad", SPANS, ids=repr)
@pytest.mark.parametrize(
    ("operator", "argument", "build"),
    [
        ("tumbling", "size", lambda s, x: s.tumbling(x).aggregate(n=Count())),
        ("sliding", "size", lambda s, x: s.sliding(x, "1s").aggregate(n=Count())),
        ("sliding", "every", lambda s, x: s.sliding("10s", x).aggregate(n=Count())),
        ("session", "gap", lambda s, x: s.session(x).aggregate(n=Count())),
    ],
    ids=["tumbling size", "sliding size", "sliding every", "session gap"],
)
def test_spans_of_windows_must_be_positive(
    operator: str, argument: str, build: Callable[[Any, Any], Any], bad: Any
) -> None:
    _, stream = timed()
    said = refuses(lambda s: build(s, bad), stream)
    pattern = rf"{operator}: {argument} must be .+, got {re.escape(repr(bad))}"
    assert re.fullmatch(pattern, said), said


@pytest.mark.parametrize("bad", [-1, NAN, math.inf, "abc", "5", [], True, timedelta(-1)], ids=repr)
@pytest.mark.parametrize(
    ("operator", "argument", "build"),
    [
        ("event_time", "lag", lambda s, x: s.event_time("ts", lag=x)),
        ("event_time", "idle", lambda s, x: s.event_time("ts", idle=x)),
        ("event_time", "ahead", lambda s, x: s.event_time("ts", ahead=x)),
        ("tumbling", "lateness", lambda s, x: s.tumbling(10, lateness=x).aggregate(n=Count())),
        ("tumbling", "early", lambda s, x: s.tumbling(10, early=x).aggregate(n=Count())),
        ("session", "lateness", lambda s, x: s.session(10, lateness=x).aggregate(n=Count())),
        ("session", "max_length", lambda s, x: s.session(10, max_length=x).aggregate(n=Count())),
    ],
    ids=[
        "lag",
        "idle",
        "ahead",
        "lateness",
        "early",
        "lateness of sessions",
        "max_length",
    ],
)
def test_spans_of_time_are_checked(
    operator: str, argument: str, build: Callable[[Any, Any], Any], bad: Any
) -> None:
    _, stream = timed()
    said = refuses(lambda s: build(s, bad), stream)
    pattern = rf"{operator}: {argument} must be .+, got {re.escape(repr(bad))}"
    assert re.fullmatch(pattern, said), said


@pytest.mark.parametrize("bad", [NAN, math.inf, "abc", []], ids=repr)
def test_the_offset_of_windows_is_checked(bad: Any) -> None:
    _, stream = timed()
    said = refuses(lambda s: s.tumbling("10s", offset=bad).aggregate(n=Count()), stream)
    assert re.fullmatch(rf"tumbling: offset must be .+, got {re.escape(repr(bad))}", said), said


@pytest.mark.parametrize("bad", ["sometimes", 3, None, [], "", b"close"], ids=repr)
@pytest.mark.parametrize("kind", ["tumbling", "session"])
def test_unknown_emit_policies_are_refused(kind: str, bad: Any) -> None:
    _, stream = timed()
    said = refuses(lambda s: getattr(s, kind)("10s", emit=bad).aggregate(n=Count()), stream)
    assert re.fullmatch(rf"{kind}: emit must be .+, got {re.escape(repr(bad))}", said), said


@pytest.mark.parametrize("bad", ["fortnight", 3, "", [], "m s"], ids=repr)
def test_unknown_units_are_refused(bad: Any) -> None:
    source: Stream[Any] = Stream()
    said = refuses(lambda s: s.event_time("ts", unit=bad), source)
    assert re.fullmatch(rf"event_time: unit must be .+, got {re.escape(repr(bad))}", said), said


@pytest.mark.parametrize(
    ("operator", "build"),
    [
        ("tumbling", lambda s: s.tumbling("10s").aggregate(n=Count())),
        ("sliding", lambda s: s.sliding("10s", "5s").aggregate(n=Count())),
        ("session", lambda s: s.session("10s").aggregate(n=Count())),
        ("tumbling", lambda s: s.tumbling("10s").collect()),
        ("session", lambda s: s.session("10s").reduce(lambda total, x: total, start=0)),
    ],
)
def test_windows_need_event_time_upstream(operator: str, build: Callable[[Any], Any]) -> None:
    source: Stream[Any] = Stream()
    stream = source.map(dict, stream_name="parse")
    said = refuses(build, stream)
    assert re.match(rf"{operator}: needs `?event_time\S* upstream, got <", said), said


def test_windows_need_aggregators() -> None:
    _, stream = timed()
    refuses(lambda s: s.tumbling("10s").aggregate(), stream, "tumbling", "aggregat")


@pytest.mark.parametrize("bad", [3, "n", None, len], ids=repr)
def test_what_is_no_aggregator_is_refused(bad: Any) -> None:
    _, stream = timed()
    said = refuses(lambda s: s.tumbling("10s").aggregate(n=bad), stream, "n must be", "aggregator")
    assert "got " in said


class Unmerged(Aggregator):
    """An aggregator that cannot be merged."""

    def start(self) -> int:
        return 0

    def add(self, state: int, x: Any) -> int:
        return state + 1


def test_aggregators_without_merge_are_refused_in_sessions() -> None:
    source, stream = timed()
    refuses(lambda s: s.session("10s").aggregate(n=Unmerged()), stream, "session", "merge")
    results = stream.tumbling("10s").aggregate(n=Unmerged()).sink_to_list()
    source.emit({"ts": 1})
    source.close()
    assert results[0].value == {"n": 1}


@pytest.mark.parametrize("bad", [3, "sum", None], ids=repr)
def test_what_is_no_function_is_refused_by_reduce(bad: Any) -> None:
    _, stream = timed()
    refuses(lambda s: s.tumbling("10s").reduce(bad, start=0), stream, "must be", f"got {bad!r}")


def test_unknown_arguments_are_refused() -> None:
    _, stream = timed()
    with pytest.raises(TypeError):
        stream.event_time("ts", lagg="5s")
    with pytest.raises(TypeError):
        stream.tumbling("10s", every="5s").aggregate(n=Count())
    assert not list(stream.downstreams)


# --- elements ------------------------------------------------------------------------------------

UNREADABLE: dict[str, Any] = {
    "no timestamp": {"other": 1},
    "None": {"ts": None},
    "NaN": {"ts": NAN},
    "infinity": {"ts": math.inf},
    "minus infinity": {"ts": -math.inf},
    "a string": {"ts": "2026-11-28"},
    "a list": {"ts": [1]},
    "NaT": {"ts": pd.NaT},
    "numpy NaT": {"ts": np.datetime64("NaT", "ns")},
    "a complex number": {"ts": 1j},
    "beyond all time": {"ts": 10**40},
    "not an element with names": 5,
    "no element at all": None,
    "a datetime among numbers": {"ts": NOW},
    "a naive datetime among numbers": {"ts": NOW.replace(tzinfo=None)},
    "a pandas time among numbers": {"ts": pd.Timestamp(5)},
}


@pytest.mark.parametrize("bad", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("first", [True, False], ids=["first of all", "later"])
def test_an_unreadable_timestamp_fails_that_element_alone(bad: Any, first: bool) -> None:
    source, stream = timed()
    node = stream.tumbling("10s").aggregate(n=Count(), all=Collect("ts"))
    results = node.sink_to_list()
    among = "among" in next(name for name, x in UNREADABLE.items() if x is bad)
    if first and among:
        pytest.skip("the first element decides")
    if not first:
        source.emit({"ts": 5})
    with pytest.raises(Exception) as caught:  # noqa: PT011
        source.emit(bad)
    assert any("event_time" in note for note in getattr(caught.value, "__notes__", [])) or (
        "event_time" in str(caught.value)
    )
    source.emit({"ts": 4})
    source.emit({"ts": 12})
    assert [r.value["n"] for r in results] == [1 if first else 2]
    source.close()
    assert [r.start for r in results] == [0, 10]
    assert node.late_count == 0


@pytest.mark.parametrize("bad", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_timestamp_in_a_batch_goes_to_the_policy(bad: Any) -> None:
    source, stream = timed()
    failures = stream.errors.sink_to_list()
    results = stream.tumbling("10s").aggregate(n=Count()).sink_to_list()
    source.emit_many([{"ts": 1}, bad, {"ts": 2}, bad, {"ts": 11}])
    source.close()
    assert [failure.element is bad for failure in failures] == [True, True]
    assert [r.value["n"] for r in results] == [2, 1]


def test_an_instant_before_all_time_is_refused_or_late() -> None:
    source, stream = timed()
    node = stream.tumbling("10s").aggregate(n=Count())
    results, late = node.sink_to_list(), node.late.sink_to_list()
    with pytest.raises(ValueError, match="event_time: timestamp must be"):
        source.emit({"ts": -(10**40)})
    source.emit_many([{"ts": 1}, {"ts": -(10**40)}, {"ts": 2}])
    source.close()
    assert [x.element["ts"] for x in late] == [-(10**40)]
    assert [r.value["n"] for r in results] == [2]


NAIVE = NOW.replace(tzinfo=None)
MIXTURES: dict[str, tuple[Any, Any]] = {
    "naive after aware": (NOW, NAIVE),
    "aware after naive": (NAIVE, NOW),
    "a number after a datetime": (NOW, 5),
    "a float after a naive datetime": (NAIVE, 5.0),
    "naive pandas after aware": (NOW, pd.Timestamp(NAIVE)),
    "aware pandas after naive": (NAIVE, pd.Timestamp(NOW)),
    "numpy after aware": (NOW, np.datetime64("2026-11-28")),
    "a number after numpy": (np.datetime64("2026-11-28"), 5),
}


@pytest.mark.parametrize(("good", "bad"), MIXTURES.values(), ids=MIXTURES)
def test_mixed_kinds_of_timestamps_fail_the_element(good: Any, bad: Any) -> None:
    source, stream = timed()
    node = stream.tumbling("10s").aggregate(n=Count())
    results = node.sink_to_list()
    source.emit({"ts": good})
    with pytest.raises(TypeError):
        source.emit({"ts": bad})
    source.emit({"ts": good})
    source.close()
    assert [r.value["n"] for r in results] == [2]


def test_inputs_of_different_kinds_of_timestamps_do_not_mix() -> None:
    a, b = Stream[Any](), Stream[Any]()
    node = a.event_time("ts").union(b.event_time("ts")).tumbling("10s").aggregate(n=Count())
    results = node.sink_to_list()
    a.emit({"ts": NOW})
    with pytest.raises(TypeError):
        b.emit({"ts": NAIVE})
    a.close()
    b.close()
    assert [r.value["n"] for r in results] == [1]


def test_times_that_go_backwards_are_late_beyond_the_lag() -> None:
    source: Stream[Any] = Stream()
    node = source.event_time("ts", lag=2).tumbling(1).aggregate(n=Count())
    results, late = node.sink_to_list(), node.late.sink_to_list()
    source.emit_many([{"ts": ts} for ts in range(10, 0, -1)])
    source.close()
    assert [r.start for r in results] == [8, 9, 10]
    assert [x.element["ts"] for x in late] == [7, 6, 5, 4, 3, 2, 1]
    assert all(x.reason == "late" for x in late)


@pytest.mark.parametrize("kind", ["tumbling", "sliding", "session"])
def test_a_key_that_cannot_be_hashed_fails_its_element(kind: str) -> None:
    source, stream = timed()
    sizes = ["10s", "5s"] if kind == "sliding" else ["10s"]
    node = getattr(stream.key_by("k"), kind)(*sizes).aggregate(n=Count())
    results = node.sink_to_list()
    source.emit({"ts": 1, "k": "a"})
    for _ in range(2):
        with pytest.raises(TypeError, match="key must be hashable"):
            source.emit({"ts": 2, "k": ["a"]})
    source.emit({"ts": 3, "k": "a"})
    source.close()
    assert {(r.key, r.value["n"]) for r in results if r.start in (0, 1)} == {("a", 2)}


def test_an_element_without_a_key_fails_alone() -> None:
    source, stream = timed()
    failures = stream.errors.sink_to_list()
    results = stream.key_by("k").tumbling("10s").aggregate(n=Count()).sink_to_list()
    source.emit_many([{"ts": 1, "k": 1}, {"ts": 1}, {"ts": 2, "k": 1}])
    source.close()
    assert [failure.element for failure in failures] == [{"ts": 1}]
    assert [r.value["n"] for r in results] == [2]


@pytest.mark.parametrize("kind", ["tumbling", "sliding", "session"])
def test_an_aggregator_that_fails_takes_its_element_alone(kind: str) -> None:
    source, stream = timed()
    sizes = ["10s", "5s"] if kind == "sliding" else ["10s"]
    node = getattr(stream, kind)(*sizes).aggregate(n=Count(), total=Sum("v"))
    results = node.sink_to_list()
    source.emit({"ts": 1, "v": 1})
    with pytest.raises(Exception):  # noqa: B017, PT011
        source.emit({"ts": 2, "v": "one"})
    with pytest.raises(ValueError, match=rf"{kind}: of must name something"):
        source.emit({"ts": 2})
    source.emit({"ts": 3, "v": 4})
    source.close()
    assert [r.value for r in results if r.start in (0, 1)] == [{"n": 2, "total": 5}]


def test_an_element_changed_on_its_way_names_timestamp_in_the_error() -> None:
    source, stream = timed()
    node = stream.map(lambda x: x["v"]).tumbling("10s").aggregate(n=Count())
    node.sink_to_list()
    with pytest.raises(Exception) as caught:  # noqa: PT011
        source.emit({"ts": 1, "v": 2})
    said = [str(caught.value), *getattr(caught.value, "__notes__", [])]
    assert any("timestamp=" in line for line in said), said


def test_a_reducer_that_fails_changes_no_state() -> None:
    source, stream = timed()
    node = stream.tumbling("10s").reduce(lambda total, x: total + x["v"], start=0)
    results = node.sink_to_list()
    source.emit({"ts": 1, "v": 1})
    with pytest.raises(TypeError):
        source.emit({"ts": 2, "v": "x"})
    source.emit({"ts": 3, "v": 2})
    source.close()
    assert [r.value for r in results] == [3]


# --- downstream ----------------------------------------------------------------------------------


def fails_at(start: int, seen: list[int]) -> Callable[[Any], None]:
    def note(result: Any) -> None:
        seen.append(result.start)
        if result.start == start:
            raise ValueError("no room")

    return note


def test_what_a_result_raises_is_raised_by_the_next_emit() -> None:
    source, stream = timed()
    seen: list[int] = []
    stream.tumbling("10s").aggregate(n=Count()).sink(fails_at(0, seen))
    source.emit({"ts": 1})
    source.emit({"ts": 12})  # closes the window, and is not to blame
    with pytest.raises(ValueError, match="no room"):
        source.emit({"ts": 23})
    source.emit({"ts": 23})
    source.close()
    assert seen == [0, 10, 20]


def test_a_result_that_fails_keeps_no_other_one_back() -> None:
    source: Stream[Any] = Stream()
    seen: list[int] = []
    stream = source.event_time("ts", lag="1 min")
    stream.tumbling("10s").aggregate(n=Count()).sink(fails_at(10, seen))
    source.emit_many([{"ts": ts} for ts in (1, 12, 23)])
    assert seen == []
    with pytest.raises(ValueError, match="no room"):
        source.close()
    assert seen == [0, 10, 20]


@pytest.mark.parametrize("key", [[1], (1, [2])], ids=str)
@pytest.mark.parametrize(
    ("operator", "make"),
    [
        ("tumbling", lambda a, b: a.event_time(1).key_by(0).tumbling(1).collect()),
        ("session", lambda a, b: a.event_time(1).key_by(0).session(1).collect()),
        ("interval_join", lambda a, b: a.event_time(1).interval_join(b, key=0, within=1)),
        ("lookup", lambda a, b: a.lookup(b, key=0)),
        ("lookup", lambda a, b: b.lookup(a, key=0)),
    ],
)
def test_a_key_that_cannot_be_hashed_is_named(operator: str, make: Any, key: Any) -> None:
    source, other = Stream[Any](), Stream[Any]()
    node = make(source, other.event_time(1))
    node.sink(lambda x: None)
    with pytest.raises(TypeError, match=f"{operator}: key must be hashable, got "):
        source.emit((key, 1))
