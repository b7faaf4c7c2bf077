"""Bins of time: the numbers of the windows that rows are in, and when these begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rapidz.dataframe.incremental.types import Bools, Ints

__all__ = ["Bins", "EvenBins"]

FAR = 1 << 62


class Bins:
    """Numbered windows, in order of their ends; all instants are nanoseconds."""

    def prepare(self, low: int, high: int, dtype: Any) -> None:
        """Get ready for rows between two instants, whose times have this dtype."""
        raise NotImplementedError

    def panes(self, times: Ints) -> Ints:
        """Return the number of the pane of each row."""
        raise NotImplementedError

    def first_open(self, watermark: int) -> int:
        """Return the number of the first window that ends after the watermark."""
        raise NotImplementedError

    def expand(self, panes: Ints, times: Ints, first: int) -> tuple[Ints | None, Ints]:
        """Return the position of each row, once for each window from *first* on, and the window."""
        raise NotImplementedError

    def starts(self, numbers: Ints) -> Ints:
        """Return where windows begin."""
        raise NotImplementedError

    def ends(self, numbers: Ints) -> Ints:
        """Return where windows end: the first instant that is not in them."""
        raise NotImplementedError

    def due(self, number: int) -> int:
        """Return the watermark at which a window closes."""
        raise NotImplementedError

    def closings(self, labels: Ints, side: str) -> Ints:
        """Return the watermarks at which windows close, by the labels of their "start" or "end"."""
        raise NotImplementedError


@dataclass
class EvenBins(Bins):
    """Windows of one length that begin at even intervals: tumbling, or sliding if they overlap.

    Parameters
    ----------
    size, every : int
        The length of a window, and of the interval between two, which is no longer.
    origin : int
        An instant at which a window begins.
    right : bool
        Whether windows include their end and not their start.

    >>> EvenBins(60, 60).panes(np.array([59, 60, 61]))
    array([0, 1, 1])
    >>> EvenBins(60, 20).expand(np.array([3]), np.array([70]), 2)
    (array([0, 0]), array([3, 2]))
    """

    size: int
    every: int
    origin: int = 0
    right: bool = False

    def prepare(self, low: int, high: int, dtype: Any) -> None:
        """Do nothing: the origin is fixed."""

    def panes(self, times: Ints) -> Ints:
        """Return the number of the last window that each row is in."""
        shift = self.origin + self.right
        return (times - shift if shift else times) // self.every

    def first_open(self, watermark: int) -> int:
        """Return the number of the first window that ends after the watermark."""
        number = (watermark - self.size - self.origin - self.right) // self.every + 1
        return min(max(number, -FAR), FAR)

    def expand(self, panes: Ints, times: Ints, first: int) -> tuple[Ints | None, Ints]:
        """Return the position of each row, once for each window from *first* on, and the window."""
        overlap = -(-self.size // self.every)
        if overlap == 1:
            return None, panes
        rows = np.repeat(np.arange(len(panes)), overlap)
        windows = (panes[:, None] - np.arange(overlap)).ravel()
        inside: Bools = windows >= first
        if self.size % self.every:
            inside &= self.ends(windows) + self.right > times[rows]
        return rows[inside], windows[inside]

    def starts(self, numbers: Ints) -> Ints:
        """Return where windows begin."""
        return numbers * self.every + self.origin

    def ends(self, numbers: Ints) -> Ints:
        """Return where windows end."""
        return self.starts(numbers) + self.size

    def due(self, number: int) -> int:
        """Return the watermark at which a window closes."""
        return number * self.every + self.origin + self.size + self.right

    def closings(self, labels: Ints, side: str) -> Ints:
        """Return the watermarks at which windows close, by the labels of one side."""
        return labels + (self.size if side == "start" else 0) + self.right
