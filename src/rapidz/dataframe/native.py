"""Frames of other kinds than pandas: into pandas, where the work is done, and back.

What a kind is comes from narwhals, so that polars, pyarrow and cudf come in by one door; the
values travel as Arrow tables, as `to_pandas` of these libraries sends them too.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Collection, Iterator
from typing import Any

import pandas as pd

__all__ = ["has_index", "kind_of", "like", "refuse", "to_pandas"]

#: Dtypes, as narwhals names them, that have one of pandas to go to and to come back from.
_HELD = (
    *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
    *("Float32", "Float64", "Boolean", "String", "Categorical", "Enum"),
    *("Date", "Datetime", "Duration"),
)

#: Of what Arrow calls these, pandas gets the dtype that holds missing values beside them.
_NULLABLE = {
    **{name.lower(): name for name in _HELD[:8]},
    "bool_": "boolean",
    "string": "string",
    "large_string": "string",
    "string_view": "string",
}

_LIBRARIES = ("polars", "pyarrow", "cudf", "modin")

_known: dict[type, str] = {}
"""The kinds of the classes seen so far."""

_VALUE = "value"
"""The name of a column that had none, beside columns that were an index."""


def kind_of(x: Any) -> str | None:
    """The library that a frame or a series is of; None if *x* is neither.

    >>> import polars
    >>> kind_of(pd.Series([1])), kind_of(polars.DataFrame({"x": [1]})), kind_of([1])
    ('pandas', 'polars', None)
    """
    if isinstance(x, (pd.DataFrame, pd.Series, pd.Index)):
        return "pandas"
    if (known := _known.get(type(x))) is not None:
        return known
    libraries = {base.__module__.partition(".")[0] for base in type(x).__mro__}
    if libraries.isdisjoint(_LIBRARIES):
        return None
    made = _narwhals().from_native(x, eager_only=True, allow_series=True, pass_through=True)
    if made is x:
        return None
    return _known.setdefault(type(x), str(made.implementation))


def has_index(kind: str | None) -> bool:
    """Whether the rows of frames of this kind have labels.

    >>> has_index("pandas"), has_index("polars")
    (True, False)
    """
    return kind not in ("polars", "pyarrow")


def refuse(kind: str | None, operation: str, instead: str = "") -> None:
    """Raise TypeError if *operation* needs an index, and frames of this kind have none.

    >>> refuse("pandas", "set_index")
    >>> refuse("polars", "set_index")
    Traceback (most recent call last):
    ...
    TypeError: set_index needs an index, and frames of polars have none
    """
    if not has_index(kind):
        hint = f": {instead}" if instead else ""
        raise TypeError(f"{operation} needs an index, and frames of {kind} have none{hint}")


def to_pandas(x: Any) -> Any:
    """The frame or series *x* as one of pandas; itself if it is.

    Whole numbers, truth values and text get the nullable dtypes of pandas, missing values or not,
    so that all frames of a stream have the same; floats have NaN for what is missing.  Dates
    become instants.  Rows are numbered from 0, unless the kind has an index of its own.

    >>> import polars
    >>> to_pandas(polars.DataFrame({"x": [1, None]}))
          x
    0     1
    1  <NA>
    >>> to_pandas(polars.DataFrame({"x": [[1, 2], [3]]}))
    Traceback (most recent call last):
    ...
    TypeError: column 'x' must be of a dtype that pandas has too, got List(Int64)
    """
    kind = kind_of(x)
    if kind == "pandas":
        return x
    if kind is None:
        raise TypeError(f"frame must be of pandas, polars, pyarrow or cudf, got {type(x).__name__}")
    wrapped = _narwhals().from_native(x, eager_only=True, allow_series=True)
    if has_index(kind):
        return wrapped.to_pandas()
    if isinstance(wrapped, _narwhals().Series):
        column = _frame_of(wrapped.alias(_VALUE).to_frame())[_VALUE]
        return column.rename(wrapped.name or None)
    return _frame_of(wrapped)


def like(kind: str | None, x: Any) -> Any:
    """What pandas made, as a frame, a series or a value of another kind.

    An index that has a name, such as that of groups, becomes the first columns, with ``_key`` to
    its name if a column has that too, and so do labels that are no whole numbers; row numbers are
    left out.  A series with such an index is a frame then; one by column, such as the sum of a
    frame, is a frame of one row.  What is missing is null, and None by itself.

    >>> table = pd.DataFrame({"name": ["a", "b", "a"], "x": [1, 2, 3]})
    >>> like("polars", table.groupby("name").x.sum()).rows()
    [('a', 4), ('b', 2)]
    >>> like("polars", table[table.x > 1].x).to_list()
    [2, 3]
    >>> like("polars", table[["x"]].sum()).rows(named=True)
    [{'x': 6}]
    >>> like("polars", table.x.sum()), like("polars", table.x[:0].mean())
    (6, None)
    """
    if kind is None or kind == "pandas":
        return x
    if isinstance(x, pd.Index):
        x = x.to_series(index=pd.RangeIndex(len(x)))
    if not isinstance(x, (pd.DataFrame, pd.Series)):
        return _plain(x)
    if has_index(kind):
        home: Any = _namespace(kind)
        return getattr(home, type(x).__name__)(x)
    if isinstance(x, pd.DataFrame):
        return _frame_like(kind, x.index, dict(zip(_names(x.columns), _columns(x), strict=True)))
    if _is_by_column(x):
        return like(kind, x.to_frame().T.infer_objects().reset_index(drop=True))
    if _are_row_numbers(x.index):
        frame = _narwhals().from_native(_frame_like(kind, x.index, {_VALUE: x}), eager_only=True)
        return frame[_VALUE].alias("" if x.name is None else str(x.name)).to_native()
    return _frame_like(kind, x.index, {_VALUE if x.name is None else str(x.name): x})


# --- to pandas --------------------------------------------------------------------------------


def _frame_of(wrapped: Any) -> Any:
    """The frame in pandas, by way of Arrow."""
    for name, dtype in wrapped.schema.items():
        if dtype.__class__.__name__ not in _HELD and not _is_null(wrapped, name, dtype):
            raise TypeError(f"column {name!r} must be of a dtype that pandas has too, got {dtype}")
    _arrow()  # says so if it is not installed
    return wrapped.to_arrow().to_pandas(
        types_mapper=_nullable().get, date_as_object=False, use_threads=False, ignore_metadata=True
    )


def _is_null(wrapped: Any, name: str, dtype: Any) -> bool:
    """Whether a column has no values, and so no dtype either."""
    if dtype.__class__.__name__ != "Unknown":
        return False
    return bool(_arrow().types.is_null(wrapped.select(name).to_arrow().schema.field(0).type))


@functools.cache
def _nullable() -> dict[Any, Any]:
    arrow = _arrow()
    known = {ours: its for ours, its in _NULLABLE.items() if hasattr(arrow, ours)}
    return {getattr(arrow, ours)(): pd.api.types.pandas_dtype(its) for ours, its in known.items()}


# --- and back ---------------------------------------------------------------------------------


def _frame_like(kind: str, index: pd.Index[Any], columns: dict[str, Any]) -> Any:
    """A frame of *kind*: columns, after those that an index makes which says something."""
    if not _are_row_numbers(index):
        columns = {**_labels(index, columns), **columns}
    table = _arrow().table({name: _array(kind, name, one) for name, one in columns.items()})
    if kind == "pyarrow":
        return table
    made = _narwhals().DataFrame.from_arrow(table, backend=kind)
    enums = {
        name: _narwhals().Enum(list(one.dtype.categories))
        for name, one in columns.items()
        if isinstance(one.dtype, pd.CategoricalDtype) and one.dtype.ordered
    }
    casts = [_narwhals().col(name).cast(dtype) for name, dtype in enums.items()]
    return (made.with_columns(*casts) if casts else made).to_native()


def _columns(frame: pd.DataFrame) -> Iterator[Any]:
    return (column for _, column in frame.items())


def _labels(index: pd.Index[Any], columns: Collection[str]) -> dict[str, Any]:
    """What an index says, level by level; named apart from the columns."""
    several = index.nlevels > 1
    named = {}
    for i, given in enumerate(index.names):
        name = str(given) if given is not None else f"level_{i}" if several else "index"
        named[f"{name}_key" if name in columns else name] = index.get_level_values(i)
    return named


def _array(kind: str, name: Any, column: Any) -> Any:
    """The values of a column in Arrow; missing ones are null."""
    arrow = _arrow()
    if pd.api.types.is_float_dtype(column.dtype):  # a nullable one may hold NaN and missing values
        bits = "float32" if str(column.dtype).lower() == "float32" else "float64"
        return arrow.array(column.to_numpy(bits, na_value=float("nan")), from_pandas=True)
    try:
        made = arrow.Array.from_pandas(column)
    except (arrow.ArrowException, TypeError) as error:
        raise _not_held(kind, name, column) from error
    if isinstance(made, arrow.ChunkedArray):
        made = made.combine_chunks()
    if isinstance(made, arrow.ExtensionArray):
        raise _not_held(kind, name, column)
    return _with_plain_text(arrow, made)


def _with_plain_text(arrow: Any, made: Any) -> Any:
    """Text as tables of pyarrow have it unless told otherwise."""
    types, text = arrow.types, arrow.string()
    if types.is_large_string(made.type):
        return made.cast(text)
    if not types.is_dictionary(made.type):
        return made
    of = made.type.value_type
    if not (types.is_large_string(of) or types.is_null(of)):  # null: there is no category yet
        return made
    codes, values = made.indices.cast(arrow.int32()), made.dictionary.cast(text)
    return arrow.DictionaryArray.from_arrays(codes, values, ordered=made.type.ordered)


def _not_held(kind: str, name: Any, column: Any) -> TypeError:
    return TypeError(
        f"column {name!r} must be of a dtype that {kind} has too, got {column.dtype} in pandas"
    )


def _names(labels: pd.Index[Any]) -> list[str]:
    """Labels as text; those of several levels are put together."""
    several = isinstance(labels, pd.MultiIndex)
    names = ["_".join(map(str, label)) if several else str(label) for label in labels]
    if len(set(names)) < len(names):
        raise ValueError(f"columns must have names of their own as text, got {list(labels)!r}")
    return names


def _are_row_numbers(index: pd.Index[Any]) -> bool:
    if index.nlevels > 1 or index.name is not None:
        return False
    return pd.api.types.is_integer_dtype(index.dtype) or not len(index)


def _is_by_column(series: pd.Series[Any]) -> bool:
    """Whether the labels are those of columns: what an aggregate of a frame gives."""
    index = series.index
    if index.nlevels > 1 or index.name is not None or isinstance(series.name, str):
        return False
    return not _are_row_numbers(index)


def _plain(x: Any) -> Any:
    """A single value as Python has it."""
    if pd.api.types.is_scalar(x) and pd.isna(x):
        return None
    if type(x).__module__ != "numpy" or not pd.api.types.is_scalar(x):
        return x
    return pd.Series([x]).iloc[0] if x.dtype.kind in "mM" else x.item()


# --- libraries that need not be there ----------------------------------------------------------


def _namespace(kind: str) -> Any:
    return _narwhals().Implementation.from_string(kind).to_native_namespace()


def _narwhals() -> Any:
    return _imported("narwhals.stable.v2", "pip install 'rapidz[frames]'")


def _arrow() -> Any:
    return _imported("pyarrow", "pip install pyarrow")


@functools.cache
def _imported(name: str, remedy: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        raise ImportError(
            f"frames of other kinds than pandas need {library}, which is not installed: {remedy}"
        ) from error
