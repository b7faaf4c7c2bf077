"""Nullable dtypes: in pandas, frames of polars and pyarrow keep theirs whatever the values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pandas as pd

from rapidz.dataframe.incremental.columns.dtypes import is_object
from rapidz.dataframe.interop.libraries import import_arrow
from rapidz.dataframe.interop.native import has_index, to_dtype
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["exact", "mapped"]


def exact(owner: str, kind: str, x: Any, example: Any) -> Any:
    """Return what is of a *kind* with the dtypes of its example: frames there have one schema.

    TypeError where a value does not fit.
    """
    if has_index(kind) or isinstance(x, pd.Index):
        return x
    if isinstance(x, pd.Series):
        return _exact(owner, f"series {x.name!r}", x, example.dtype)
    changed = {
        label: _exact(owner, f"column {label!r}", x[label], dtype)
        for label, dtype in example.dtypes.items()
        if x[label].dtype != dtype
    }
    return x.assign(**changed) if changed else x


def _exact(owner: str, what: str, column: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    if column.dtype == dtype or is_object(dtype):
        return column
    try:
        made = column.astype(dtype)
        if pd.api.types.is_numeric_dtype(dtype):
            wrong = (made.astype(column.dtype) != column) & column.notna()
        else:
            wrong = made.isna() & column.notna()
    except (TypeError, ValueError, OverflowError):
        made, wrong = column, column.notna()
    if wrong.any():
        raise TypeError(
            f"{owner}: {what} must stay {dtype}, as in the example, got {column.dtype}, such as "
            f"{short_repr(column[wrong].iloc[0])}: cast it, or give an example of the dtype meant"
        )
    return made


def mapped(x: Any, func: Any, na_action: Any = None) -> Any:
    """Map each value of a frame or series as `pandas.Series.map`, to nullable dtypes.

    Missing values are None to the function, and in what a dict lacks.

    >>> mapped(pd.Series(["a", "b"]), {"a": 1}).tolist()
    [1, <NA>]
    """
    if isinstance(x, pd.DataFrame):
        return x.apply(mapped, args=(func, na_action)) if len(x.columns) else x
    arrow, lookup, kind = import_arrow(), func, None
    if isinstance(func, (Mapping, pd.Series)):
        kind = arrow.array(list(func.values() if isinstance(func, Mapping) else func)).type
        known = dict(func.items())
        missing = getattr(type(func), "__missing__", None)
        lookup = known.get if missing is None else cast(Any, func).__getitem__
    skipped = na_action == "ignore"
    values = [None if missing else value for value, missing in zip(x, x.isna(), strict=True)]
    results = [None if value is None and skipped else lookup(value) for value in values]
    try:
        made = arrow.array(results, kind, from_pandas=True)
    except (arrow.ArrowException, TypeError):
        return pd.Series(results, index=x.index, name=x.name, dtype=object)
    column = made.to_pandas(types_mapper=to_dtype, date_as_object=False)
    return column.set_axis(x.index).rename(x.name)
