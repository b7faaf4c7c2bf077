"""Rolling aggregates: one value for each row, of the window that ends there."""

from __future__ import annotations

import numbers
from typing import Any

import pandas as pd

from rapidz.dataframe.state.aliases import Frame
from rapidz.dataframe.state.schema import Schema
from rapidz.dataframe.state.spec import numeric_columns
from rapidz.dataframe.state.windows import same_clock
from rapidz.kernel.short_repr import short_repr

__all__ = ["RollingState"]

HOWS = ("sum", "mean", "min", "max", "median", "var", "std", "count", "quantile", "aggregate")


class RollingState:
    """The rows that pandas' `rolling` gives for all rows, as they come.

    `window` is a number of rows or, where the index holds times in order, a length of time.
    `how` is the name of an aggregate of pandas' rolling ("aggregate" takes `func=`), options go
    to it. Only the rows that windows still to come can reach are held. Columns of a DataFrame
    that are not numbers are left out. `min_periods` is by default what pandas takes.

    >>> state = RollingState(pd.Series([], dtype="int64"), 2, "sum")
    >>> state.update(pd.Series([1, 2])).tolist(), state.update(pd.Series([3])).tolist()
    ([nan, 3.0], [5.0])
    """

    def __init__(
        self,
        example: Frame,
        window: Any,
        how: str,
        min_periods: int | None = None,
        **options: Any,
    ) -> None:
        if how not in HOWS:
            raise ValueError(
                f"rolling: how must be one of {', '.join(HOWS)}, got {short_repr(how)}"
            )
        self.schema = Schema(example)
        self.window, self.timed = _window(window)
        self.how, self.min_periods, self.options = how, min_periods, options
        if min_periods is not None and not self._allows(min_periods):
            raise ValueError(
                f"rolling: min_periods must be between 0 and the window, "
                f"got {short_repr(min_periods)}"
            )
        self.tail: Frame | None = None

    def _allows(self, min_periods: Any) -> bool:
        whole = isinstance(min_periods, numbers.Integral)
        return whole and min_periods >= 0 and (self.timed or min_periods <= self.window)

    def update(self, frame: Frame) -> Any:
        """Take the next rows; the values that belong to them."""
        aligned, schema = self.schema.read(frame)
        frame = numeric_columns(aligned, "rolling")
        self._check_order(frame.index)
        tail = self.tail
        if isinstance(tail, pd.DataFrame) and schema is not self.schema:
            tail = tail.reindex(columns=frame.columns)
        rows = frame if tail is None or not len(tail) else pd.concat([tail, frame])
        rolling = rows.rolling(self.window, min_periods=self.min_periods)
        result = getattr(rolling, self.how)(**self.options).iloc[len(rows) - len(frame) :]
        if len(frame):
            self.schema = schema
            self.tail = self._reach(rows)
        return result

    def _reach(self, rows: Frame) -> Frame:
        if self.timed:
            return rows[rows.index > rows.index[-1] - self.window].copy()
        return rows.iloc[max(0, len(rows) - self.window + 1) :].copy()

    def _check_order(self, index: Any) -> None:
        if not self.timed or not len(index):
            return
        if not isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
            raise TypeError(f"rolling: index must hold times for {self.window}, got {index.dtype}")
        stamps: Any = index
        if self.tail is not None and len(self.tail):
            same_clock("rolling", self.tail.index, index)
            stamps = self.tail.index[-1:].append(index)
        if stamps.is_monotonic_increasing:
            return
        if stamps.hasnans:
            raise ValueError("rolling: index must have no missing values, got a missing one")
        back = int((stamps[1:] < stamps[:-1]).argmax())
        raise ValueError(
            f"rolling: index must be in order for a window of time,"
            f" got {stamps[back + 1]} after {stamps[back]}"
        )


def _window(window: Any) -> tuple[Any, bool]:
    if isinstance(window, numbers.Integral) and not isinstance(window, bool):
        if window < 1:
            raise ValueError(f"rolling: window must be a number above 0, got {short_repr(window)}")
        return int(window), False
    try:
        length = pd.Timedelta(window) if not isinstance(window, (float, bool)) else None
    except (ValueError, TypeError):
        length = None
    if length is None or not length > pd.Timedelta(0):
        raise ValueError(
            f"rolling: window must be a number of rows or a length of time, "
            f"got {short_repr(window)}"
        )
    return length, True
