"""Columns of two levels, columns of times, indexes with and without a time zone, as in pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.dataframe.incremental.model import aggregate, same, window

from rapidz.dataframe.incremental import (
    AllRows,
    CumulativeState,
    EwmState,
    LastRows,
    RollingState,
    Span,
    create_aggregate,
)

LEVELS = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "x")], names=["one", "two"])
ROWS: Any = pd.DataFrame([[1, 0.5, 3], [2, np.nan, 3], [1, 2.5, 4]], columns=LEVELS)
BATCHES = [ROWS, ROWS.iloc[:2].set_axis([3, 5]), ROWS.iloc[1:].set_axis([4, 6])]
HOWS = ["sum", "mean", "min", "max", "count", "var", "median", "first", "last", "nunique"]
OVER = [AllRows(), LastRows(4), Span(3)]


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("by", [None, [("a", "x")], [("a", "x"), ("b", "x")]])
@pytest.mark.parametrize("how", HOWS)
def test_columns_of_two_levels_are_aggregated_as_in_pandas(how: str, by: Any, over: Any) -> None:
    state = create_aggregate(ROWS, how, over, by)
    for number, batch in enumerate(BATCHES):
        got = state.update(batch)
        rows = window(BATCHES[: number + 1], over)
        if by is None:
            same(got, aggregate(rows, how))
        else:
            rest = rows.drop(columns=by)
            same(got, getattr(rest.groupby([rows[key] for key in by]), how)())


@pytest.mark.parametrize("by", [None, [("a", "x")]])
@pytest.mark.parametrize(
    "how",
    [
        ["sum", "max"],
        {("a", "y"): ["mean", "min"], ("b", "x"): ["sum"]},
        {("a", "y"): "mean", ("b", "x"): "sum"},
    ],
)
def test_aggregates_of_two_level_columns_are_labelled_as_in_pandas(how: Any, by: Any) -> None:
    state = create_aggregate(ROWS, how, by=by)
    state.update(ROWS)
    got = state.update(BATCHES[1])
    rows = pd.concat(BATCHES[:2])
    if by is None:
        same(got, rows.agg(how))
        return
    rest: Any = rows.drop(columns=by)
    same(got, rest.groupby(rows["a", "x"]).agg(how))


def test_part_of_a_label_names_no_column() -> None:
    with pytest.raises(ValueError, match=r"how must name columns of .*, got 'a'"):
        create_aggregate(ROWS, {"a": "sum"})


def test_rows_with_columns_of_two_levels_go_on() -> None:
    sums, means = RollingState(ROWS, 2, "sum"), EwmState(ROWS, com=1)
    totals = CumulativeState(ROWS, "cumsum")
    rows = pd.concat(BATCHES[:2])
    for state, want in (
        (sums, rows.rolling(2).sum().iloc[3:]),
        (totals, rows.cumsum().iloc[3:]),
        (means, rows.ewm(com=1).mean().iloc[-1]),
    ):
        state.update(BATCHES[0])
        same(state.update(BATCHES[1]), want)


def test_a_lost_total_of_any_label_stays_lost() -> None:
    rows = pd.DataFrame({0: [np.inf, -np.inf, 1.0], 1: [1.0, 2.0, 3.0]})
    state = CumulativeState(rows, "cumsum")
    with np.errstate(invalid="ignore"):
        got = pd.concat([state.update(rows.iloc[i : i + 1]) for i in range(3)])
        same(got, rows.cumsum())


# --- columns of times ---------------------------------------------------------------------------

TIMES: Any = pd.DataFrame(
    {
        "t": pd.DatetimeIndex(["2030-01-01", "2030-01-05", "NaT"]),
        "d": pd.TimedeltaIndex(["1h", "NaT", "4h"]),
        "x": [1.0, 2.0, np.nan],
    }
)


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("how", ["mean", "median", "std", "quantile"])
@pytest.mark.parametrize("columns", [["t"], ["d", "t"], ["d"], ["t", "x"]])
def test_a_frame_with_times_is_aggregated_as_in_pandas(
    columns: list[str], how: str, over: Any
) -> None:
    state = create_aggregate(TIMES[columns], how, over)
    batches = [TIMES[columns], TIMES[columns].set_axis([2, 3, 4])]
    for number, batch in enumerate(batches):
        got = state.update(batch)
        same(got, getattr(window(batches[: number + 1], over), how)())


def test_times_have_no_sum_or_variance_and_are_left_out() -> None:
    same(create_aggregate(TIMES, "var").update(TIMES), TIMES[["x"]].var())
    same(create_aggregate(TIMES, "sum").update(TIMES), TIMES[["d", "x"]].sum())
    assert create_aggregate(TIMES[["t"]], ["mean"]).update(TIMES[["t"]]).loc["mean", "t"] == (
        pd.Timestamp("2030-01-03")
    )


def test_a_frame_that_has_nothing_for_several_aggregates_is_refused() -> None:
    words = r"\['sum', 'var'\]: frame must have a column whose dtype has such aggregates, got {'n'"
    with pytest.raises(TypeError, match=words):
        create_aggregate(pd.DataFrame({"n": ["a"]}), ["sum", "var"])
    nothing = pd.DataFrame({"x": pd.Series([None], dtype=object)})
    state = create_aggregate(nothing.iloc[:0], ["sum", "max"])
    assert state.update(nothing).shape[1] == 1
    same(state.update(pd.DataFrame({"x": [1.5]})), pd.DataFrame({"x": [1.5, 1.5]}, ["sum", "max"]))


# --- several aggregates of nullable columns -----------------------------------------------------


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "int64[pyarrow]", "int64"])
@pytest.mark.parametrize(
    "how", [["sum", "mean"], ["count", "var"], ["min", "max"], ["sum"], ["count", "nunique"]]
)
def test_several_aggregates_have_the_dtypes_of_pandas(dtype: str, how: list[str]) -> None:
    values = [1, 2, 2] if dtype == "int64" else [1, None, 0]
    column: Any = pd.Series(values).astype("Int64")
    rows: Any = pd.DataFrame({"x": column.astype(dtype), "y": [0.5, 1.5, 2]})
    for over in (AllRows(), LastRows(9)):
        state = create_aggregate(rows.iloc[:0], how, over)
        for number in range(3):
            same(state.update(rows.iloc[number : number + 1]), rows.iloc[: number + 1].agg(how))


# --- time zones ---------------------------------------------------------------------------------


def test_times_with_and_without_a_zone_are_refused_together() -> None:
    naive: Any = pd.Series([1.0], index=pd.DatetimeIndex(["2030-01-01 12:00"]))
    aware = naive.tz_localize("UTC")
    for first, second, words in (
        (aware, naive, "must hold times with a time zone, as before, got times without one"),
        (naive, aware, "must hold times without a time zone, as before, got times with a time"),
        (naive, naive.set_axis(pd.to_timedelta(["1h"])), "as before, got lengths of time"),
    ):
        for state in (create_aggregate(first, "sum", Span("1h")), RollingState(first, "1h", "sum")):
            state.update(first)
            with pytest.raises(TypeError, match=words):
                state.update(second)
            state.update(first)
