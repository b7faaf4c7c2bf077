"""Row-wise methods: a batch at a time they give what pandas gives for all rows put together."""

from __future__ import annotations

import pydoc
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz.dataframe import DataFrame, Index, Series
from rapidz.dataframe.frames.rowwise import REFUSED, ColumnWise, RowWise, ValueWise, row_wise_names

Case = Callable[[Any], Any]

FRAMES: dict[str, Sequence[Case]] = {
    "fillna": [lambda d: d[["x", "n"]].fillna(0), lambda d: d.fillna({"x": -1.5, "t": "none"})],
    "dropna": [
        lambda d: d.dropna(),
        lambda d: d.dropna(how="all", subset=["x", "t"]),
        lambda d: d.dropna(thresh=3),
    ],
    "isna": [lambda d: d.isna()],
    "isnull": [lambda d: d.isnull()],
    "notna": [lambda d: d.notna()],
    "notnull": [lambda d: d.notnull()],
    "isin": [lambda d: d.isin([1, 2.5, "b"]), lambda d: d.isin({"n": [3], "t": ["a"]})],
    "where": [
        lambda d: d[["x", "n"]].where(d[["x", "n"]] > 0),
        lambda d: d.n.where(d.x > 0, d.n * 10),
        lambda d: d.where(d.notna(), 7),
    ],
    "mask": [
        lambda d: d[["x", "n"]].mask(d[["x", "n"]] > 0, -1),
        lambda d: d.x.mask(d.b, other=d.n),
    ],
    "clip": [
        lambda d: d[["x", "n"]].clip(-1, 2),
        lambda d: d[["x", "n"]].clip(upper=1),
        lambda d: d.x.clip(lower=d.n),
    ],
    "replace": [
        lambda d: d.replace({"t": {"a": "z"}, "n": {1: 10}}),
        lambda d: d.replace(1, 5),
        lambda d: d.t.replace("^a", "q", regex=True),
    ],
    "abs": [lambda d: d[["x", "n"]].abs()],
    "drop": [lambda d: d.drop(columns=["x", "b"]), lambda d: d.drop("t", axis=1)],
    "rename": [lambda d: d.rename(columns={"x": "y"}), lambda d: d.rename(columns=str.upper)],
    "add_prefix": [lambda d: d.add_prefix("new_")],
    "add_suffix": [lambda d: d.add_suffix("_new")],
    "explode": [lambda d: d.explode("items")],
}
COLUMNS: dict[str, Sequence[Case]] = {
    "fillna": [lambda d: d.x.fillna(2.5), lambda d: d.x.fillna(d.n), lambda d: d.t.fillna("none")],
    "dropna": [lambda d: d.t.dropna(), lambda d: d.x.dropna()],
    "isna": [lambda d: d.t.isna()],
    "isnull": [lambda d: d.x.isnull()],
    "notna": [lambda d: d.x.notna()],
    "notnull": [lambda d: d.t.notnull()],
    "isin": [lambda d: d.t.isin(["a", "q"]), lambda d: d.n.isin({1, 2})],
    "where": [lambda d: d.n.where(d.b), lambda d: d.t.where(d.n > 1, "few")],
    "mask": [lambda d: d.n.mask(d.n == 1, 100)],
    "clip": [lambda d: d.n.clip(0, 2), lambda d: d.x.clip(upper=0.5)],
    "replace": [lambda d: d.n.replace({1: 7}), lambda d: d.t.replace(["a", "b"], "c")],
    "abs": [lambda d: d.x.abs(), lambda d: abs(d.n)],
    "rename": [lambda d: d.x.rename("y")],
    "between": [lambda d: d.n.between(1, 2), lambda d: d.x.between(d.n, 3, inclusive="left")],
    "explode": [lambda d: d["items"].explode()],
}
ROW_NUMBERS: dict[str, Sequence[Case]] = {
    "fillna": [lambda d: d.index.fillna(0)],
    "dropna": [lambda d: d.index.dropna()],
    "isna": [lambda d: d.index.isna()],
    "isnull": [lambda d: d.index.isnull()],
    "notna": [lambda d: d.index.notna()],
    "notnull": [lambda d: d.index.notnull()],
    "isin": [lambda d: d.index.isin([1, 3])],
    "where": [lambda d: d.index.where(d.index > 2, 0)],
    "mask": [],
    "clip": [],
    "replace": [],
    "abs": [],
    "rename": [lambda d: d.index.rename("row")],
    "between": [],
    "explode": [],
}
CASES = [
    pytest.param(case, id=f"{kind}-{name}-{number}")
    for kind, table in (("frame", FRAMES), ("series", COLUMNS), ("index", ROW_NUMBERS))
    for name, cases in table.items()
    for number, case in enumerate(cases)
]


def rows(seed: int, size: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    at = random.integers(0, 4, size)
    return pd.DataFrame(
        {
            "x": np.where(random.random(size) < 0.3, np.nan, random.normal(size=size).round(1) * 3),
            "n": random.integers(-3, 4, size),
            "t": pd.Series(np.array(["a", "b", "ab", None], dtype=object)[at], dtype="str"),
            "b": random.random(size) < 0.5,
            "items": pd.Series([[1, 2], [], [3], None], dtype=object).iloc[at].to_numpy(),
        },
        index=pd.RangeIndex(size),
    )


def parts(frame: Any, cuts: Sequence[int]) -> list[Any]:
    borders = [0, *sorted(cut % (len(frame) + 1) for cut in cuts), len(frame)]
    return [frame[a:b] for a, b in pairwise(borders)]


def results(case: Case, example: Any, batches: Sequence[Any]) -> list[Any]:
    sdf = DataFrame(example=example)
    seen: list[Any] = case(sdf).stream.sink_to_list()
    for batch in batches:
        sdf.emit(batch)
    return seen


def put_together(results: Sequence[Any]) -> Any:
    filled = [result for result in results if len(result)] or list(results[:1])
    if isinstance(filled[0], np.ndarray):
        return np.concatenate(filled)
    if isinstance(filled[0], pd.Index):
        return filled[0].append(filled[1:])
    return pd.concat(filled)


@pytest.mark.parametrize("case", CASES)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(0, 20),
    cuts=st.lists(st.integers(0, 20), max_size=4),
)
@settings(max_examples=12, deadline=None)
def test_batches_give_what_pandas_gives_for_all_rows(
    case: Case, seed: int, size: int, cuts: list[int]
) -> None:
    frame = rows(seed, size)
    given_by_batches = put_together(results(case, rows(0, 5).iloc[:0], parts(frame, cuts)))
    expected = case(frame)
    assert type(given_by_batches) is type(expected) or isinstance(expected, pd.Index)
    if isinstance(expected, pd.DataFrame) and len(expected):
        pd.testing.assert_frame_equal(given_by_batches, expected)
    elif isinstance(expected, pd.Series) and len(expected):
        pd.testing.assert_series_equal(given_by_batches, expected)
    else:
        assert list(given_by_batches) == list(expected)


OTHER_KINDS: dict[str, tuple[Case, Callable[[pl.DataFrame], Any]]] = {
    "fillna": (lambda d: d.x.fillna(0.5), lambda d: d["x"].fill_null(0.5)),
    "dropna": (lambda d: d.dropna(subset=["t"]), lambda d: d.drop_nulls("t")),
    "isna": (lambda d: d[d.t.isna()], lambda d: d.filter(pl.col("t").is_null())),
    "notna": (lambda d: d[d.x.notna()].x, lambda d: d["x"].drop_nulls()),
    "isin": (lambda d: d[d.n.isin([1, 2])].n, lambda d: d.filter(pl.col("n").is_in([1, 2]))["n"]),
    "between": (
        lambda d: d[d.n.between(0, 2)].n,
        lambda d: d.filter(pl.col("n").is_between(0, 2))["n"],
    ),
    "where": (
        lambda d: d.n.where(d.n > 0, 0),
        lambda d: d.select(pl.when(pl.col("n") > 0).then("n").otherwise(0).alias("n"))["n"],
    ),
    "clip": (lambda d: d.n.clip(0, 1), lambda d: d["n"].clip(0, 1)),
    "abs": (lambda d: d.n.abs(), lambda d: d["n"].abs()),
    "drop": (lambda d: d.drop(columns=["x", "b"]), lambda d: d.drop("x", "b")),
    "rename": (lambda d: d.rename(columns={"n": "m"}), lambda d: d.rename({"n": "m"})),
    "replace": (lambda d: d.n.replace({1: 9}), lambda d: d["n"].replace({1: 9})),
}


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
@pytest.mark.parametrize("name", OTHER_KINDS)
def test_frames_of_polars_and_tables_of_pyarrow_have_them_too(name: str, library: str) -> None:
    case, native = OTHER_KINDS[name]
    frame = pl.from_pandas(rows(5, 30).drop(columns="items"))
    batches = [frame[:7], frame[7:8], frame[8:]]
    arrow = library == "pyarrow"
    made = results(
        case,
        frame[:0].to_arrow() if arrow else frame[:0],
        [batch.to_arrow() if arrow else batch for batch in batches],
    )
    parts: list[Any] = [pl.from_arrow(one) if arrow else one for one in made]
    together = pl.concat(parts)
    expected = native(frame)
    if isinstance(expected, pl.DataFrame):
        assert together.to_dict(as_series=False) == expected.to_dict(as_series=False)
    else:
        assert together.to_list() == expected.to_list()


def test_every_row_wise_method_is_tried() -> None:
    assert set(FRAMES) == set(row_wise_names(RowWise, ColumnWise))
    assert set(COLUMNS) == set(row_wise_names(RowWise, ValueWise))
    assert set(ROW_NUMBERS) == set(COLUMNS)


def test_they_are_methods_with_documentation_like_any_other() -> None:
    for kind, mixin in ((DataFrame, ColumnWise), (Series, ValueWise), (Index, ValueWise)):
        made = kind()
        for name in row_wise_names(RowWise, mixin):
            assert name in dir(made)
            assert pydoc.getdoc(getattr(kind, name))


@pytest.mark.parametrize(
    ("name", "argument"),
    [(name, argument) for name, refused in REFUSED.items() for argument in refused],
)
def test_arguments_that_are_not_row_wise_are_refused_with_the_reason(
    name: str, argument: str
) -> None:
    sdf = DataFrame(example=rows(0, 3))
    first: dict[str, tuple[Any, ...]] = {
        "where": (sdf.notna(),),
        "mask": (sdf.notna(),),
        "fillna": (0,),
        "replace": (1, 2),
        "explode": ("items",),
    }
    with pytest.raises(
        TypeError, match=f"{name}: {argument} must not be given for a streaming"
    ) as e:
        getattr(sdf, name)(*first.get(name, ()), **{argument: "x"})
    assert REFUSED[name][argument] in str(e.value)
    with pytest.raises(TypeError, match="unexpected argument 'unheard_of'"):
        getattr(sdf, name)(*first.get(name, ()), unheard_of=1)


def test_what_would_look_at_all_rows_or_at_one_batch_is_refused() -> None:
    sdf = DataFrame(example=rows(0, 3))
    with pytest.raises(TypeError, match="isin: values must be known from the start"):
        sdf.n.isin(sdf.n)
    with pytest.raises(TypeError, match="where: cond must be a streaming collection or a value"):
        sdf.x.where(lambda x: x > x.mean())
    with pytest.raises(TypeError, match="replace: value must be given"):
        sdf.n.replace([1, 2])
    with pytest.raises(TypeError, match="drop: index must not be given"):
        sdf.drop([0, 1])
    with pytest.raises(TypeError, match="rename: index must not be given"):
        sdf.x.rename({0: 1})


def test_results_have_them_too() -> None:
    sdf = DataFrame(example=rows(0, 3))
    seen = sdf.groupby("n").x.mean().fillna(0).rename("mean").stream.sink_to_list()
    sdf.emit(rows(1, 6))
    pd.testing.assert_series_equal(
        seen[0], rows(1, 6).groupby("n").x.mean().fillna(0).rename("mean")
    )
