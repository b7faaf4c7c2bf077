"""Reference model: results of pandas for all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandas.testing as pdt

from rapidz.dataframe.incremental import Extent, LastRows, Span

NUMERIC = ("sum", "mean", "median", "var", "std", "quantile")


def window(batches: Sequence[Any], over: Extent) -> Any:
    """The rows of a window."""
    rows = pd.concat([batch for batch in batches if len(batch)])
    if isinstance(over, LastRows):
        return rows.iloc[-over.n :]
    if isinstance(over, Span):
        rows = rows.sort_index(kind="stable")
        return rows[rows.index > rows.index.max() - over.value]
    return rows


def numeric(rows: Any, how: str) -> Any:
    """The columns that an aggregate of a frame looks at."""
    if how not in NUMERIC:
        return rows
    rows = rows.select_dtypes(include=["number", "bool", "boolean"], exclude=["timedelta"])
    return rows.select_dtypes(exclude=["bool", "boolean"]) if how == "quantile" else rows


def aggregate(rows: Any, how: str, by: list[Any] | None = None, **options: Any) -> Any:
    """One aggregate of rows by pandas."""
    if by is None:
        if how == "size":
            return rows.size
        chosen = numeric(rows, how) if isinstance(rows, pd.DataFrame) else rows
        if how in ("first", "last"):
            return _end(chosen, how)
        result: Any = getattr(chosen, how)(**options)
        # A whole number where Int64 has missing values, a float otherwise: always a float here.
        if how == "quantile" and isinstance(result, np.integer):
            return np.float64(result)
        if how == "quantile" and isinstance(result, pd.Series) and result.dtype == "Int64":
            return result.astype("Float64")
        return result
    sort, dropna = options.pop("sort", True), options.pop("dropna", True)
    observed = options.pop("observed", True)
    names = [key for key in by if isinstance(key, str)]
    if isinstance(rows, pd.DataFrame) and how not in ("size",):
        chosen = numeric(rows.drop(columns=names), how)
        keys = [rows[key] if isinstance(key, str) else key for key in by]
    else:
        chosen, keys = rows, by
    grouped = chosen.groupby(
        keys if len(keys) > 1 else keys[0], sort=sort, dropna=dropna, observed=observed
    )
    result = getattr(grouped, how)(**options)
    return _wide(result) if how == "sum" else result


def _wide(sums: Any) -> Any:
    """Sums of narrow integers by group: pandas makes them wide only if they do not fit."""
    if isinstance(sums, pd.Series):
        return sums.astype("int64") if sums.dtype == "int32" else sums
    return sums.astype({label: "int64" for label in sums if sums[label].dtype == "int32"})


def _end(rows: Any, how: str) -> Any:
    if isinstance(rows, pd.DataFrame):
        values = [_end(rows[label], how) for label in rows]
        return pd.Series(values, index=rows.columns, dtype=rows.iloc[0].dtype)
    present = rows.dropna()
    if not len(present):
        if isinstance(rows.array, pd.api.extensions.ExtensionArray):
            return rows.iloc[:0].reset_index(drop=True).reindex([0]).iloc[0]
        return pd.NaT if rows.dtype.kind in "mM" else np.nan
    return present.iloc[0 if how == "first" else -1]


def same(got: Any, want: Any, digits: int = 9) -> None:
    """Check values, dtypes, names and order; floats to nine digits."""
    near: dict[str, Any] = {"rtol": 10.0**-digits, "atol": 10.0**-digits}
    if isinstance(want, pd.DataFrame):
        pdt.assert_frame_equal(got, want, check_freq=False, **near)
    elif isinstance(want, pd.Series):
        assert isinstance(got, pd.Series)
        pdt.assert_series_equal(got, want, check_freq=False, **near)
    elif pd.isna(want):
        assert pd.isna(got)
        assert type(got) is type(want) or isinstance(got, (float, np.floating))
    elif isinstance(want, (float, np.floating)):
        assert isinstance(got, (float, np.floating)), (type(got), type(want))
        assert np.isclose(got, want, **near), (got, want)
    else:
        assert got == want
        assert type(got) is type(want) or isinstance(got, (int, np.integer, bool, np.bool_))
