"""Structural types: frames, series and indices are recognized by their attributes."""

from __future__ import annotations

from typing import Any

_FRAME = ("columns", "dtypes", "groupby", "head", "merge", "mean")
_SERIES = ("name", "dtype", "groupby", "head", "mean")
_INDEX = ("name", "dtype")


def is_dataframe_like(x: Any) -> bool:
    """Return whether *x* is a data frame of pandas or one like it.

    >>> import pandas as pd
    >>> is_dataframe_like(pd.DataFrame()), is_dataframe_like(pd.Series([1]))
    (True, False)
    """
    return not isinstance(x, type) and _has(x, _FRAME)


def is_series_like(x: Any) -> bool:
    """Return whether *x* is a series of pandas or one like it.

    >>> import pandas as pd
    >>> is_series_like(pd.Series([1])), is_series_like(pd.Index([1]))
    (True, False)
    """
    return not isinstance(x, type) and _has(x, _SERIES) and not _is_named_index(x)


def is_index_like(x: Any) -> bool:
    """Return whether *x* is an index of pandas or one like it.

    >>> import pandas as pd
    >>> is_index_like(pd.RangeIndex(3)), is_index_like(pd.Series([1]))
    (True, False)
    """
    return not isinstance(x, type) and _has(x, _INDEX) and _is_named_index(x)


def _has(x: Any, names: tuple[str, ...]) -> bool:
    return all(hasattr(x, name) for name in names)


def _is_named_index(x: Any) -> bool:
    return "index" in type(x).__name__.lower()
