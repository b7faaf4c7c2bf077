"""Variance: by Welford and Chan where rows only come, by shifted sums where they also leave."""

from __future__ import annotations

import numpy as np

from rapidz.dataframe.state.aliases import Bools, Floats, Ints, Numbers
from rapidz.dataframe.state.bycode import ByCode
from rapidz.dataframe.state.fold import Fold
from rapidz.dataframe.state.sums import FloatSum, exact_parts, two_sum

__all__ = ["Moments", "WindowMoments"]

# What the last bits of a double-double number are worth, and how much larger than them a sum
# of squared deviations must be to be good to ten digits.
LAST_BITS = 2.0**-104
ENOUGH = 2.0**34


def products(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """The rounded product and what rounding took away, exactly (as Dekker and Veltkamp).

    >>> products(np.array([2.0**30 + 1]), np.array([2.0**30 + 1]))
    (array([1.15292151e+18]), array([1.]))
    """
    product = left * right
    upper, lower = _halves(left)
    above, below = _halves(right)
    rest = ((upper * above - product) + upper * below + lower * above) + lower * below
    return product, np.where(np.isfinite(rest), rest, 0.0)


def squares(data: Floats) -> tuple[Floats, Floats]:
    """The rounded square and what rounding took away, exactly."""
    return products(data, data)


def _halves(data: Floats) -> tuple[Floats, Floats]:
    cut = data * 134217729.0  # 2**27 + 1
    upper = cut - (cut - data)
    return upper, data - upper


def _variance(deviations: Floats, number: Ints, ddof: int) -> tuple[Floats, Bools]:
    free = number - ddof
    with np.errstate(all="ignore"):
        return deviations / np.where(free > 0, free, 1), free > 0


class Moments(Fold):
    """Number, mean and sum of squared deviations, merged batch by batch as Chan does.

    >>> moments = Moments(1)
    >>> for x in (1e9, 1e9 + 1, 1e9 + 2):
    ...     moments.add(np.array([x]), ByCode(np.array([0]), 1))
    >>> moments.variance(ddof=1)
    (array([1.]), array([ True]))
    """

    arrays = {"number": 0, "mean": 0.0, "deviations": 0.0, "odd": 0}  # noqa: RUF012
    number: Ints
    mean: Floats
    deviations: Floats
    odd: Ints
    """Infinite values: with one of them there is no variance."""

    def add(self, data: Numbers, rows: ByCode) -> None:
        at = rows.at
        finite = np.isfinite(data)
        if not finite.all():
            self.odd[at] += rows.only(~finite).counts()
            data, rows = data[finite], rows.only(finite)
        new = rows.counts()
        some = np.maximum(new, 1)
        # The mean of a batch in two steps, for the first one loses the digits of a large offset.
        mean = rows.sums(data) / some
        mean += rows.sums(data - rows.spread(mean)) / some
        off = data - rows.spread(mean)
        old = self.number[at]
        number = np.maximum(old + new, 1)
        apart = np.where(new > 0, mean - self.mean[at], 0.0)
        self.deviations[at] += rows.sums(off * off) + apart * apart * (old * (new / number))
        self.mean[at] += apart * (new / number)
        self.number[at] += new

    def variance(self, ddof: int) -> tuple[Floats, Bools]:
        """The variance of each group, and where there is one."""
        value, valid = _variance(self.deviations, self.number + self.odd, ddof)
        return np.where(self.odd > 0, np.nan, value), valid


class WindowMoments(Fold):
    """Sums of deviations from a centre and of their squares, from which rows can leave.

    The centre of a group is its first value. Deviations and squares are kept with all their
    bits, in double-double arithmetic, so what leaves takes away just what it brought. If a group
    drifts so far from its centre that even these digits run out, `doubtful` says so, and the
    rows held are added again about the mean.
    """

    arrays = {"centre": np.nan}  # noqa: RUF012
    centre: Floats

    def reset(self, groups: int) -> None:
        super().reset(groups)
        self.first = FloatSum(groups, exact=True)
        self.second = FloatSum(groups, exact=True)

    def widen(self, groups: int) -> None:
        super().widen(groups)
        self.first.widen(groups)
        self.second.widen(groups)

    def keep(self, codes: Ints) -> None:
        super().keep(codes)
        self.first.keep(codes)
        self.second.keep(codes)

    def add(self, data: Numbers, rows: ByCode) -> None:
        finite = np.isfinite(data)
        lost = np.isnan(self.centre[rows.at])
        if lost.any():
            where = rows.only(finite).first()
            if len(data[finite]):
                value = data[finite][where]
                self.centre[rows.at] = np.where(lost & (where >= 0), value, self.centre[rows.at])
        self._merge(data, finite, rows, 1)

    def drop(self, data: Numbers, rows: ByCode) -> None:
        self._merge(data, np.isfinite(data), rows, -1)
        empty = self.second.number[rows.at] == 0
        self.centre[rows.at] = np.where(empty, np.nan, self.centre[rows.at])

    def _merge(self, data: Floats, finite: Bools, rows: ByCode, sign: int) -> None:
        at = rows.at
        if not finite.all():
            # Infinite values are counted by the first sum.
            odd = rows.only(~finite)
            (self.first.add if sign > 0 else self.first.drop)(data[~finite], odd)
            data, rows = data[finite], rows.only(finite)
        off, rest = two_sum(data, -rows.spread(self.centre[at]) + np.zeros(len(data)))
        square, lower = squares(off)
        lower += 2 * off * rest
        counts = sign * rows.counts()
        for total, upper, low in ((self.first, off, rest), (self.second, square, lower)):
            total.number[at] += counts
            high, low_sum, error = exact_parts(upper, rows)
            largest = float(np.abs(low).max()) if len(low) else 0.0
            error += largest * float(len(low)) ** 2 * 2.0**-53
            total.put((high, low_sum + rows.sums(low), error), at, sign)

    def _deviations(self) -> Floats:
        first, second = self.first, self.second
        number = np.maximum(second.number, 1)
        square, rest = squares(first.high)
        part = square / number
        back, lost = products(part, number.astype(float))
        rest = ((square - back) - lost + rest + 2 * first.high * first.low) / number
        apart, low = two_sum(second.high, -part)
        deviations: Floats = apart + (low + (second.low - rest))
        return deviations

    def _noise(self) -> Floats:
        # The error of the sums, and what the last of their bits are worth.
        noise: Floats = self.second.error + self.second.high * LAST_BITS
        return noise

    def doubtful(self) -> bool:
        number, high = self.second.number, self.second.high
        with np.errstate(all="ignore"):
            deviations, noise = self._deviations(), self._noise()
            fine = (deviations >= noise * ENOUGH) | (number < 2)
            # As good as constant, and known to the last bit: nothing better can be had.
            fine |= (deviations <= noise * 4) & (noise <= high * (LAST_BITS * 4096))
        return not bool(fine.all())

    def renew(self, data: Numbers, rows: ByCode) -> None:
        self.reset(rows.groups)
        finite = np.isfinite(data)
        near, held = data[finite], rows.only(finite)
        some = np.maximum(held.counts(), 1)
        self.centre[rows.at] = held.sums(near / held.spread(some))
        self.add(data, rows)
        self.settle()

    def settle(self) -> None:
        """Take the present sums as exact: they were just made from the rows held."""
        self.first.settle()
        self.second.settle()

    def variance(self, ddof: int) -> tuple[Floats, Bools]:
        """The variance of each group, and where there is one."""
        with np.errstate(all="ignore"):
            deviations = self._deviations()
            deviations = np.where(deviations <= self._noise() * 4, 0.0, deviations)
        odd = self.first.plus + self.first.minus
        value, valid = _variance(deviations, self.first.number, ddof)
        return np.where(odd > 0, np.nan, value), valid
