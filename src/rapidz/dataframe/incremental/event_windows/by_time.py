"""First and last value by time: of rows that arrive in any order; ties go by arrival."""

from __future__ import annotations

from typing import Any

import numpy as np

from rapidz.dataframe.incremental.accumulators.accumulator import Accumulator
from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Ints, Numbers

__all__ = ["ValueByTime"]


class ValueByTime(Accumulator):
    """Value of the earliest row of each group, or of the latest one.

    `times` has the times of the rows that `add` gets next.

    >>> last = ValueByTime("last", np.dtype("int64"), 1)
    >>> last.times = np.array([5, 9, 7])
    >>> last.add(np.array([50, 90, 70]), GroupedRows(np.array([0, 0, 0]), 1))
    >>> last.result()[0]
    array([90])
    """

    value_arrays = ("value",)
    value: Numbers
    time: Ints
    number: Ints

    def __init__(self, how: str, dtype: np.dtype[Any], groups: int = 0) -> None:
        self.how = how
        self.arrays = {"value": np.zeros((), dtype), "time": 0, "number": 0}
        self.times: Ints = np.empty(0, np.int64)
        super().__init__(groups)

    def add(self, data: Any, rows: GroupedRows) -> None:
        if not len(data):
            return
        where = self._chosen(rows)
        groups = np.flatnonzero(where >= 0)
        where = where[groups]
        at = groups if isinstance(rows.at, slice) else rows.at[groups]
        times = self.times[where]
        known = self.number[at] > 0
        # Of equal times the earlier row is the first one, the later row the last one.
        closer = times < self.time[at] if self.how == "first" else times >= self.time[at]
        new = ~known | closer
        values = data[where[new]]
        self.value[at[new]] = values if isinstance(values, np.ndarray) else values.to_numpy(object)
        self.time[at[new]] = times[new]
        self.number[at] += 1

    def _chosen(self, rows: GroupedRows) -> Ints:
        """Return the position of the row of each group, -1 if it has none."""
        times = self.times
        if len(times) < 2 or bool((times[1:] >= times[:-1]).all()):
            return rows.first() if self.how == "first" else rows.last()
        order = np.argsort(times, kind="stable")
        where = np.full(rows.width, -1, np.intp)
        if self.how == "first":
            order = order[::-1]
        where[rows.local[order]] = order  # the last assignment wins
        return where

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.value, self.number > 0
