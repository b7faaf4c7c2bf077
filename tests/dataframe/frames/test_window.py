"""Window, Expanding, EWM and Rolling: further methods, and late rows."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.helpers import emitted, floats, streaming, timed
from tests.dataframe.incremental.model import same, window

from rapidz import Stream
from rapidz.dataframe import DataFrame
from rapidz.dataframe.core import EWM, Expanding, Rolling, Window
from rapidz.dataframe.incremental import Span

ROWS = pd.DataFrame({"x": [1, 2, 3], "y": [4.0, 5.0, 6.0]}, index=[10, 20, 30])
LAST = ROWS.iloc[-2:]


# --- windows ------------------------------------------------------------------------------------


def test_a_window_gives_its_rows() -> None:
    got = emitted(lambda s: s.window(n=4).full(), [ROWS, ROWS])
    same(got[0], ROWS)
    same(got[1], pd.concat([ROWS, ROWS]).iloc[-4:])
    (got,) = emitted(lambda s: s.window(value=15).x.full(), [ROWS])
    same(got, LAST.x)


@pytest.mark.parametrize("with_state", [False, True])
def test_a_function_may_be_applied_to_the_rows(with_state: bool) -> None:
    def build(sdf: Any) -> Any:
        return sdf.window(n=2, with_state=with_state).apply(lambda rows: rows.x.sum())

    assert emitted(build, [ROWS]) == [5]


@pytest.mark.parametrize(
    "make",
    [
        lambda f: f.x + f.y,
        lambda f: f["x"] * 2 - 1,
        lambda f: -f[["y", "x"]],
        lambda f: f[f.x > 1],
        lambda f: f.x[f.y > 4] == 2,
        lambda f: 1 / f.y,
    ],
)
def test_rows_may_be_made_into_others_first(make: Callable[[Any], Any]) -> None:
    """Selection, filters and arithmetic come before the window."""
    got = emitted(lambda s: make(s.window(n=2)).full(), [ROWS, ROWS])
    same(got[1], pd.concat([make(ROWS), make(ROWS)]).iloc[-2:])


def test_a_function_of_elements_may_come_first() -> None:
    doubled = emitted(lambda s: s.window(n=2).map_partitions(np.multiply, 2).x.sum(), [ROWS])
    assert doubled == [10]
    both = emitted(lambda s: s.window(n=2).x.map_partitions(max_of, s.window(n=2)).sum(), [ROWS])
    assert both == [6]


def max_of(rows: Any) -> Any:
    return rows.max(axis=1).iloc[-1:]


def test_a_window_shows_what_its_rows_are_like() -> None:
    made: Any = streaming(ROWS).window(n=2)
    assert list(made.columns) == ["x", "y"]
    assert made.dtypes.to_dict() == ROWS.dtypes.to_dict()
    same(made.example, ROWS.iloc[:0])
    assert {"x", "y", "sum"} <= set(dir(made))
    assert repr(made) == "<Window of LastRows(n=2)>"
    with pytest.raises(AttributeError, match="Window has no attribute 'z'"):
        made.z


@pytest.mark.parametrize(
    "build",
    [
        lambda s: s.window(n=2),
        lambda s: s.rolling(2),
        lambda s: s.groupby("y"),
        lambda s: s.window(n=2).groupby("y"),
    ],
)
def test_what_has_no_end_is_not_iterated_over(build: Any) -> None:
    with pytest.raises(TypeError, match="cannot be iterated over"):
        list(build(streaming(ROWS)))


def test_the_index_may_become_a_column() -> None:
    (got,) = emitted(lambda s: s.window(value=15).reset_index().full(), [ROWS])
    same(got, LAST.reset_index())
    assert emitted(lambda s: s.window(value=15).reset_index()["index"].sum(), [ROWS]) == [50]
    assert list(emitted(lambda s: s.window(n=2).index, [ROWS])[0]) == [20, 30]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda s: s.window(), "exactly one of n and value"),
        (lambda s: s.window(n=1, value=2), "exactly one of n and value"),
        (lambda s: s.window(n=0), "n must be a whole number above 0, got 0"),
        (lambda s: s.window(n=2.5), "n must be a whole number above 0, got 2.5"),
        (lambda s: s.window(value="soon"), "value must be a length of time"),
        (lambda s: s.window(value=-1), "above 0, got -1"),
        (lambda s: s.rolling(0), "window must be a number above 0, got 0"),
        (lambda s: s.rolling(2, min_periods=3), "min_periods must be between 0 and the window"),
        (lambda s: s.ewm(), "exactly one of com, span, halflife, alpha"),
        (lambda s: s.ewm(com=1, span=2), "exactly one of com, span, halflife, alpha"),
        (lambda s: s.ewm(alpha=2), "alpha must be above 0 and at most 1, got 2"),
    ],
)
def test_bad_extents_are_refused_when_built(build: Callable[[Any], Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        build(streaming(ROWS))


def test_a_span_of_time_needs_an_index_of_times() -> None:
    with pytest.raises(TypeError, match="index must hold times"):
        emitted(lambda s: s.window(value="1h").x.sum(), [ROWS])


# --- late rows ----------------------------------------------------------------------------------


def test_late_rows_have_a_stream_of_their_own() -> None:
    sdf = DataFrame(example=timed(0, 0))
    made: Any = sdf.window(value="1h")
    sums, late = made.x.sum().stream.sink_to_list(), made.late.stream.sink_to_list()
    for value, hour in [(1, 0), (1, 1.5), (100, 0.25), (1, 2)]:
        sdf.emit(timed(value, hour))
    assert sums == [1, 1, 1, 2]
    assert len(late) == 1
    same(late[0], timed(100, 0.25))


def test_late_rows_of_a_column_are_a_column() -> None:
    got = emitted(lambda s: s.window(value="1h").x.late, [timed(1, 3), timed(2, 0)])
    same(got[0], timed(2, 0).x)


def test_no_row_is_late_for_a_number_of_rows() -> None:
    assert emitted(lambda s: s.window(n=1).late, [ROWS, ROWS.iloc[::-1]]) == []


def test_a_window_that_goes_on_knows_what_is_late() -> None:
    rows = [timed(1, 0), timed(2, 5)]
    (_, (state, _)) = emitted(lambda s: s.window(value="1h", with_state=True).x.sum(), rows)
    for start in (state, pd.concat(rows)):
        sdf = streaming(rows[0])
        seen = sdf.window(value="1h", start=start).late.stream.sink_to_list()
        sdf.emit(timed(3, 4.5))
        sdf.emit(timed(3, 3))
        assert [list(one.x) for one in seen] == [[3]]
        assert seen[0].index[0].hour == 3


@settings(max_examples=30, deadline=None)
@given(parts=st.lists(st.lists(st.integers(0, 12), max_size=5), min_size=1, max_size=5))
def test_the_rows_in_a_span_equal_pandas(parts: list[list[int]]) -> None:
    frames = [
        pd.DataFrame({"x": np.arange(len(p)) + 10 * n}, index=pd.Index(p, dtype="int64"))
        for n, p in enumerate(parts)
    ]
    got = emitted(lambda s: s.window(value=4).full(), frames)
    for number, result in enumerate(got):
        if any(map(len, frames[: number + 1])):
            same(result, window(frames[: number + 1], Span(4)))


@settings(max_examples=30, deadline=None)
@given(parts=st.lists(st.lists(st.integers(0, 12), max_size=4), min_size=1, max_size=6))
def test_every_row_is_in_time_or_late(parts: list[list[int]]) -> None:
    """By hand: one row after the other, the newest so far decides."""
    batches = [pd.Series(1.0, index=pd.Index(sorted(p), dtype="int64"), name="x") for p in parts]
    sdf = streaming(batches[0])
    late = sdf.window(value=3).late.stream.sink_to_list()
    counts = sdf.window(value=3).count().stream.sink_to_list()
    newest, held, expected = -99, list[int](), list[int]()
    for batch in batches:
        sdf.emit(batch)
        before = newest
        for label in batch.index:
            (expected if label <= before - 3 else held).append(label)
            newest = max(newest, label)
        held = [label for label in held if label > newest - 3]
        assert counts[-1] == len(held)
    assert [label for rows in late for label in rows.index] == expected


# --- expanding and ewm --------------------------------------------------------------------------


def test_expanding_gives_all_rows() -> None:
    got = emitted(lambda s: s.expanding().full(), [ROWS, ROWS])
    same(got[1], pd.concat([ROWS, ROWS]))


@settings(max_examples=20, deadline=None)
@given(
    parts=st.lists(
        st.lists(st.sampled_from([1.0, 2.5, -3.0, np.nan]), max_size=4), min_size=1, max_size=5
    ),
    how=st.sampled_from([{"com": 0.5}, {"span": 3}, {"halflife": 2}, {"alpha": 0.3}]),
)
def test_weighted_means_equal_pandas(parts: list[list[float]], how: dict[str, Any]) -> None:
    batches = floats(*parts)
    frames = [pd.DataFrame({"x": b, "k": ["ab"[i % 2] for i in range(len(b))]}) for b in batches]
    means = emitted(lambda s: s.ewm(**how).mean(), batches)
    groups = emitted(lambda s: s.ewm(**how).groupby("k").x.mean(), frames)
    for number, mean in enumerate(means):
        rows = pd.concat(frames[: number + 1], ignore_index=True)
        if not len(rows):
            continue
        assert mean == pytest.approx(rows.x.ewm(**how).mean().iloc[-1], nan_ok=True)
        expected = rows.groupby("k").x.apply(lambda x: x.ewm(**how).mean().iloc[-1])
        same(groups[number], expected)


def test_weighted_sums_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="only mean is supported, got 'sum'"):
        streaming(ROWS).ewm(com=1).sum()
    with pytest.raises(NotImplementedError, match="only mean is supported, got 'full'"):
        streaming(ROWS).ewm(com=1).full()


# --- rolling ------------------------------------------------------------------------------------

ROLLED: dict[str, Callable[[Any], Any]] = {
    **{
        how: lambda r, how=how: getattr(r, how)()  # type: ignore[misc]
        for how in ("sum", "mean", "min", "max", "median", "var", "std", "count")
    },
    "quantile": lambda r: r.quantile(0.25),
    "var of all": lambda r: r.var(ddof=0),
    "aggregate": lambda r: r.aggregate("sum"),
    "aggregate of several": lambda r: r.agg(["sum", "max"]),
}


@pytest.mark.parametrize("what", ROLLED)
@settings(max_examples=8, deadline=None)
@given(
    parts=st.lists(
        st.lists(st.sampled_from([1.0, 2.5, -3.0, np.nan]), max_size=4), min_size=1, max_size=5
    ),
    size=st.sampled_from([1, 2, 5]),
    least=st.sampled_from([None, 0, 1]),
)
def test_rolling_adds_up_to_pandas(
    what: str, parts: list[list[float]], size: int, least: int | None
) -> None:
    whole = pd.Series([x for part in parts for x in part], dtype="float64", name="x")
    ends = np.cumsum([len(part) for part in parts])
    batches = [whole.iloc[end - len(p) : end] for end, p in zip(ends, parts, strict=True)]
    got = emitted(lambda s: ROLLED[what](s.rolling(size, min_periods=least)), batches, whole)
    expected = ROLLED[what](whole.rolling(size, min_periods=least))
    if len(whole):
        same(pd.concat([one for one in got if len(one)]), expected)


def test_rolling_by_time_selects_columns() -> None:
    rows = [timed(1, 0), timed(2, 0.5), timed(4, 1.25)]
    got = emitted(lambda s: s.rolling("1h").x.sum(), rows)
    assert [list(one) for one in got] == [[1], [3], [6]]
    got = emitted(lambda s: s.rolling("1h")[["x"]].sum(), rows)
    assert [list(one.x) for one in got] == [[1], [3], [6]]
    with pytest.raises(AttributeError, match="Rolling has no attribute 'z'"):
        streaming(rows[0]).rolling(1).z


def test_rolling_by_time_needs_rows_in_order_and_goes_on_after_a_refusal() -> None:
    sdf = DataFrame(example=timed(0, 0))
    seen = sdf.rolling("1h").x.sum().stream.sink_to_list()
    sdf.emit(timed(1, 3))
    with pytest.raises(ValueError, match="index must be in order"):
        sdf.emit(timed(1, 1))
    sdf.emit(timed(2, 3.5))
    assert [list(one) for one in seen] == [[1], [3]]


def test_old_attributes_are_there() -> None:
    sdf = streaming(ROWS)
    made, rolling, ewm = sdf.window(n=2), sdf.rolling(3), sdf.ewm(span=3)
    assert made.root is sdf
    assert (made.n, made.value, made.with_state, made.start) == (2, None, False, None)
    assert (rolling.window, rolling.min_periods, rolling.start) == (3, None, ())
    assert (ewm.com, ewm.span, ewm.n) == (None, 3, 1)
    assert EWM._get_com(None, 3, None, None) == 1.0
    assert [type(one) for one in (made, rolling, ewm)] == [Window, Rolling, EWM]
    assert issubclass(EWM, Expanding)
    assert issubclass(Expanding, Window)


def test_windows_work_where_emit_is_awaited() -> None:
    async def main() -> list[Any]:
        source: Stream[Any] = Stream(asynchronous=True)
        sdf: Any = DataFrame(source.buffer(10), example=ROWS)
        seen: list[Any] = sdf.window(n=2).x.sum().stream.sink_to_list()
        await source.emit(ROWS)
        await source.close()
        return seen

    assert asyncio.run(main()) == [5]


def test_whoever_gets_the_rows_may_change_them() -> None:
    seen: list[list[float]] = []

    def spoil(rows: pd.DataFrame) -> None:
        seen.append(rows.x.tolist())
        rows.loc[:, "x"] = 99.0

    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    sdf = DataFrame(example=rows)
    shown = sdf.window(n=5).full().stream.sink(spoil)
    applied = sdf.window(n=5).apply(identity).stream.sink(spoil)
    for _ in range(2):
        sdf.emit(rows)
    assert seen == [[1, 2, 3], [1, 2, 3], [2, 3, 1, 2, 3], [2, 3, 1, 2, 3]]
    shown.destroy()
    applied.destroy()


def identity(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


# --- as the old libraries took it -----------------------------------------------------------------


@pytest.mark.parametrize("span", ["2h", pd.Timedelta("2h"), dt.timedelta(hours=2)])
def test_a_window_takes_a_length_of_time_by_position(span: Any) -> None:
    rows = [timed(value, hour) for hour, value in enumerate([1.0, 2.0, 4.0])]
    assert emitted(lambda s: s.window(span).x.sum(), rows) == [1, 3, 6]
    assert emitted(lambda s: s.window(span).groupby(s.x > 0).x.sum(), rows)[-1].tolist() == [6]
    window = streaming(rows[0]).window(span)
    assert (window.n, window.value) == (None, span)


KEYS: dict[str, Callable[[Any], Any]] = {
    "its index": lambda w: w.index % 2,
    "its index itself": lambda w: w.index,
    "several": lambda w: [w.index % 2, w.x > 2],
    "a column": lambda w: w.x % 2,
    "a condition": lambda w: (w.x > 2) & (w.index > 1),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("extent", [{"n": 4}, {"value": 3}])
def test_a_window_is_grouped_by_what_is_made_of_it(key: str, extent: dict[str, Any]) -> None:
    rows = pd.DataFrame({"x": [1, 2, 3, 4, 5, 6]})

    def build(sdf: Any) -> Any:
        window = sdf.window(**extent)
        return window.groupby(KEYS[key](sdf.window(**extent))).x.sum()

    got = emitted(build, [rows.iloc[:3], rows.iloc[3:]])
    held = rows.iloc[-4:] if "n" in extent else rows.iloc[-3:]
    same(got[-1], held.groupby(KEYS[key](held)).x.sum())


def test_all_rows_are_grouped_by_what_is_made_of_their_index() -> None:
    rows = pd.DataFrame({"x": [1, 2, 3, 4]})
    got = emitted(lambda s: s.expanding().groupby(s.expanding().index % 2).x.sum(), [rows])
    same(got[-1], rows.groupby(rows.index % 2).x.sum())


def test_keys_of_results_are_refused_with_the_way_round() -> None:
    sdf = streaming(ROWS)
    with pytest.raises(TypeError, match=r"groupby: other must be .*window\.groupby\(window\.x > 0"):
        sdf.window(n=2).groupby(sdf.window(n=2).full().x)
