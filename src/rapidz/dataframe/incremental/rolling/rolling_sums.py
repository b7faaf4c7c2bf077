"""Rolling sums, means, variances, extrema and counts of one column, by two stacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from rapidz.dataframe.incremental.rolling.two_stacks import (
    EqualRuns,
    ScannedExtrema,
    ScannedMoments,
    ScannedSums,
    TwoStacks,
    deviations,
)
from rapidz.dataframe.incremental.types import Bools, Floats, Ints

__all__ = ["HOWS", "RollingSums", "is_small"]

HOWS = ("sum", "mean", "min", "max", "var", "std", "count")
# Sums of squares of values below this do not overflow.
HUGE = 2.0**400


def is_small(values: Floats) -> bool:
    """Return whether the squares of the values can be added up; NaN counts as missing.

    >>> is_small(np.array([1.0, np.nan])), is_small(np.array([1e200]))
    (True, False)
    """
    return not bool((np.abs(values) > HUGE).any())


class RollingSums:
    """Two-stack aggregate of the windows of one column, in which NaN is missing.

    >>> sums = RollingSums("mean", np.array([1.0]))
    >>> sums.step(np.array([1.0, 3.0, np.nan]), 1, np.array([0, 1]), 1, 1).tolist()
    [2.0, 3.0]
    """

    def __init__(self, how: str, held: Floats) -> None:
        self.how = how
        self.stacks = TwoStacks(_sums(how))
        self.runs: EqualRuns | None = None
        if how in ("mean", "var", "std"):
            self.runs = EqualRuns()
            self.runs.step(held)

    def step(self, rows: Floats, held: int, starts: Ints, least: int, ddof: int) -> Floats:
        """Return the aggregate for each row from *held* on; NaN with less than *least* values."""
        runs = self._runs(rows[held:])
        # Equal values have no variance, whatever rounding has left.
        length = None if runs is None else runs[0]
        parts = self.stacks.step(rows, held, starts, length)
        number = parts[0]
        with np.errstate(all="ignore"):
            made = self._read(parts, runs, ddof)
        enough: Bools = number >= least
        if self.how in ("var", "std"):
            enough &= number > ddof
        elif self.how not in ("sum", "count"):
            enough &= number > 0
        return np.where(enough, made, np.nan)

    def drop(self, count: int) -> None:
        """Remove the oldest rows."""
        self.stacks.drop(count)

    def _runs(self, new: Floats) -> Any:
        return None if self.runs is None else self.runs.step(new)

    def _read(self, parts: Any, runs: Any, ddof: int) -> Floats:
        number: Ints = parts[0]
        if self.how in ("min", "max"):
            best: Floats = parts[1]
            return best
        if self.how in ("sum", "count"):
            total: Floats = parts[1] + parts[2]
            return total
        length, value = runs
        constant: Bools = length >= number
        if self.how == "mean":
            mean: Floats = (parts[1] + parts[2]) / np.maximum(number, 1)
            return np.where(constant, value, mean)
        off = np.where(constant, 0.0, np.maximum(deviations(parts), 0.0))
        variance: Floats = off / np.where(number > ddof, number - ddof, 1)
        return variance if self.how == "var" else np.sqrt(variance)


def _sums(how: str) -> ScannedSums:
    if how in ("min", "max"):
        return ScannedExtrema(np.minimum if how == "min" else np.maximum)
    return ScannedMoments() if how in ("var", "std") else ScannedSums()
