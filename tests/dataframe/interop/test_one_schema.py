"""Frames of polars and pyarrow: one schema for all that a pipeline gives, fixed when built."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Stream
from rapidz.dataframe import DataFrame

pytestmark = pytest.mark.filterwarnings(
    "ignore::rapidz.dataframe.frames.fold_rows.KeepsRowsWarning"
)

N = 6
ROWS = pl.DataFrame(
    {
        "k": ["b", "a", None, "a", "c", "b"],
        "c": pl.Series(["u", "v", "u", None, "w", "u"], dtype=pl.Categorical),
        "e": pl.Series(["u", "v", None, "u", "w", "u"], dtype=pl.Enum(["v", "u", "w", "z"])),
        "t": [dt.datetime(2020, 1, 1, i) if i != 2 else None for i in range(N)],
        "i": [1, 2, None, 4, 5, 6],
        "x": [1, 2, 3, 4, 5, 2**53 + 1],
        "f": [0.5, None, 2.0, 3.0, float("nan"), 1.0],
        "b": [True, None, False, True, True, False],
        "i8": pl.Series([1, 2, 3, 4, None, 6], dtype=pl.Int8),
        "f32": pl.Series([1, 2, None, 4, 5, 6], dtype=pl.Float32),
        "u": pl.Series([1, 2, 3, 4, 5, 6], dtype=pl.UInt16),
        "l": [[1], [2, 3], None, [], [4], [5]],
        "d": [decimal.Decimal("1.5"), None, *[decimal.Decimal("2.25")] * 4],
    }
)

PIPELINES: dict[str, Callable[[Any], Any]] = {
    "rows": lambda s: s[s.x > 2],
    "hour": lambda s: s.t.dt.hour,
    "an assigned hour": lambda s: s.assign(y=s.t.dt.year)[["y"]],
    "map by a dict": lambda s: s.k.map({"a": 1, "b": 2}),
    "text": lambda s: s.k.str.len(),
    "division": lambda s: s.x / s.i,
    "comparison": lambda s: s.f > 1,
    "cumsum": lambda s: s[["x", "f", "i"]].cumsum(),
    "rolling": lambda s: s[["i", "f", "x"]].rolling(2, min_periods=1).sum(),
    "sums": lambda s: s[["x", "f", "i8", "u"]].sum(),
    "means": lambda s: s[["x", "f", "i", "i8", "f32", "t", "b"]].mean(),
    "smallest": lambda s: s[["x", "f", "i8", "t"]].min(),
    "counts": lambda s: s.count(),
    "first": lambda s: s.first(),
    "last": lambda s: s.last(),
    "first in a window": lambda s: s.window(n=3).first(),
    "last in a window by group": lambda s: s.window(n=3).groupby("k").last(),
    "first by category": lambda s: s.groupby("c").first(),
    "means by group": lambda s: s[["k", "x", "f", "i", "f32", "i8"]].groupby("k").mean(),
    "sums by group": lambda s: s[["k", "x", "f", "i", "f32", "i8"]].groupby("k").sum(),
    "by two categories": lambda s: s.groupby(["e", "c"]).x.sum(),
    "named": lambda s: s.groupby("e").agg(a=("x", "sum"), m=("c", "first")),
    "counts of values": lambda s: s.e.value_counts(),
    "a table": lambda s: s[["x", "f"]].agg(["sum", "mean"]),
    "a window": lambda s: s.window(n=2).full(),
    "medians": lambda s: s[["x", "f", "i"]].median(),
    "merged": lambda s: s.merge(
        pl.DataFrame({"k": ["a", "b"], "w": [1, 2], "z": ["q", None]}), on="k", how="left"
    ),
    "weighted": lambda s: s.ewm(1).groupby("c").f.mean(),
}


def emitted(build: Callable[[Any], Any], batches: list[Any], example: Any = None) -> list[Any]:
    sdf = DataFrame(example=batches[0] if example is None else example)
    seen: list[Any] = build(sdf).stream.sink_to_list()
    for batch in batches:
        sdf.emit(batch)
    return seen


def schema(result: Any) -> Any:
    return result.schema if isinstance(result, pl.DataFrame) else result.dtype


@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=6, deadline=None)
@given(
    cuts=st.lists(st.integers(0, N), max_size=4).map(sorted),
    example=st.sampled_from([ROWS.clear(), ROWS.head(1)]),
)
def test_results_have_one_schema_wherever_batches_end(
    name: str, cuts: list[int], example: pl.DataFrame
) -> None:
    batches = [ROWS[i:j] for i, j in zip([0, *cuts], [*cuts, N], strict=True)]
    whole = emitted(PIPELINES[name], [ROWS], example)
    parts = emitted(PIPELINES[name], batches, example)
    assert {str(schema(one)) for one in (*whole, *parts)} == {str(schema(whole[0]))}


def test_sums_of_whole_numbers_next_to_floats_are_exact() -> None:
    large = pl.DataFrame({"n": [2**53, 1], "f": [0.5, 1.0]})
    (got,) = emitted(lambda s: s.sum(), [large])
    assert got.rows() == [(2**53 + 1, 1.5)]
    assert got.schema == {"n": pl.Int64, "f": pl.Float64}


def test_first_values_stay_of_their_dtypes() -> None:
    for build in (lambda s: s.first(), lambda s: s.window(n=9).first()):
        (got,) = emitted(build, [ROWS], ROWS.clear())
        assert got.schema == ROWS.schema | {"d": pl.Decimal(38, 2)}
        assert got.row(0)[:4] == ROWS.row(0)[:4]


def test_categories_may_come_that_the_example_lacks() -> None:
    got = emitted(lambda s: s.groupby("c").x.sum(), [ROWS[:1], ROWS[1:]], ROWS.clear())
    assert got[-1].sort("c").rows() == [("u", 1 + 3 + 2**53 + 1), ("v", 2), ("w", 5)]
    assert got[-1].schema["c"] == pl.Categorical


def test_an_unused_column_of_lists_is_accepted() -> None:
    lists = ROWS[["k", "x", "l"]]
    for frame in (lists, lists.to_arrow()):
        (got,) = emitted(lambda s: s.groupby("k").x.sum(), [frame])
        assert len(got) == 3
    with pytest.raises(TypeError, match="groupby: other must name columns whose values can be key"):
        DataFrame(example=lists).groupby("l")


def test_a_batch_of_another_schema_is_refused_unless_its_values_fit() -> None:
    source: Stream[Any] = Stream()
    seen = source.to_dataframe(pl.DataFrame({"n": [0]})).n.sum().stream.sink_to_list()
    source.emit(pl.DataFrame({"n": pl.Series([1], dtype=pl.Int8)}))
    source.emit(pl.DataFrame({"n": [2.0, None]}))
    with pytest.raises(TypeError, match=r"'n' must stay Int64, as in the example, .*0\.5.*: cast"):
        source.emit(pl.DataFrame({"n": [0.5]}))
    assert seen == [1, 3]


def test_a_result_outside_the_schema_is_refused_with_the_remedy() -> None:
    sdf = DataFrame(example=pl.DataFrame({"k": ["a"]}))
    seen = sdf.k.map(lambda k: {"a": 1, "b": 2}.get(k, 0.5)).stream.sink_to_list()
    sdf.emit(pl.DataFrame({"k": ["a", "b"]}))
    with pytest.raises(TypeError, match=r"'value' must stay int64.*0\.5: use astype, or give"):
        sdf.emit(pl.DataFrame({"k": ["c"]}))
    assert seen[0].to_list() == [1, 2]
