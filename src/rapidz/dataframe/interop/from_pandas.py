"""Conversion of results of pandas to frames of other libraries, by way of Arrow tables."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.columns.dtypes import is_object
from rapidz.dataframe.incremental.mixed_row import MixedRow
from rapidz.dataframe.interop.libraries import import_arrow, import_narwhals
from rapidz.dataframe.interop.native import CATEGORIES, VALUE, has_index
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["Outputs", "like"]


def like(kind: str | None, x: Any) -> Any:
    """Return what pandas made as a frame, a series or a value of another kind.

    An index that has a name, such as that of groups, becomes the first columns, with ``_key`` to
    its name if a column has that too, and so do labels that are no whole numbers; row numbers are
    left out.  A series with such an index becomes a frame; one by column, such as the sum of a
    frame, becomes a frame of one row.  A missing value is null; a missing result is None.

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
    """Schema-stable conversion: results of one kind, all of the schema of the first one.

    An *example* of what pandas will make fixes it. Dtypes that the values depend on in pandas,
    as that of whole numbers with missing ones, become those of the schema where nothing is lost.
    A column of which nothing is known yet takes the dtype of its first values.

    >>> hours = Outputs("polars", pd.Series([1, 2], dtype="int32"))
    >>> str(hours.of(pd.Series([3.0, float("nan")])).dtype)
    'Int32'
    """

    def __init__(self, kind: str, example: Any = None) -> None:
        self.kind = kind
        self.schema: dict[str, Any] = {}
        """The Arrow types of the columns whose type is known."""
        if example is not None and not has_index(kind):
            self.of(example)

    def of(self, x: Any) -> Any:
        """Return what pandas made as one of the kind."""
        if isinstance(x, MixedRow):
            x = x.row
        if isinstance(x, pd.Index):
            x = x.to_series(index=pd.RangeIndex(len(x)))
        if not isinstance(x, (pd.DataFrame, pd.Series)):
            return _plain(x)
        if has_index(self.kind):
            library = import_narwhals().Implementation.from_string(self.kind)
            return getattr(library.to_native_namespace(), type(x).__name__)(x)
        if isinstance(x, pd.DataFrame):
            return self._frame(x.index, _by_name(x))
        if _is_by_column(x):
            return self.of(x.to_frame().T.infer_objects().reset_index(drop=True))
        if _are_row_numbers(x.index):
            frame = import_narwhals().from_native(self._frame(x.index, {VALUE: x}), eager_only=True)
            return frame[VALUE].alias("" if x.name is None else str(x.name)).to_native()
        return self._frame(x.index, {VALUE if x.name is None else str(x.name): x})

    def _frame(self, index: pd.Index[Any], columns: dict[str, Any]) -> Any:
        """Return a frame of columns, after those of an index that has names or labels."""
        if not _are_row_numbers(index):
            columns = {**_labels(index, columns), **columns}
        arrays = {name: self._array(name, one) for name, one in columns.items()}
        table = import_arrow().table(arrays)
        return table if self.kind == "pyarrow" else _frame_like(self.kind, table, columns)

    def _array(self, name: str, column: Any) -> Any:
        made = _array(self.kind, name, column)
        known = self.schema.get(name)
        if known is None:
            if not import_arrow().types.is_null(made.type):
                self.schema[name] = made.type
            return made
        return made if made.type == known else _cast(self.kind, name, made, known)


def _cast(kind: str, name: str, made: Any, known: Any) -> Any:
    """Return values as the type that a column has had; TypeError if something would be lost."""
    arrow = import_arrow()
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


def _frame_like(kind: str, table: Any, columns: dict[str, Any]) -> Any:
    """Return a frame of *kind*; ordered categories become enums."""
    made = import_narwhals().DataFrame.from_arrow(table, backend=kind)
    enums = {
        name: import_narwhals().Enum(list(one.dtype.categories))
        for name, one in columns.items()
        if isinstance(one.dtype, pd.CategoricalDtype) and one.dtype.ordered
    }
    casts = [import_narwhals().col(name).cast(dtype) for name, dtype in enums.items()]
    return (made.with_columns(*casts) if casts else made).to_native()


def _by_name(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the columns by their labels as text; those of several levels are joined."""
    several = isinstance(frame.columns, pd.MultiIndex)
    columns = {}
    for label, column in frame.items():
        levels: Any = label if several else (label,)
        columns["_".join(map(str, levels))] = column
    if len(columns) < len(frame.columns):
        shown = short_repr(list(frame.columns))
        raise ValueError(f"columns must have names of their own as text, got {shown}")
    return columns


def _labels(index: pd.Index[Any], columns: Collection[str]) -> dict[str, Any]:
    """Return the levels of an index by names that no column has."""
    several = index.nlevels > 1
    named = {}
    for i, given in enumerate(index.names):
        name = str(given) if given is not None else f"level_{i}" if several else "index"
        named[f"{name}_key" if name in columns else name] = index.get_level_values(i)
    return named


def _array(kind: str, name: Any, column: Any) -> Any:
    """Return the values of a column in Arrow; missing ones are null."""
    arrow = import_arrow()
    if pd.api.types.is_float_dtype(
        column.dtype
    ):  # a nullable one may contain NaN and missing values
        bits = "float32" if str(column.dtype).lower() == "float32" else "float64"
        return arrow.array(column.to_numpy(bits, na_value=float("nan")), from_pandas=True)
    if column.dtype == CATEGORIES:
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
    """Return text in the type that tables of pyarrow have by default."""
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


def _are_row_numbers(index: pd.Index[Any]) -> bool:
    if index.nlevels > 1 or index.name is not None:
        return False
    return pd.api.types.is_integer_dtype(index.dtype) or not len(index)


def _is_by_column(series: pd.Series[Any]) -> bool:
    """Return whether the labels are those of columns, as an aggregate of a frame has them."""
    index = series.index
    if index.nlevels > 1 or index.name is not None or isinstance(series.name, str):
        return False
    return not _are_row_numbers(index)


def _plain(x: Any) -> Any:
    """Return a single value as Python has it."""
    if pd.api.types.is_scalar(x) and pd.isna(x):
        return None
    if type(x).__module__ != "numpy" or not pd.api.types.is_scalar(x):
        return x
    return pd.Series([x]).iloc[0] if x.dtype.kind in "mM" else x.item()
