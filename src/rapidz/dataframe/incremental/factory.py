"""Factory of the state of any aggregate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.aggregate_state import AggregateState
from rapidz.dataframe.incremental.custom import CustomState, is_custom
from rapidz.dataframe.incremental.multi_quantile import QuantilesState
from rapidz.dataframe.incremental.pandas_fallback import GroupByOptions
from rapidz.dataframe.incremental.types import Frame
from rapidz.dataframe.incremental.windows.extents import AllRows, Extent, LastRows, Span
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["create_aggregate"]


def create_aggregate(
    example: Frame,
    how: Any,
    over: Extent | None = None,
    by: Any = None,
    *,
    sort: bool = True,
    dropna: bool = True,
    observed: bool = True,
    **options: Any,
) -> AggregateState | CustomState:
    """Return the state of an aggregate of a stream of frames, before the first row.

    `example` fixes kind and columns of all frames, and their dtypes until wider ones arrive: see
    `incremental.columns.dtypes`. `how` is the name of an aggregate, a list of names, a dict
    (column to name or list, or new name to (column, name)), a function of a Series, or an
    aggregation with `initial`, `on_new` and `on_old`. `over` is `AllRows()`, `LastRows(n)` or
    `Span(value)`. `by` names columns, or is "given": then each update takes `keys`. Other options
    are passed to the aggregate (`q` of a quantile, `ddof` of a variance).

    In a DataFrame, columns of text and categories are left out of sum, mean, median, var, std
    and quantile, and columns of times out of those that they do not have in pandas. `first` and
    `last` skip missing values, as those of pandas' groupby.

    >>> import pandas as pd
    >>> state = create_aggregate(pd.Series([], dtype="int64"), "sum", LastRows(2))
    >>> state.update(pd.Series([1, 2, 3]))
    np.int64(5)
    >>> state.update(pd.Series([4]))
    np.int64(7)
    """
    over = AllRows() if over is None else over
    if not isinstance(over, (AllRows, LastRows, Span)):
        raise TypeError(
            f"over must be AllRows(), LastRows(n) or Span(value), got {short_repr(over)}"
        )
    if is_custom(how):
        if by is not None or options:
            raise TypeError(
                f"by and options must not be given with an aggregation, got {short_repr(by)}"
            )
        return CustomState(example, how, over)
    if how == "quantile" and isinstance(options.get("q"), (list, tuple, np.ndarray, pd.Index)):
        grouping = GroupByOptions(sort=sort, dropna=dropna, observed=observed)
        return QuantilesState(example, how, over, by, grouping, options)
    grouping = GroupByOptions(sort=sort, dropna=dropna, observed=observed)
    return AggregateState(example, how, over, by, grouping, options)
