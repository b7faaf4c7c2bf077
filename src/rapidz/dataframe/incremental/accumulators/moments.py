"""Variance: by Welford and Chan if rows are only added, by shifted sums if they also leave."""

from __future__ import annotations

from typing import Any

import numpy as np

from rapidz.dataframe.incremental.accumulators.accumulator import Accumulator
from rapidz.dataframe.incremental.accumulators.sums import FloatSum, exact_parts
from rapidz.dataframe.incremental.double_double import deviation_sum, squares, two_sum
from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Floats, Ints, Numbers

__all__ = ["WelfordMoments", "SlidingMoments"]

# The relative value of the last bits of a double-double number, and how much larger than them a
# sum of squared deviations must be for ten correct digits.
LAST_BITS = 2.0**-104
ENOUGH = 2.0**34
MIXER = np.uint64(0x9E3779B97F4A7C15)


def marks(data: Floats) -> Ints:
    """Return a hash for each value, such that sums of them distinguish equal values from others.

    >>> bool(marks(np.array([0.0]))[0] == marks(np.array([-0.0]))[0])
    True
    """
    bits = (data + 0.0).view(np.uint64)
    bits ^= bits >> np.uint64(32)
    bits *= MIXER
    bits ^= bits >> np.uint64(29)
    return bits


class VarianceAccumulator(Accumulator):
    """Base class of accumulators of a variance."""

    def variance(self, ddof: int) -> tuple[Floats, Bools]:
        """Return the variance of each group, and where it is valid."""
        raise NotImplementedError

    def std(self, ddof: int) -> tuple[Floats, Bools]:
        """Return the standard deviation of each group, and where it is valid."""
        value, valid = self.variance(ddof)
        return np.sqrt(value), valid


def _variance(deviations: Floats, number: Ints, odd: Ints, ddof: int) -> tuple[Floats, Bools]:
    """Return the variance, which is missing for infinite values: those that are *odd*."""
    free = number - ddof
    with np.errstate(all="ignore"):
        value = deviations / np.where(free > 0, free, 1)
    return np.where(odd > 0, np.nan, value), free > 0


class WelfordMoments(VarianceAccumulator):
    """Welford's moments: number, mean and sum of squared deviations, merged by batch (Chan).

    >>> moments = WelfordMoments(1)
    >>> for x in (1e9, 1e9 + 1, 1e9 + 2):
    ...     moments.add(np.array([x]), GroupedRows(np.array([0]), 1))
    >>> moments.variance(ddof=1)
    (array([1.]), array([ True]))
    """

    arrays = {"number": 0, "mean": 0.0, "deviations": 0.0, "odd": 0}  # noqa: RUF012
    number: Ints
    mean: Floats
    deviations: Floats
    odd: Ints
    """The number of infinite values: with one of them the variance is missing."""

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        at = rows.at
        finite = np.isfinite(data)
        if not finite.all():
            self.odd[at] += rows.only(~finite).counts()
            data, rows = data[finite], rows.only(finite)
        new = rows.counts()
        some = np.maximum(new, 1)
        # The mean of a batch in two steps, since the first one loses digits to a large offset.
        mean = rows.sums(data) / some
        mean += rows.sums(data - rows.broadcast(mean)) / some
        off = data - rows.broadcast(mean)
        old = self.number[at]
        number = np.maximum(old + new, 1)
        apart = np.where(new > 0, mean - self.mean[at], 0.0)
        self.deviations[at] += rows.sums(off * off) + apart * apart * (old * (new / number))
        self.mean[at] += apart * (new / number)
        self.number[at] += new

    def variance(self, ddof: int) -> tuple[Floats, Bools]:
        return _variance(self.deviations, self.number + self.odd, self.odd, ddof)


class SlidingMoments(VarianceAccumulator):
    """Shifted sums: deviations from a centre and their squares, from which rows can leave.

    The centre of a group is its first value. Deviations and squares are kept with all their
    bits, in double-double arithmetic, so that a row that leaves removes exactly what it added. If
    a group drifts so far from its centre that even these digits are lost, `needs_recompute` is
    True, and the buffered rows are added again about the mean.

    Only a group whose values are all equal may have lost its digits for good. The deviations
    cannot tell, since those from a far centre exceed all others; the hashes of the values can.
    """

    nested = ("first", "second")
    arrays = {"centre": np.nan, "marks": np.uint64(0), "mark": np.uint64(0)}  # noqa: RUF012
    centre: Floats
    marks: Ints
    """Sums of the hashes of the finite values, modulo 2**64."""
    mark: Ints
    """The hash of one of them: if all are equal, of each."""

    def reset(self, groups: int) -> None:
        super().reset(groups)
        self.first = FloatSum(groups, exact=True)
        self.second = FloatSum(groups, exact=True)

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        finite = np.isfinite(data)
        lost = np.isnan(self.centre[rows.at])
        if lost.any():
            where = rows.only(finite).first()
            if len(data[finite]):
                value = data[finite][where]
                self.centre[rows.at] = np.where(lost & (where >= 0), value, self.centre[rows.at])
        self._merge(data, finite, rows, 1)

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        self._merge(data, np.isfinite(data), rows, -1)
        empty = self.second.number[rows.at] == 0
        self.centre[rows.at] = np.where(empty, np.nan, self.centre[rows.at])

    def _merge(self, data: Floats, finite: Bools, rows: GroupedRows, sign: int) -> None:
        at = rows.at
        if not finite.all():
            # Infinite values are counted by the first sum.
            odd = rows.only(~finite)
            (self.first.add if sign > 0 else self.first.remove)(data[~finite], odd)
            data, rows = data[finite], rows.only(finite)
        self._mark(marks(data), rows, sign)
        off, rest = two_sum(data, -rows.broadcast(self.centre[at]) + np.zeros(len(data)))
        square, lower = squares(off)
        lower += 2 * off * rest
        counts = rows.counts()
        most: Floats | None = None
        for total, upper, low in ((self.second, square, lower), (self.first, off, rest)):
            total.number[at] += sign * counts
            high, low_sum, cut = exact_parts(upper, rows)
            low_sum += rows.sums(low)
            largest = float(np.abs(low).max()) if len(low) else 0.0
            error: Any = cut + largest * float(len(low)) ** 2 * 2.0**-53
            most = high + low_sum if most is None else np.sqrt(most * counts)
            if error:
                # This bounds the largest values; in a group of small ones the error is no larger.
                error = np.minimum(error, most * counts * 2.0**-52)
            total.put((high, low_sum, error), at, sign)

    def _mark(self, new: Ints, rows: GroupedRows, sign: int) -> None:
        at = rows.at
        sums = rows.integer_sums(new)
        if sign < 0:
            self.marks[at] -= sums
            return
        self.marks[at] += sums
        if len(new):
            last = rows.last()
            self.mark[at] = np.where(last >= 0, new[last], self.mark[at])

    def _constant(self) -> Bools:
        constant: Bools = self.marks == self.mark * self.second.number.astype(np.uint64)
        return constant

    def _deviations(self) -> Floats:
        number = np.maximum(self.second.number, 1).astype(float)
        first, second = self.first, self.second
        return deviation_sum(number, first.high, first.low, second.high, second.low)

    def _noise(self) -> Floats:
        # The error of the sums, and the value of their last bits.
        first, second = self.first, self.second
        shift = np.abs(first.high) / np.maximum(second.number, 1)
        noise: Floats = second.error + second.high * LAST_BITS + 2 * shift * first.error
        return noise

    def needs_recompute(self) -> bool:
        with np.errstate(all="ignore"):
            fine = self._deviations() >= self._noise() * ENOUGH
        return not bool(fine.all() or (fine | self._constant()).all())

    def recompute(self, data: Numbers, rows: GroupedRows) -> None:
        self.reset(rows.groups)
        finite = np.isfinite(data)
        near, held = data[finite], rows.only(finite)
        some = np.maximum(held.counts(), 1)
        self.centre[rows.at] = held.sums(near / held.broadcast(some))
        self.add(data, rows)
        self.reset_error()

    def reset_error(self) -> None:
        """Take the present sums as exact: they were just computed from the buffered rows."""
        good = np.maximum(self._deviations(), 0.0) / (4 * ENOUGH)
        self.second.error = np.minimum(self.second.error, good)

    def variance(self, ddof: int) -> tuple[Floats, Bools]:
        with np.errstate(all="ignore"):
            deviations = self._deviations()
        deviations = np.where(self._constant(), 0.0, np.maximum(deviations, 0.0))
        odd = self.first.plus + self.first.minus
        return _variance(deviations, self.first.number, odd, ddof)
