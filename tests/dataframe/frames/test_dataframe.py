"""DataFrame, Series, Index: row-wise operations on every element."""

from __future__ import annotations

import importlib
import operator
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from rapidz import Stream
from rapidz.dataframe.collection.validation import ColumnsError
from rapidz.dataframe.frames.dataframe import (
    DataFrame,
    DataFrames,
    Frames,
    Index,
    Series,
    Seriess,
)

ROWS = pd.DataFrame({"x": [1, 2, 3], "y": [4.0, 5.0, 6.0]}, index=[10, 20, 30])
TEXT = pd.Series(["Ada", "Alan"], name="t")
DAYS = pd.Series(pd.to_datetime(["2030-01-01", "2031-02-03"]), name="d")


def frame(rows: pd.DataFrame = ROWS, **kwargs: Any) -> Any:
    return DataFrame(example=rows.iloc[:0], **kwargs)


def results(collection: Any, source: Any, *elements: Any) -> list[Any]:
    seen: list[Any] = collection.stream.sink_to_list()
    for x in elements:
        source.emit(x)
    return seen


def same(result: Any, expected: Any) -> None:
    if isinstance(expected, pd.DataFrame):
        assert_frame_equal(result, expected)
    elif isinstance(expected, pd.Series):
        assert_series_equal(result, expected)
    elif isinstance(expected, pd.Index):
        assert_index_equal(result, expected)
    else:
        assert result == expected


# --- what pandas does to all rows at once, this does to every part ----------------------------

Model = Callable[[Any], Any]

ELEMENTWISE: dict[str, Model] = {
    "a column by its name": lambda f: f.x,
    "a column by its key": lambda f: f["y"],
    "several columns": lambda f: f[["y", "x"]],
    "rows that satisfy a condition": lambda f: f[f.x > 1],
    "rows that satisfy several": lambda f: f[(f.x > 1) & ~(f.y > 5)],
    "rows by a function": lambda f: f[lambda rows: rows.x > 1],
    "values of a column that satisfy a condition": lambda f: f.x[f.y > 4],
    "arithmetic of columns": lambda f: f.x + f.y * 2 - 1 / (f.x + 10),
    "arithmetic of a frame": lambda f: -f + 1,
    "comparison": lambda f: f.x == f.y,
    "astype": lambda f: f.astype({"x": float}),
    "astype of a column": lambda f: f.x.astype("Int64"),
    "round": lambda f: (f / 3).round(1),
    "round of a column": lambda f: (f.x / 3).round(2),
    "map": lambda f: f.map(_squared),
    "map of a column": lambda f: f.x.map({1: "one"}, na_action="ignore"),
    "assign": lambda f: f.assign(z=f.x * 2, w=5, v=lambda rows: rows.y),
    "query": lambda f: f.query("x > 1 and y < 6"),
    "eval": lambda f: f.eval("x + y"),
    "set_index": lambda f: f.set_index("x", drop=False),
    "set_index to a series": lambda f: f.set_index(f.x * 2),
    "the index": lambda f: f.index,
    "the index of a column": lambda f: f.x.index,
    "to_frame": lambda f: f.x.to_frame(),
    "to_frame of a frame": lambda f: f[["x"]],
    "twice the same": lambda f: f.x * f.x,
    "a long way round": lambda f: (f.assign(z=f.x).z + f[["x"]].x + f.x).to_frame().astype(str),
}

parts = st.lists(
    st.lists(st.tuples(st.integers(-3, 5), st.floats(-3, 9)), max_size=4), min_size=1, max_size=4
)


def _squared(x: float) -> float:
    return x * x


@pytest.mark.parametrize("what", ELEMENTWISE)
@settings(max_examples=25)
@given(parts=parts)
def test_parts_add_up_to_what_pandas_makes_of_all_rows(what: str, parts: list[Any]) -> None:
    model = ELEMENTWISE[what]
    frames = [
        pd.DataFrame(rows, columns=["x", "y"]).astype({"x": int, "y": float}) for rows in parts
    ]
    whole = pd.concat(frames, ignore_index=True)
    begins = [sum(map(len, frames[:i])) for i in range(len(frames))]
    frames = [
        part.set_index(part.index + begin) for part, begin in zip(frames, begins, strict=True)
    ]
    source = frame(whole)
    made = model(source)
    seen = results(made, source, *frames)
    expected = model(whole)
    kinds = {pd.DataFrame: DataFrame, pd.Series: Series}
    assert type(made) is kinds.get(type(expected), Index)
    for part, element in zip(seen, frames, strict=True):
        same(part, model(element))
    if isinstance(expected, pd.Index):
        assert [label for part in seen for label in part] == list(expected)
    else:
        got = pd.concat([part for part in seen if len(part)] or seen[:1])
        same(got.astype(object), expected.astype(object))


OF_EACH: dict[str, Model] = {
    "tail": lambda f: f.tail(2),
    "tail of a column": lambda f: f.x.tail(1),
    "nlargest": lambda f: f.nlargest(2, "y"),
    "nlargest of a column": lambda f: f.y.nlargest(1),
    "reset_index": lambda f: f.reset_index(),
}


@pytest.mark.parametrize("what", OF_EACH)
def test_some_methods_speak_of_each_part_by_itself(what: str) -> None:
    source = frame()
    elements = ROWS, ROWS.iloc[:2] * 2, ROWS.iloc[:0]
    seen = results(OF_EACH[what](source), source, *elements)
    for part, element in zip(seen, elements, strict=True):
        same(part, OF_EACH[what](element))


def test_size_counts_all_values_so_far() -> None:
    source = frame()
    seen = results(source.size, source), results(source.x.size, source)
    source.emit(ROWS)
    source.emit(ROWS.iloc[:1])
    assert seen == ([6, 8], [3, 4])


@pytest.mark.parametrize("how", ["cumsum", "cumprod", "cummin", "cummax"])
def test_cumulative_methods_go_on_from_part_to_part(how: str) -> None:
    source = frame()
    seen = results(getattr(source, how)(), source, ROWS.iloc[:1], ROWS.iloc[:0], ROWS.iloc[1:])
    assert_frame_equal(pd.concat(seen), getattr(ROWS, how)())
    column = results(getattr(source.y, how)(), source, ROWS.iloc[:1], ROWS.iloc[1:])
    assert_series_equal(pd.concat(column), getattr(ROWS.y, how)())


def test_cumulative_methods_leave_out_what_is_missing() -> None:
    source = Series(example=pd.Series([0.0]))
    seen = results(source.cumsum(), source, pd.Series([1.0, None]), pd.Series([3.0]))
    assert_series_equal(seen[1], pd.Series([4.0]))


def test_cumulative_methods_need_no_example() -> None:
    source: Any = DataFrame()
    made = source.cumsum()
    assert type(made) is DataFrame
    seen = results(made.y + 1, source, ROWS, ROWS)
    assert_series_equal(seen[1], ROWS.y.cumsum() + 16)


LIMIT = 2


def test_query_and_eval_know_names_as_pandas_does() -> None:
    source, least = frame(), 2
    seen = results(source.query("x >= @least and y < 10 * @LIMIT"), source)
    sums = results(source.eval("x + @least"), source)
    source.emit(ROWS)
    assert_frame_equal(seen[0], ROWS[ROWS.x >= least])
    assert_series_equal(sums[0], ROWS.x + least)
    with pytest.raises(pd.errors.UndefinedVariableError, match="nope"):
        source.query("x > @nope")


def test_what_the_example_defines_is_known_at_once() -> None:
    source = DataFrame(example=ROWS)
    assert list(source.columns) == ["x", "y"]
    assert_series_equal(source.dtypes, ROWS.dtypes)
    assert (source.x.dtype, source.x.name) == (ROWS.x.dtype, "x")
    assert source.to_frame() is source
    assert {"x", "y", "assign"} <= set(dir(source))


def test_only_columns_that_can_be_typed_are_in_dir() -> None:
    source = DataFrame(example=pd.DataFrame({"a b": [1], 5: [2], "c": [3]}))
    assert {"a b", 5} & set(dir(source)) == set()
    assert "c" in dir(source)


def test_a_column_named_as_a_method_is_there_by_its_key() -> None:
    rows = pd.DataFrame({"index": [1], "map": [2]})
    source = frame(rows)
    seen = results(source["map"] + source["index"], source, rows)
    assert_series_equal(seen[0], rows["map"] + rows["index"])


@pytest.mark.parametrize("name", ["nope", "shape", "_private", "str"])
def test_what_is_not_there_is_an_attribute_error(name: str) -> None:
    for collection in (frame(), frame().x):
        with pytest.raises(AttributeError, match=name):
            getattr(collection, name)


def test_a_column_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="nope"):
        frame()["nope"]


# --- columns that are added -------------------------------------------------------------------


def test_setting_a_column_changes_the_frame_for_later() -> None:
    source = frame()
    before = results(source[["x"]], source)
    source["z"] = source.x * 2
    source["w"] = 5
    assert list(source.columns) == ["x", "y", "z", "w"]
    seen = results(source.z + source.w, source, ROWS)
    assert_series_equal(seen[0], ROWS.x * 2 + 5, check_names=False)
    assert_frame_equal(before[0], ROWS[["x"]])
    assert list(ROWS.columns) == ["x", "y"]


def test_a_frame_with_columns_set_takes_rows_as_it_did() -> None:
    source = frame()
    source["z"] = source.x
    seen = results(source, source, ROWS[["y", "x"]])
    assert_frame_equal(seen[0], ROWS.assign(z=ROWS.x))
    with pytest.raises(ColumnsError, match="'z' is not among them"):
        source.emit(ROWS.assign(z=1))


def test_a_column_may_be_replaced() -> None:
    source = frame()
    source["x"] = source.x + 100
    assert_frame_equal(results(source, source, ROWS)[0], ROWS.assign(x=ROWS.x + 100))


def test_a_frame_is_made_of_series() -> None:
    source = frame()
    made = DataFrame({"a": source.x, "b": source.y + 1, "c": "text"})
    assert list(made.columns) == ["a", "b", "c"]
    expected = pd.DataFrame({"a": ROWS.x, "b": ROWS.y + 1, "c": "text"})
    assert_frame_equal(results(made, source, ROWS)[0], expected)
    with pytest.raises(TypeError, match=r"DataFrame: columns must include a streaming.*\[\[1\]\]"):
        DataFrame({"a": [1]})


# --- what comes in ----------------------------------------------------------------------------


def test_columns_in_another_order_are_put_right() -> None:
    source: Stream[Any] = Stream()
    seen = results(DataFrame(source, ROWS), source, ROWS[["y", "x"]])
    assert_frame_equal(seen[0], ROWS)


BAD: list[tuple[Any, type[Exception], str]] = [
    (ROWS[["x"]], ColumnsError, r"columns must be \['x', 'y'\], got \['x'\]: 'y' is missing"),
    (ROWS.assign(z=1), ColumnsError, "'z' is not among them"),
    (pd.concat([ROWS, ROWS.x], axis=1), ColumnsError, "'x' comes more than once"),
    (pd.DataFrame(), ColumnsError, r"got \[\]: 'x', 'y' is missing"),
    (ROWS.x, TypeError, "element must be of type DataFrame, as the example is, got Series"),
    (3, TypeError, "element must be of type DataFrame, as the example is, got int"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
@pytest.mark.parametrize("way", ["frame", "stream", "derived"])
def test_a_bad_element_is_refused_and_the_stream_lives_on(
    bad: Any, error: type[Exception], message: str, way: str
) -> None:
    source: Stream[Any] = Stream()
    sdf: Any = DataFrame(source, ROWS)
    seen = results(sdf.x + sdf.y, source)
    into = {"frame": sdf, "stream": source, "derived": sdf[["x", "y"]]}[way]
    with pytest.raises(error, match=f"DataFrame: .*{message}"):
        into.emit(bad)
    with pytest.raises(error, match=message):
        sdf.verify(bad)
    source.emit(ROWS)
    assert_series_equal(seen[0], ROWS.x + ROWS.y)


def test_a_missing_column_is_an_index_error_and_a_value_error() -> None:
    with pytest.raises(IndexError):
        frame().emit(ROWS[["x"]])
    with pytest.raises(ValueError, match="columns must be"):
        frame().emit(ROWS[["x"]])


def test_names_of_columns_are_the_same_whatever_their_dtype() -> None:
    source = frame()
    rows = ROWS.set_axis(pd.Index(["x", "y"], dtype=object), axis=1)
    assert len(results(source.x, source, rows, rows[["y", "x"]])) == 2


def test_columns_of_two_levels() -> None:
    rows = ROWS.set_axis(pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]), axis=1)
    source = frame(rows)
    made = source.a
    assert type(made) is DataFrame
    assert_frame_equal(
        results(made.x + made.y, source, rows[[("a", "y"), ("a", "x")]])[0].to_frame(),
        (ROWS.x + ROWS.y).to_frame(),
    )


def test_columns_that_repeat_are_all_right_in_their_order() -> None:
    rows = pd.concat([ROWS, ROWS.x], axis=1)
    assert_frame_equal(results(sdf := frame(rows), sdf, rows)[0], rows)
    with pytest.raises(ColumnsError):
        sdf.emit(rows.iloc[:, [0, 2, 1]])


def test_rows_put_into_a_derived_frame_are_put_right() -> None:
    derived = frame()[["x", "y"]]
    assert_frame_equal(results(derived, derived, ROWS[["y", "x"]])[0], ROWS)


def test_series_and_indexes_are_verified() -> None:
    series = Series(example=ROWS.x)
    assert_series_equal(results(series + 1, series, ROWS.x)[0], ROWS.x + 1)
    with pytest.raises(TypeError, match="Series: element must be of type Series"):
        series.emit(ROWS)
    index = Index(example=pd.Index([1]))
    assert_index_equal(results(index, index, pd.RangeIndex(3))[0], pd.RangeIndex(3))
    with pytest.raises(TypeError, match="Index: element must be an index, got Series"):
        index.emit(ROWS.x)


@pytest.mark.parametrize(
    ("cls", "bad", "rule"),
    [
        (DataFrame, ROWS.x, "a data frame"),
        (DataFrame, 3, "a data frame"),
        (Series, ROWS, "a series"),
        (Index, ROWS.x, "an index"),
        (DataFrames, ROWS.x, "a data frame"),
        (Seriess, ROWS, "a series"),
    ],
)
def test_an_example_of_the_wrong_kind_is_refused(cls: Any, bad: Any, rule: str) -> None:
    with pytest.raises(TypeError, match=f"{cls.__name__}: example must be {rule}, got"):
        cls(example=bad)


def test_a_subclass_may_verify_what_is_emitted() -> None:
    class Positive(DataFrame):
        def verify(self, x: Any) -> None:
            super().verify(x)
            if (x.x <= 0).any():
                raise ValueError("x must be > 0")

    source = Positive(example=ROWS)
    assert type(source + 1) is DataFrame
    with pytest.raises(ValueError, match="x must be > 0"):
        source.emit(-ROWS)


async def test_emit_can_be_awaited_in_a_loop() -> None:
    source = frame(stream=Stream(asynchronous=True))
    seen = results(source.x + source.y, source)
    await source.emit(ROWS)
    assert_series_equal(seen[0], ROWS.x + ROWS.y)


def test_what_a_branch_fails_on_puts_no_other_row_in_its_place() -> None:
    rows = pd.DataFrame({"t": ["1", "a", "3"], "n": [10, 20, 30]})
    source = frame(rows)
    seen = results(source.t.astype(int) + source.n, source)
    failed = 0
    for i in range(3):
        try:
            source.emit(rows.iloc[i : i + 1])
        except ValueError:
            failed += 1
    assert ([int(part.iloc[0]) for part in seen], failed) == ([11, 33], 1)


# --- no example -------------------------------------------------------------------------------


def test_the_first_element_is_the_example_if_none_is_given() -> None:
    source: Stream[Any] = Stream()
    sdf: Any = DataFrame(source)
    made = [
        sdf.x + sdf["y"], sdf[sdf.x > 1], sdf[["x"]], sdf.assign(z=sdf.x).z,
        sdf.set_index("x").index,
        sdf.x.to_frame(), sdf.reset_index(), sdf.x.round(), DataFrame({"a": sdf.x}), -sdf, sdf + 1,
    ]  # fmt: skip
    assert [type(one) for one in made] == [
        Series, DataFrame, DataFrame, Series, Index,
        DataFrame, DataFrame, Series, DataFrame, DataFrame, DataFrame,
    ]  # fmt: skip
    seen = [results(one, source) for one in made]
    source.emit(ROWS)
    assert_series_equal(seen[0][0], ROWS.x + ROWS.y)
    assert_frame_equal(seen[1][0], ROWS[ROWS.x > 1])
    assert_index_equal(seen[4][0], ROWS.set_index("x").index)
    assert list(sdf.columns) == ["x", "y"]
    assert list(made[1].columns) == ["x", "y"]
    with pytest.raises(ColumnsError):
        source.emit(ROWS[["x"]])


def test_columns_may_be_set_before_the_first_element() -> None:
    sdf: Any = DataFrame()
    sdf["z"] = sdf.x * 2
    seen = results(sdf.z, sdf, ROWS)
    assert_series_equal(seen[0], (ROWS.x * 2).rename("z"))
    assert list(sdf.columns) == ["x", "y", "z"]


def test_without_an_example_the_kind_is_verified_all_the_same() -> None:
    for sdf, kind in ((DataFrame(), "a data frame"), (Series(), "a series")):
        with pytest.raises(TypeError, match=f"element must be {kind}, got int"):
            sdf.emit(3)


def test_what_needs_an_example_says_so() -> None:
    sdf: Any = DataFrame()
    for collection, name in ((sdf, "columns"), (sdf, "dtypes"), (sdf.x, "dtype"), (sdf.x, "str")):
        with pytest.raises(ValueError, match="example must be given for that, or wait"):
            getattr(collection, name)
    assert "assign" in dir(sdf)


def test_series_and_indexes_infer_their_examples_too() -> None:
    series, index = Series(), Index()
    seen = results(series * 2, series, ROWS.x), results(index, index, ROWS.index)
    assert (series.name, series.dtype, index.dtype) == ("x", ROWS.x.dtype, ROWS.index.dtype)
    assert_series_equal(seen[0][0], ROWS.x * 2)
    assert_index_equal(seen[1][0], ROWS.index)


def test_a_frame_without_columns_defines_no_schema() -> None:
    sdf: Any = DataFrame()
    seen = results(sdf, sdf, pd.DataFrame(), ROWS)
    assert (len(seen), list(sdf.columns)) == (2, ["x", "y"])


def test_an_example_may_be_made_by_a_function() -> None:
    assert list(DataFrame(example=lambda: ROWS).columns) == ["x", "y"]


# --- accessors --------------------------------------------------------------------------------


ACCESSED: dict[str, tuple[pd.Series, Model]] = {
    "a method": (TEXT, lambda s: s.str.upper()),
    "a method with arguments": (TEXT, lambda s: s.str.replace("A", "B", regex=False)),
    "a method that gives a frame": (TEXT, lambda s: s.str.extract("(.)(.)")),
    "an item": (TEXT, lambda s: s.str[0]),
    "an attribute": (DAYS, lambda s: s.dt.year),
    "an attribute in arithmetic": (DAYS, lambda s: s.dt.year + s.dt.month),
    "categories": (TEXT.astype("category"), lambda s: s.cat.codes),
}


@pytest.mark.parametrize("what", ACCESSED)
def test_accessors_act_on_every_part(what: str) -> None:
    values, model = ACCESSED[what]
    source = Series(example=values.iloc[:0])
    expected = model(values)
    made = model(source)
    assert type(made) is (DataFrame if isinstance(expected, pd.DataFrame) else Series)
    same(results(made, source, values)[0], expected)


def test_an_accessor_that_does_not_fit_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"\.str accessor"):
        Series(example=ROWS.x).str
    with pytest.raises(AttributeError, match="nope"):
        Series(example=TEXT).str.nope
    assert "upper" in dir(Series(example=TEXT).str)


def test_a_column_of_a_frame_has_accessors() -> None:
    source = frame(TEXT.to_frame())
    seen = results(source.t.str.len(), source, TEXT.to_frame())
    assert_series_equal(seen[0], TEXT.str.len())


# --- frames that update -----------------------------------------------------------------------


def test_updating_frames_are_taken_each_by_itself() -> None:
    source = DataFrames(example=ROWS)
    seen = {
        how: results(getattr(source, how)(), source)
        for how in ("sum", "count", "mean", "var", "std", "min", "max")
    }
    tails, sizes = results(source.tail(1), source), results(source.size, source)
    large = results(source.nlargest(1, "x"), source)
    source.emit(ROWS)
    for how, (result,) in seen.items():
        assert_series_equal(result, getattr(ROWS, how)())
    assert_frame_equal(tails[0], ROWS.tail(1))
    assert_frame_equal(large[0], ROWS.nlargest(1, "x"))
    assert sizes == [6]


def test_what_updates_stays_updating() -> None:
    source = DataFrames(example=ROWS)
    made = [source.x, source + 1, source[["x"]], source.x.to_frame(), source.std(ddof=0)]
    assert [type(one) for one in made] == [Seriess, DataFrames, DataFrames, DataFrames, Seriess]
    assert all(isinstance(one, Frames) for one in made)
    assert type(source.index) is not DataFrames


# --- plots, pictures, doors -------------------------------------------------------------------


def test_what_is_done_to_parts_can_be_pickled() -> None:
    source = frame()
    for made in (
        source.x, source.astype(float), source.assign(z=source.x, w=1), source.query("x > 1"),
        source.set_index(source.x), source.index, source.map(_squared), source + 1,
        Series(example=TEXT).str.upper(), source.size,
    ):  # fmt: skip
        node = made.stream
        func = pickle.loads(pickle.dumps(node.func))
        assert callable(func)
    assert callable(pickle.loads(pickle.dumps(source.stream.func)))


def test_to_import_rapidz_is_not_to_import_pandas() -> None:
    program = (
        "import sys, rapidz, rapidz.dataframe, rapidz.collection, rapidz.batch\n"
        "import rapidz.dataframe.register\n"
        "print({'pandas', 'numpy'} & set(sys.modules))\n"
        "print(rapidz.dataframe.DataFrame.__name__, 'Random' in dir(rapidz.dataframe))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
    )
    assert (done.stdout, done.stderr) == ("set()\nDataFrame True\n", "")


def test_streams_have_methods_for_frames_and_batches() -> None:
    importlib.import_module("rapidz.dataframe.register")
    source: Any = Stream()
    assert type(source.to_dataframe(example=ROWS)) is DataFrame
    assert type(source.to_dataframe()) is DataFrame
    assert type(source.to_batch(example=[1])).__name__ == "Batch"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    module: Any = importlib.import_module("rapidz.dataframe")
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        module.nope


@pytest.mark.parametrize("op", [operator.lshift, operator.matmul])
def test_what_pandas_cannot_do_is_refused_at_once(op: Any) -> None:
    with pytest.raises(TypeError):
        op(frame().x, 1)
