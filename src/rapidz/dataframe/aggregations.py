"""Compatibility module: aggregation classes, and the functions that fold frames with them.

Derive from `Aggregation` to define an aggregation of your own for `aggregate`.  The classes of this
module are also built in under their names (``"sum"``, ``"mean"`` and so on), which is faster.
"""

from __future__ import annotations

from rapidz.dataframe.incremental.user_aggregation import Aggregation
from rapidz.dataframe.legacy.aggregations import (
    Count,
    EWMean,
    Full,
    Mean,
    Size,
    Sum,
    ValueCounts,
    Var,
)
from rapidz.dataframe.legacy.grouped_aggregations import (
    GroupbyAggregation,
    GroupbyCount,
    GroupbyMean,
    GroupbySize,
    GroupbySum,
    GroupbyVar,
)
from rapidz.dataframe.legacy.windows import (
    accumulator,
    diff_align,
    diff_expanding,
    diff_iloc,
    diff_loc,
    groupby_accumulator,
    window_accumulator,
    windowed_groupby_accumulator,
)

__all__ = [
    "Aggregation",
    "Count",
    "EWMean",
    "Full",
    "GroupbyAggregation",
    "GroupbyCount",
    "GroupbyMean",
    "GroupbySize",
    "GroupbySum",
    "GroupbyVar",
    "Mean",
    "Size",
    "Sum",
    "ValueCounts",
    "Var",
    "accumulator",
    "diff_align",
    "diff_expanding",
    "diff_iloc",
    "diff_loc",
    "groupby_accumulator",
    "window_accumulator",
    "windowed_groupby_accumulator",
]
