"""Validation by the example: narrower dtypes are widened, others are refused."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.dataframe.helpers import emitted

from rapidz import Stream
from rapidz.dataframe import DataFrame, Series

NUMBERS: Any = pd.DataFrame({"k": ["a"], "x": [1.5]})
WHOLE: Any = pd.DataFrame({"k": ["a", "b"], "x": [1, 2]})
FLOATS: Any = pd.DataFrame({"k": ["b"], "x": [0.5]}, index=[2])

ASKED: dict[str, Callable[[Any], Any]] = {
    "sum": lambda s: s.x.sum(),
    "mean": lambda s: s.x.mean(),
    "frame max": lambda s: s.max(),
    "agg": lambda s: s.agg({"x": ["min", "var"]}),
    "groupby": lambda s: s.groupby("k").x.sum(),
    "groupby several": lambda s: s.groupby("k").agg({"x": ["first", "median"]}),
    "window": lambda s: s.window(n=2).x.sum(),
    "window rows": lambda s: s.window(n=2).full(),
    "window groups": lambda s: s.window(value=5).groupby("k").x.max(),
    "rolling": lambda s: s.rolling(2).x.sum(),
    "ewm": lambda s: s.ewm(com=1).x.mean(),
    "cumsum": lambda s: s.x.cumsum(),
    "expanding": lambda s: s.expanding().x.sum(),
    "rows": lambda s: s,
}


def equal(got: Any, want: Any) -> None:
    if isinstance(want, (pd.DataFrame, pd.Series)):
        assert got.equals(want)
    else:
        assert got == want
        assert type(got) is type(want)


@pytest.mark.parametrize("example", [NUMBERS, NUMBERS.iloc[:0]], ids=["rows", "no rows"])
@pytest.mark.parametrize("asked", ASKED)
def test_integers_are_floats_from_the_beginning_if_the_example_has_floats(
    asked: str, example: Any
) -> None:
    got = emitted(ASKED[asked], [WHOLE, FLOATS, WHOLE], example)
    as_floats = WHOLE.astype({"x": "float64"})
    want = emitted(ASKED[asked], [as_floats, FLOATS, as_floats], example)
    for one, other in zip(got, want, strict=True):
        equal(one, other)


@pytest.mark.parametrize("example", [None, WHOLE, WHOLE.iloc[:0]])
@pytest.mark.parametrize("asked", sorted(set(ASKED) - {"rows", "cumsum"}))
def test_floats_after_integers_make_the_results_floats(asked: str, example: Any) -> None:
    source = Stream[Any]()
    seen = ASKED[asked](source.to_dataframe(example=example)).stream.sink_to_list()
    for batch in (WHOLE, FLOATS, WHOLE):
        source.emit(batch)
    as_floats = WHOLE.astype({"x": "float64"})
    want = emitted(ASKED[asked], [as_floats, FLOATS, as_floats])
    for one, other in zip(seen[1:], want[1:], strict=True):
        equal(one, other)


def test_the_sum_of_integers_is_a_float_once_floats_have_come() -> None:
    totals = emitted(lambda s: s.x.sum(), [WHOLE, FLOATS, WHOLE])
    assert totals == [3, 3.5, 6.5]
    assert [type(total) for total in totals] == [np.int64, np.float64, np.float64]


BAD = [
    (FLOATS.assign(x=["p"]), "column 'x' must stay float64, got str, such as 'p': give an ex"),
    (FLOATS.assign(x=[True]), "column 'x' must stay float64, got bool, such as"),
    (FLOATS.assign(x=pd.Timestamp(0)), "column 'x' must stay float64, got datetime64"),
    (FLOATS.assign(k=[1]), "column 'k' must stay str, got int64, such as"),
]


@pytest.mark.parametrize(("bad", "words"), BAD)
def test_what_does_not_fit_is_refused_before_anything_has_counted_it(bad: Any, words: str) -> None:
    sdf = DataFrame(example=NUMBERS.iloc[:0])
    totals = sdf.x.count().stream.sink_to_list()
    groups = sdf.groupby("k").size().stream.sink_to_list()
    for _ in range(2):
        with pytest.raises(TypeError, match=words):
            sdf.emit(bad)
        assert totals == groups == []
    sdf.emit(FLOATS)
    with pytest.raises(TypeError, match=words):
        sdf.emit(bad)
    sdf.emit(FLOATS)
    assert totals == [1, 2]
    assert [int(sizes.sum()) for sizes in groups] == [1, 2]


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NaT])
@pytest.mark.parametrize(
    "values",
    [
        ["a", "b"],
        [1.5, 2.5],
        pd.array([1, 2], "Int64"),
        pd.to_datetime([0, 1]),
        pd.Categorical(["a", "b"]),
    ],
    ids=["text", "floats", "Int64", "times", "categories"],
)
def test_a_column_without_a_value_has_the_dtype_of_the_example(nothing: Any, values: Any) -> None:
    rows = pd.DataFrame({"n": [1, 2], "x": values})
    without = pd.DataFrame({"n": [1], "x": pd.Series([nothing], dtype=object)})
    for first in (without, without.assign(x=np.nan)):
        got = emitted(lambda s: s.window(n=2).full(), [first, rows], rows)
        assert got[0].x.dtype == rows.x.dtype
        assert got[1].equals(rows)
        assert emitted(lambda s: s.x.last(), [first, rows], rows)[1] == rows.x.iloc[-1]


def test_integers_that_are_missing_are_floats() -> None:
    nothing = WHOLE.assign(x=pd.Series([None, None], dtype=object))
    assert emitted(lambda s: s.x.sum(), [nothing, WHOLE], WHOLE) == [0.0, 3.0]


def test_an_example_of_objects_leaves_it_to_the_first_rows() -> None:
    example = pd.DataFrame({"k": [], "x": []}, dtype=object)
    for first in (WHOLE, WHOLE.assign(x=pd.Series([None, None], dtype=object))):
        got = emitted(lambda s: s.groupby("k").x.sum(), [first, FLOATS], example)
        assert got[1].dtype == "float64"


def test_an_example_of_empty_lists_leaves_it_to_the_first_rows() -> None:
    example = pd.DataFrame({"k": [], "x": []})
    got = emitted(lambda s: s.groupby("k").x.sum(), [WHOLE, FLOATS], example)
    assert got[0].to_dict() == {"a": 1, "b": 2}
    assert got[1].to_dict() == {"a": 1, "b": 2.5}


def test_an_empty_batch_may_have_any_dtypes() -> None:
    got = emitted(lambda s: s, [pd.DataFrame({"k": [], "x": []}), WHOLE], NUMBERS)
    assert [frame.dtypes.to_dict() for frame in got] == [NUMBERS.dtypes.to_dict()] * 2


def test_a_series_has_the_dtype_of_its_example_too() -> None:
    series = Series(example=pd.Series([0.5], name="x"))
    seen = series.stream.sink_to_list()
    series.emit(pd.Series([1, 2], name="x"))
    with pytest.raises(TypeError, match="series 'x' must stay float64, got str, such as 'a'"):
        series.emit(pd.Series(["a"], name="x"))
    assert [one.dtype for one in seen] == ["float64"]


def test_columns_may_have_any_labels() -> None:
    example = pd.DataFrame({0: [0.5], ("a", 1): [0.5]})
    got = emitted(lambda s: s.sum(), [example.assign().astype("int64"), example], example)
    assert got[1].tolist() == [0.5, 0.5]


def test_other_categories_are_refused_by_name() -> None:
    example = pd.DataFrame({"k": pd.Categorical(["a", "b"])})
    sdf = DataFrame(example=example)
    seen = sdf.groupby("k").size().stream.sink_to_list()
    sdf.emit(pd.DataFrame({"k": pd.Categorical(["b"])}))
    with pytest.raises(
        TypeError, match=r"column 'k' must stay category .* \['a', 'b'\], got 'c' b"
    ):
        sdf.emit(pd.DataFrame({"k": pd.Categorical(["c"])}))
    assert [sizes.to_dict() for sizes in seen] == [{"b": 1}]


def test_a_column_of_polars_without_values_has_the_dtype_of_the_example() -> None:
    example = pl.DataFrame({"k": ["a"], "n": [1]})
    nothing = pl.DataFrame({"k": ["a"], "n": [None]})
    sdf = DataFrame(example=example)
    totals = sdf.groupby("k").n.sum().stream.sink_to_list()
    counts = sdf.groupby("n").k.count().stream.sink_to_list()
    for batch in (nothing, example, nothing):
        sdf.emit(batch)
    assert [frame.rows() for frame in totals] == [[("a", 0)], [("a", 1)], [("a", 1)]]
    assert [frame.rows() for frame in counts] == [[], [(1, 1)], [(1, 1)]]


@pytest.mark.filterwarnings("ignore::rapidz.dataframe.frames.fold_rows.KeepsRowsWarning")
def test_categories_have_the_order_of_the_example() -> None:
    example = pd.DataFrame({"k": pd.Categorical([], ["c", "a", "b"]), "x": np.array([], int)})
    rows = pd.DataFrame({"k": pd.Categorical(["b", "a"], ["a", "b", "c"]), "x": [1, 2]})
    want = rows.assign(k=pd.Categorical(["b", "a"], ["c", "a", "b"]))
    asked: list[Callable[[Any], Any]] = [
        lambda s: s.groupby("k", observed=False).x.sum(),
        lambda s: s.groupby("k").x.first(),
        lambda s: s.k.value_counts(),
    ]
    for ask in asked:
        for got in emitted(ask, [rows], example):
            pd.testing.assert_series_equal(got, ask(want))
    for frame in emitted(lambda s: s, [rows, want], example):
        assert frame.k.cat.categories.tolist() == ["c", "a", "b"]
        assert frame.k.tolist() == ["b", "a"]
    for first, batch in ((rows, want), (want, rows)):
        for frame in emitted(lambda s: s.k, [first, batch]):
            assert frame.cat.categories.equals(first.k.cat.categories)


@pytest.mark.parametrize(("zone", "other"), [("UTC", None), (None, "UTC"), ("Asia/Tokyo", None)])
@pytest.mark.parametrize("series", [False, True])
def test_times_with_and_without_a_zone_are_not_mixed(zone: Any, other: Any, series: bool) -> None:
    days = pd.date_range("2020", periods=2, tz=zone)
    good = pd.DataFrame({"x": [1, 2]}, index=days)
    bad = good.set_axis(pd.date_range("2020", periods=2, tz=other))
    sdf: Any = Series(example=good.x.iloc[:0]) if series else DataFrame(example=good.iloc[:0])
    counts = (sdf if series else sdf.x).count().stream.sink_to_list()
    totals = (sdf if series else sdf.x).window(value="9D").sum().stream.sink_to_list()
    with pytest.raises(
        TypeError, match=r"index must hold times with.* got datetime64.* use tz_loc"
    ):
        sdf.emit(bad.x if series else bad)
    assert counts == totals == []
    sdf.emit(good.x if series else good)
    sdf.emit(bad.x.iloc[:0] if series else bad.iloc[:0])
    other_zone = good.tz_convert("Europe/Paris") if zone else good
    sdf.emit(other_zone.x if series else other_zone)
    assert totals == [3, 3, 6]


ASKING: dict[str, Callable[[Any], Any]] = {
    "column": lambda s: s.x.sum(),
    "columns": lambda s: s[["k", "x"]].x.sum(),
    "mask": lambda s: s[s.x > 0].x.sum(),
    "window": lambda s: s.window(n=9).x.sum(),
    "groups": lambda s: s.groupby("k").x.sum().sum(),
    "twice": lambda s: s.x.sum() + s.x.min() * 0,
}


@pytest.mark.parametrize("asked", ASKING)
def test_a_first_batch_without_a_column_that_is_asked_for_is_no_example(asked: str) -> None:
    source = Stream[Any]()
    sdf = source.to_dataframe()
    siblings = sdf.count().stream.sink_to_list()
    got = ASKING[asked](sdf).stream.sink_to_list()
    with pytest.raises(
        (KeyError, ValueError), match=r"must name columns of \['typo'\], got (\[?')[kx]'"
    ):
        source.emit(pd.DataFrame({"typo": [1]}))
    assert siblings == got == []
    source.emit(WHOLE)
    source.emit(WHOLE)
    assert [int(total) for total in got] == [3, 6]
    assert len(siblings) == 2


def test_a_column_that_is_no_longer_used_may_be_missing() -> None:
    source = Stream[Any]()
    sdf = source.to_dataframe()
    assert hasattr(sdf, "typo")
    gc.collect()
    totals = sdf.x.sum().stream.sink_to_list()
    source.emit(WHOLE)
    assert totals == [3]


@pytest.mark.parametrize("rows", [[True, False], np.array([True, False]), len])
def test_what_chooses_rows_asks_for_no_column(rows: Any) -> None:
    source = Stream[Any]()
    sdf = source.to_dataframe()
    chosen = sdf[rows if rows is not len else _first_row].stream.sink_to_list()
    assert len(pickle.loads(pickle.dumps(sdf._example)).get() or ()) == 0
    source.emit(WHOLE)
    equal(chosen[0], WHOLE.iloc[:1])


def _first_row(frame: Any) -> Any:
    return frame.index < 1


def test_the_first_batch_is_named_as_the_example_where_none_was_given() -> None:
    source = Stream[Any]()
    counts = source.to_dataframe().count().stream.sink_to_list()
    source.emit(pd.DataFrame({"typo": [1]}))
    with pytest.raises(ValueError, match="'typo' is missing") as caught:
        source.emit(WHOLE)
    assert "DataFrame: the first element is the example: give another" in caught.value.__notes__
    assert len(counts) == 1
