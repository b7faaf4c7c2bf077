"""Frames of polars and tables of pyarrow: only the columns that are used are converted."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from rapidz import Stream
from rapidz.dataframe import DataFrame
from rapidz.dataframe.collection import validation
from rapidz.dataframe.interop import deferred
from rapidz.dataframe.interop.native import to_pandas

BATCHES = [
    pl.DataFrame(
        {"k": ["a", "b", "a"], "x": [1.5, None, 2.0], "n": [1, 2, 3], "t": ["u", "v", "w"]}
    ),
    pl.DataFrame({"k": ["c", None], "x": [4.0, 5.0], "n": [None, 7], "t": ["v", None]}),
    pl.DataFrame({"k": ["a", "b"], "x": [0.5, 8.0], "n": [0, 1], "t": [None, "u"]}),
]
BUILDS: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "column": (lambda d: d.x.sum(), {"x"}),
    "two columns": (lambda d: (d.x + d.n).max(), {"x", "n"}),
    "columns": (lambda d: d[["x", "n"]].sum(), {"x", "n"}),
    "one of several": (lambda d: d[["x", "n"]].n.max(), {"x", "n"}),
    "groups": (lambda d: d.groupby("k").x.sum(), {"k", "x"}),
    "groups of a column": (lambda d: d.groupby(d.k).x.sum(), {"k", "x"}),
    "groups of values": (lambda d: d.groupby((d.n > 1).rename("many")).x.sum(), {"n", "x"}),
    "groups, columns": (lambda d: d.groupby("k")[["x", "n"]].max(), {"k", "x", "n"}),
    "filter": (lambda d: d[d.n > 1].x.sum(), {"n", "x"}),
    "filter twice": (lambda d: d[d.n > 0][d[d.n > 0].x > 1].x.count(), {"n", "x"}),
    "filter, groups": (lambda d: d[d.n > 0].groupby("k").x.sum(), {"n", "k", "x"}),
    "window of groups": (lambda d: d.window(n=3).groupby("k").x.sum(), {"k", "x"}),
    "everything": (lambda d: d.count(), {"k", "x", "n", "t"}),
    "merged": (
        lambda d: d.merge(pd.DataFrame({"k": ["a"], "z": [1]}), on="k").x.sum(),
        {"k", "x", "n", "t"},
    ),
    "rows": (lambda d: d[d.x > 1], {"k", "x", "n", "t"}),
}


def results(build: Callable[[Any], Any], batches: list[Any], example: Any = None) -> list[Any]:
    sdf = DataFrame(example=batches[0][:0] if example is None else example)
    seen: list[Any] = build(sdf).stream.sink_to_list()
    for batch in batches:
        sdf.emit(batch)
    return seen


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
@pytest.mark.parametrize("name", BUILDS)
def test_columns_that_are_not_used_are_not_converted(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, used = BUILDS[name]
    batches = BATCHES if library == "polars" else [batch.to_arrow() for batch in BATCHES]
    expected = results(build, [to_pandas(batch) for batch in batches])
    converted: list[str] = []

    def noted(native: Any) -> Any:
        made = to_pandas(native)
        converted.extend(made.columns)
        return made

    source = Stream[Any]()
    seen = build(source.to_dataframe(batches[0][:0])).stream.sink_to_list()
    source.emit(batches[0])  # of the first one all columns are checked
    monkeypatch.setattr(deferred, "to_pandas", noted)
    for batch in batches[1:]:
        source.emit(batch)
    assert set(converted) == used
    assert len(converted) == 2 * len(used)  # each once for each batch
    for got, wanted in zip(seen, expected, strict=True):
        assert as_rows(got) == as_rows(wanted, like=got)


def as_rows(x: Any, like: Any = None) -> Any:
    """Results of either library in one form."""
    if isinstance(x, pa.Table):
        x = pl.from_arrow(x)
    if isinstance(x, (pd.Series, pd.DataFrame)):
        named = x.index.names != [None]
        x = x.to_frame() if named and isinstance(x, pd.Series) else x
        x = x.reset_index() if named else x
        if isinstance(x, pd.Series) and isinstance(like, (pl.DataFrame, pa.Table)):
            x = x.to_frame().T
        plain = x.astype(object).where(x.notna(), None).to_numpy().tolist()
        return [tuple(row) if isinstance(row, list) else row for row in plain]
    if isinstance(x, pl.DataFrame):
        return x.rows()
    return x


UNUSED: dict[str, Any] = {
    "list": [[1, 2], []],
    "struct": [{"a": 1}, {"a": 2}],
    "decimal": [Decimal("1.5"), None],
    "binary": [b"1", b"2"],
    "time": [datetime.time(1), datetime.time(2)],
    "nested": [[{"a": [1]}], []],
}


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
@pytest.mark.parametrize("name", UNUSED)
def test_a_column_that_pandas_has_no_dtype_for_does_not_refuse_the_frame(
    name: str, library: str
) -> None:
    frame = pl.DataFrame({"k": ["a", "b"], "x": [1, 2], "odd": UNUSED[name]})
    batch = frame if library == "polars" else frame.to_arrow()
    totals = results(lambda d: d.groupby("k").x.sum(), [batch, batch])
    assert as_rows(totals[-1]) == [("a", 2), ("b", 4)]
    kept = results(lambda d: d[d.x > 1], [batch, batch])
    assert as_rows(kept[-1]) == frame.filter(pl.col("x") > 1).rows()
    assert as_rows(results(lambda d: d.count(), [batch])[-1])[0][:2] == (2, 2)


def test_an_aggregate_of_a_column_of_lists_is_refused_when_built() -> None:
    sdf = DataFrame(example=pl.DataFrame({"x": [[1]]}))
    for ask in (sdf.x.sum, sdf.x.nunique, sdf.x.mean):
        with pytest.raises(TypeError, match="must have a dtype with this aggregate"):
            ask()


def test_columns_in_another_order_wider_ones_and_wrong_ones_are_as_ever() -> None:
    sdf = DataFrame(example=BATCHES[0][:0])
    totals = sdf.groupby("k").x.sum().stream.sink_to_list()
    sdf.emit(BATCHES[0].select("t", "x", "k", "n"))
    sdf.emit(BATCHES[0])
    sdf.emit(BATCHES[0].with_columns(pl.col("x").cast(pl.Float32)))
    for wrong in (BATCHES[0].drop("t"), BATCHES[0].with_columns(x=pl.lit("text"))):
        with pytest.raises((TypeError, ValueError)):
            sdf.emit(wrong)
    sdf.emit(BATCHES[0])
    assert as_rows(totals[-1]) == [("a", 14.0), ("b", 0.0)]
    assert len(totals) == 4


def test_categories_are_checked_in_each_batch() -> None:
    color = pl.Enum(["red", "green"])
    frame = pl.DataFrame(
        {"c": ["red", "green", "red"], "x": [1, 2, 3]}, schema={"c": color, "x": int}
    )
    sdf = DataFrame(example=frame[:0])
    totals = sdf.groupby("c").x.sum().stream.sink_to_list()
    for _ in range(3):
        sdf.emit(frame)
    assert as_rows(totals[-1]) == [("red", 12), ("green", 6)]
    other = frame.with_columns(pl.col("c").cast(pl.String).cast(pl.Enum(["green", "blue", "red"])))
    with pytest.raises(TypeError, match="blue"):
        sdf.emit(other)
    assert len(totals) == 3


def test_emit_of_the_frame_itself_converts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sdf = DataFrame(example=BATCHES[0][:0])
    seen = sdf.x.sum().stream.sink_to_list()
    sdf.emit(BATCHES[0])
    taken = []
    monkeypatch.setattr(validation, "to_pandas_checked", lambda *args: taken.append(args))
    monkeypatch.setattr(sdf, "_to_pandas", taken.append)
    sdf.emit(BATCHES[1])
    assert not taken
    assert seen == [3.5, 12.5]


def test_a_column_may_be_set_on_such_a_frame() -> None:
    sdf = DataFrame(example=BATCHES[0][:0])
    sdf["twice"] = sdf.x * 2
    totals = sdf.groupby("k").twice.sum().stream.sink_to_list()
    for batch in BATCHES:
        sdf.emit(batch)
    assert as_rows(totals[-1]) == [("a", 8.0), ("b", 16.0), ("c", 8.0)]
