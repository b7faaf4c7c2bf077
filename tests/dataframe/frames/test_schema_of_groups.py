"""Schemas of groups: before the first row, and of text that comes as objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.helpers import emitted
from tests.dataframe.incremental.model import same

ROWS = pd.DataFrame(
    {
        "k": ["b", "a", "b"],
        "c": pd.Categorical(["u", "v", "u"], categories=["v", "u", "w"]),
        "t": pd.date_range("2020", periods=3, tz="UTC"),
        "i": pd.array([1, 2, None], dtype="Int64"),
        "x": [1, 2, 3],
        "f": [0.5, 1.0, 2.0],
    }
)

GROUPS: dict[str, Callable[[Any], Any]] = {
    "text": lambda s: s.groupby("k").x.sum(),
    "categories": lambda s: s.groupby("c").x.sum(),
    "all categories": lambda s: s.groupby("c", observed=False).x.sum(),
    "several": lambda s: s.groupby(["k", "c"]).f.mean(),
    "times": lambda s: s.groupby("t").f.count(),
    "Int64": lambda s: s.groupby("i").size(),
    "a series": lambda s: s.groupby(s.x % 2).x.sum(),
    "series and columns": lambda s: s.groupby([s.x % 2, "c", s.k.str.upper()]).f.agg(
        ["sum", "max"]
    ),
    "a series of categories": lambda s: s.groupby(s.c).f.max(),
    "hours": lambda s: s.groupby(s.t.dt.hour).f.first(),
    "a function": lambda s: s.groupby(lambda i: i % 2).x.sum(),
    "columns by a series": lambda s: s[["x", "f"]].groupby(s.k).median(),
    "counts of values": lambda s: s.groupby("c").k.value_counts(),
    "named": lambda s: s.groupby("c").agg(n=("x", "sum"), m=("f", "max")),
}


@pytest.mark.filterwarnings("ignore::rapidz.dataframe.frames.fold_rows.KeepsRowsWarning")
@pytest.mark.parametrize("name", GROUPS)
def test_groups_before_the_first_row_are_those_of_no_rows(name: str) -> None:
    build = GROUPS[name]
    before, after = emitted(build, [ROWS.iloc[:0], ROWS], ROWS)
    same(before, build(ROWS.iloc[:0]))
    same(after, build(ROWS))


@pytest.mark.parametrize(
    "build",
    [
        lambda s: s.window(n=2).groupby(s.c).x.sum(),
        lambda s: s.expanding().groupby(["k", s.c]).x.sum(),
        lambda s: s.ewm(1).groupby(s.c).f.mean(),
        lambda s: s[s.x > 100].groupby(s.c[s.x > 100]).x.sum(),
    ],
)
def test_groups_before_the_first_row_have_keys_as_later_ones(build: Callable[[Any], Any]) -> None:
    before, after = emitted(build, [ROWS.iloc[:0], ROWS.assign(x=ROWS.x + 100)], ROWS)
    assert before.index.names == after.index.names
    for level in range(after.index.nlevels):
        levels = [one.index.get_level_values(level) for one in (before, after)]
        assert levels[0].dtype == levels[1].dtype


KEYS = st.lists(st.sampled_from(["a", "b", "c", None, np.nan]), max_size=6)
OF_TEXT: list[Callable[[Any], Any]] = [
    lambda s: s.groupby("k").x.sum(),
    lambda s: s.groupby(["k", "x"]).x.count(),
    lambda s: s.groupby(s.k, dropna=False).x.max(),
    lambda s: s.groupby("k", sort=False).x.agg(["sum", "min"]),
]


@settings(max_examples=15, deadline=None)
@given(
    parts=st.lists(KEYS, min_size=1, max_size=4),
    kinds=st.lists(st.sampled_from(["object", "object", "str"]), min_size=4, max_size=4),
    more=st.sampled_from([0, 40]),
    build=st.sampled_from(OF_TEXT),
    window=st.booleans(),
)
def test_text_of_objects_makes_one_kind_of_groups_wherever_batches_end(
    parts: list[list[Any]],
    kinds: list[str],
    more: int,
    build: Callable[[Any], Any],
    window: bool,
) -> None:
    """Whatever has come first: objects or text, missing values, many keys or few."""
    batches: list[Any] = []
    for part, kind in zip(parts, kinds, strict=False):
        keys: Any = pd.Series([*part, *["a", "b"] * more], dtype=kind)
        batches.append(pd.DataFrame({"k": keys, "x": range(len(keys))}))
    rows: Any = pd.concat([one.astype({"k": object}) for one in batches], ignore_index=True)
    got = emitted(lambda s: build(s.window(n=1000) if window else s), batches, rows.iloc[:0])
    if rows.k.notna().any():
        same(got[-1], build(rows))
