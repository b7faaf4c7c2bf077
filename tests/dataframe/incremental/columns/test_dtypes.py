"""Batches of other dtypes than those before: what pandas makes of all rows together."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.dataframe.incremental.model import aggregate, same, window
from tests.dataframe.incremental.test_aggregate_state import WINDOWS, column

from rapidz.dataframe.incremental import (
    AllRows,
    CumulativeState,
    EwmState,
    LastRows,
    RollingState,
    RowWindow,
    Span,
    create_aggregate,
)

FAMILIES = [
    ["int32", "int64", "float64"],
    ["int64", "Int64", "Float64"],
    ["uint64", "int64"],
    ["float32", "int64", "float64"],
    ["bool", "boolean"],
    ["datetime64[us]", "datetime64[ns]"],
]
NUMBERS = ["sum", "mean", "median", "var"]
ALL = ["count", "min", "max", "first", "last", "nunique"]
HOWS = {how: FAMILIES[:4] if how in NUMBERS else FAMILIES for how in [*NUMBERS, *ALL]}
CELLS = st.one_of(st.none(), *[st.integers(-4, 4)] * 4)
ROUNDS = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def mixed(draw: st.DrawFn, dtypes: list[str], keys: list[str]) -> list[pd.DataFrame]:
    """Frames with the columns x and k, each of a dtype of its own."""
    frames = []
    for size in draw(st.lists(st.integers(1, 4), min_size=2, max_size=5)):
        cells = [draw(st.lists(CELLS, min_size=size, max_size=size)) for _ in "xk"]
        index = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
        columns = {
            "x": column(cells[0], draw(st.sampled_from(dtypes))).array,
            "k": column(cells[1], draw(st.sampled_from(keys))).array,
        }
        # A column without a value takes the dtype that is known, which pandas does not do.
        if all(pd.Series(values).notna().any() for values in columns.values()):
            frames.append(pd.DataFrame(columns, index=pd.Index(index, dtype="int64")))
    return frames


@pytest.mark.parametrize("how", HOWS)
@ROUNDS
@given(data=st.data())
def test_a_series_of_several_dtypes_equals_pandas(how: str, data: st.DataObject) -> None:
    dtypes = data.draw(st.sampled_from(HOWS[how]))
    frames = data.draw(mixed(dtypes, data.draw(st.sampled_from(FAMILIES))))
    over = data.draw(st.sampled_from(WINDOWS))
    grouped = data.draw(st.booleans())
    state: Any = None
    for number, frame in enumerate(frames):
        if state is None:
            state = create_aggregate(frame.x.iloc[:0], how, over, "given" if grouped else None)
        before = copy.deepcopy(state)
        got = state.update(frame.x, keys=frame.k) if grouped else state.update(frame.x)
        every = pd.concat(frames[: number + 1])
        rows = window(frames[: number + 1], over).astype(every.dtypes)
        single = "float32" in dtypes
        if not grouped:
            same(got, aggregate(rows.x, how), digits=4 if single else 9)
        else:
            want = aggregate(rows.x, how, [rows.k])
            if single and how == "mean":
                want = want.astype(got.dtype)
            same(got, want, digits=4 if single else 9)
        again = before.update(frame.x, keys=frame.k) if grouped else before.update(frame.x)
        same(again, got)


@pytest.mark.parametrize("by", [None, "k"])
@pytest.mark.parametrize("over", [AllRows(), LastRows(3), Span(3)])
@pytest.mark.parametrize("how", ["sum", "mean", "var", "median", "max", ["min", "nunique"]])
def test_a_frame_whose_columns_widen_equals_pandas(how: Any, over: Any, by: Any) -> None:
    rows = pd.DataFrame({"k": [1, 2, 1], "x": [1, 2, 3], "y": [1, 2, 3]})
    wider = rows.astype({"x": "float64", "k": "float64"}).assign(x=[0.5, np.nan, 2.5])
    frames = [frame.set_axis([i, i, i + 1]) for i, frame in enumerate([rows, wider, rows, wider])]
    state = create_aggregate(rows, how, over, by)
    for number, frame in enumerate(frames):
        got = state.update(frame)
        every = pd.concat(frames[: number + 1])
        held = window(frames[: number + 1], over).astype(every.dtypes)
        groups = held if by is None else held.groupby(by)
        same(got, groups.agg(how))


def test_the_numbers_of_several_aggregates_widen_together() -> None:
    state = create_aggregate(pd.Series([1]), ["sum", "mean", "min"], by="given")
    state.update(pd.Series([1, 3]), keys=pd.Series(["a", "b"]))
    got = state.update(pd.Series([0.5]), keys=pd.Series(["a"]))
    want = pd.DataFrame({"sum": [1.5, 3.0], "mean": [0.75, 3.0], "min": [0.5, 3.0]}, ["a", "b"])
    same(got, want.rename_axis(got.index.name).set_axis(got.index))


def test_what_has_left_a_window_leaves_its_dtype_behind() -> None:
    state = create_aggregate(pd.Series([1]), "sum", LastRows(1))
    totals = [state.update(pd.Series(values)) for values in ([1], [0.5], [2])]
    assert totals == [1, 0.5, 2.0]
    assert [type(total) for total in totals] == [np.int64, np.float64, np.float64]


def test_two_large_integers_that_are_one_float_count_once() -> None:
    state = create_aggregate(pd.Series([1]), "nunique")
    assert state.update(pd.Series([2**53, 2**53 + 1])) == 2
    assert state.update(pd.Series([float(2**53)])) == 1


@pytest.mark.parametrize("how", ["cumsum", "cumprod", "cummin", "cummax"])
@ROUNDS
@given(data=st.data())
def test_cumulative_rows_of_several_dtypes_equal_pandas(how: str, data: st.DataObject) -> None:
    frames = data.draw(mixed(data.draw(st.sampled_from(FAMILIES[:3])), ["int64"]))
    if not frames:
        return
    for label in ("x", ["x", "k"]):
        state = CumulativeState(frames[0][label].iloc[:0], how)
        got = pd.concat([state.update(frame[label]) for frame in frames])
        same(got, getattr(pd.concat(frames)[label], how)())


@ROUNDS
@given(data=st.data())
def test_rolling_and_ewm_of_several_dtypes_equal_pandas(data: st.DataObject) -> None:
    frames = data.draw(mixed(["int32", "int64", "float64"], ["int64", "float64"]))
    if not frames:
        return
    rows = pd.concat(frames)
    rolling, ewm = RollingState(frames[0].iloc[:0], 2, "sum"), EwmState(frames[0].iloc[:0], com=1)
    got = pd.concat([rolling.update(frame) for frame in frames])
    same(got, rows.rolling(2).sum())
    for frame in frames:
        last = ewm.update(frame)
    same(last, rows.ewm(com=1).mean().iloc[-1])


def test_buffered_rows_have_the_dtypes_of_all_rows() -> None:
    held = RowWindow(pd.DataFrame({"x": [1]}), LastRows(2))
    held.update(pd.DataFrame({"x": [1, 2]}))
    same(
        held.update(pd.DataFrame({"x": [0.5]}, index=[9])).x.reset_index(drop=True),
        pd.Series([2.0, 0.5], name="x"),
    )


NOTHING = pd.DataFrame({"k": ["a", "b"], "x": pd.Series([None, None], dtype=object)})


@pytest.mark.parametrize("over", [AllRows(), LastRows(3), Span(5)])
@pytest.mark.parametrize("by", [None, "k"])
@pytest.mark.parametrize("how", ["sum", "mean", "var", "max", "count", "first", "nunique"])
@pytest.mark.parametrize("values", [[1, 2], [0.5, 1.5], pd.array([1, None], "Int64")])
def test_a_column_without_a_value_waits_for_one(how: str, over: Any, by: Any, values: Any) -> None:
    state = create_aggregate(NOTHING.iloc[:0], how, over, by)
    state.update(NOTHING)
    state.update(NOTHING)
    rows = pd.DataFrame({"k": ["b", "c"], "x": values}, index=[1, 2])
    got = state.update(rows)
    dtype = "float64" if isinstance(values, list) else "Int64"
    every = [NOTHING.astype({"x": dtype}), NOTHING.astype({"x": dtype}), rows.astype({"x": dtype})]
    same(got, aggregate(window(every, over), how, by and [by]))
    assert state.schema.missing == frozenset()


def test_a_column_without_a_value_waits_in_every_state() -> None:
    rows = pd.DataFrame({"y": [1.0], "x": [2.0]}, index=[2])
    every = pd.concat([NOTHING.drop(columns="k").assign(y=[3.0, 4.0])[["y", "x"]], rows])
    every = every.astype(float)
    first = every.iloc[:2].assign(x=NOTHING.x)
    states: list[tuple[Any, Any]] = [
        (RowWindow(first.iloc[:0], LastRows(3)), every),
        (CumulativeState(first.iloc[:0], "cumsum"), every.cumsum().iloc[2:]),
        (RollingState(first.iloc[:0], 2, "sum"), every.rolling(2).sum().iloc[2:]),
        (EwmState(first.iloc[:0], com=1), every.ewm(com=1).mean().iloc[-1]),
    ]
    for state, want in states:
        state.update(first)
        same(state.update(rows), want)


def test_a_column_without_a_value_fits_what_is_known() -> None:
    state = create_aggregate(pd.Series(["a"]), "max")
    state.update(pd.Series(["b"]))
    for nothing in (pd.Series([None], dtype=object), pd.Series([np.nan])):
        assert state.update(nothing) == "b"
    state = create_aggregate(pd.Series([1]), "sum")
    state.update(pd.Series([1]))
    assert type(state.update(pd.Series([None], dtype=object))) is np.float64
    state = create_aggregate(pd.Series([True]), "sum")
    with pytest.raises(TypeError, match="must stay bool, got object without a value: give an"):
        state.update(pd.Series([None], dtype=object))


def test_objects_are_what_pandas_would_infer() -> None:
    state = create_aggregate(pd.Series([0.5]), "sum")
    assert state.update(pd.Series([1, 2.5], dtype=object)) == 3.5
    state = create_aggregate(pd.Series(["a"]), "max")
    assert state.update(pd.Series(["b", None], dtype=object)) == "b"


KIND = pd.CategoricalDtype(["a", "b"])


def test_categories_that_are_not_known_are_refused_by_name() -> None:
    state = create_aggregate(pd.Series(["a"], dtype=KIND), "count")
    with pytest.raises(
        TypeError,
        match=r"series None must stay category with the categories \['a', 'b'\], got 'c', 'd' "
        r"besides: give an example that has all of them, or use astype\(str\)",
    ):
        state.update(pd.Series(["d", "c", "a"], dtype="category"))
    with pytest.raises(TypeError, match=r"\['a', 'b'\], got ordered ones \['b', 'a'\]"):
        state.update(pd.Series(["a"], dtype=pd.CategoricalDtype(["b", "a"], ordered=True)))
    assert state.update(pd.Series(["b"], dtype="category")) == 1
    words = create_aggregate(pd.Series(["a"]), "max")
    words.update(pd.Series(["b"]))
    assert words.update(pd.Series(["c"], dtype="category")) == "c"


NA: Any = pd.Series([pd.NA], dtype="Int64")


@pytest.mark.parametrize("over", [AllRows(), LastRows(3)])
@pytest.mark.parametrize(
    ("values", "nothing"),
    [
        (pd.Series([2**53 + 1]), NA),
        (pd.Series([True]), NA.astype("boolean")),
        (pd.Series([3], dtype="Int64"), NA.astype("Float64")),
        (pd.Series([0.5], dtype="float32"), pd.Series([np.nan])),
    ],
    ids=["Int64", "boolean", "Float64", "float64"],
)
def test_what_is_all_missing_widens_by_its_dtype_too(values: Any, nothing: Any, over: Any) -> None:
    for how in ("max", "first", "nunique"):
        for frames in ([values, nothing], [nothing, values]):
            state = create_aggregate(frames[0], how, over)
            got = [state.update(frame) for frame in frames][-1]
            same(got, aggregate(pd.concat(frames), how))


KEPT_APART = [
    (pd.Series([1, 2]), pd.Series([3], dtype="int64[pyarrow]")),
    (pd.Series([True]), pd.Series([True], dtype="bool[pyarrow]")),
    (pd.Series([0.5]), pd.Series([1.5], dtype="double[pyarrow]")),
    (pd.Series([1]), pd.Series([1j])),
    (pd.Series([1.0], dtype="float16"), pd.Series([0.5])),
    (
        pd.Series(pd.to_datetime(["2020"])).astype("datetime64[ns]"),
        pd.Series(pd.to_datetime(["2020"])).astype("timestamp[ns][pyarrow]"),
    ),
]


@pytest.mark.parametrize(("known", "new"), KEPT_APART, ids=lambda rows: str(rows.dtype))
@pytest.mark.parametrize("over", [AllRows(), LastRows(3)])
def test_what_is_kept_in_another_way_is_refused(known: Any, new: Any, over: Any) -> None:
    for how in ("max", "nunique", "median"):
        if how == "median" and known.dtype.kind in "Mb":
            continue
        state = create_aggregate(known, how, over)
        before = state.update(known)
        rule = rf"must stay {re.escape(str(known.dtype))}, got .*, or use astype"
        with pytest.raises(TypeError, match=rule):
            state.update(new)
        same(state.update(known.iloc[:0]), before)


@pytest.mark.parametrize("how", ["max", "median", "value_counts", "first", "nunique"])
@pytest.mark.parametrize("kind", ["timestamp[ns][pyarrow]", "duration[ns][pyarrow]"])
def test_times_of_pyarrow_equal_pandas(how: str, kind: Any) -> None:
    whole: Any = pd.Series([1, 5, 5, None], dtype="int64[pyarrow]")
    times = whole.astype(kind)
    for by in [None, "given"] if how != "value_counts" else [None]:
        state = create_aggregate(times.iloc[:0], how, by=by)
        keys = pd.Series(["a", "b", "b", "c"])
        for rows in (times.iloc[:2], times.iloc[2:]):
            options = {"keys": keys[rows.index]} if by else {}
            got = state.update(rows, **options)
        same(got, aggregate(times, how, [keys] if by else None))


LARGE = [
    (pd.Series([2**62] * 3), pd.Series([0.5])),
    (pd.Series([-(2**62)] * 3), pd.Series([0.5])),
    (pd.Series([2**63] * 3, dtype="uint64"), pd.Series([1])),
    (pd.Series([2**62] * 3, dtype="Int64"), pd.Series([0.5], dtype="Float64")),
    (pd.Series([2**62, 2**62, -(2**62)]), pd.Series([0.5])),
]


@pytest.mark.parametrize(("whole", "after"), LARGE, ids=lambda rows: str(rows.dtype))
@pytest.mark.parametrize("over", [AllRows(), LastRows(9)])
def test_sums_that_wrap_as_integers_do_not_as_floats(whole: Any, after: Any, over: Any) -> None:
    every = pd.concat([whole, whole, after], ignore_index=True)
    keys = pd.Series([1, 1, 2, 2, 1, 1, 3])
    state, groups = (
        create_aggregate(whole, "sum", over),
        create_aggregate(whole, "sum", over, "given"),
    )
    for rows in (every.index[:3], every.index[3:6], every.index[6:]):
        frame = [whole, whole, after][rows[0] // 3].set_axis(rows)
        got, by_group = state.update(frame), groups.update(frame, keys=keys[rows])
        state, groups = pickle.loads(pickle.dumps(state)), copy.deepcopy(groups)
    same(got, every.sum())
    same(by_group, aggregate(every, "sum", [keys]))


@pytest.mark.parametrize(("whole", "after"), LARGE, ids=lambda rows: str(rows.dtype))
@pytest.mark.parametrize("how", ["cumsum", "cumprod"])
def test_totals_that_wrap_as_integers_do_not_as_floats(whole: Any, after: Any, how: str) -> None:
    every = pd.concat([whole, whole, after], ignore_index=True)
    want = getattr(every, how)().iloc[-1:]
    frames = [whole, whole, after.set_axis(want.index)]
    state = CumulativeState(whole, how)
    same([state.update(frame) for frame in frames][-1], want)
    state = CumulativeState(whole.to_frame("x").assign(k=1), how)
    got = [state.update(frame.to_frame("x").assign(k=1)) for frame in frames][-1]
    same(got.x, want.rename("x"))
    assert got.k.dtype == "int64"


@pytest.mark.parametrize("over", [AllRows(), LastRows(3)])
def test_categories_have_the_order_of_the_example(over: Any) -> None:
    kind = pd.CategoricalDtype(["c", "a", "b"])
    rows = pd.Series(pd.Categorical(["a", "b", None], ["a", "b", "c"]))
    for how in ("value_counts", "first", "last", "count"):
        state = create_aggregate(pd.Series([], dtype=kind), how, over)
        same(state.update(rows), aggregate(rows.astype(object).astype(kind), how))
    held = RowWindow(pd.Series([], dtype=kind), LastRows(2)).update(rows)
    assert held.cat.categories.tolist() == ["c", "a", "b"]
    ordered = pd.CategoricalDtype(["c", "a", "b"], ordered=True)
    state = create_aggregate(pd.Series([], dtype=ordered), "max")
    with pytest.raises(TypeError, match="got ordered ones"):
        state.update(rows.astype(pd.CategoricalDtype(["a", "b", "c"], ordered=True)))
