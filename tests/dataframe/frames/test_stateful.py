"""Every aggregate, of all rows, windows and groups, through a stream, against pandas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.dataframe.helpers import emitted, floats, streaming
from tests.dataframe.incremental.model import aggregate, same, window
from tests.dataframe.incremental.test_aggregate_state import HOWS, batches

from rapidz.dataframe import DataFrame, Frame
from rapidz.dataframe.incremental import AllRows, Extent, LastRows, Span

ROUNDS = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# How each window of the states is asked for.
WINDOWS: dict[str, tuple[Extent, Callable[[Any], Any]]] = {
    "all rows": (AllRows(), lambda sdf: sdf),
    "expanding": (AllRows(), lambda sdf: sdf.expanding()),
    "last row": (LastRows(1), lambda sdf: sdf.window(n=1)),
    "last rows": (LastRows(4), lambda sdf: sdf.window(n=4)),
    "span": (Span(3), lambda sdf: sdf.window(value=3)),
}

GROUPINGS: dict[str, Callable[[Any], Any]] = {
    "one key": lambda sdf: sdf.groupby("k0"),
    "two keys": lambda sdf: sdf.groupby(["k0", "k1"]),
    "a series of the frame": lambda sdf: sdf.groupby(sdf.k0),
    "a series beside it": lambda sdf: sdf.groupby(sdf.k1 * 2),
    "both": lambda sdf: sdf.groupby(["k0", sdf.k1 * 2]),
    "the index": lambda sdf: sdf.groupby(half),
}


def half(label: int) -> int:
    return label // 2


def keys_of(grouping: str, rows: Any) -> list[Any]:
    return {
        "one key": ["k0"],
        "two keys": ["k0", "k1"],
        "a series of the frame": ["k0"],
        "a series beside it": [rows.k1 * 2],
        "both": ["k0", rows.k1 * 2],
        "the index": [pd.Series(rows.index // 2, index=rows.index)],
    }[grouping]


def asked(target: Any, how: str) -> Any:
    found = getattr(target, how)
    return found() if callable(found) else found


def follow(
    frames: list[Any], over: Extent, build: Callable[[Any], Any], model: Callable[[Any], Any]
) -> None:
    """Compare after every element, from the first one with rows on."""
    results = emitted(build, frames)
    assert len(results) == len(frames)
    for number, got in enumerate(results):
        if any(map(len, frames[: number + 1])):
            with np.errstate(all="ignore"):
                same(got, model(window(frames[: number + 1], over)))


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("how", HOWS)
@ROUNDS
@given(data=st.data())
def test_a_series_equals_pandas(how: str, name: str, data: st.DataObject) -> None:
    over, windowed = WINDOWS[name]
    dtype = data.draw(st.sampled_from([d for d in HOWS[how] if d != "float32"]))
    frames = [f.c0 for f in data.draw(batches([dtype], []))]
    follow(frames, over, lambda s: asked(windowed(s), how), lambda rows: aggregate(rows, how))


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("how", HOWS)
@ROUNDS
@given(data=st.data())
def test_a_frame_equals_pandas(how: str, name: str, data: st.DataObject) -> None:
    over, windowed = WINDOWS[name]
    kinds = st.sampled_from(["int64", "float64", "Int64"])
    dtypes = data.draw(st.lists(kinds, min_size=1, max_size=3))
    frames = data.draw(batches([*dtypes, "str"], []))
    follow(frames, over, lambda s: asked(windowed(s), how), lambda rows: aggregate(rows, how))


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("how", HOWS)
@ROUNDS
@given(data=st.data())
def test_groups_equal_pandas(how: str, name: str, data: st.DataObject) -> None:
    over, windowed = WINDOWS[name]
    grouping = data.draw(st.sampled_from(sorted(GROUPINGS)))
    dtype = data.draw(st.sampled_from(["int64", "float64", "Float64"]))
    frames = data.draw(batches([dtype], ["str", "int64"]))
    chosen = data.draw(st.sampled_from(["c0", ["c0"], None]))

    def build(sdf: Any) -> Any:
        groups = GROUPINGS[grouping](windowed(sdf))
        return getattr(groups if chosen is None else groups[chosen], how)()

    def model(rows: Any) -> Any:
        keys = keys_of(grouping, rows)
        named = [key for key in keys if isinstance(key, str)]
        keys = [rows[key] if isinstance(key, str) else key for key in keys]
        if chosen is not None:
            return aggregate(rows[chosen], how, keys)
        left = rows.drop(columns=named)
        left = left if how == "size" else left.drop(columns=text_columns(left, how))
        return aggregate(left, how, keys)

    follow(frames, over, build, model)


def text_columns(rows: Any, how: str) -> list[str]:
    numeric = ("sum", "mean", "median", "var", "std", "quantile")
    return [c for c in rows if rows[c].dtype == "str"] if how in numeric else []


@pytest.mark.parametrize("name", WINDOWS)
@ROUNDS
@given(data=st.data())
def test_value_counts_equal_pandas(name: str, data: st.DataObject) -> None:
    over, windowed = WINDOWS[name]
    dtype = data.draw(st.sampled_from(["int64", "float64", "str", "boolean", "category"]))
    frames = [f.c0 for f in data.draw(batches([dtype], []))]
    follow(frames, over, lambda s: windowed(s).value_counts(), lambda rows: rows.value_counts())


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize(
    "how",
    [
        ["sum", "count"],
        {"c0": "sum", "c1": "max"},
        {"c0": ["min", "max"], "c1": "mean"},
        "median",
    ],
)
@ROUNDS
@given(data=st.data())
def test_several_aggregates_at_once_equal_pandas(how: Any, name: str, data: st.DataObject) -> None:
    over, windowed = WINDOWS[name]
    frames = data.draw(batches(["int64", "float64"], ["str"]))
    numbers = [f[["c0", "c1"]] for f in frames]
    follow(numbers, over, lambda s: windowed(s).aggregate(how), lambda rows: rows.agg(how))
    follow(
        frames,
        over,
        lambda s: windowed(s).groupby("k0").agg(how),
        lambda rows: rows.groupby("k0").agg(how),
    )


def test_aggregates_can_be_named() -> None:
    rows = pd.DataFrame({"k": ["a", "b", "a"], "x": [1, 2, 3]})
    named: Any = {"total": ("x", "sum"), "most": pd.NamedAgg("x", "max")}
    same(
        emitted(lambda s: s.agg(**named), [rows])[0],
        rows.agg(total=("x", "sum"), most=("x", "max")),
    )
    same(
        emitted(lambda s: s.groupby("k").agg(**named), [rows])[0],
        rows.groupby("k").agg(total=("x", "sum"), most=("x", "max")),
    )
    same(
        emitted(lambda s: s.groupby("k").x.agg(total="sum"), [rows])[0],
        rows.groupby("k").x.agg(total="sum"),
    )
    same(
        emitted(lambda s: s.window(n=2).agg(total=("x", "sum")), [rows])[0],
        rows.iloc[-2:].agg(total=("x", "sum")),
    )


@pytest.mark.parametrize("ddof", [0, 1, 2])
@pytest.mark.parametrize("how", ["var", "std"])
def test_degrees_of_freedom_are_as_asked(how: str, ddof: int) -> None:
    (rows,) = floats([1, 4, 9, 16])
    got = emitted(lambda s: getattr(s, how)(ddof=ddof), [rows])
    got += emitted(lambda s: getattr(s.window(n=3), how)(ddof=ddof), [rows])
    assert got == pytest.approx([getattr(r, how)(ddof=ddof) for r in (rows, rows[1:])])


def test_a_quantile_is_as_asked() -> None:
    assert emitted(lambda s: s.quantile(0.25), floats([1, 2, 3, 4]))[0] == 1.75
    assert emitted(lambda s: s.window(n=2).quantile(q=0.25), floats([1, 2, 3, 4]))[0] == 3.25


def test_results_are_collections_that_go_on() -> None:
    rows = pd.DataFrame({"k": ["a", "b", "a"], "x": [1, 2, 3]})
    share = emitted(lambda s: s.x / s.x.sum(), [rows, rows])
    same(share[1], rows.x / 12)
    spread = emitted(lambda s: s.x.max() - s.x.min(), [rows])
    assert spread == [2]
    best = emitted(lambda s: s.groupby("k").x.sum().nlargest(1), [rows, rows])
    same(best[1], pd.Series([8], index=pd.Index(["a"], name="k"), name="x"))
    total = emitted(lambda s: s.window(n=2).groupby("k").x.sum().sum(), [rows, rows])
    assert total == [5, 5]


@pytest.mark.parametrize("known", [True, False])
def test_classes_are_the_same_with_and_without_an_example(known: bool) -> None:
    rows = pd.DataFrame({"k": ["a"], "x": [1]})
    sdf = DataFrame(example=rows if known else None)
    kinds = {
        "Streaming": [sdf.x.sum(), sdf.window(n=1).x.mean(), sdf.ewm(com=1).x.mean(), sdf.size],
        "Seriess": [
            sdf.sum(),
            sdf.x.value_counts(),
            sdf.groupby("k").x.sum(),
            sdf.groupby("k").size(),
            sdf.agg({"x": "sum"}),
        ],
        "DataFrames": [
            sdf.groupby("k").sum(),
            sdf.agg(["count", "nunique"]),
            sdf.window(n=1).full(),
            sdf.groupby("k").x.agg(["sum"]),
        ],
        "Series": [sdf.rolling(2).x.sum(), sdf.x - sdf.x.min(), sdf.x.window(value=1).late],
        "DataFrame": [sdf.rolling(2).sum(), sdf.merge(rows, on="k")],
    }
    for name, made in kinds.items():
        assert [type(one).__name__ for one in made] == [name] * len(made)


def test_every_kind_of_frame_says_what_it_cannot_do_when_built() -> None:
    sdf = streaming(pd.DataFrame({"x": [1], "name": ["a"]}))
    cases: dict[str, Callable[[], Any]] = {
        "how must be one of": lambda: sdf.agg("total"),
        "aggregation must be": lambda: sdf.agg(),
        "both that and names": lambda: sdf.agg("sum", total=("x", "sum")),
        "'z'": lambda: sdf.agg({"z": "sum"}),
        "value_counts: frame must be a Series": lambda: sdf.value_counts(),
        "mean: series": lambda: sdf.name.mean(),
    }
    for words, build in cases.items():
        with pytest.raises((TypeError, ValueError), match=words):
            build()


def test_a_batch_that_fails_changes_nothing_and_the_stream_goes_on() -> None:
    sdf = DataFrame(example=pd.DataFrame({"x": [1]}))
    results = [
        built.stream.sink_to_list()
        for built in (sdf.x.sum(), sdf.window(n=2).x.sum(), sdf.groupby("x").size())
    ]
    sdf.emit(pd.DataFrame({"x": [1, 2]}))
    with pytest.raises((TypeError, ExceptionGroup)):
        sdf.emit(pd.DataFrame({"x": ["text"]}))
    with pytest.raises(ValueError, match="'x' is missing"):
        sdf.emit(pd.DataFrame({"z": [1]}))
    sdf.emit(pd.DataFrame({"x": [3]}))
    assert [len(one) for one in results] == [2, 2, 2]
    assert [results[0][-1], results[1][-1]] == [6, 5]
    assert results[2][-1].to_dict() == {1: 1, 2: 1, 3: 1}


def test_every_aggregate_is_a_method_of_every_frame() -> None:
    names = {*HOWS, "agg", "aggregate", "value_counts"}
    assert all(hasattr(Frame, name) for name in names)


def test_a_quantile_of_whole_numbers_may_begin_with_a_missing_one() -> None:
    batches = [pd.DataFrame({"x": pd.array(x, dtype="Int64")}) for x in ([None], [0, 1])]
    same(emitted(lambda s: s.quantile(), batches)[1], pd.concat(batches).quantile())


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "Int8", "UInt16"])
def test_sums_of_narrow_whole_numbers_do_not_overflow(dtype: Any) -> None:
    rows = pd.DataFrame({"k": [0, 0, 0], "x": pd.Series([100] * 3, dtype=dtype)})
    sdf = DataFrame(example=rows)
    total = sdf.x.sum().stream.sink_to_list()
    by_group = sdf.groupby("k").x.sum().stream.sink_to_list()
    in_window = sdf.window(n=4).x.sum().stream.sink_to_list()
    for _ in range(2):
        sdf.emit(rows)
    assert (total[-1], by_group[-1].iloc[0], in_window[-1]) == (600, 600, 400)
    assert type(total[-1]) is type(pd.concat([rows, rows]).x.sum())
