"""Rows that come at the end and leave at the front, in one growable array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rapidz.dataframe.incremental.types import Numbers

__all__ = ["RingBuffer"]

SMALLEST = 64


class RingBuffer:
    """An array whose rows come at the end and leave at the front, at amortised constant cost.

    >>> buffer = RingBuffer("int64")
    >>> buffer.append(np.array([1, 2, 3]))
    >>> buffer.drop_oldest(1)
    >>> buffer.view()
    array([2, 3])
    """

    __slots__ = ("_data", "_start", "_stop")

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._data: Numbers = np.empty(SMALLEST, dtype)
        self._start = self._stop = 0

    def __len__(self) -> int:
        return self._stop - self._start

    def view(self) -> Numbers:
        """The rows held, oldest first: a view that the next change makes stale."""
        return self._data[self._start : self._stop]

    def append(self, values: Numbers) -> None:
        """Take rows at the end."""
        if self._stop + len(values) > len(self._data):
            self._reserve(len(values))
        self._data[self._stop : self._stop + len(values)] = values
        self._stop += len(values)

    def drop_oldest(self, count: int) -> None:
        """Let the oldest rows go."""
        self._start += count
        if self._start >= self._stop:
            self._start = self._stop = 0

    def drop_newest(self, count: int) -> None:
        """Take back the newest rows."""
        self._stop -= count

    def replace(self, values: Numbers) -> None:
        """Hold these rows instead of all others."""
        self._start = self._stop = 0
        self.append(values)

    def _reserve(self, count: int) -> None:
        # Moving the rows to the front is paid for by the rows that left; growing by half of
        # the rows held is paid for by those that came.
        held = self.view()
        needed = len(held) + count
        if needed * 2 <= len(self._data):
            target = self._data
        else:
            target = np.empty(max(needed * 2, SMALLEST), self._data.dtype)
        target[: len(held)] = held
        self._data, self._start, self._stop = target, 0, len(held)
