"""Conversion to pandas of frames of other libraries, which narwhals tells apart.

The values are exchanged as Arrow tables, as `to_pandas` of these libraries exchanges them too.
"""

from __future__ import annotations

import functools
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.columns.dtypes import is_object
from rapidz.dataframe.interop.libraries import import_arrow, import_narwhals

__all__ = [
    "CATEGORIES",
    "VALUE",
    "has_index",
    "is_nested",
    "kind_of",
    "refuse",
    "to_dtype",
    "to_pandas",
]

#: Dtypes, as narwhals names them, that have a counterpart in pandas.
_SHARED = (
    *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
    *("Float32", "Float64", "Boolean", "String", "Categorical", "Enum"),
    *("Date", "Datetime", "Duration"),
)
#: Dtypes of which pandas keeps the Arrow values as they are.
_PASSED = ("List", "Array", "Struct", "Time", "Decimal", "Binary")

#: The dtype for categories of polars and pyarrow, of which each frame may bring others: text,
#: distinguished from other text by its storage.
CATEGORIES = pd.StringDtype("python", na_value=pd.NA)

#: The nullable dtypes of pandas by what Arrow calls the type.
_NULLABLE = {
    **{name.lower(): name for name in _SHARED[:8]},
    "bool_": "boolean",
    "string": "string",
    "large_string": "string",
    "string_view": "string",
}

_LIBRARIES = ("polars", "pyarrow", "cudf", "modin")

_known: dict[type, str] = {}
"""The kinds of the classes seen so far."""

#: The name of a column that had none.
VALUE = "value"


def kind_of(x: Any) -> str | None:
    """Return the library that a frame or a series is of; None if *x* is neither.

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
    made = import_narwhals().from_native(x, eager_only=True, allow_series=True, pass_through=True)
    if made is x:
        return None
    return _known.setdefault(type(x), str(made.implementation))


def has_index(kind: str | None) -> bool:
    """Return whether the rows of frames of this kind have labels.

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
    """Return the frame or series *x* as one of pandas; itself if it is.

    Whole numbers, truth values and text get the nullable dtypes of pandas, missing values or not,
    so that all frames of a stream have the same; floats have NaN for missing values.  Dates
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
    wrapped = import_narwhals().from_native(x, eager_only=True, allow_series=True)
    if has_index(kind):
        return wrapped.to_pandas()
    if isinstance(wrapped, import_narwhals().Series):
        column = _frame_of(wrapped.alias(VALUE).to_frame())[VALUE]
        return column.rename(wrapped.name or None)
    return _frame_of(wrapped)


def _frame_of(wrapped: Any) -> Any:
    """Return the frame in pandas, by way of Arrow."""
    schema = wrapped.schema
    for name, dtype in schema.items():
        known = dtype.__class__.__name__ in (*_SHARED, *_PASSED)
        if not (known or _is_passed(wrapped, name, dtype)):
            raise TypeError(
                f"column {name!r} must be of a dtype that pandas has too, got {dtype}: leave it "
                "out of frames and example, or cast it before"
            )
    import_arrow()  # or an error that names it
    frame = wrapped.to_arrow().to_pandas(
        types_mapper=to_dtype, date_as_object=False, use_threads=False, ignore_metadata=True
    )
    texts = {
        name: frame[name].astype(CATEGORIES)
        for name, dtype in schema.items()
        if dtype.__class__.__name__ == "Categorical" and _are_texts(frame[name].dtype)
    }
    return frame.assign(**texts) if texts else frame


def to_dtype(arrow_type: Any) -> Any:
    """Return the dtype of pandas for a type of Arrow; None where pandas has its own choice."""
    known = _nullable().get(arrow_type)
    if known is not None:
        return known
    types, binaries = import_arrow().types, ("binary", "large_binary", "fixed_size_binary")
    names = ("nested", "time", "decimal", *binaries, "binary_view")
    tests = [getattr(types, f"is_{name}", types.is_binary) for name in names]
    passed = any(is_of(arrow_type) for is_of in tests)
    return pd.ArrowDtype(arrow_type) if passed else None


def is_nested(dtype: Any) -> bool:
    """Return whether a column contains lists or structs of Arrow."""
    return isinstance(dtype, pd.ArrowDtype) and bool(
        import_arrow().types.is_nested(dtype.pyarrow_dtype)
    )


def _are_texts(dtype: Any) -> bool:
    """Return whether categories are text, without order."""
    if not isinstance(dtype, pd.CategoricalDtype) or dtype.ordered:
        return False
    of = dtype.categories.dtype
    return isinstance(of, pd.StringDtype) or (is_object(of) and not len(dtype.categories))


def _is_passed(wrapped: Any, name: str, dtype: Any) -> bool:
    """Return whether a column that narwhals has no name for can be converted."""
    if dtype.__class__.__name__ != "Unknown":
        return False
    arrow_type = wrapped.select(name).to_arrow().schema.field(0).type
    return bool(import_arrow().types.is_null(arrow_type)) or to_dtype(arrow_type) is not None


@functools.cache
def _nullable() -> dict[Any, Any]:
    arrow = import_arrow()
    known = {ours: its for ours, its in _NULLABLE.items() if hasattr(arrow, ours)}
    return {getattr(arrow, ours)(): pd.api.types.pandas_dtype(its) for ours, its in known.items()}
