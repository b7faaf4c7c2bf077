"""Methods over all rows: as in pandas wherever batches end, or refused with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.dataframe.helpers import emitted, streaming
from tests.dataframe.incremental.model import same

from rapidz import Stream
from rapidz.dataframe import DataFrame, merge

pytestmark = pytest.mark.filterwarnings(
    "ignore::rapidz.dataframe.frames.fold_rows.KeepsRowsWarning"
)

ROWS = pd.DataFrame({"k": ["b", "a", "b", "c"], "x": [3.0, 1.0, 2.0, 5.0]})
PARTS = [ROWS.iloc[:1], ROWS.iloc[1:3], ROWS.iloc[3:]]


def together(build: Callable[[Any], Any]) -> Any:
    return pd.concat(emitted(build, PARTS))


@pytest.mark.parametrize(
    ("build", "way"),
    [
        (lambda s: s.k.astype("category"), r"pandas\.CategoricalDtype"),
        (lambda s: s.k.astype(pd.CategoricalDtype()), r"pandas\.CategoricalDtype"),
        (lambda s: s.astype({"k": "category"}), r"pandas\.CategoricalDtype"),
        (lambda s: s.eval("x.cumsum()"), "cumsum is about all rows; use streaming series"),
        (lambda s: s.eval("z = x - x.mean()"), "mean is about all rows; use streaming series"),
        (lambda s: s.query("x > x.mean()"), "mean is about all rows; use streaming series"),
        (lambda s: s.query("x . rank ( ) > 1"), "rank is about all rows"),
        (lambda s: s.query("k.str.get_dummies().a > 0"), "str.contains"),
        (lambda s: s[1:3], r"rows\[1:3\]"),
        (lambda s: s[::2], r"rows\[::2\]"),
        (lambda s: s.x[-2:], r"rows\[-2:\]"),
        (lambda s: s.window(n=3)[:2], r"rows\[:2\]"),
        (lambda s: s.k.str.get_dummies(), "str.contains"),
        (lambda s: s.k.str.split("b", expand=True), r"\.str\[0\]"),
        (lambda s: s.k.str.cat(), "stream.map"),
        (lambda s: s.assign(z=lambda q: q.x.rank()), "has no attribute 'rank'"),
        (lambda s: s[lambda q: q.x.duplicated()], "has no attribute 'duplicated'"),
    ],
)
def test_what_means_all_rows_is_refused_with_the_way_round(
    build: Callable[[Any], Any], way: str
) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError), match=way):
        build(streaming(ROWS))


@pytest.mark.parametrize(
    "build",
    [
        lambda s: s.k.astype(pd.CategoricalDtype(["a", "b", "c"])).cat.codes,
        lambda s: s.astype({"x": "int64"}),
        lambda s: s.eval("x * 2 + 1"),
        lambda s: s.query("x.abs() > 1 and k.str.contains('b')"),
        lambda s: s.query("x.between(1, 2) or k == '.mean('"),
        lambda s: s[:],
        lambda s: s.k.str.split("b").str[0],
        lambda s: s.assign(z=lambda q: q.x.cumsum()),
        lambda s: s.assign(z=1, w=lambda q: q.z + q.x.cummax(), v=lambda q: q.w * 2),
        lambda s: s.assign(z=lambda q: np.where(q.x > 1, "large", "small")),
        lambda s: s[lambda q: q.x > 1],
        lambda s: s[lambda q: q.x.cumsum() > 3],
        lambda s: s.x[lambda q: q > 1],
    ],
)
def test_what_looks_at_rows_alone_is_as_in_pandas(build: Callable[[Any], Any]) -> None:
    same(together(build), build(ROWS))


def test_a_function_given_to_assign_may_ask_for_all_rows_so_far() -> None:
    got = emitted(lambda s: s.assign(z=lambda q: q.x - q.x.mean()), [ROWS.iloc[:2], ROWS.iloc[2:]])
    assert got[0].z.tolist() == [1.0, -1.0]
    assert got[1].z.tolist() == [2 - 2.75, 5 - 2.75]


def test_results_that_are_whole_take_positions_and_expressions_of_all_rows() -> None:
    (got,) = emitted(lambda s: s.window(n=3).full()[1:], [ROWS])
    same(got, ROWS.iloc[2:])
    (got,) = emitted(lambda s: s.window(n=3).full().query("x > x.mean()"), [ROWS])
    same(got, ROWS.iloc[3:])


@pytest.mark.parametrize(
    ("owner", "name", "way"),
    [
        (lambda s: s.groupby("k"), "resample", "Grouper"),
        (lambda s: s.x, "shift", r"window\(n=…\)\.apply\(lambda rows: rows\.shift"),
        (lambda s: s, "sort_values", r"rows\.sort_values"),
        (lambda s: s, "describe", r"expanding\(\)\.apply"),
        (lambda s: s, "iloc", "condition"),
        (lambda s: s, "to_csv", "sink"),
        (lambda s: s, "unstack", "columns would depend"),
        (lambda s: s.index, "floor", "map_partitions"),
        (lambda s: s.window(n=2), "rank", r"apply\(lambda rows: rows\.rank"),
        (lambda s: s.groupby("k"), "rank", r"window"),
        (lambda s: s.rolling(2), "corr", "expanding"),
        (lambda s: s.groupby("k").x.sum(), "sort_values", "window|map_partitions"),
    ],
)
def test_a_method_of_pandas_that_is_not_there_says_what_to_use(
    owner: Callable[[Any], Any], name: str, way: str
) -> None:
    collection = owner(streaming(ROWS))
    assert not hasattr(collection, name)
    with pytest.raises(AttributeError, match=rf"no attribute '{name}', as pandas has: .*{way}"):
        getattr(collection, name)


@pytest.mark.parametrize(
    ("build", "cls"),
    [(lambda s: s, pd.DataFrame), (lambda s: s.x, pd.Series), (lambda s: s.index, pd.Index)],
)
def test_all_names_of_pandas_are_there_or_say_what_to_use(
    build: Callable[[Any], Any], cls: type
) -> None:
    collection = build(streaming(ROWS))
    names = {name for name in dir(cls) if not name.startswith("_")}
    for name in names - set(dir(collection)) - {"cat", "dt", "str", "plot", "hvplot"}:
        with pytest.raises(AttributeError, match="as pandas has: "):
            getattr(collection, name)


def test_the_error_of_a_misspelt_name_suggests_the_right_one() -> None:
    sdf = streaming(ROWS)
    with pytest.raises(AttributeError, match=r"no attribute 'grupby': did you mean 'groupby'\?"):
        sdf.grupby
    with pytest.raises(AttributeError, match=r"no attribute 'menn': did you mean 'mean'\?"):
        sdf.window(n=2).menn
    with pytest.raises(AttributeError, match=r"no attribute 'qqq'$"):
        sdf.x.qqq


# --- merge ----------------------------------------------------------------------------------------

PLACES = pd.DataFrame({"k": ["a", "b", "c"], "w": [1, 2, 3]})


@pytest.mark.parametrize("validate", ["1:1", "one_to_one", "1:m"])
def test_validate_looks_at_the_keys_of_all_batches(validate: str) -> None:
    source: Stream[Any] = Stream()
    sdf = source.to_dataframe(ROWS.iloc[:0])
    seen = sdf.merge(PLACES, on="k", validate=validate).w.stream.sink_to_list()
    source.emit(ROWS.iloc[:2])
    with pytest.raises(pd.errors.MergeError, match=r"must be unique, got 'b' again"):
        source.emit(ROWS.iloc[2:])
    source.emit(ROWS.iloc[3:])
    assert [one.tolist() for one in seen] == [[2, 1], [3]]


def test_validate_looks_at_the_frame_that_stays_when_it_is_built() -> None:
    twice = pd.concat([PLACES, PLACES.iloc[:1]])
    with pytest.raises(pd.errors.MergeError, match=r"static frame must be unique, got 'a'"):
        streaming(ROWS).merge(twice, on="k", validate="m:1")
    with pytest.raises(ValueError, match="validate must be '1:1'"):
        streaming(ROWS).merge(PLACES, on="k", validate="some")
    (got,) = emitted(lambda s: merge(twice, s, on="k", validate="m:m"), [ROWS])
    assert len(got) == 5
    (got,) = emitted(lambda s: s.merge(PLACES, validate="m:1"), [ROWS])
    assert len(got) == 4
    with pytest.raises(pd.errors.MergeError):
        emitted(lambda s: merge(PLACES, s, validate="1:1"), PARTS)


def test_validate_takes_many_batches_in_little_time() -> None:
    rows = [pd.DataFrame({"k": range(i * 5, i * 5 + 5)}) for i in range(60)]
    right = pd.DataFrame({"k": range(300), "w": range(300)})
    got = emitted(lambda s: s.merge(right, on="k", validate="1:1"), rows)
    assert sum(map(len, got)) == 300
    with pytest.raises(pd.errors.MergeError, match="got 7 again"):
        emitted(lambda s: s.merge(right, on="k", validate="1:1"), [*rows, rows[1].iloc[2:]])


# --- buffers that are used again, functions that write --------------------------------------------

HOLDING: dict[str, Callable[[Any], Any]] = {
    "a function": lambda s: s.x.aggregate(lambda rows: rows.sum()),
    "all categories": lambda s: s.groupby(s.x > 0, observed=False).x.sum(),
    "a window": lambda s: s.window(n=4).full().x,
    "a window by index": lambda s: s.window(value=100).full().x,
    "sums in a window": lambda s: s.window(n=4).x.sum(),
    "rolling": lambda s: s.rolling(3, min_periods=1).x.sum(),
    "median": lambda s: s.x.median(),
    "first": lambda s: s.first(),
    "smallest in a window": lambda s: s.window(n=4).x.min(),
    "cumsum": lambda s: s.x.cumsum(),
    "distinct": lambda s: s.x.nunique(),
    "groups": lambda s: s.groupby("x").x.count(),
}


@pytest.mark.parametrize("name", HOLDING)
def test_a_buffer_may_be_used_again_after_emit(name: str) -> None:
    def follow(fresh: bool) -> Any:
        buffer, sdf = np.empty((2, 2)), DataFrame(example=pd.DataFrame({"x": [0.0], "y": [0.0]}))
        seen = HOLDING[name](sdf).stream.map(pd.Series).sink_to_list()
        for start in (1.0, 10.0, 100.0):
            buffer = np.empty((2, 2)) if fresh else buffer
            buffer[:] = [[start, 0], [start + 1, 0]]
            sdf.emit(pd.DataFrame(buffer, columns=["x", "y"], copy=False))
        return seen[-1]

    same(follow(False), follow(True))


def test_rows_of_a_join_are_kept_though_their_buffer_is_used_again() -> None:
    buffer = np.array([[1.0, 5.0]])
    left = DataFrame(example=pd.DataFrame({"k": [0.0], "x": [0.0]}))
    right = DataFrame(example=pd.DataFrame({"k": [0.0], "y": [0.0]}))
    seen = left.join(right, on="k", within=10).stream.sink_to_list()
    left.emit(pd.DataFrame(buffer, columns=["k", "x"], copy=False))
    buffer[:] = 9
    right.emit(pd.DataFrame({"k": [1.0], "y": [2.0]}))
    assert seen[0].x.tolist() == [5.0]


def test_a_function_that_writes_into_its_frame_changes_no_other() -> None:
    def spoil(frame: Any) -> Any:
        frame["x"] = 0.0
        frame.loc[frame.x == 0, "k"] = "spoilt"
        return frame

    sdf = streaming(ROWS)
    before = sdf.x.stream.sink_to_list()
    spoilt = sdf.map_partitions(spoil).stream.sink_to_list()
    after = sdf.stream.sink_to_list()
    mine = ROWS.copy()
    sdf.emit(mine)
    same(mine, ROWS)
    same(before[0], ROWS.x)
    same(after[0], ROWS)
    assert spoilt[0].x.tolist() == [0.0] * 4


# --- other errors from inside ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda s: s.x.quantile([0.1, 0.5]),
        lambda s: s[["x", "i"]].quantile([0.1, 0.5]),
        lambda s: s.groupby("k").x.quantile([0.9, 0.1]),
        lambda s: s.groupby(["k", "i"])[["x"]].quantile((0.5,)),
        lambda s: s.groupby("c", observed=False).x.quantile([0.5, 1.0]),
    ],
)
def test_several_quantiles_are_as_in_pandas(build: Callable[[Any], Any]) -> None:
    rows = ROWS.assign(i=[1, 2, 3, 3], c=pd.Categorical(ROWS.k, categories=list("abcd")))
    parts = [rows.iloc[:0], rows.iloc[:1], rows.iloc[1:]]
    same(emitted(build, parts, rows.iloc[:0])[-1], build(rows))


def test_shares_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="q must be shares between 0 and 1, got"):
        streaming(ROWS).x.quantile([0.5, 2])


@pytest.mark.parametrize("how", ["first", "last"])
def test_complex_numbers_have_a_first_and_a_last_value(how: str) -> None:
    rows = pd.DataFrame({"k": [1, 1, 2], "c": [1j, 2, 3 + 1j]})
    for example in (rows.iloc[:0], rows):
        got = emitted(lambda s: getattr(s.c, how)(), [rows], example)
        assert got == [rows.c.iloc[0 if how == "first" else -1]]
        (got,) = emitted(lambda s: getattr(s.groupby("k"), how)(), [rows], example)
        wanted = {"first": [1j, 3 + 1j], "last": [2, 3 + 1j]}[how]
        assert got.c.tolist() == wanted
        (got,) = emitted(lambda s: getattr(s.window(n=2), how)(), [rows], example)
        assert got.c == (2 if how == "first" else 3 + 1j)
