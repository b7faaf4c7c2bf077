"""Fallback to pandas: the same aggregates by pandas, for dtypes, empty results and rare cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.spec import Output
from rapidz.dataframe.incremental.types import Frame

__all__ = ["GroupByOptions", "by_group", "of_all"]


@dataclass(frozen=True, slots=True)
class GroupByOptions:
    """Options of pandas' groupby."""

    sort: bool = True
    dropna: bool = True
    observed: bool = True

    def group(self, rows: Frame, keys: Sequence[pd.Series[Any]]) -> Any:
        """Return the rows grouped by keys that are as long as the rows."""
        keys = [pd.Series(key.array, index=rows.index, name=key.name) for key in keys]
        return rows.groupby(
            keys if len(keys) > 1 else keys[0],
            sort=self.sort,
            dropna=self.dropna,
            observed=self.observed,
        )


def of_all(column: pd.Series[Any], output: Output, options: Mapping[str, Any]) -> Any:
    """Return the aggregate of one column of rows, as a scalar."""
    if output.how in ("first", "last"):
        present = column.dropna()
        if len(present):
            return present.iloc[0 if output.how == "first" else -1]
        return column.iloc[:0].reindex([0]).iloc[0]
    if output.how == "size":
        return column.size
    if isinstance(output.how, str):
        return getattr(column, output.how)(**options)
    return column.agg(output.how)


def by_group(grouped: Any, output: Output, options: Mapping[str, Any]) -> Any:
    """Return the aggregate of one column by group, as a Series."""
    if isinstance(output.column, tuple):  # which pandas reads as several columns
        result = _of_columns(grouped[[output.column]], output, options)
        return result if isinstance(result, pd.Series) else result.iloc[:, 0]
    column = grouped if output.column is None else grouped[output.column]
    if output.how in ("first", "last") and column.obj.dtype.kind == "c":
        place = 0 if output.how == "first" else -1
        return column.agg(lambda rows: rows.dropna().iloc[place] if rows.count() else np.nan)
    return _of_columns(column, output, options)


def _of_columns(grouped: Any, output: Output, options: Mapping[str, Any]) -> Any:
    if output.how == "size":
        return grouped.size()
    if isinstance(output.how, str):
        return getattr(grouped, output.how)(**options)
    return grouped.agg(output.how)
