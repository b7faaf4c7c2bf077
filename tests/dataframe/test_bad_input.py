"""Errors of streaming frames: they name the argument, the rule and the value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rapidz import Stream
from rapidz.dataframe import DataFrame
from rapidz.dataframe.collection.validation import ColumnsError

ROWS = pd.DataFrame({"x": [1, 2], "k": ["a", "b"], "b": [True, False]})


def outcome(function: Any, *batches: Any, example: Any = None) -> Any:
    source = Stream()
    frame = source.to_dataframe(example) if example is not None else source.to_dataframe()
    seen = function(frame).stream.sink_to_list()
    for batch in batches or (ROWS,):
        source.emit(batch)
    return seen[-1]


def state_of(function: Any) -> Any:
    return outcome(function)[0]


EXAMPLES = pytest.mark.parametrize(
    "example", [None, ROWS, ROWS.iloc[:0]], ids=["no", "full", "empty"]
)


@EXAMPLES
@pytest.mark.parametrize("kind", ["bool", "boolean"])
def test_a_quantile_of_truth_values_is_refused_by_name(example: Any, kind: Any) -> None:
    rows = ROWS.astype({"b": kind})
    example = None if example is None else example.astype({"b": kind})
    for ask in (lambda d: d.b.quantile(), lambda d: d.window(n=3).b.quantile()):
        with pytest.raises(TypeError, match=f"quantile: series must have .* got {kind}"):
            outcome(ask, rows, example=example)


@pytest.mark.filterwarnings("ignore::rapidz.dataframe.frames.fold_rows.KeepsRowsWarning")
def test_other_aggregates_of_truth_values_are_those_of_pandas() -> None:
    for how in ("std", "var", "mean", "sum", "median"):
        assert outcome(lambda d, how=how: getattr(d.b, how)()) == getattr(ROWS.b, how)()
    by_group = outcome(lambda d: d.groupby("k").b.quantile(), ROWS.astype({"b": "boolean"}))
    pd.testing.assert_series_equal(
        by_group, ROWS.astype({"b": "boolean"}).groupby("k").b.quantile()
    )


@EXAMPLES
@pytest.mark.parametrize("how", ["sum", "min", "max"])
def test_a_start_of_another_kind_is_refused_by_name(example: Any, how: Any) -> None:
    with pytest.raises(TypeError, match=r"start must be a total of such values as .*, got 'a'"):
        outcome(lambda d: getattr(d.x, how)(start="a"), example=example)


@pytest.mark.parametrize("how", ["count"])
def test_counts_start_at_numbers(how: Any) -> None:
    series = DataFrame(example=ROWS).x
    with pytest.raises(TypeError, match="start must be a number, for a count, got 'a'"):
        getattr(series, how)(start="a")
    with pytest.raises(TypeError, match="start must be a number, for a count, got 'b'"):
        series.mean(start=(1, "b"))


@pytest.mark.parametrize("start", [math.nan, None, pd.NA, pd.NaT])
def test_a_sum_does_not_start_at_what_is_missing(start: Any) -> None:
    series = DataFrame(example=ROWS).x
    if start is not None:  # that is no start at all
        with pytest.raises(ValueError, match="Series: start must not be missing, for a sum, got"):
            series.sum(start=start)
    with pytest.raises(ValueError, match="start must not be missing, for a sum, got"):
        series.mean(start=(start, 2))
    with pytest.raises(ValueError, match="start must not be missing, for a sum, got"):
        DataFrame(example=ROWS).groupby("k").x.sum(start=pd.Series([1.0, np.nan]))


def test_what_is_no_total_is_refused() -> None:
    series = DataFrame(example=ROWS).x
    with pytest.raises(TypeError, match=r"start must be a state, or a total .*, got \[1\]"):
        series.sum(start=[1])
    with pytest.raises(TypeError, match="start must be a single value, as the total is, got"):
        series.sum(start=pd.Series([1]))


def test_a_minimum_may_start_at_that_of_no_rows_and_a_text_at_a_text() -> None:
    assert outcome(lambda d: d.x.min(start=math.nan)) == 1
    assert outcome(lambda d: d.k.min(start="A")) == "A"
    assert outcome(lambda d: d.k.sum(start="A")) == "Aab"


def test_states_with_and_without_groups_are_distinct() -> None:
    plain = state_of(lambda d: d.x.sum(with_state=True))
    grouped = state_of(lambda d: d.groupby("k").sum(with_state=True))
    frame = DataFrame(example=ROWS)
    with pytest.raises(ValueError, match="start must be a state with groups, got one without"):
        frame.groupby("k").x.sum(start=plain)
    with pytest.raises(ValueError, match="start must be a state without groups, got one with"):
        frame.sum(start=grouped)
    with pytest.raises(ValueError, match=r"groups by \['b'\], got one by \['k'\]"):
        frame.groupby("b").sum(start=grouped)
    # With totals in it, a state is no other.
    mean = state_of(lambda d: d.x.mean(start=(10, 2), with_state=True))
    with pytest.raises(ValueError, match="start must be a state with groups, got one without"):
        frame.groupby("k").x.mean(start=mean)
    assert outcome(lambda d: d.x.mean(start=mean)) == 16 / 6


@EXAMPLES
@pytest.mark.parametrize(
    "ask",
    [
        lambda d: d["nope"],
        lambda d: d[["x", "nope"]],
        lambda d: d.window(n=3)["nope"].sum(),
        lambda d: d.nlargest(1, "nope"),
        lambda d: d.nlargest(1, columns=["x", "nope"]),
    ],
)
def test_a_column_that_is_not_there_is_a_key_error_that_names_the_columns(
    example: Any, ask: Any
) -> None:
    # Without an example, a batch without the column is one that does not fit.
    with pytest.raises(KeyError if example is not None else (KeyError, ColumnsError)) as caught:
        outcome(ask, example=example)
    said = str(caught.value)
    assert "columns" in said
    assert "nope" in said
    assert "got ['x', 'k', 'b']" in said or "of ['x', 'k', 'b'], got" in said


def test_nlargest_of_a_negative_number_is_empty_as_in_pandas() -> None:
    pd.testing.assert_frame_equal(outcome(lambda d: d.nlargest(-1, "x")), ROWS.nlargest(-1, "x"))


def test_lists_by_column_are_for_frames() -> None:
    rule = "lists by column are for frames, got {'x': "
    with pytest.raises(TypeError, match=rule):
        outcome(lambda d: d.groupby("k")["x"].agg({"x": ["min", "max"]}))
    with pytest.raises(TypeError, match=rule):
        outcome(lambda d: d.x.agg(x=("x", "max")))


@pytest.mark.parametrize(
    "labels", [[("a",), ("b", "c")], [("a", 1), ("b", 2)], [("a", 1), "b"]], ids=str
)
def test_labels_may_be_tuples_without_being_levels(labels: Any) -> None:
    rows = pd.DataFrame([[1, 2.0]], columns=pd.Index(labels, tupleize_cols=False))
    both = pd.concat([rows, rows])
    for how in ("cumsum", "cummax"):
        got = outcome(lambda d, how=how: getattr(d, how)(), rows, rows)
        pd.testing.assert_frame_equal(got, getattr(both, how)().iloc[-1:])
    lists: list[list[Any]] = [["sum"], ["sum", "max"]]
    for hows in lists:
        got = outcome(lambda d, hows=hows: d.agg(hows), rows, rows)
        pd.testing.assert_frame_equal(got, both.agg(hows))
    with pytest.raises(TypeError, match="by group: columns must have labels of 1 levels"):
        outcome(lambda d: d.groupby(lambda i: i % 2).agg(["sum"]), rows)
