"""Sorted leaving windows: medians and quantiles at a cost that depends on the new rows only."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import numpy as np

from rapidz.dataframe.incremental.types import Floats, Ints

__all__ = ["SortedWindow", "is_available"]


@functools.cache
def is_available() -> bool:
    """Return whether sortedcontainers is installed."""
    return importlib.util.find_spec("sortedcontainers") is not None


class SortedWindow:
    """Sorted list of the values in a window; infinite values are missing, as in pandas.

    >>> window = SortedWindow(np.array([5.0, np.nan]))
    >>> new, gone = np.array([1.0, 2.0]), np.array([5.0])
    >>> window.quantiles(new, gone, np.array([0, 1]), 0.5, 1).tolist()
    [3.0, 1.5]
    """

    def __init__(self, values: Floats) -> None:
        library: Any = importlib.import_module("sortedcontainers")
        self.values: Any = library.SortedList(values[np.isfinite(values)].tolist())

    def quantiles(
        self, new: Floats, leaving: Floats, ends: Ints, q: float, min_periods: int
    ) -> Floats:
        """Return the quantile for each new row, before which `ends` of the leaving rows have left.

        Rows that leave after the last row are removed by `drop`.
        """
        results = np.full(len(new), np.nan)
        values, gone, least = self.values, 0, max(min_periods, 1)
        add, remove = values.add, values.remove
        old, finite = leaving.tolist(), np.isfinite(leaving).tolist()
        rows = zip(new.tolist(), np.isfinite(new).tolist(), ends.tolist(), strict=True)
        for number, (value, counts, end) in enumerate(rows):
            if counts:
                add(value)
            while gone < end:
                if finite[gone]:
                    remove(old[gone])
                gone += 1
            if len(values) >= least:
                results[number] = _quantile(values, q)
        return results

    def drop(self, leaving: Floats) -> None:
        """Remove values."""
        for value in leaving[np.isfinite(leaving)].tolist():
            self.values.remove(value)


def _quantile(values: Any, q: float) -> float:
    """Return the quantile of sorted values, in the arithmetic of pandas."""
    place = q * (len(values) - 1)
    below = int(place)
    low: float = values[below]
    if below == place:
        return low
    high: float = values[below + 1]
    return (low + high) / 2 if q == 0.5 else low + (high - low) * (place - below)
