"""Two-stack sliding aggregation: the cost depends on the rows that enter and leave, not the window.

The buffered rows are split at one position. For the older ones the suffix aggregates up to the
split are known, for the newer ones the prefix aggregates from the split on. A window is one of the
former joined with one of the latter: nothing is ever subtracted, so rows that left cause no
rounding error. When the older rows are used up, the split moves to the end (flip): every row is
read twice.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from rapidz.dataframe.incremental.double_double import deviation_sum, power_above, squares, two_sum
from rapidz.dataframe.incremental.types import Bools, Floats, Ints

__all__ = [
    "ScannedExtrema",
    "ScannedMoments",
    "EqualRuns",
    "TwoStacks",
    "ScannedSums",
    "deviations",
]

Parts: TypeAlias = "tuple[Any, ...]"

# A sum of squared deviations that is a smaller part than this of that about the centre is inexact.
FEW_DIGITS = 2.0**-60
# Running sums of which the largest value is a smaller part than this of a later one are made anew.
SIMILAR = 2.0**-3


def _running(data: Floats) -> tuple[Floats, Floats]:
    """Return the running sums as a part without error and the rest.

    The rounding error of each follows the largest value up to its row: later values, which
    may be in none of its windows, do not count.

    >>> _running(np.array([1e17, 1.0, -1e17]))
    (array([1.e+17, 1.e+17, 0.e+00]), array([0., 1., 1.]))
    >>> _running(np.array([1e17, 1.0, -1e17, 2.0**133]))[1][:3].tolist()
    [0.0, 1.0, 1.0]
    """
    sizes, stop = np.abs(data), len(data)
    largest = float(sizes.max(initial=0.0))
    high, low = _running_of_similar(data, largest)
    while largest and (stop := int(np.argmax(sizes[:stop] >= largest * SIMILAR))):
        largest = float(sizes[:stop].max())
        high[:stop], low[:stop] = _running_of_similar(data[:stop], largest)
    return high, low


def _running_of_similar(data: Floats, largest: float) -> tuple[Floats, Floats]:
    """Return the running sums; their rounding error follows the *largest* absolute value."""
    cut = float(np.ldexp(1.0, power_above(largest, len(data)))) if largest else 0.0
    high = (data + cut) - cut
    return np.cumsum(high), np.cumsum(data - high)


def _added(left: Parts, right: Parts) -> Parts:
    high, rest = two_sum(left[0], right[0])
    return high, left[1] + right[1] + rest


class ScannedSums:
    """Monoid of number and sum of the values, in double-double arithmetic."""

    none: Parts = (0, 0.0, 0.0)

    def about(self, data: Floats) -> ScannedSums:
        """Return the monoid to continue with after these rows."""
        return self

    def scan(self, data: Floats) -> Parts:
        """Return the prefix aggregate up to each row; NaN is missing."""
        valid = ~np.isnan(data)
        return np.cumsum(valid), *_running(np.where(valid, data, 0.0))

    def join(self, left: Parts, right: Parts) -> Parts:
        """Return the aggregate of two parts together."""
        return left[0] + right[0], *_added(left[1:], right[1:])

    def inexact(self, parts: Parts, runs: Ints) -> Bools:
        """Return which results may be inexact; *runs* of equal values end at the rows."""
        return np.zeros(len(runs), bool)


class ScannedExtrema(ScannedSums):
    """Monoid of number and minimum or maximum of the values."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.ufunc = ufunc
        self.none = (0, np.inf if ufunc is np.minimum else -np.inf)

    def scan(self, data: Floats) -> Parts:
        valid = ~np.isnan(data)
        return np.cumsum(valid), self.ufunc.accumulate(np.where(valid, data, self.none[1]))

    def join(self, left: Parts, right: Parts) -> Parts:
        return left[0] + right[0], self.ufunc(left[1], right[1])


class ScannedMoments(ScannedSums):
    """Monoid of number, sum of deviations from a centre and sum of their squares."""

    none = (0, 0.0, 0.0, 0.0, 0.0)

    def __init__(self, centre: float = 0.0) -> None:
        self.centre = centre

    def about(self, data: Floats) -> ScannedMoments:
        present = data[~np.isnan(data)]
        return ScannedMoments(float(present.mean())) if len(present) else self

    def scan(self, data: Floats) -> Parts:
        valid = ~np.isnan(data)
        off, rest = two_sum(np.where(valid, data, self.centre), np.full(len(data), -self.centre))
        square, lower = squares(off)
        first, low = _running(off)
        second, below = _running(square)
        below = below + np.cumsum(lower + 2 * off * rest)
        return np.cumsum(valid), first, low + np.cumsum(rest), second, below

    def join(self, left: Parts, right: Parts) -> Parts:
        first, second = _added(left[1:3], right[1:3]), _added(left[3:], right[3:])
        return left[0] + right[0], *first, *second

    def inexact(self, parts: Parts, runs: Ints) -> Bools:
        lost: Bools = deviations(parts) < parts[3] * FEW_DIGITS
        lost &= runs < parts[0]
        return lost


def deviations(parts: Parts) -> Floats:
    """Return the sums of squared deviations from the mean, of the parts of `ScannedMoments`.

    >>> deviations(ScannedMoments(1.0).scan(np.array([1.0, 2.0, 3.0])))
    array([0. , 0.5, 2. ])
    """
    number, *sums = parts
    return deviation_sum(np.maximum(number, 1).astype(float), *sums)


class EqualRuns:
    """Run length: how many of the last values are equal; shorter windows have no variance."""

    def __init__(self) -> None:
        self.value, self.length = np.nan, 0

    def step(self, new: Floats) -> tuple[Ints, Floats]:
        """Return the length of the run of equal values that ends at each row, and their value."""
        valid = ~np.isnan(new)
        values = np.r_[self.value, new[valid]]
        at = np.arange(len(values))
        fresh = np.r_[False, values[1:] != values[:-1]]
        last = np.maximum.accumulate(np.where(fresh, at, 0))
        lengths = at - last + np.where(last > 0, 1, self.length)
        self.value, self.length = float(values[-1]), int(lengths[-1])
        where = np.cumsum(valid)
        return lengths[where], values[where]


class TwoStacks:
    """Two stacks: the aggregates of the windows that end at each row.

    >>> stacks = TwoStacks(ScannedSums())
    >>> number, high, low = stacks.step(np.array([1.0, 2.0, 4.0]), 1, np.array([0, 1]))
    >>> (high + low).tolist()
    [3.0, 6.0]
    """

    def __init__(self, sums: ScannedSums) -> None:
        self.sums = sums
        self.split = -1
        """The position of the first newer row, -1 before the first step."""
        self.base = 0
        """The position of the first older row."""
        self.older: Parts = ()
        self.newer: Parts = ()

    def step(self, rows: Floats, held: int, starts: Ints, runs: Ints | None = None) -> Parts:
        """Return the aggregate for each row from *held* on, whose windows begin at *starts*."""
        pieces, done = [], held
        while done < len(rows):
            end = held + int(np.searchsorted(starts, self.split, side="right"))
            if end <= done:
                self._flip(rows, int(starts[done - held]), done)
                continue
            piece, newer = self._parts(rows[done:end], starts[done - held : end - held])
            if runs is not None and done != self.split:
                lost = self.sums.inexact(piece, runs[done - held : end - held])
                if lost.any():
                    good = int(lost.argmax())
                    pieces.append(tuple(part[:good] for part in piece))
                    done += good
                    self._flip(rows, int(starts[done - held]), done)
                    continue
            pieces.append(piece)
            self.newer = tuple(part[-1] for part in newer)
            done = end
        return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))

    def drop(self, count: int) -> None:
        """Remove the oldest rows: positions count from a later row."""
        self.split -= count
        self.base -= count

    def _parts(self, new: Floats, starts: Ints) -> tuple[Parts, Parts]:
        newer = self.sums.join(self.newer, self.sums.scan(new))
        older = tuple(part[starts - self.base] for part in self.older)
        return self.sums.join(older, newer), newer

    def _flip(self, rows: Floats, start: int, at: int) -> None:
        """Make the rows before *at* the older ones."""
        self.sums = self.sums.about(rows[start:at])
        scanned = self.sums.scan(rows[start:at][::-1])
        both = zip(scanned, self.sums.none, strict=True)
        self.older = tuple(np.append(part[::-1], nothing) for part, nothing in both)
        self.newer = self.sums.none
        self.base, self.split = start, at
