"""Aggregation classes for all rows; see `rapidz.dataframe.aggregations`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental import EwmState
from rapidz.dataframe.incremental.spec import numeric_columns
from rapidz.dataframe.incremental.user_aggregation import (
    LIBRARY,
    Aggregation,
    add_totals,
    combine_moments,
    ratio,
    remove_moments,
    variance,
)


class _Summary(Aggregation):
    """An aggregation whose accumulator is that of `_of`, of all rows."""

    def initial(self, new: Any) -> Any:
        return self._of(new.iloc[:0])

    def _of(self, rows: Any) -> Any:
        raise NotImplementedError


class _Total(_Summary):
    """An aggregation whose accumulator is the result: a total."""

    def on_new(self, acc: Any, new: Any) -> tuple[Any, Any]:
        acc = acc + self._of(new)
        return acc, acc

    def on_old(self, acc: Any, old: Any) -> tuple[Any, Any]:
        acc = acc - self._of(old)
        return acc, acc


class Sum(_Total):
    """The sum.

    >>> Sum().on_new(1, pd.Series([2, 3]))
    (np.int64(6), np.int64(6))
    """

    def _of(self, rows: Any) -> Any:
        return numeric_columns(rows, "sum").sum()


class Count(_Total):
    """The number of values that are not missing."""

    def _of(self, rows: Any) -> Any:
        return rows.count()


class Size(_Total):
    """The number of values."""

    def _of(self, rows: Any) -> Any:
        return rows.size


class Mean(_Summary):
    """The mean; the accumulator is ``(sums, counts)``."""

    def on_new(self, acc: Any, new: Any) -> tuple[Any, Any]:
        totals, counts = self._of(new)
        acc = acc[0] + totals, acc[1] + counts
        return acc, ratio(*acc)

    def on_old(self, acc: Any, old: Any) -> tuple[Any, Any]:
        totals, counts = self._of(old)
        acc = acc[0] - totals, acc[1] - counts
        return acc, ratio(*acc)

    def _of(self, rows: Any) -> tuple[Any, Any]:
        rows = numeric_columns(rows, "mean")
        return rows.sum(), rows.count()


class Var(_Summary):
    """The variance; the accumulator is the count, the mean and the sum of squares about it.

    >>> Var().on_new(Var().initial(pd.Series([0])), pd.Series([1e9, 1e9 + 1, 1e9 + 2]))[1]
    np.float64(1.0)
    """

    def __init__(self, ddof: int = 1) -> None:
        self.ddof = ddof

    def on_new(self, acc: Any, new: Any) -> tuple[Any, Any]:
        acc = combine_moments(acc, self._of(new))
        return acc, variance(acc, self.ddof)

    def on_old(self, acc: Any, old: Any) -> tuple[Any, Any]:
        acc = remove_moments(acc, self._of(old))
        return acc, variance(acc, self.ddof)

    def _of(self, rows: Any) -> tuple[Any, Any, Any]:
        rows = numeric_columns(rows, "var")
        mean = rows.mean()
        mean = mean.fillna(0.0) if isinstance(mean, pd.Series) else np.nan_to_num(mean)
        return rows.count(), mean, ((rows - mean) ** 2).sum()


class Full(Aggregation):
    """All rows; those that leave are the first ones."""

    def initial(self, new: Any) -> Any:
        return new.iloc[:0]

    def on_new(self, acc: Any, new: Any) -> tuple[Any, Any]:
        acc = pd.concat([acc, new]) if len(acc) else new
        return acc, acc

    def on_old(self, acc: Any, old: Any) -> tuple[Any, Any]:
        acc = acc.iloc[len(old) :]
        return acc, acc


class ValueCounts(Aggregation):
    """The number of occurrences of each value; values that have left are dropped."""

    def initial(self, new: Any, grouper: Any = None) -> Any:
        return new.iloc[:0].value_counts()

    def on_new(self, acc: Any, new: Any, grouper: Any = None) -> tuple[Any, Any]:
        acc = add_totals(acc, new.value_counts(), sort=False)
        acc = acc.sort_values(ascending=False, kind="stable")
        return acc, acc

    def on_old(self, acc: Any, old: Any, grouper: Any = None) -> tuple[Any, Any]:
        acc = add_totals(acc, -old.value_counts(), sort=False)
        acc = acc[acc > 0].sort_values(ascending=False, kind="stable")
        return acc, acc


class EWMean(Aggregation):
    """The exponentially weighted mean at the last row; rows do not leave."""

    def __init__(self, com: float) -> None:
        self.com = com

    def initial(self, new: Any) -> Any:
        return EwmState(new.iloc[:0], com=self.com)

    def on_new(self, acc: Any, new: Any) -> tuple[Any, Any]:
        acc = copy.deepcopy(acc)
        return acc, acc.update(new)

    def on_old(self, acc: Any, old: Any) -> tuple[Any, Any]:
        return acc, acc.result()


LIBRARY.update((Count, EWMean, Full, Mean, Size, Sum, ValueCounts, Var))
