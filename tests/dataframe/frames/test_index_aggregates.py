"""Aggregates of the index of a streaming frame are those of its labels."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from rapidz.dataframe import DataFrame, Series

DAYS = pd.date_range("2030-01-01", periods=5, freq="D", name="day")
INDEXES: dict[str, pd.Index[Any]] = {
    "numbers": pd.Index([5, 7, 6, 2, 5], name="n"),
    "times": DAYS[[0, 1, 2, 3, 4]],
    "text": pd.Index(["b", "a", "c", "a", "b"]),
}
ASKED: dict[str, Callable[[Any], Any]] = {
    "max": lambda index: index.max(),
    "min": lambda index: index.min(),
    "count": lambda index: index.count(),
    "nunique": lambda index: index.nunique(),
    "last": lambda index: index.last(),
    "several": lambda index: index.agg(["min", "max"]),
    "counts": lambda index: index.value_counts(),
    "expanding": lambda index: index.expanding().max(),
}
NUMBERS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda index: index.sum(),
    "mean": lambda index: index.mean(),
    "quantile": lambda index: index.quantile(0.5),
    "cumulated": lambda index: index.cumsum(),
    "window": lambda index: index.window(n=2).sum(),
    "rolling": lambda index: index.rolling(2).sum(),
    "weighted": lambda index: index.ewm(com=1).mean(),
    "groups": lambda index: index.groupby(index % 2).max(),
}


def seen(ask: Callable[[Any], Any], index: pd.Index[Any], of_labels: bool) -> list[Any]:
    frame = pd.DataFrame({"x": range(5)}, index=index)
    if of_labels:
        sdf: Any = DataFrame(example=frame.iloc[:0])
        results: list[Any] = ask(sdf.index).stream.sink_to_list()
        parts: list[Any] = [frame.iloc[:3], frame.iloc[3:]]
    else:
        labels = index.to_series()
        sdf = Series(example=labels.iloc[:0])
        results = ask(sdf).stream.sink_to_list()
        parts = [labels.iloc[:3], labels.iloc[3:]]
    for part in parts:
        sdf.emit(part)
    return results


@pytest.mark.parametrize(
    ("kind", "asked"),
    [*itertools.product(INDEXES, ASKED), *itertools.product(["numbers"], NUMBERS)],
)
def test_what_is_asked_of_an_index_is_asked_of_its_labels(kind: str, asked: str) -> None:
    ask = {**ASKED, **NUMBERS}[asked]
    got, expected = (seen(ask, INDEXES[kind], of_labels) for of_labels in (True, False))
    assert len(got) == len(expected) == 2
    for one, other in zip(got, expected, strict=True):
        if isinstance(one, pd.Series):
            pd.testing.assert_series_equal(one, other, check_freq=False)
        else:
            assert one == other


def test_the_largest_label_is_that_of_all_rows() -> None:
    assert seen(lambda index: index.max(), INDEXES["numbers"], True) == [7, 7]
    assert seen(lambda index: index.max(), INDEXES["times"], True) == [DAYS[2], DAYS[4]]
