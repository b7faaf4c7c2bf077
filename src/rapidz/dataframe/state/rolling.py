"""Rolling aggregates: one value for each row, of the window that ends there."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.state.aliases import Frame
from rapidz.dataframe.state.schema import Schema
from rapidz.dataframe.state.sorted_window import SortedWindow
from rapidz.dataframe.state.sorted_window import is_available as available
from rapidz.dataframe.state.spec import numeric_columns
from rapidz.dataframe.state.windows import same_clock
from rapidz.kernel.short_repr import short_repr

__all__ = ["RollingState"]

# Windows that are so many times larger than a batch are kept in order, for medians.
LARGE = 32
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
        self.sorted: list[SortedWindow] | None = None
        """The values of `tail` in order, by column, once they have been of use."""

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
        if schema is not self.schema:
            self.sorted = None
        if self._sorts(len(frame), len(rows)):
            result = self._by_order(frame, rows)
        else:
            result = self._by_pandas(rows, len(frame))
        if len(frame):
            self.schema = schema
            self.tail = self._reach(rows)
        return result

    def _sorts(self, new: int, rows: int) -> bool:
        """Whether to keep the window in order, for it is much larger than what comes."""
        if self.how not in ("median", "quantile") or not new or new * LARGE >= rows:
            return False
        q = self.options.get("q", 0.5)
        return self.options.keys() <= {"q"} and isinstance(q, float) and 0 <= q <= 1 and available()

    def _by_order(self, frame: Any, rows: Any) -> Any:
        new, held = len(frame), len(rows) - len(frame)
        starts = self._starts(rows, held)
        last = int(starts[-1]) if self.timed else max(0, len(rows) - self.window + 1)
        values = _floats(frame)
        leaving = _floats(rows.iloc[:last])
        if last > held:  # a window of time may lose rows of this very batch
            return self._by_pandas(rows, new)
        if self.sorted is None:
            self.sorted = [SortedWindow(column) for column in _floats(rows.iloc[:held]).T]
        periods = self.min_periods
        least = (1 if self.timed else self.window) if periods is None else periods
        q, made = self.options.get("q", 0.5), np.empty((new, values.shape[1]))
        for at, window in enumerate(self.sorted):
            column = leaving[:, at]
            made[:, at] = window.quantiles(values[:, at], column, starts, q, least)
            window.drop(column[int(starts[-1]) :])
        if isinstance(frame, pd.Series):
            return pd.Series(made[:, 0], index=frame.index, name=frame.name)
        return pd.DataFrame(made, index=frame.index, columns=frame.columns)

    def _by_pandas(self, rows: Any, new: int) -> Any:
        self.sorted = None
        rolling = rows.rolling(self.window, min_periods=self.min_periods)
        return getattr(rolling, self.how)(**self.options).iloc[len(rows) - new :]

    def _starts(self, rows: Any, held: int) -> Any:
        """Where the window of each new row begins."""
        if not self.timed:
            return np.maximum(np.arange(held, len(rows)) - self.window + 1, 0)
        return rows.index.searchsorted(rows.index[held:] - self.window, side="right")

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


def _floats(rows: Any) -> Any:
    """The rows as floats, one column for each of them."""
    values = rows.to_numpy("float64", na_value=np.nan)
    return values.reshape(len(rows), 1) if isinstance(rows, pd.Series) else values


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
