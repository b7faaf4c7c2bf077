"""Bad input is refused by name, rule and value, and leaves the state as it was."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.dataframe.incremental.model import same

from rapidz.dataframe.incremental import AllRows, Extent, LastRows, Span, create_aggregate

ROWS: Any = pd.DataFrame({"x": [1, 2], "y": [0.5, 1.5], "k": ["a", "b"]})
OVER: list[Extent] = [AllRows(), LastRows(3), Span(10)]


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("by", [None, "k"])
@pytest.mark.parametrize("how", ["sum", "median", ["min", "first", "nunique"]])
@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (ROWS.drop(columns="y"), ValueError, r"columns \['x', 'y', 'k'\], got no 'y'"),
        (ROWS.assign(x=[True, False]), TypeError, "column 'x' must stay int64, got bool, such as"),
        (ROWS.assign(y=["p", "q"]), TypeError, "column 'y' must stay float64, got str"),
        (ROWS.assign(k=[1, 2]), TypeError, "column 'k' must stay str, got int64"),
        (ROWS.x, TypeError, "frame must be a DataFrame, got Series"),
        ([1, 2], TypeError, "frame must be a DataFrame, got list"),
    ],
)
def test_a_bad_frame_is_refused_and_changes_nothing(
    over: Extent, by: Any, how: Any, bad: Any, error: type[Exception], words: str
) -> None:
    state, twin = create_aggregate(ROWS, how, over, by), create_aggregate(ROWS, how, over, by)
    with pytest.raises(error, match=words):
        state.update(bad)
    same(state.update(ROWS), twin.update(ROWS))
    before = pickle.dumps(state)
    with pytest.raises(error, match=words):
        state.update(bad)
    assert pickle.dumps(state) == before
    same(state.update(ROWS.iloc[::-1]), twin.update(ROWS.iloc[::-1]))


@pytest.mark.parametrize(
    ("keys", "error", "words"),
    [
        (None, TypeError, "keys must be given with each frame, got None"),
        (pd.Series(["a"]), ValueError, r"as long as the frame \(2 rows\), got 1"),
        ("ab", TypeError, "keys must be arrays or Series, got 'ab'"),
        (np.array([1, 2]), TypeError, "key 0 must stay str, got int64"),
        ([pd.Series(["a", "b"])] * 2, ValueError, "keys must stay 1 in number, got 2"),
    ],
)
def test_bad_keys_are_refused_and_change_nothing(
    keys: Any, error: type[Exception], words: str
) -> None:
    state = create_aggregate(ROWS.x, "sum", by="given")
    first = state.update(ROWS.x, keys=ROWS.k)
    with pytest.raises(error, match=words):
        state.update(ROWS.x, keys=keys)
    same(state.result(), first)


def test_keys_that_cannot_be_hashed_change_nothing() -> None:
    state = create_aggregate(ROWS.x, "sum", by="given")
    keys = pd.Series(["a", "b"], dtype=object)
    first = state.update(ROWS.x, keys=[keys, keys])
    with pytest.raises(TypeError, match="unhashable"):
        state.update(ROWS.x, keys=[pd.Series(["c", "d"], dtype=object), pd.Series([[1], [2]])])
    same(state.result(), first)
    same(state.update(ROWS.x, keys=[keys, keys]), first * 2)


def test_an_index_that_a_span_cannot_measure_is_refused() -> None:
    times = ROWS.x.set_axis(pd.DatetimeIndex(["2020-01-01", "NaT"]))
    for over, rows, error, words in [
        (Span("2h"), ROWS.x, TypeError, "index must hold times for a span of time, got int64"),
        (Span(2), times, TypeError, "index must hold numbers for a span of numbers, got datetime"),
        (Span("2h"), times, ValueError, "index must have no missing values, got a missing one"),
    ]:
        state = create_aggregate(ROWS.x, "sum", over)
        with pytest.raises(error, match=words):
            state.update(rows)
        assert state.result() == 0


@pytest.mark.parametrize(
    ("how", "options", "error", "words"),
    [
        ("total", {}, ValueError, "how must be one of count, .*, got 'total'"),
        (3, {}, TypeError, "how must be a name, a list, a dict or an aggregation, got 3"),
        (["sum", 3], {}, TypeError, "how must be the name of an aggregate or a function, got 3"),
        ({"z": "sum"}, {}, ValueError, "how must name columns of .*, got 'z'"),
        ({"out": ("z", "sum")}, {}, ValueError, "how must name columns of .*, got 'z'"),
        ({"k": "mean"}, {}, TypeError, "mean: column 'k' must have a dtype .*, got str"),
        ("sum", {"foo": 1}, TypeError, "got int64 and options {'foo': 1}"),
        ("value_counts", {}, TypeError, "value_counts: frame must be a Series"),
        ("sum", {"by": "z"}, ValueError, "by must name columns of .* or be 'given', got 'z'"),
        ("sum", {"over": 3}, TypeError, r"over must be AllRows\(\), .*, got 3"),
    ],
)
def test_what_cannot_be_is_refused_when_the_state_is_made(
    how: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        create_aggregate(ROWS, how, **options)


def test_a_bad_example_is_refused() -> None:
    with pytest.raises(TypeError, match="example must be a DataFrame or a Series"):
        create_aggregate([1, 2], "sum")
    with pytest.raises(ValueError, match="example must have unique columns"):
        create_aggregate(pd.DataFrame([[1, 2]], columns=["x", "x"]), "sum")


def test_columns_in_another_order_are_put_in_order() -> None:
    state = create_aggregate(ROWS, "count")
    state.update(ROWS)
    same(state.update(ROWS[["k", "y", "x"]]), pd.concat([ROWS, ROWS]).count())


def test_columns_that_are_not_known_are_left_out() -> None:
    same(create_aggregate(ROWS, "count").update(ROWS.assign(z=1)), ROWS.count())


def test_integers_are_taken_where_floats_are_known() -> None:
    state = create_aggregate(pd.Series([0.5]), "sum")
    assert state.update(pd.Series([1, 2])) == 3.0


def test_an_example_without_dtypes_waits_for_the_first_rows() -> None:
    state = create_aggregate(pd.DataFrame({"x": [], "k": []}, dtype=object), "sum", by="k")
    assert len(state.update(pd.DataFrame({"x": [], "k": []}))) == 0
    same(state.update(ROWS[["x", "k"]]), ROWS[["x", "k"]].groupby("k").sum())
    with pytest.raises(TypeError, match="column 'x' must stay int64, got str, such as 'p'"):
        state.update(ROWS[["x", "k"]].assign(x="p"))


def test_an_empty_frame_changes_nothing() -> None:
    for over in OVER:
        for by in (None, "k"):
            state = create_aggregate(ROWS, "sum", over, by)
            first = state.update(ROWS)
            same(state.update(ROWS.iloc[:0]), first)
            same(state.update(pd.DataFrame({"k": [], "y": [], "x": []})), first)
            assert len(state.late) == 0


def test_before_the_first_row_the_result_is_that_of_no_rows() -> None:
    empty = ROWS.iloc[:0]
    for how in ("sum", "mean", "min", "count", "var", "first", "nunique"):
        same(
            create_aggregate(ROWS, how, by="k").update(empty), getattr(empty.groupby("k"), how)()
        ) if (how in ("count", "min", "first", "nunique")) else None
        if how not in ("first", "min"):
            columns = ["x", "y"] if how in ("sum", "mean", "var") else ["x", "y", "k"]
            same(create_aggregate(ROWS, how).update(empty), getattr(empty[columns], how)())
