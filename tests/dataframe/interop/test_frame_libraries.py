"""Streaming frames of polars and pyarrow give what those of pandas give, in their own kind."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Stream
from rapidz.dataframe import DataFrame, Series
from rapidz.dataframe.interop import from_pandas

KINDS = ("polars", "pyarrow")
EXAMPLE = pd.DataFrame(
    {"k": ["a", "b"], "x": [1, 2], "y": [0.5, 0.25], "t": pd.to_datetime(["2030", "2031"])}
)

both_kinds = pytest.mark.parametrize("kind", KINDS)


def of_kind(kind: str, frame: Any) -> Any:
    """A frame made by the library itself."""
    return pl.from_pandas(frame) if kind == "polars" else pa.Table.from_pandas(frame)


def rows(x: Any) -> Any:
    """What is in a frame, a series or a value of any kind, to be compared."""
    if isinstance(x, pa.Table):
        return x.to_pylist()
    if isinstance(x, pl.DataFrame):
        return x.to_dicts()
    if isinstance(x, (pl.Series, pa.ChunkedArray)):
        return x.to_pylist() if isinstance(x, pa.ChunkedArray) else x.to_list()
    return x


def emitted(build: Callable[[Any], Any], batches: Sequence[Any]) -> list[Any]:
    source = Stream[Any]()
    seen: list[Any] = build(source.to_dataframe(batches[0][:0])).stream.sink_to_list()
    source.emit_many(batches)
    return seen


@st.composite
def batches(draw: st.DrawFn) -> list[pd.DataFrame]:
    row = st.tuples(
        st.sampled_from("abc"),
        st.integers(-5, 5),
        st.integers(-8, 8).map(lambda n: n / 4),
        st.datetimes(pd.Timestamp("2030-01-01"), pd.Timestamp("2030-01-03")),
    )
    drawn = draw(st.lists(st.lists(row, max_size=5), min_size=1, max_size=4))
    frames = [pd.DataFrame(some, columns=list(EXAMPLE.columns)) for some in drawn]
    return [frame.astype(EXAMPLE.dtypes.to_dict()) for frame in frames]


PIPELINES: dict[str, Callable[[Any], Any]] = {
    "the rows": lambda sdf: sdf,
    "a column": lambda sdf: sdf.x,
    "filter": lambda sdf: sdf[sdf.x > 0],
    "filter a column": lambda sdf: sdf.y[sdf.x > 0],
    "assign": lambda sdf: sdf.assign(z=sdf.x * 2 + sdf.y, one=1),
    "str": lambda sdf: sdf.k.str.upper(),
    "query": lambda sdf: sdf.query("x > 0 and k == 'a'"),
    "sum": lambda sdf: sdf.x.sum(),
    "sum of all columns": lambda sdf: sdf[["x", "y"]].sum(),
    "max": lambda sdf: sdf.t.max(),
    "first": lambda sdf: sdf.first(),
    "size": lambda sdf: sdf.size,
    "several": lambda sdf: sdf[["x", "y"]].agg(["sum", "max"]),
    "groupby sum": lambda sdf: sdf.groupby("k").x.sum(),
    "groupby two": lambda sdf: sdf.groupby(["k", "x"])[["y"]].mean(),
    "groupby size": lambda sdf: sdf.groupby("k").size(),
    "groupby several": lambda sdf: sdf.groupby("k").y.agg(["sum", "max"]),
    "groupby a series": lambda sdf: sdf.groupby(sdf.x % 2).y.sum(),
    "groupby a series of the same name": lambda sdf: sdf.groupby(sdf.x % 2).x.sum(),
    "groupby, then a column of it": lambda sdf: sdf.groupby("k")[["x", "y"]].sum().x * 2,
    "window": lambda sdf: sdf.window(n=3).y.mean(),
    "rows in a window": lambda sdf: sdf.window(n=3).full(),
    "window groupby": lambda sdf: sdf.window(n=3).groupby("k").x.max(),
    "time window": lambda sdf: sdf.set_index("t").window(value="5h").x.sum(),
    "rows in a time window": lambda sdf: sdf.set_index("t").window(value="5h").full(),
    "late": lambda sdf: sdf.set_index("t").window(value="5h").late,
    "value_counts": lambda sdf: sdf.k.value_counts(),
    "rolling": lambda sdf: sdf.rolling(2).x.sum(),
    "ewm": lambda sdf: sdf.y.ewm(com=1).mean(),
    "cumsum": lambda sdf: sdf.x.cumsum(),
    "merge": lambda sdf: sdf.merge(pd.DataFrame({"k": ["a"], "w": [1.5]}), on="k"),
    "a frame of series": lambda sdf: DataFrame({"u": sdf.x, "v": sdf.y * 2}),
}


@both_kinds
@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=12)
@given(drawn=batches())
def test_every_kind_gives_what_pandas_gives(kind: str, name: str, drawn: list[Any]) -> None:
    expected = [from_pandas.like(kind, one) for one in emitted(PIPELINES[name], drawn)]
    seen = emitted(PIPELINES[name], [of_kind(kind, batch) for batch in drawn])

    assert [type(one) for one in seen] == [type(one) for one in expected]
    assert [rows(one) for one in seen] == [rows(one) for one in expected]


@both_kinds
def test_missing_values_are_left_out_as_in_pandas(kind: str) -> None:
    def build(sdf: Any) -> Any:
        return sdf.groupby("k").x.agg(["sum", "count"])

    frames = [pl.DataFrame({"k": ["a", None, "a"], "x": [1, 2, None]}) for _ in range(2)]
    seen = emitted(build, frames if kind == "polars" else [one.to_arrow() for one in frames])

    assert rows(seen[-1]) == [{"k": "a", "sum": 2, "count": 2}]


def test_what_comes_out_is_of_the_kind_that_came_in() -> None:
    frame = pl.DataFrame({"k": ["a"], "x": [1]}, schema_overrides={"x": pl.Int32})

    (row,) = emitted(lambda sdf: sdf, [frame])
    (total,) = emitted(lambda sdf: sdf.groupby("k").x.sum(), [frame])
    (number,) = emitted(lambda sdf: sdf.x.sum(), [frame])

    assert row.equals(frame)
    assert total.schema == {"k": pl.String, "x": pl.Int64}
    assert type(number) is int


def test_the_stream_of_a_collection_is_always_the_same_node() -> None:
    sdf = DataFrame(example=pl.DataFrame({"x": [1]}))

    assert sdf.stream is sdf.stream


def test_a_frame_with_a_stream_of_its_own_takes_frames_of_its_kind() -> None:
    sdf = DataFrame(example=pl.DataFrame({"x": [1], "y": [2]}))
    positive = sdf[sdf.x > 0]
    seen = positive.stream.sink_to_list()

    sdf.emit(pl.DataFrame({"y": [1, 2], "x": [0, 3]}))
    positive.emit(pl.DataFrame({"x": [9], "y": [9]}))

    assert [one.rows() for one in seen] == [[(3, 2)], [(9, 9)]]


def test_a_series_of_polars_streams_too() -> None:
    series = Series(example=pl.Series("x", [1]))
    seen = (series + 1).stream.sink_to_list()

    series.emit(pl.Series("x", [1, None]))

    assert seen[0].to_list() == [2, None]


def test_an_assigned_column_comes_out() -> None:
    sdf = DataFrame(example=pl.DataFrame({"x": [1]}))
    assert sdf.stream is not None
    sdf["z"] = sdf.x * 2
    seen = sdf.stream.sink_to_list()

    sdf.emit(pl.DataFrame({"x": [1]}))

    assert seen[0].rows(named=True) == [{"x": 1, "z": 2}]


def test_the_example_is_of_the_kind_that_comes_out() -> None:
    sdf = DataFrame(example=pl.DataFrame({"k": ["a"], "x": [1]}))

    assert isinstance(sdf.example, pl.DataFrame)
    assert isinstance(sdf.groupby("k").x.sum().example, pl.DataFrame)
    assert "shape" in repr(sdf)
    assert list(sdf.columns) == ["k", "x"]


def test_a_state_goes_on_with_frames_of_another_kind() -> None:
    frame = pl.DataFrame({"k": ["a"], "x": [1]})
    ((state, total),) = emitted(lambda sdf: sdf.groupby("k").x.sum(with_state=True), [frame])
    state = pickle.loads(pickle.dumps(state))

    (after,) = emitted(lambda sdf: sdf.groupby("k").x.sum(start=state), [frame.to_arrow()])

    assert total.rows() == [("a", 1)]
    assert after.to_pylist() == [{"k": "a", "x": 2}]


def test_streams_of_two_kinds_are_joined_as_the_left_one_is() -> None:
    left = DataFrame(example=pl.DataFrame({"k": ["a"], "x": [1]}))
    right = DataFrame(example=pa.table({"k": ["a"], "y": [1]}))
    seen = left.join(right, on="k", within=10).stream.sink_to_list()

    left.emit(pl.DataFrame({"k": ["a"], "x": [1]}))
    right.emit(pa.table({"k": ["a"], "y": [2]}))

    assert seen[0].rows(named=True) == [{"k": "a", "x": 1, "y": 2}]


def test_a_frame_that_does_not_change_may_be_of_any_kind() -> None:
    names = pl.DataFrame({"k": ["a"], "name": ["Ada"]})

    (merged,) = emitted(lambda sdf: sdf.merge(names, on="k").name, [pa.table({"k": ["a", "b"]})])

    assert merged.to_pylist() == ["Ada"]


@both_kinds
def test_on_threads_too(kind: str) -> None:
    frame = of_kind(kind, EXAMPLE)
    with Stream[Any]() as source:
        sdf: Any = source.scatter("thread").to_dataframe(frame[:0])
        seen = sdf.groupby("k").x.sum().stream.gather().sink_to_list()
        source.emit_many([frame, frame])

    assert rows(seen[-1]) == [{"k": "a", "x": 2}, {"k": "b", "x": 4}]


# --- bad input ----------------------------------------------------------------------------------


def test_a_frame_of_another_kind_is_refused_and_the_stream_goes_on() -> None:
    source = Stream[Any]()
    sdf = source.to_dataframe(pl.DataFrame({"x": [1]}))
    seen = sdf.x.sum().stream.sink_to_list()

    with pytest.raises(TypeError, match="must be of polars, as the example is, got DataFrame of p"):
        source.emit(pd.DataFrame({"x": [1]}))
    with pytest.raises(TypeError, match="must be of polars, as the example is, got list"):
        source.emit([1])
    with pytest.raises(ValueError, match=r"columns must be .* 'x' is missing"):
        source.emit(pl.DataFrame({"y": [1]}))
    source.emit(pl.DataFrame({"x": [3]}))
    with pytest.raises(TypeError, match="column 'x' must stay Int64, got string"):
        source.emit(pl.DataFrame({"x": ["text"]}))
    source.emit(pl.DataFrame({"x": [4]}))

    assert seen == [3, 7]


def test_without_an_example_frames_of_other_kinds_are_refused() -> None:
    source = Stream[Any]()
    source.to_dataframe().stream.sink_to_list()

    with pytest.raises(TypeError, match="DataFrame: example must be given for elements of polars"):
        source.emit(pl.DataFrame({"x": [1]}))


def test_an_example_that_pandas_cannot_represent_is_refused() -> None:
    with pytest.raises(TypeError, match=r"column 'x' must be of a dtype .* got Object"):
        DataFrame(example=pl.DataFrame({"x": pl.Series([object()], dtype=pl.Object)}))


@both_kinds
@pytest.mark.parametrize(
    ("build", "operation"),
    [
        (lambda sdf: sdf.index, "index"),
        (lambda sdf: sdf.reset_index(), "reset_index"),
        (lambda sdf: sdf.window(value="1h"), "window by value"),
        (lambda sdf: sdf.rolling("1h"), "rolling by time"),
        (lambda sdf: sdf.groupby(len), "groupby by a function"),
        (lambda sdf: sdf.groupby(sdf.x + sdf.y), "groupby by a series"),
        (lambda sdf: (sdf.x + sdf.y).value_counts(), "value_counts by a series"),
        (lambda sdf: sdf.join(sdf, on="k", within="1h"), "join by time"),
        (lambda sdf: sdf.merge(EXAMPLE, left_index=True, right_on="x"), "merge with left_index"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_needs_an_index_is_refused_when_it_is_built(
    kind: str, build: Callable[[Any], Any], operation: str
) -> None:
    sdf = DataFrame(example=of_kind(kind, EXAMPLE))

    with pytest.raises(TypeError, match=f"{operation}.* needs an index, and frames of {kind} have"):
        build(sdf)
