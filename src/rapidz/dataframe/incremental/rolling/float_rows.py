"""Float rows: the rows that later windows can reach, as floats, and their times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.types import Floats, Frame, Ints
from rapidz.dataframe.incremental.windows.ring_buffer import RingBuffer

__all__ = ["FloatRows", "floats"]


def floats(frame: Frame) -> Floats:
    """Return the rows as floats in two dimensions; infinite values are missing, as in pandas.

    >>> floats(pd.Series([1, 2]))
    array([[1.],
           [2.]])
    """
    values = frame.to_numpy("float64", na_value=np.nan)
    values = values.reshape(len(frame), 1) if isinstance(frame, pd.Series) else values
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values


class FloatRows:
    """Ring buffers of columns of floats, and of times for windows of time."""

    def __init__(self) -> None:
        self.size = 0
        self.buffers: dict[Any, RingBuffer] = {}
        self.stamps = RingBuffer(np.int64)
        self.unit: Any = None

    def take(self, labels: Sequence[Any], values: Floats, index: Any) -> None:
        """Append rows; *index* has their times, None for windows of a number of rows."""
        for label in labels:
            if label not in self.buffers:  # a column whose type was unknown so far
                self.buffers[label] = RingBuffer(np.float64)
                self.buffers[label].append(np.full(self.size, np.nan))
        for label in [label for label in self.buffers if label not in labels]:
            del self.buffers[label]
        for label, column in zip(labels, values.T, strict=True):
            self.buffers[label].append(column)
        if index is not None:
            self.stamps.append(self._read(index))
        self.size += len(values)

    def _read(self, index: Any) -> Ints:
        both = index if self.unit is None else _finer(index, self.unit)
        if self.unit not in (None, both.unit):
            old: Any = self.stamps.view().view(f"M8[{self.unit}]").astype(f"M8[{both.unit}]")
            self.stamps.replace(old.view(np.int64))
        self.unit = both.unit
        stamps: Ints = both.asi8
        return stamps

    def drop_newest(self, count: int) -> None:
        """Remove the newest rows."""
        for buffer in (*self.buffers.values(), self.stamps):
            if len(buffer):
                buffer.drop_newest(count)
        self.size -= count

    def drop_oldest(self, count: int) -> None:
        """Remove the oldest rows."""
        for buffer in (*self.buffers.values(), self.stamps):
            if len(buffer):
                buffer.drop_oldest(count)
        self.size -= count

    def starts(self, window: pd.Timedelta, since: int) -> Ints:
        """Return the starts of the windows that end at each row from *since* on."""
        step = pd.Timedelta(1, self.unit).as_unit("ns").value
        length = window.as_unit("ns").value // step  # truncated, as in pandas
        stamps = self.stamps.view()
        starts = np.searchsorted(stamps, stamps[since:] - length, side="right")
        return np.minimum(starts, np.arange(since, len(stamps)))

    def frame(self) -> pd.DataFrame:
        """Return the rows as a frame, the columns numbered."""
        columns = dict(enumerate(buffer.view() for buffer in self.buffers.values()))
        index: Any = range(self.size)
        if self.unit is not None:
            index = pd.DatetimeIndex(self.stamps.view().view(f"M8[{self.unit}]"))
        return pd.DataFrame(columns, index=index)


def _finer(index: Any, unit: str) -> Any:
    order = ("s", "ms", "us", "ns")
    return index if order.index(index.unit) >= order.index(unit) else index.as_unit(unit)
