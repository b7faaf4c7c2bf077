"""Medians and quantiles, of the sorted values of each group."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import numpy as np

from rapidz.dataframe.incremental.accumulators.accumulator import Accumulator, Recode
from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Floats, Ints, Numbers

__all__ = ["SortedValues"]


class SortedValues(Accumulator):
    """Sorted array of all values, by group and by size.

    A batch is inserted or deleted at once at positions found by bisection: the cost is a search
    for each row and one copy of the values, never a sort of them.

    >>> values = SortedValues(1)
    >>> values.add(np.array([3.0, 1.0, 2.0]), GroupedRows(np.array([0, 0, 0]), 1))
    >>> values.quantile(0.25)
    (array([1.5]), array([ True]))
    """

    arrays = {"number": 0}  # noqa: RUF012
    number: Ints

    def reset(self, groups: int) -> None:
        super().reset(groups)
        self.values: Floats = np.empty(0)
        self.grouped = False

    def select_groups(self, codes: Ints) -> None:
        starts = np.cumsum(self.number) - self.number
        sizes = self.number[codes]
        behind = np.cumsum(sizes) - sizes  # where the values of each group begin from now on
        places = np.arange(int(sizes.sum())) + np.repeat(starts[codes] - behind, sizes)
        self.values = self.values[places]
        super().select_groups(codes)

    def convert(self, old: Accumulator, move: Recode) -> None:
        super().convert(old, move)
        self.values, self.grouped = cast(SortedValues, old).values, cast(SortedValues, old).grouped

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        self.grouped = rows.labels is not None
        data, codes = _sorted(data, rows)
        self.values = np.insert(self.values, self._places(data, codes), data)
        self.number += np.bincount(codes, minlength=len(self.number))

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        data, codes = _sorted(data, rows)
        places = self._places(data, codes)
        # Of equal values the first, the second and so on is deleted.
        same = np.r_[False, (data[1:] == data[:-1]) & (codes[1:] == codes[:-1])][: len(data)]
        count = np.arange(len(data))
        starts = np.maximum.accumulate(np.where(same, 0, count))
        self.values = np.delete(self.values, places + count - starts)
        self.number -= np.bincount(codes, minlength=len(self.number))

    def _places(self, data: Numbers, codes: Ints) -> Ints:
        ends = np.cumsum(self.number)
        borders = np.flatnonzero(np.diff(codes, prepend=-1, append=-1))
        places = np.empty(len(data), np.intp)
        for start, stop in pairwise(borders):
            code = codes[start]
            first = ends[code] - self.number[code]
            held = self.values[first : ends[code]]
            places[start:stop] = first + np.searchsorted(held, data[start:stop])
        return places

    def quantile(self, q: float) -> tuple[Floats, Bools]:
        """Return the quantile of each group, interpolated between two values.

        Next to infinite values it follows the arithmetic of pandas, which differs with and
        without groups.
        """
        some = self.number > 0
        starts = np.cumsum(self.number) - self.number
        if not len(self.values):
            return np.zeros(len(some)), some
        place = q * (np.maximum(self.number, 1) - 1)
        below = np.floor(place).astype(np.int64)
        last = len(self.values) - 1
        low = self.values[np.minimum(starts + below, last)]
        high = self.values[np.minimum(starts + np.minimum(below + 1, self.number - 1), last)]
        part = place - below
        with np.errstate(all="ignore"):
            up, down = low + (high - low) * part, high - (high - low) * (1 - part)
        plain = np.where(part < 0.5, up, down)
        found = np.where(part == 0, low, up) if self.grouped else plain
        return found, some & ~np.isnan(found)

    def median(self) -> tuple[Floats, Bools]:
        """Return the middle value of each group, or the mean of the two in the middle."""
        some = self.number > 0
        if not len(self.values):
            return np.zeros(len(some)), some
        starts = np.cumsum(self.number) - self.number
        above = np.minimum(starts + self.number // 2, len(self.values) - 1)
        below = np.where(some, starts + (np.maximum(self.number, 1) - 1) // 2, 0)
        low, high = self.values[below], self.values[above]
        with np.errstate(all="ignore"):
            found = np.where(low == high, low, (low + high) / 2)
        return found, some & ~np.isnan(found)


def _sorted(data: Numbers, rows: GroupedRows) -> tuple[Numbers, Ints]:
    if rows.labels is None:
        return np.sort(data), np.zeros(len(data), np.int64)
    order = np.lexsort([data, rows.labels])
    return data[order], rows.labels[order]
