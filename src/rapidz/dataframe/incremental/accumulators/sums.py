"""Counts and sums: integers modulo 2**64, floats in double-double arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rapidz.dataframe.incremental.accumulators.accumulator import Accumulator, Recode
from rapidz.dataframe.incremental.double_double import SMALL, power_above, two_sum
from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Floats, Ints, Numbers

__all__ = ["FloatSum", "IntegerSum", "RowCount", "all_parts", "exact_parts"]

# A sum is recomputed if its possible error exceeds this part of it.
DOUBT = 2.0**-45
# Sums of integers below this fit in 64 bits, even if they are known as floats only.
LARGE = 2**62
# The smallest float above 0.
LEAST = 2.0**-1074


class RowCount(Accumulator):
    """Number of rows."""

    arrays = {"number": 0}  # noqa: RUF012
    number: Ints

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        self.number[rows.at] += rows.counts()

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        self.number[rows.at] -= rows.counts()

    def merge_groups(self, other: Any, codes: Ints, at: Ints) -> None:
        self.number[at] += other.number[codes]

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.number, None


class IntegerSum(Accumulator):
    """Sum of integers; as in numpy and pandas it is exact modulo 2**64.

    If later rows are floats, the sum must not wrap. So once the integers are so large that a sum
    might not fit in 64 bits, it is kept as float too, in `near`; not if rows leave, for then the
    buffered rows are added anew.
    """

    def __init__(
        self,
        groups: int = 0,
        dtype: np.dtype[np.generic] | None = None,
        *,
        sliding: bool = False,
    ) -> None:
        self.arrays = {"total": np.zeros((), dtype or np.int64)[()]}
        self.sliding = sliding
        self.bound = 0
        """An upper bound of the absolute value of all sums."""
        super().__init__(groups)

    total: Numbers
    near: Floats

    def convert(self, old: Accumulator, move: Recode) -> None:
        if isinstance(old, IntegerSum):
            self.bound = old.bound
            if "near" in old.arrays:
                self.arrays = {**self.arrays, "near": 0.0}
        super().convert(old, move)

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        if len(data) and not self.sliding:
            self._add_floats(data, rows)
        self.total[rows.at] += rows.integer_sums(data)

    def _add_floats(self, data: Numbers, rows: GroupedRows) -> None:
        if "near" not in self.arrays:
            largest = max(int(np.maximum.reduce(data)), -int(np.minimum.reduce(data)))
            self.bound += largest * len(data)
            if self.bound < LARGE:
                return
            self.arrays = {**self.arrays, "near": 0.0}
            self.near = self.total.astype(np.float64)
        self.near[rows.at] += rows.sums(data.astype(np.float64))

    def as_floats(self) -> Floats:
        """Return the sums of the integers as floats."""
        total = self.total.astype(np.float64)
        return (
            np.where(np.abs(self.near) < LARGE, total, self.near)
            if "near" in self.arrays
            else total
        )

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        self.total[rows.at] -= rows.integer_sums(data)

    def merge_groups(self, other: Any, codes: Ints, at: Ints) -> None:
        self.total[at] += other.total[codes]

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.total, None


def _cut(data: Floats) -> float:
    """Return the power of two at which values are cut so that their upper parts add up exactly.

    0 if nothing need be cut, infinity if the sum may overflow.
    """
    if len(data) <= 1 or not data.any():
        return 0.0
    exponent = power_above(float(np.abs(data).max()), len(data))
    return float(np.ldexp(1.0, exponent)) if exponent <= 1000 else np.inf


def exact_parts(data: Floats, rows: GroupedRows) -> tuple[Floats, Floats, float]:
    """Return sums by group as a high part without error, a low part, and the low part's error.

    Every value is cut at one power of two so large that the upper parts add up exactly.

    >>> exact_parts(np.array([1e17, 1.0, -1e17]), GroupedRows(np.array([0, 0, 0]), 1))[:2]
    (array([0.]), array([1.]))
    """
    cut = _cut(data)
    if cut == np.inf and np.isfinite(data).all():
        high, low, error = exact_parts(data * SMALL, rows)
        return high / SMALL, low / SMALL, (error + len(data) * LEAST) / SMALL
    if not 0.0 < cut < np.inf:
        return rows.sums(data), np.zeros(rows.width), 0.0
    high = (data + cut) - cut
    low = data - high
    left = float(np.abs(low).max())
    return rows.sums(high), rows.sums(low), left * float(len(data)) ** 2 * 2.0**-53


def all_parts(data: Floats, rows: GroupedRows) -> Iterator[Floats]:
    """Yield the sums by group in parts, the largest first, none of which has an error.

    >>> one = GroupedRows(np.array([0, 0, 0]), 1)
    >>> [float(part[0]) for part in all_parts(np.array([2.0**70, 1.0, -2.0]), one)]
    [1.1805916207174113e+21, -1.0]
    """
    while True:
        cut, part = _cut(data), 1.0
        if cut == np.inf:
            part = SMALL
            cut = _cut(data * part)
        high = (data * part + cut) - cut if cut else data * part
        taken = high / part
        if not np.isfinite(taken).all():  # rounding up exceeded the largest float
            high, taken = data * part, data
        yield rows.sums(high) / part
        data = data - taken
        if not data.any():
            return


class FloatSum(Accumulator):
    """Sum and number of floats: `high + low` with a bound of the error in `error`.

    Infinities are counted apart, so that they can be removed. With `exact`, needed if rows leave,
    the sum within a batch has no rounding error either. Without, a sum that exceeds the range of
    floats is scaled from then on, since it may return to the range.
    """

    arrays = {"high": 0.0, "low": 0.0, "error": 0.0, "number": 0, "plus": 0, "minus": 0}  # noqa: RUF012
    high: Floats
    low: Floats
    error: Floats
    number: Ints
    plus: Ints
    minus: Ints

    def __init__(self, groups: int = 0, *, exact: bool = False) -> None:
        self.exact = exact
        self.scale = 1.0
        """The factor by which the sums are scaled."""
        super().__init__(groups)

    def convert(self, old: Accumulator, move: Recode) -> None:
        if isinstance(old, FloatSum):
            self.scale = old.scale
            super().convert(old, move)
            return
        assert isinstance(old, IntegerSum)
        # Sums of integers do not count values, and sums do not need the number.
        self.reset(len(old.total))
        self.high[:] = old.as_floats()

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        self._merge(data, rows, 1)

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        self._merge(data, rows, -1)

    def _merge(self, data: Floats, rows: GroupedRows, sign: int) -> None:
        at = rows.at
        self.number[at] += sign * rows.counts()
        finite = np.isfinite(data)
        if not finite.all():
            self.plus[at] += sign * rows.only(data == np.inf).counts()
            self.minus[at] += sign * rows.only(data == -np.inf).counts()
            data, rows = data[finite], rows.only(finite)
        if self.exact:
            self.put(exact_parts(data, rows), at, sign)
        else:
            self._add_inexact(data, rows)

    def _add_inexact(self, data: Floats, rows: GroupedRows) -> None:
        """Add rows that never leave."""
        at = rows.at
        new = rows.sums(data if self.scale == 1.0 else data * self.scale)
        high, rest = two_sum(self.high[at], new)
        if self.scale == 1.0 and not np.isfinite(high).all():
            self.scale = SMALL
            self.high *= SMALL
            self.low *= SMALL
            self._add_inexact(data, rows)
            return
        self.high[at] = high
        self.low[at] += rest

    def put(self, parts: tuple[Floats, Floats, Any], at: slice | Numbers, sign: int) -> None:
        """Add (or with sign -1 take away) sums by group that have a low part and an error."""
        high, low, error = parts
        total, rest = two_sum(self.high[at], sign * high)
        low, lost = two_sum(self.low[at], sign * low)
        low, more = two_sum(low, rest)
        high, low = two_sum(total, low)
        if not np.isfinite(high).all():  # they exceed the range of floats: recompute
            large = ~np.isfinite(total)
            high, low = np.where(large, total, high), np.where(large, 0.0, low)
        self.high[at], self.low[at] = high, low
        self.error[at] += np.abs(lost) + np.abs(more) + error
        if sign < 0:
            self._clear_empty(at)

    def _clear_empty(self, at: slice | Numbers) -> None:
        # The sum of no rows is 0: what rounding left is removed.
        empty = self.number[at] == 0
        if empty.any():
            for array in (self.high, self.low, self.error):
                array[at] = np.where(empty, 0.0, array[at])

    def merge_groups(self, other: Any, codes: Ints, at: Ints) -> None:
        self.scale = other.scale
        for name in ("number", "plus", "minus"):
            getattr(self, name)[at] += getattr(other, name)[codes]
        self.put((other.high[codes], other.low[codes], other.error[codes]), at, 1)

    def needs_recompute(self) -> bool:
        with np.errstate(all="ignore"):
            sound = self.error <= np.abs(self.high + self.low) * DOUBT
        return self.exact and not bool((sound & np.isfinite(self.high)).all())

    def recompute(self, data: Numbers, rows: GroupedRows) -> None:
        self.reset(rows.groups)
        finite = np.isfinite(data)
        self._merge(data[~finite], rows.only(~finite), 1)
        data, rows = data[finite], rows.only(finite)
        self.number[rows.at] += rows.counts()
        for part in all_parts(data, rows):
            self.put((part, np.zeros(rows.width), 0.0), rows.at, 1)

    def sum(self) -> tuple[Floats, None]:
        """Return the sum of each group, 0 without values."""
        return self.result()[0], None

    def mean(self) -> tuple[Floats, Bools | None]:
        """Return the mean of each group, and where it is valid."""
        total, valid = self.result()
        return total / np.maximum(self.number, 1), valid

    def result(self) -> tuple[Numbers, Bools | None]:
        rest = np.where(np.isfinite(self.low), self.low, 0.0)
        total = self.high + rest
        if self.scale != 1.0:
            with np.errstate(over="ignore"):
                total = total / self.scale
        if self.plus.any() or self.minus.any():
            total = np.where(self.plus > 0, np.inf, np.where(self.minus > 0, -np.inf, total))
            total = np.where((self.plus > 0) & (self.minus > 0), np.nan, total)
        return total, self.number > 0
