"""The numbers of the rows that windows still to come can reach, and their times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.types import Floats, Frame, Ints
from rapidz.dataframe.incremental.windows.ring_buffer import RingBuffer

__all__ = ["FloatRows", "floats"]


def floats(frame: Frame) -> Floats:
    """The rows as floats, one column for each of them; what is infinite is missing, as in pandas.

    >>> floats(pd.Series([1, 2]))
    array([[1.],
           [2.]])
    """
    values = frame.to_numpy("float64", na_value=np.nan)
    values = values.reshape(len(frame), 1) if isinstance(frame, pd.Series) else values
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values


class FloatRows:
    """Columns of floats that grow at the end and shrink at the front, with times if need be."""

    def __init__(self) -> None:
        self.held = 0
        self.buffers: dict[Any, RingBuffer] = {}
        self.stamps = RingBuffer(np.int64)
        self.unit: Any = None

    def take(self, labels: Sequence[Any], values: Floats, index: Any) -> None:
        """Add rows; *index* holds their times, None if that does not matter."""
        for label in labels:
            if label not in self.buffers:  # of a column of which nothing was known yet
                self.buffers[label] = RingBuffer(np.float64)
                self.buffers[label].append(np.full(self.held, np.nan))
        for label in [label for label in self.buffers if label not in labels]:
            del self.buffers[label]
        for label, column in zip(labels, values.T, strict=True):
            self.buffers[label].append(column)
        if index is not None:
            self.stamps.append(self._read(index))
        self.held += len(values)

    def _read(self, index: Any) -> Ints:
        both = index if self.unit is None else _finer(index, self.unit)
        if self.unit not in (None, both.unit):
            old: Any = self.stamps.view().view(f"M8[{self.unit}]").astype(f"M8[{both.unit}]")
            self.stamps.replace(old.view(np.int64))
        self.unit = both.unit
        stamps: Ints = both.asi8
        return stamps

    def drop_newest(self, count: int) -> None:
        """Take back the newest rows."""
        for buffer in (*self.buffers.values(), self.stamps):
            if len(buffer):
                buffer.drop_newest(count)
        self.held -= count

    def drop_oldest(self, count: int) -> None:
        """Let the oldest rows go."""
        for buffer in (*self.buffers.values(), self.stamps):
            if len(buffer):
                buffer.drop_oldest(count)
        self.held -= count

    def starts(self, window: pd.Timedelta, since: int) -> Ints:
        """Where the windows begin that end at each row from *since* on."""
        step = pd.Timedelta(1, self.unit).as_unit("ns").value
        length = window.as_unit("ns").value // step  # pandas, too, leaves out what is less
        stamps = self.stamps.view()
        starts = np.searchsorted(stamps, stamps[since:] - length, side="right")
        return np.minimum(starts, np.arange(since, len(stamps)))

    def frame(self) -> pd.DataFrame:
        """The rows as pandas has them, the columns numbered."""
        columns = dict(enumerate(buffer.view() for buffer in self.buffers.values()))
        index: Any = range(self.held)
        if self.unit is not None:
            index = pd.DatetimeIndex(self.stamps.view().view(f"M8[{self.unit}]"))
        return pd.DataFrame(columns, index=index)


def _finer(index: Any, unit: str) -> Any:
    order = ("s", "ms", "us", "ns")
    return index if order.index(index.unit) >= order.index(unit) else index.as_unit(unit)
