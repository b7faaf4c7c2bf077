"""Examples of empty lists: the first rows determine the dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.helpers import emitted
from tests.dataframe.incremental.model import same

TIMES = pd.date_range("2020", periods=4, freq="h")
EXAMPLES = {
    "no index": pd.DataFrame({"v": [], "who": [], "f": []}),
    "an index": pd.DataFrame({"v": [], "who": [], "f": []}, index=[]),
    "times": pd.DataFrame({"v": [], "who": [], "f": []}, index=pd.DatetimeIndex([])),
    "objects": pd.DataFrame({"v": [], "who": [], "f": []}, dtype=object),
    "objects and times": pd.DataFrame(
        {"v": [], "who": [], "f": []}, dtype=object, index=pd.DatetimeIndex([])
    ),
}
COLUMNS: dict[str, Any] = {
    "whole numbers": pd.Series([1, 0, 1, 2]),
    "text": pd.Series(["a", "b", "a", "c"]),
    "times": pd.Series(pd.date_range("2021", periods=4)),
    "truth values": pd.Series([True, False, True, True]),
    "categories": pd.Series(["a", "b", "a", "b"], dtype="category"),
    "Int64": pd.Series([1, None, 2, 2], dtype="Int64"),
}
BUILDS: dict[str, Callable[[Any], Any]] = {
    "groups": lambda s: s.groupby("v").f.sum(),
    "counts": lambda s: s.v.value_counts(),
    "first": lambda s: s.v.first(),
    "distinct": lambda s: s.groupby("who").v.nunique(),
}


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", ["groups", "counts", "distinct"])
@settings(max_examples=2, deadline=None)
@given(cut=st.integers(0, 4))
def test_dtypes_are_those_of_the_first_rows(example: str, column: str, name: str, cut: int) -> None:
    rows = pd.DataFrame({"v": COLUMNS[column], "who": ["x", "y", "y", "x"], "f": [0.5, 1, 2, 3]})
    rows.index = TIMES
    build = BUILDS[name]
    got = emitted(build, [rows.iloc[:cut], rows.iloc[cut:]], EXAMPLES[example])
    wanted = build(rows)
    if name == "counts" and column == "categories":
        assert got[-1].to_dict() == wanted.to_dict()
    else:
        same(got[-1], wanted)


@pytest.mark.parametrize("example", EXAMPLES)
def test_columns_without_a_dtype_have_weighted_and_rolling_means(example: str) -> None:
    rows = pd.DataFrame({"v": [1, 2, 4, 8], "who": list("abab"), "f": [0.5, 1, 2, 3]}, index=TIMES)
    parts = [rows.iloc[:1], rows.iloc[1:]]
    for build, wanted in (
        (lambda s: s.v.ewm(1).mean(), rows.v.ewm(1).mean().iloc[-1]),
        (lambda s: s.v.rolling(2).mean(), rows.v.rolling(2).mean().iloc[1:]),
        (lambda s: s.v.rolling("2h").sum(), rows.v.rolling("2h").sum().iloc[1:]),
        (lambda s: s.v.cumsum(), rows.v.cumsum().iloc[1:]),
        (lambda s: s.v.window("2h").sum(), 12),
        (lambda s: s.v.mean(), 3.75),
    ):
        same(emitted(build, parts, EXAMPLES[example])[-1], wanted)


def test_a_weighted_mean_of_text_is_refused() -> None:
    rows = pd.DataFrame({"v": ["a"]})
    with pytest.raises(TypeError, match="ewm: series must hold numbers, got str"):
        emitted(lambda s: s.v.ewm(1).mean(), [rows], pd.DataFrame({"v": []}, dtype=object))
