"""Frames of polars and pyarrow: into pandas and back, and pipelines that give the same as there."""

from __future__ import annotations

import datetime
import decimal
import math
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidz.dataframe.interop import from_pandas, libraries, native

SECOND, THIRD = datetime.datetime(1990, 1, 1), datetime.datetime(2040, 1, 1)
INSTANTS = st.datetimes(SECOND, THIRD)
SPANS = st.timedeltas(datetime.timedelta(-1000), datetime.timedelta(1000))
FLOATS = st.floats(width=32)
LETTERS = st.sampled_from("abcde")

#: By dtype of polars: its values, without nulls.
POLARS: dict[Any, st.SearchStrategy[Any]] = {
    pl.Int8: st.integers(-(2**7), 2**7 - 1),
    pl.Int16: st.integers(-(2**15), 2**15 - 1),
    pl.Int32: st.integers(-(2**31), 2**31 - 1),
    pl.Int64: st.integers(-(2**63), 2**63 - 1),
    pl.UInt8: st.integers(0, 2**8 - 1),
    pl.UInt64: st.integers(0, 2**64 - 1),
    pl.Float32: FLOATS,
    pl.Float64: FLOATS,
    pl.Boolean: st.booleans(),
    pl.String: st.text(max_size=4),
    pl.Categorical: LETTERS,
    pl.Enum(list("edcba")): LETTERS,
    pl.Datetime("us"): INSTANTS,
    pl.Datetime("ns"): INSTANTS,
    pl.Datetime("ms"): INSTANTS.map(lambda when: when.replace(microsecond=0)),
    pl.Datetime("us", "UTC"): st.datetimes(SECOND, THIRD, timezones=st.just(datetime.UTC)),
    pl.Duration("us"): SPANS,
}

#: The same by type of pyarrow.
ARROW: dict[Any, st.SearchStrategy[Any]] = {
    pa.int8(): POLARS[pl.Int8],
    pa.int64(): POLARS[pl.Int64],
    pa.uint64(): POLARS[pl.UInt64],
    pa.float32(): FLOATS,
    pa.float64(): FLOATS,
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=4),
    pa.timestamp("s"): INSTANTS.map(lambda when: when.replace(microsecond=0)),
    pa.timestamp("us"): INSTANTS,
    pa.timestamp("ns", "Europe/Berlin"): POLARS[pl.Datetime("us", "UTC")],
    pa.duration("ms"): st.integers(-1000, 1000).map(lambda days: datetime.timedelta(days)),
    pa.dictionary(pa.int32(), pa.string()): LETTERS,
}


@st.composite
def columns(draw: st.DrawFn, dtypes: dict[Any, Any]) -> dict[str, tuple[Any, list[Any]]]:
    """Dtypes and values by name: up to four columns, up to five rows, some of them missing."""
    n = draw(st.integers(0, 5))
    chosen = draw(st.lists(st.sampled_from(list(dtypes)), min_size=1, max_size=4))
    return {
        f"c{i}": (dtype, draw(st.lists(st.none() | dtypes[dtype], min_size=n, max_size=n)))
        for i, dtype in enumerate(chosen)
    }


def missing_is_null(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


@given(columns(POLARS))
def test_a_frame_of_polars_comes_back_as_it_was(drawn: dict[str, tuple[Any, list[Any]]]) -> None:
    frame = pl.DataFrame(
        {name: pl.Series(values, dtype=of) for name, (of, values) in drawn.items()}
    )

    back = from_pandas.like("polars", native.to_pandas(frame))

    assert back.schema == frame.schema
    assert back.equals(frame.fill_nan(None))


@given(columns(ARROW))
def test_a_table_of_pyarrow_comes_back_as_it_was(drawn: dict[str, tuple[Any, list[Any]]]) -> None:
    arrays = {name: pa.array(values, of) for name, (of, values) in drawn.items()}
    table = pa.table(arrays)

    back = from_pandas.like("pyarrow", native.to_pandas(table))

    assert back.schema == table.schema
    rows = [{k: missing_is_null(v) for k, v in row.items()} for row in table.to_pylist()]
    assert back.to_pylist() == rows


@given(st.sampled_from(list(POLARS)).flatmap(lambda of: st.tuples(st.just(of), column_of(of))))
def test_a_series_comes_back_with_its_name(drawn: tuple[Any, list[Any]]) -> None:
    dtype, values = drawn
    series = pl.Series("x", values, dtype=dtype)

    back = from_pandas.like("polars", native.to_pandas(series))

    assert back.name == "x"
    assert back.dtype == series.dtype
    assert back.to_list() == [missing_is_null(value) for value in series.to_list()]


def column_of(dtype: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | POLARS[dtype], max_size=5)


@given(columns(POLARS))
def test_the_dtypes_in_pandas_do_not_depend_on_the_rows(drawn: dict[str, Any]) -> None:
    schema = {name: of for name, (of, _) in drawn.items() if of is not pl.Categorical}
    frame = pl.DataFrame({name: drawn[name][1] for name in schema}, schema=schema)

    some, none = native.to_pandas(frame), native.to_pandas(frame.clear())

    assert some.dtypes.equals(none.dtypes)


def test_a_chunked_array_is_a_series_without_a_name() -> None:
    series = native.to_pandas(pa.chunked_array([[1], [None, 3]]))

    pd.testing.assert_series_equal(series, pd.Series([1, None, 3], dtype="Int64"))
    assert from_pandas.like("pyarrow", series).equals(pa.chunked_array([[1, None, 3]]))


def test_dates_become_instants() -> None:
    frame = pl.DataFrame({"day": [datetime.date(2030, 1, 2), None]})

    back = from_pandas.like("polars", native.to_pandas(frame))

    assert back.rows() == [(datetime.datetime(2030, 1, 2),), (None,)]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([[1], None, [2, 3]]),
        pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)),
        pl.Series([{"a": 1}, None]),
        pl.Series([datetime.time(1), None]),
        pl.Series([b"1", None]),
        pl.Series([decimal.Decimal("1.50"), None]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_what_pandas_has_no_dtype_for_passes_through(column: pl.Series) -> None:
    frame = pl.DataFrame({"x": column, "n": range(len(column))})
    for kind, one in (("polars", frame), ("pyarrow", frame.to_arrow())):
        back = from_pandas.like(kind, native.to_pandas(one))
        assert back.equals(one)


def test_what_pandas_cannot_represent_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"^column 'x' must be of a dtype .* got Object.*leave it"):
        native.to_pandas(pl.DataFrame({"x": pl.Series([object()], dtype=pl.Object)}))


@pytest.mark.parametrize(
    "values",
    [pd.period_range("2020", periods=2, freq="M"), pd.interval_range(0, 2), [1, "a"], [1j, 2]],
    ids=["period", "interval", "mixed", "complex"],
)
@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_what_the_library_cannot_represent_is_refused_by_name(kind: str, values: Any) -> None:
    with pytest.raises(TypeError, match=f"^column 'x' must be of a dtype that {kind} has too"):
        from_pandas.like(kind, pd.DataFrame({"x": values}))


def test_a_column_of_nothing_stays_one() -> None:
    frame = pl.DataFrame({"x": [None, None]})

    assert from_pandas.like("polars", native.to_pandas(frame)).equals(frame)


def test_the_object_determines_its_library() -> None:
    kinds = [
        native.kind_of(x)
        for x in (
            pd.DataFrame(),
            pd.Index([1]),
            pl.DataFrame(),
            pl.Series([1]),
            pa.table({}),
            pa.chunked_array([[1]]),
        )
    ]

    assert kinds == ["pandas", "pandas", "polars", "polars", "pyarrow", "pyarrow"]


@pytest.mark.parametrize("x", [None, 1, "a", [1], np.array([1]), pl.LazyFrame(), pl.DataFrame])
def test_other_objects_are_of_no_kind(x: object) -> None:
    assert native.kind_of(x) is None
    with pytest.raises(TypeError, match="frame must be of pandas, polars, pyarrow or cudf, got "):
        native.to_pandas(x)


# --- what an index becomes --------------------------------------------------------------------

TABLE = pd.DataFrame({"k": ["a", "b", "a"], "m": [1, 1, 2], "x": [1, 2, 3]})


def test_frames_of_pandas_stay_themselves() -> None:
    assert native.to_pandas(TABLE) is TABLE
    assert from_pandas.like("pandas", TABLE) is TABLE
    assert from_pandas.like(None, TABLE) is TABLE


def test_row_numbers_are_left_out() -> None:
    assert from_pandas.like("polars", TABLE[TABLE.x > 1]).rows() == [("b", 1, 2), ("a", 2, 3)]


def test_a_filtered_series_stays_a_series() -> None:
    made = from_pandas.like("polars", TABLE.x[TABLE.x > 1])

    assert isinstance(made, pl.Series)
    assert (made.name, made.to_list()) == ("x", [2, 3])


def test_group_keys_become_the_first_columns() -> None:
    made = from_pandas.like("polars", TABLE.groupby(["k", "m"]).x.sum())

    assert made.columns == ["k", "m", "x"]
    assert made.rows() == [("a", 1, 1), ("a", 2, 3), ("b", 1, 2)]


def test_a_key_that_is_named_as_a_value_is_distinct() -> None:
    made = from_pandas.like("polars", TABLE.groupby(TABLE.x % 2).x.sum())

    assert made.to_dict(as_series=False) == {"x_key": [0, 1], "x": [2, 4]}


def test_the_sizes_of_groups_get_a_name() -> None:
    made = from_pandas.like("polars", TABLE.groupby("k").size())

    assert made.to_dict(as_series=False) == {"k": ["a", "b"], "value": [2, 1]}


def test_columns_of_two_levels_are_named_by_both() -> None:
    made = from_pandas.like("pyarrow", TABLE.groupby("k").agg({"x": ["sum", "max"]}))

    assert made.to_pydict() == {"k": ["a", "b"], "x_sum": [4, 2], "x_max": [3, 2]}


def test_aggregates_of_a_frame_by_column_are_one_row() -> None:
    made = from_pandas.like("polars", TABLE[["m", "x"]].sum())

    assert made.rows(named=True) == [{"m": 4, "x": 6}]


def test_first_values_of_several_dtypes_keep_them() -> None:
    first = pd.Series(["a", 1], index=["k", "m"], dtype=object)

    assert from_pandas.like("polars", first).schema == {"k": pl.String, "m": pl.Int64}


def test_labels_of_several_aggregates_are_a_column() -> None:
    made = from_pandas.like("polars", TABLE[["x"]].agg(["sum", "max"]))

    assert made.rows(named=True) == [{"index": "sum", "x": 6}, {"index": "max", "x": 3}]


def test_counts_of_values_come_with_the_values() -> None:
    assert from_pandas.like("polars", TABLE.k.value_counts()).rows() == [("a", 2), ("b", 1)]
    unnamed = TABLE.k.rename(None).value_counts()
    assert from_pandas.like("polars", unnamed).columns == ["index", "count"]


def test_labels_that_are_no_text_become_text() -> None:
    assert from_pandas.like("polars", pd.DataFrame({0: [1]})).columns == ["0"]


def test_labels_that_are_the_same_as_text_are_refused() -> None:
    with pytest.raises(ValueError, match="columns must have names of their own as text"):
        from_pandas.like("polars", pd.DataFrame([[1, 2]], columns=[0, "0"]))


def test_keys_of_two_levels_without_names_are_numbered() -> None:
    frame = pd.DataFrame({"x": [1]}, index=pd.MultiIndex.from_tuples([("a", 1)]))

    assert from_pandas.like("polars", frame).rows(named=True) == [
        {"level_0": "a", "level_1": 1, "x": 1}
    ]


def test_an_index_is_a_series() -> None:
    assert from_pandas.like("polars", pd.Index([2, 3], name="x")).to_list() == [2, 3]


@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (np.bool_(True), True),
        (float("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (np.datetime64("2030-01-01"), datetime.datetime(2030, 1, 1)),
        (np.timedelta64(60, "s"), datetime.timedelta(minutes=1)),
        ("a", "a"),
    ],
)
def test_single_values_are_those_of_python(kind: str, value: object, plain: object) -> None:
    made = from_pandas.like(kind, value)

    assert made == plain
    assert type(made).__module__ != "numpy"


def test_what_is_no_value_is_left_alone() -> None:
    state = [1, 2]

    assert from_pandas.like("polars", state) is state


# --- what is not there --------------------------------------------------------------------------


def test_operations_that_need_an_index_are_refused() -> None:
    native.refuse("pandas", "set_index")
    native.refuse("cudf", "set_index")
    with pytest.raises(TypeError, match=r"^index needs an index, and frames of pyarrow have none$"):
        native.refuse("pyarrow", "index")
    with pytest.raises(TypeError, match="have none: use window"):
        native.refuse("polars", "window by value", "use window(n=...)")


@pytest.mark.parametrize(("library", "named"), [("narwhals", "rapidz"), ("pyarrow", "pyarrow")])
def test_a_library_that_is_not_installed_is_named(
    library: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pl.DataFrame({"x": [1]})
    libraries.import_optional.cache_clear()
    for module in {library, *(name for name in sys.modules if name.split(".")[0] == library)}:
        monkeypatch.setitem(sys.modules, module, None)
    try:
        with pytest.raises(ImportError, match=f"need {library}, .* pip install '?{named}"):
            native.to_pandas(frame)
        assert native.to_pandas(TABLE) is TABLE
    finally:
        libraries.import_optional.cache_clear()


class Cudf:
    """Stands in for a library whose frames are like those of pandas."""

    __version__ = "25.12"
    DataFrame = staticmethod(lambda frame: ("frame", frame))
    Series = staticmethod(lambda series: ("series", series))


def test_a_kind_that_is_like_pandas_keeps_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cudf", Cudf)

    name, made = from_pandas.like("cudf", TABLE.groupby("k").x.sum())

    assert name == "series"
    assert made.index.to_list() == ["a", "b"]
