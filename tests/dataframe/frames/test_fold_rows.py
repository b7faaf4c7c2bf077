"""Folds of rows: warnings of folds that keep all rows."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rapidz.dataframe import DataFrame
from rapidz.dataframe.frames.fold_rows import KeepsRowsWarning

Build = Callable[[Any], Any]


def rows(seed: int, size: int = 50) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    at = random.integers(0, 4, size)
    return pd.DataFrame(
        {
            "k": np.array(list("abcd"))[at],
            "x": np.where(at == 1, np.nan, random.integers(0, 9, size)),
            "n": random.integers(0, 9, size),
            "c": pd.Categorical.from_codes(at % 3, pd.Index(["v", "u", "w", "never"])),
            "t": pd.Timestamp("2030-01-01") + pd.to_timedelta(at, unit="D"),
        }
    )


NOT_KEPT: dict[str, Build] = {
    "size, named": lambda d: d.groupby("k").agg(n=("x", "size")),
    "size, in a list": lambda d: d.groupby("k").x.agg(["size", "sum"]),
    "size and a sum": lambda d: d.groupby("k").agg(n=("x", "size"), total=("n", "sum")),
    "sum of numpy": lambda d: d.groupby("k").n.agg(np.sum),
    "functions of numpy": lambda d: d.groupby("k").x.agg([np.sum, np.mean, np.min, np.max]),
    "functions by column": lambda d: d.groupby("k").agg({"x": np.mean, "n": np.max}),
    "methods of pandas": lambda d: d.groupby("k").x.agg([pd.Series.nunique, pd.Series.median]),
    "len": lambda d: d.groupby("k").x.agg(len),
    "named function": lambda d: d.groupby("k").agg(total=("x", np.sum), size=("x", len)),
    "of all rows": lambda d: d[["x", "n"]].agg([np.sum, "max"]),
    "mean of times": lambda d: d.groupby("k").t.mean(),
    "means of all kinds": lambda d: d.groupby("k").agg(x=("x", "mean"), t=("t", "mean")),
    "how often categories come": lambda d: d.c.value_counts(),
}


@pytest.mark.parametrize("name", NOT_KEPT)
def test_what_need_not_keep_rows_does_not(name: str) -> None:
    build = NOT_KEPT[name]
    sdf = DataFrame(example=rows(0).iloc[:0])
    collection = build(sdf)
    seen = collection.stream.sink_to_list()
    sizes = []
    for seed in range(20):
        sdf.emit(rows(seed))
        sizes.append(len(pickle.dumps(collection.stream.state)))
    together = pd.concat([rows(seed) for seed in range(20)])
    expected = build(together)
    if isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(seen[-1], expected)
    else:
        pd.testing.assert_frame_equal(seen[-1], expected)
    if "methods" not in name:  # a median keeps values
        assert sizes[-1] <= sizes[2] + 200


KEPT: dict[str, tuple[Build, str]] = {
    "a function": (lambda d: d.groupby("k").x.agg(spread), "the function spread"),
    "median of times": (lambda d: d.t.median(), r"median of values of dtype datetime64"),
    "a function of all": (lambda d: d.x.agg(spread), "the function spread"),
    "sum of Python": (lambda d: d.n.agg(sum), "the function sum"),
    "unobserved": (lambda d: d.groupby("c", observed=False).x.sum(), "groups with observed=False"),
    "values by group": (lambda d: d.groupby("k").n.value_counts(), "value_counts with groups"),
}


def spread(x: Any) -> Any:
    return x.max() - x.min()


@pytest.mark.parametrize("name", KEPT)
def test_what_must_keep_rows_says_so_once_when_it_is_built(name: str) -> None:
    build, why = KEPT[name]
    sdf = DataFrame(example=rows(0).iloc[:0])
    with pytest.warns(KeepsRowsWarning, match=f"all rows are kept, for {why}") as record:
        made = build(sdf)
    assert len(record) == 1
    assert record[0].filename == __file__
    seen = made.stream.sink_to_list()
    sdf.emit(rows(1))
    sdf.emit(rows(2))  # warnings are errors here
    expected = build(pd.concat([rows(1), rows(2)]))
    if isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(seen[-1], expected)
    else:
        assert seen[-1] == expected


def test_without_an_example_it_is_said_with_the_first_element() -> None:
    sdf = DataFrame()
    seen = sdf.x.agg(spread).stream.sink_to_list()
    with pytest.warns(KeepsRowsWarning, match="the function spread"):
        sdf.emit(rows(1))
    sdf.emit(rows(2))
    assert len(seen) == 2


def test_windows_and_results_keep_what_they_must_anyway() -> None:
    sdf = DataFrame(example=rows(0).iloc[:0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for made in (sdf.window(n=5).x.agg(spread), sdf.x.sum(), sdf.groupby("k").x.median()):
            made.stream.sink_to_list()
        sdf.emit(rows(1))


def test_functions_that_treat_missing_values_otherwise_are_called() -> None:
    frame = rows(3)
    sdf = DataFrame(example=frame.iloc[:0])
    for func in (sum, np.median, np.std):
        with pytest.warns(KeepsRowsWarning, match=f"the function {func.__name__}"):
            seen = sdf.x.agg(func).stream.sink_to_list()
        sdf.emit(frame)
        assert np.array_equal(seen[0], frame.x.agg(func), equal_nan=True)
