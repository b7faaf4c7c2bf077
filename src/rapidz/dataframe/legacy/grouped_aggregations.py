"""Aggregation classes for groups; see `rapidz.dataframe.aggregations`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.user_aggregation import (
    LIBRARY,
    Aggregation,
    add_totals,
    combine_moments,
    ratio,
    remove_moments,
    variance,
)


class GroupbyAggregation(Aggregation):
    """An aggregation of the rows of each group.

    Parameters
    ----------
    columns : label or list of labels
        The columns that are aggregated; None for all.
    grouper : object, optional
        What ``groupby`` of pandas takes; each method may be given another one.
    **kwargs
        Become attributes.
    """

    def __init__(self, columns: Any, grouper: Any = None, **kwargs: Any) -> None:
        self.columns, self.grouper = columns, grouper
        vars(self).update(kwargs)

    def grouped(self, df: Any, grouper: Any = None) -> Any:
        """Group the rows, of the columns that are aggregated."""
        by = self.grouper if grouper is None else grouper
        groups = df.groupby(by, observed=True)
        return groups if self.columns is None else groups[self.columns]

    def initial(self, new: Any, grouper: Any = None) -> Any:
        """Return the accumulator for no rows."""
        raise NotImplementedError(f"{type(self).__name__} must define initial")

    def on_new(self, acc: Any, new: Any, grouper: Any = None) -> tuple[Any, Any]:
        """Add rows that enter; return ``(accumulator, result)``."""
        raise NotImplementedError(f"{type(self).__name__} must define on_new")

    def on_old(self, acc: Any, old: Any, grouper: Any = None) -> tuple[Any, Any]:
        """Remove rows that leave; return ``(accumulator, result)``."""
        raise NotImplementedError(f"{type(self).__name__} must define on_old")


class _GroupbySummary(GroupbyAggregation):
    """An aggregation whose accumulator is that of `_of`, of all rows."""

    def initial(self, new: Any, grouper: Any = None) -> Any:
        return self._of(new.iloc[:0], None if grouper is None else grouper[:0])

    def _of(self, rows: Any, grouper: Any) -> Any:
        raise NotImplementedError


class _GroupbyTotal(_GroupbySummary):
    """An aggregation whose accumulator is the result: a total by group."""

    def on_new(self, acc: Any, new: Any, grouper: Any = None) -> tuple[Any, Any]:
        acc = add_totals(acc, self._of(new, grouper))
        return acc, acc

    def on_old(self, acc: Any, old: Any, grouper: Any = None) -> tuple[Any, Any]:
        acc = add_totals(acc, -self._of(old, grouper))
        return acc, acc


class GroupbySum(_GroupbyTotal):
    """The sum of each group."""

    def _of(self, rows: Any, grouper: Any) -> Any:
        return self.grouped(rows, grouper).sum(numeric_only=_many(self.columns))


class GroupbyCount(_GroupbyTotal):
    """The number of values of each group that are not missing."""

    def _of(self, rows: Any, grouper: Any) -> Any:
        return self.grouped(rows, grouper).count()


class GroupbySize(_GroupbyTotal):
    """The number of rows of each group."""

    def _of(self, rows: Any, grouper: Any) -> Any:
        return self.grouped(rows, grouper).size()


class GroupbyMean(_GroupbySummary):
    """The mean of each group; the accumulator is ``(sums, counts)``."""

    def on_new(self, acc: Any, new: Any, grouper: Any = None) -> tuple[Any, Any]:
        totals, counts = self._of(new, grouper)
        acc = add_totals(acc[0], totals), add_totals(acc[1], counts)
        return acc, ratio(*acc)

    def on_old(self, acc: Any, old: Any, grouper: Any = None) -> tuple[Any, Any]:
        totals, counts = self._of(old, grouper)
        acc = add_totals(acc[0], -totals), add_totals(acc[1], -counts)
        return acc, ratio(*acc)

    def _of(self, rows: Any, grouper: Any) -> tuple[Any, Any]:
        groups = self.grouped(rows, grouper)
        totals = groups.sum(numeric_only=_many(self.columns))
        counts = groups.count()
        return totals, counts[totals.columns] if isinstance(totals, pd.DataFrame) else counts


class GroupbyVar(_GroupbySummary):
    """The variance of each group; the accumulator is count, mean and sum of squares about it."""

    ddof = 1

    def on_new(self, acc: Any, new: Any, grouper: Any = None) -> tuple[Any, Any]:
        acc = combine_moments(*_aligned(acc, self._of(new, grouper)))
        return acc, variance(acc, self.ddof)

    def on_old(self, acc: Any, old: Any, grouper: Any = None) -> tuple[Any, Any]:
        acc = remove_moments(*_aligned(acc, self._of(old, grouper)))
        return acc, variance(acc, self.ddof)

    def _of(self, rows: Any, grouper: Any) -> tuple[Any, Any, Any]:
        groups = self.grouped(rows, grouper)
        means = groups.mean(numeric_only=_many(self.columns))
        squares = groups.var(ddof=0, numeric_only=_many(self.columns))
        counts = groups.count()
        counts = counts[means.columns] if isinstance(means, pd.DataFrame) else counts
        return counts, means.fillna(0.0), squares.fillna(0.0) * counts


def _aligned(one: Any, other: Any) -> tuple[Any, Any]:
    """Return both accumulators with the groups of either."""
    index = other[0].index if not len(one[0]) else one[0].index.union(other[0].index)
    return tuple(part.reindex(index, fill_value=0) for part in one), tuple(
        part.reindex(index, fill_value=0) for part in other
    )


def _many(columns: Any) -> bool:
    return columns is None or isinstance(columns, list)


LIBRARY.update((GroupbyCount, GroupbyMean, GroupbySize, GroupbySum, GroupbyVar))
