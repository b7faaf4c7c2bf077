"""Means of times: 128-bit sums."""

from __future__ import annotations

from typing import cast

import numpy as np

from rapidz.dataframe.incremental.accumulators.accumulator import Accumulator, Recode
from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Ints, Numbers

__all__ = ["TimeSum"]

HALF = 32
LOW = 2**HALF - 1


class TimeSum(Accumulator):
    """Exact sum of integers in 128 bits: sums of the upper and of the lower halves, and the number.

    >>> times = TimeSum(1)
    >>> times.add(np.array([2**62, 2**62, 2**62 + 3]), GroupedRows(np.array([0, 0, 0]), 1))
    >>> int(times.mean()[0][0]) - 2**62
    1
    """

    arrays = {"upper": 0, "lower": 0, "number": 0}  # noqa: RUF012
    upper: Ints
    lower: Ints
    number: Ints

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        self._merge(data, rows, 1)

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        self._merge(data, rows, -1)

    def _merge(self, data: Ints, rows: GroupedRows, sign: int) -> None:
        self.number[rows.at] += sign * rows.counts()
        self.upper[rows.at] += sign * rows.integer_sums(data >> HALF)
        self.lower[rows.at] += sign * rows.integer_sums(data & LOW)

    def convert(self, old: Accumulator, move: Recode) -> None:
        super().convert(old, None)
        if move is None:
            return
        ticks = int(move(np.ones(1, np.int64))[0])  # of the wider unit in one of the narrower
        known = cast(TimeSum, old)
        totals = zip(known.upper.tolist(), known.lower.tolist(), strict=True)
        sums = [((upper << HALF) + lower) * ticks for upper, lower in totals]
        self.upper[:] = [one >> HALF for one in sums]
        self.lower[:] = [one & LOW for one in sums]

    def mean(self) -> tuple[Ints, Bools]:
        """Return the mean of each group, truncated to an integer, and where it is valid."""
        number = np.maximum(self.number, 1)
        whole, rest = np.divmod(self.upper, number)
        part, left = np.divmod((rest << HALF) + self.lower, number)
        mean = (whole << HALF) + part
        mean += (mean < 0) & (left > 0)  # towards 0, as pandas has it
        return mean, self.number > 0
