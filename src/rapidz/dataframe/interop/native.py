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

from rapidz.dataframe.incremental.columns.dtypes import is_object
from rapidz.dataframe.incremental.mixed_row import MixedRow
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["Outputs", "has_index", "is_nested", "kind_of", "like", "refuse", "to_pandas"]

#: Dtypes, as narwhals names them, that have one of pandas to go to and to come back from.
_HELD = (
    *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
    *("Float32", "Float64", "Boolean", "String", "Categorical", "Enum"),
    *("Date", "Datetime", "Duration"),
)
#: Those of which pandas holds the Arrow values as they are: they pass through.
_PASSED = ("List", "Array", "Struct", "Time", "Decimal", "Binary")

#: Categories of polars and pyarrow, of which each frame may bring others: text, told apart by
#: where it is kept.
_CATEGORIES = pd.StringDtype("python", na_value=pd.NA)

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
    become instants, categories text; lists, structs, decimals, times of day and binary values stay
    as Arrow has them.  Rows are numbered from 0, unless the kind has an index of its own.

    >>> import polars
    >>> to_pandas(polars.DataFrame({"x": [1, None]}))
          x
    0     1
    1  <NA>
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
    return x if kind is None or kind == "pandas" else Outputs(kind).of(x)


class Outputs:
    """Makes frames, series and values of a kind, all of the schema that the first one has.

    An *example* of what pandas will make fixes it. Dtypes that the values depend on in pandas,
    as that of whole numbers beside missing ones, become those of the schema where nothing is lost.
    A column of which nothing is known yet takes the dtype of its first values.

    >>> hours = Outputs("polars", pd.Series([1, 2], dtype="int32"))
    >>> str(hours.of(pd.Series([3.0, float("nan")])).dtype)
    'Int32'
    """

    def __init__(self, kind: str, example: Any = None) -> None:
        self.kind = kind
        self.schema: dict[str, Any] = {}
        """The types of Arrow by column; those of which nothing is known are left out."""
        if example is not None and not has_index(kind):
            self.of(example)

    def of(self, x: Any) -> Any:
        """What pandas made as one of the kind."""
        if isinstance(x, MixedRow):
            x = x.row
        if isinstance(x, pd.Index):
            x = x.to_series(index=pd.RangeIndex(len(x)))
        if not isinstance(x, (pd.DataFrame, pd.Series)):
            return _plain(x)
        if has_index(self.kind):
            home: Any = _namespace(self.kind)
            return getattr(home, type(x).__name__)(x)
        if isinstance(x, pd.DataFrame):
            return self._frame(x.index, dict(zip(_names(x.columns), _columns(x), strict=True)))
        if _is_by_column(x):
            return self.of(x.to_frame().T.infer_objects().reset_index(drop=True))
        if _are_row_numbers(x.index):
            frame = _narwhals().from_native(self._frame(x.index, {_VALUE: x}), eager_only=True)
            return frame[_VALUE].alias("" if x.name is None else str(x.name)).to_native()
        return self._frame(x.index, {_VALUE if x.name is None else str(x.name): x})

    def _frame(self, index: pd.Index[Any], columns: dict[str, Any]) -> Any:
        """A frame: columns, after those that an index makes which says something."""
        if not _are_row_numbers(index):
            columns = {**_labels(index, columns), **columns}
        arrays = {name: self._array(name, one) for name, one in columns.items()}
        table = _arrow().table(arrays)
        return table if self.kind == "pyarrow" else _frame_like(self.kind, table, columns)

    def _array(self, name: str, column: Any) -> Any:
        made = _array(self.kind, name, column)
        known = self.schema.get(name)
        if known is None:
            if not _arrow().types.is_null(made.type):
                self.schema[name] = made.type
            return made
        return made if made.type == known else _cast(self.kind, name, made, known)


def _cast(kind: str, name: str, made: Any, known: Any) -> Any:
    """Values as the type that a column has had, if nothing is lost."""
    arrow = _arrow()
    try:
        if arrow.types.is_dictionary(known) and not arrow.types.is_dictionary(made.type):
            return made.cast(known.value_type).dictionary_encode()
        return made.cast(known)
    except (arrow.ArrowException, TypeError) as error:
        present = made.drop_null()
        value = f", such as {short_repr(present[0].as_py())}" if len(present) else ""
        raise TypeError(
            f"column {name!r} must stay {known}, as in the frames of {kind} before it, got "
            f"{made.type}{value}: use astype, or give an example whose result has the dtype meant"
        ) from error


# --- to pandas --------------------------------------------------------------------------------


def _frame_of(wrapped: Any) -> Any:
    """The frame in pandas, by way of Arrow."""
    schema = wrapped.schema
    for name, dtype in schema.items():
        known = dtype.__class__.__name__ in (*_HELD, *_PASSED)
        if not (known or _is_passed(wrapped, name, dtype)):
            raise TypeError(
                f"column {name!r} must be of a dtype that pandas has too, got {dtype}: leave it "
                "out of frames and example, or cast it before"
            )
    _arrow()  # says so if it is not installed
    frame = wrapped.to_arrow().to_pandas(
        types_mapper=_to_dtype, date_as_object=False, use_threads=False, ignore_metadata=True
    )
    texts = {
        name: frame[name].astype(_CATEGORIES)
        for name, dtype in schema.items()
        if dtype.__class__.__name__ == "Categorical" and _are_texts(frame[name].dtype)
    }
    return frame.assign(**texts) if texts else frame


def _to_dtype(arrow_type: Any) -> Any:
    """The dtype of pandas for a type of Arrow; None where pandas knows one itself."""
    known = _nullable().get(arrow_type)
    if known is not None:
        return known
    types = _arrow().types
    kept = (
        types.is_nested,
        types.is_time,
        types.is_decimal,
        types.is_binary,
        types.is_large_binary,
    )
    others = (types.is_fixed_size_binary, getattr(types, "is_binary_view", types.is_binary))
    passed = any(is_kind(arrow_type) for is_kind in (*kept, *others))
    return pd.ArrowDtype(arrow_type) if passed else None


def is_nested(dtype: Any) -> bool:
    """Return whether a column holds lists or structs of Arrow."""
    return isinstance(dtype, pd.ArrowDtype) and bool(_arrow().types.is_nested(dtype.pyarrow_dtype))


def _are_texts(dtype: Any) -> bool:
    """Whether categories are text, in no order."""
    if not isinstance(dtype, pd.CategoricalDtype) or dtype.ordered:
        return False
    of = dtype.categories.dtype
    return isinstance(of, pd.StringDtype) or (is_object(of) and not len(dtype.categories))


def _is_passed(wrapped: Any, name: str, dtype: Any) -> bool:
    """Whether a column that narwhals has no name for is of a dtype, or has no values."""
    if dtype.__class__.__name__ != "Unknown":
        return False
    arrow_type = wrapped.select(name).to_arrow().schema.field(0).type
    return bool(_arrow().types.is_null(arrow_type)) or _to_dtype(arrow_type) is not None


@functools.cache
def _nullable() -> dict[Any, Any]:
    arrow = _arrow()
    known = {ours: its for ours, its in _NULLABLE.items() if hasattr(arrow, ours)}
    return {getattr(arrow, ours)(): pd.api.types.pandas_dtype(its) for ours, its in known.items()}


# --- and back ---------------------------------------------------------------------------------


def _frame_like(kind: str, table: Any, columns: dict[str, Any]) -> Any:
    """A frame of *kind*."""
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
    if column.dtype == _CATEGORIES:
        texts = arrow.array(column.to_numpy(object, na_value=None), arrow.string())
        return texts.dictionary_encode()
    try:
        made = arrow.Array.from_pandas(column)
    except (arrow.ArrowException, TypeError) as error:
        raise _not_held(kind, name, column) from error
    if isinstance(made, arrow.ChunkedArray):
        made = made.combine_chunks()
    if isinstance(made, arrow.ExtensionArray):
        raise _not_held(kind, name, column)
    if arrow.types.is_decimal(made.type) and is_object(column.dtype):  # as wide as the values are
        return made.cast(arrow.decimal128(38, made.type.scale))
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
        shown = short_repr(list(labels))
        raise ValueError(f"columns must have names of their own as text, got {shown}")
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
