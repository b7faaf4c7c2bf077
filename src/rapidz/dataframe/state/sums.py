"""Counts and sums: integers exactly, floats in double-double arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from rapidz.dataframe.state.aliases import Bools, Floats, Ints, Numbers
from rapidz.dataframe.state.bycode import ByCode
from rapidz.dataframe.state.fold import Fold, Move

__all__ = ["Count", "FloatSum", "WholeSum", "exact_parts", "two_sum"]

# A sum is doubted if the error that it may carry is above this part of it.
DOUBT = 2.0**-45
# Sums of integers below this fit in 64 bits, even if it is only known nearly that they are below.
LARGE = 2**62


class Count(Fold):
    """How many rows there are."""

    arrays = {"number": 0}  # noqa: RUF012
    number: Ints

    def add(self, data: Numbers, rows: ByCode) -> None:
        self.number[rows.at] += rows.counts()

    def drop(self, data: Numbers, rows: ByCode) -> None:
        self.number[rows.at] -= rows.counts()

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.number, None


class WholeSum(Fold):
    """Sum of integers; as in numpy and pandas it is exact modulo 2**64.

    The sum of floats, which later rows may make of them, is not. From when the integers are so
    large that some sum might not fit in 64 bits, it is kept too, in `near`; not where rows leave,
    for there those that are held are added anew.
    """

    def __init__(
        self,
        groups: int = 0,
        dtype: np.dtype[np.generic] | None = None,
        *,
        leaving: bool = False,
    ) -> None:
        self.arrays = {"total": np.zeros((), dtype or np.int64)[()]}
        self.leaving = leaving
        self.bound = 0
        """No sum is further from 0."""
        super().__init__(groups)

    total: Numbers
    near: Floats

    def adopt(self, old: Fold, move: Move) -> None:
        if isinstance(old, WholeSum):
            self.bound = old.bound
            if "near" in old.arrays:
                self.arrays = {**self.arrays, "near": 0.0}
        super().adopt(old, move)

    def add(self, data: Numbers, rows: ByCode) -> None:
        if len(data) and not self.leaving:
            self._look(data, rows)
        self.total[rows.at] += rows.whole_sums(data)

    def _look(self, data: Numbers, rows: ByCode) -> None:
        if "near" not in self.arrays:
            largest = max(int(np.maximum.reduce(data)), -int(np.minimum.reduce(data)))
            self.bound += largest * len(data)
            if self.bound < LARGE:
                return
            self.arrays = {**self.arrays, "near": 0.0}
            self.near = self.total.astype(np.float64)
        self.near[rows.at] += rows.sums(data.astype(np.float64))

    def as_floats(self) -> Floats:
        """What the sums are if the integers are taken for floats."""
        total = self.total.astype(np.float64)
        return (
            np.where(np.abs(self.near) < LARGE, total, self.near)
            if "near" in self.arrays
            else total
        )

    def drop(self, data: Numbers, rows: ByCode) -> None:
        self.total[rows.at] -= rows.whole_sums(data)

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.total, None


def two_sum(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """The rounded sum and what rounding took away, exactly.

    >>> two_sum(np.array([1e17]), np.array([1.0]))
    (array([1.e+17]), array([1.]))
    """
    total = left + right
    part = total - left
    return total, (left - (total - part)) + (right - part)


def exact_parts(data: Floats, rows: ByCode) -> tuple[Floats, Floats, float]:
    """Sums by group as a high part without error, a low part, and the low part's error.

    Every value is cut at one power of two so large that the upper parts add up exactly.

    >>> exact_parts(np.array([1e17, 1.0, -1e17]), ByCode(np.array([0, 0, 0]), 1))[:2]
    (array([0.]), array([1.]))
    """
    largest = float(np.abs(data).max()) if len(data) else 0.0
    exponent = int(np.frexp(largest)[1]) + int(np.frexp(len(data) + 2.0)[1])
    if len(data) == 1 or largest == 0.0 or exponent > 1000:
        return rows.sums(data), np.zeros(rows.width), 0.0
    cut = float(np.ldexp(1.0, exponent))
    high = (data + cut) - cut
    low = data - high
    left = float(np.abs(low).max())
    return rows.sums(high), rows.sums(low), left * float(len(data)) ** 2 * 2.0**-53


class FloatSum(Fold):
    """Sum and number of floats: `high + low` with a bound of the error in `error`.

    Infinities are counted apart, so they leave no trace once they have left. With `exact`,
    needed where rows leave, the sum within a batch loses nothing either.
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
        super().__init__(groups)

    def adopt(self, old: Fold, move: Move) -> None:
        if not isinstance(old, WholeSum):
            super().adopt(old, move)
            return
        # Integers have no number of values, nor does the sum ask for it.
        self.reset(len(old.total))
        self.high[:] = old.as_floats()

    def add(self, data: Numbers, rows: ByCode) -> None:
        self._merge(data, rows, 1)

    def drop(self, data: Numbers, rows: ByCode) -> None:
        self._merge(data, rows, -1)

    def _merge(self, data: Floats, rows: ByCode, sign: int) -> None:
        at = rows.at
        self.number[at] += sign * rows.counts()
        finite = np.isfinite(data)
        if not finite.all():
            self.plus[at] += sign * rows.only(data == np.inf).counts()
            self.minus[at] += sign * rows.only(data == -np.inf).counts()
            data, rows = data[finite], rows.only(finite)
        if not self.exact:
            self.high[at], rest = two_sum(self.high[at], rows.sums(data))
            self.low[at] += rest
            return
        self.put(exact_parts(data, rows), at, sign)

    def put(self, parts: tuple[Floats, Floats, Any], at: slice | Numbers, sign: int) -> None:
        """Add (or with sign -1 take away) sums by group that have a low part and an error."""
        high, low, error = parts
        total, rest = two_sum(self.high[at], sign * high)
        low, lost = two_sum(self.low[at], sign * low)
        low, more = two_sum(low, rest)
        self.high[at], self.low[at] = two_sum(total, low)
        self.error[at] += np.abs(lost) + np.abs(more) + error
        if sign < 0:
            self._forget_empty(at)

    def _forget_empty(self, at: slice | Numbers) -> None:
        # No row, no trace: what rounding left in the sum of nothing goes.
        empty = self.number[at] == 0
        if empty.any():
            for array in (self.high, self.low, self.error):
                array[at] = np.where(empty, 0.0, array[at])

    def doubtful(self) -> bool:
        with np.errstate(all="ignore"):
            sound = self.error <= np.abs(self.high + self.low) * DOUBT
        return self.exact and not bool((sound & np.isfinite(self.high)).all())

    def settle(self) -> None:
        """Take the present sums as exact: they were just made from the rows held."""
        self.error[:] = 0.0

    def result(self) -> tuple[Numbers, Bools | None]:
        rest = np.where(np.isfinite(self.low), self.low, 0.0)
        total = self.high + rest
        if self.plus.any() or self.minus.any():
            total = np.where(self.plus > 0, np.inf, np.where(self.minus > 0, -np.inf, total))
            total = np.where((self.plus > 0) & (self.minus > 0), np.nan, total)
        return total, self.number > 0
