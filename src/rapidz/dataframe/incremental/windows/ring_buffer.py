"""Ring buffer: a queue of numbers in one growable array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rapidz.dataframe.incremental.types import Numbers

__all__ = ["RingBuffer"]

SMALLEST = 64


class RingBuffer:
    """Ring buffer with a contiguous view: values enter at the end and leave at the front.

    Appending and dropping cost amortised constant time for each value. Instead of wrapping, the
    values are moved to the front when the end is reached, so that they are always one slice.

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
        """Return the values, oldest first: a view that the next change invalidates."""
        return self._data[self._start : self._stop]

    def append(self, values: Numbers) -> None:
        """Append values at the end."""
        if self._stop + len(values) > len(self._data):
            self._reserve(len(values))
        self._data[self._stop : self._stop + len(values)] = values
        self._stop += len(values)

    def drop_oldest(self, count: int) -> None:
        """Remove the oldest values."""
        self._start += count
        if self._start >= self._stop:
            self._start = self._stop = 0

    def drop_newest(self, count: int) -> None:
        """Remove the newest values."""
        self._stop -= count

    def replace(self, values: Numbers) -> None:
        """Replace all values."""
        self._start = self._stop = 0
        self.append(values)

    def _reserve(self, count: int) -> None:
        # Removed values pay for moving the others to the front, appended ones for growth by half.
        kept = self.view()
        needed = len(kept) + count
        if needed * 2 <= len(self._data):
            target = self._data
        else:
            target = np.empty(max(needed * 2, SMALLEST), self._data.dtype)
        target[: len(kept)] = kept
        self._data, self._start, self._stop = target, 0, len(kept)
