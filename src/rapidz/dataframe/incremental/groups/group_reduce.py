"""Grouped reductions: partial results of one batch of rows by group code.

Accumulators use these alone, so they need not distinguish rows without groups: those have the
code 0, and plain reductions do the work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rapidz.dataframe.incremental.types import Bools, Floats, Ints, Numbers, Positions

__all__ = ["GroupedRows", "ungrouped_rows"]

# A batch of few of many groups is reduced to these groups alone.
SPARSE = 4


class GroupedRows:
    """Group-by of one batch: its rows, each with the code of its group.

    `at` selects the groups of the batch from an array over all groups, `width` is their
    number. Partial results have `width` entries.

    >>> rows = GroupedRows(np.array([1, 0, 1]), 2)
    >>> rows.sums(np.array([1.0, 2.0, 3.0]))
    array([2., 4.])
    """

    __slots__ = ("_counts", "at", "groups", "labels", "local", "size", "width")

    def __init__(self, labels: Ints, groups: int) -> None:
        self.labels: Ints | None = labels
        self.groups = groups
        self.size = len(labels)
        self.at: slice | Numbers = slice(None)
        self.local: Numbers = labels
        self.width = groups
        self._counts: Ints | None = None
        if groups > 16 and self.size * SPARSE < groups:
            self.at, self.local = np.unique(labels, return_inverse=True)
            self.width = len(self.at)

    def only(self, keep: Bools) -> GroupedRows:
        """Return the rows that `keep` selects."""
        chosen = object.__new__(GroupedRows)
        chosen.groups, chosen.at, chosen.width = self.groups, self.at, self.width
        chosen.size = int(np.count_nonzero(keep))
        chosen._counts = None
        chosen.labels = None if self.labels is None else self.labels[keep]
        chosen.local = self.local if self.labels is None else self.local[keep]
        return chosen

    def counts(self) -> Ints:
        """Return the number of rows by group, which must not be changed in place."""
        if self._counts is None:
            if self.labels is None:
                self._counts = np.array([self.size])
            else:
                self._counts = np.bincount(self.local, minlength=self.width)
        return self._counts

    def sums(self, data: Floats) -> Floats:
        """Return sums of floats by group."""
        if self.labels is None:
            return np.array([data.sum()])
        return np.bincount(self.local, weights=data, minlength=self.width)

    def integer_sums(self, data: Numbers) -> Numbers:
        """Return sums of integers by group, exact modulo 2**64 as those of pandas."""
        if self.labels is None:
            return np.array([data.sum(dtype=data.dtype)])
        sums = np.zeros(self.width, data.dtype)
        np.add.at(sums, self.local, data)
        return sums

    def extremes(self, ufunc: np.ufunc, data: Numbers, identity: Any) -> Numbers:
        """Reduce by `np.minimum` or `np.maximum`; `identity` where a group has no row."""
        if self.labels is None:
            return np.array([ufunc.reduce(data, initial=identity)], data.dtype)
        best = np.full(self.width, identity, data.dtype)
        ufunc.at(best, self.local, data)
        return best

    def last(self) -> Positions:
        """Return the position of the last row of each group, -1 if it has none."""
        where = np.full(self.width, -1, np.intp)
        if self.labels is None:
            where[0] = self.size - 1
        else:
            # With an index that repeats, the last assignment wins.
            where[self.local] = np.arange(self.size)
        return where

    def first(self) -> Positions:
        """Return the position of the first row of each group, -1 if it has none."""
        where = np.full(self.width, -1, np.intp)
        if self.labels is None:
            where[0] = 0 if self.size else -1
        else:
            where[self.local[::-1]] = np.arange(self.size - 1, -1, -1)
        return where

    def broadcast(self, by_group: Numbers) -> Any:
        """Return for each row the value of its group."""
        return by_group[0] if self.labels is None else by_group[self.local]


def ungrouped_rows(size: int) -> GroupedRows:
    """Return rows without groups: all have the code 0.

    >>> ungrouped_rows(3).counts()
    array([3])
    """
    rows = object.__new__(GroupedRows)
    rows.groups = rows.width = 1
    rows.at, rows.size, rows.labels = slice(None), size, None
    rows.local = np.empty(0, np.intp)
    rows._counts = None
    return rows
