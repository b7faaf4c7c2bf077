"""State of rolling aggregates: one value for each row, of the window that ends there."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.rolling.float_rows import FloatRows, floats
from rapidz.dataframe.incremental.rolling.rolling_sums import HOWS as SUMMED
from rapidz.dataframe.incremental.rolling.rolling_sums import RollingSums, is_small
from rapidz.dataframe.incremental.rolling.sorted_window import SortedWindow
from rapidz.dataframe.incremental.rolling.sorted_window import is_available as available
from rapidz.dataframe.incremental.spec import numeric_columns
from rapidz.dataframe.incremental.types import Floats, Frame, Ints
from rapidz.dataframe.incremental.windows.extents import same_clock
from rapidz.dataframe.incremental.windows.lateness import LatenessRule
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["RollingState", "reach"]

# In windows so many times larger than a batch, only the rows that enter and leave are read.
LARGE = 12
HOWS = ("sum", "mean", "min", "max", "median", "var", "std", "count", "quantile", "aggregate")


class RollingState:
    """State of a rolling aggregate: `update` returns what pandas' `rolling` has for the new rows.

    `window` is a number of rows or, where the index contains times in order, a length of time.
    `how` is the name of an aggregate of pandas' rolling ("aggregate" takes `func=`), options are
    passed to it. Only the rows that later windows can reach are buffered. Columns of a DataFrame
    that are not numbers are omitted. `min_periods` has the default of pandas.

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
        self.newest: Any = None
        """The newest time, as an index."""
        self.tail: Frame | None = None
        """The buffered rows, if a function needs them; other aggregates need `rows` only."""
        self.rows = FloatRows()
        self.huge = 0
        """The number of buffered rows up to the last one whose square may overflow."""
        self.sorted: list[SortedWindow] | None = None
        """The sorted windows by column, once they have been used."""
        self.sums: list[RollingSums] | None = None
        """The two-stack aggregates by column, once they have been used."""

    def _allows(self, min_periods: Any) -> bool:
        number = int(min_periods) if isinstance(min_periods, numbers.Integral) else -1
        return number >= 0 and (self.timed or number <= self.window)

    def update(self, frame: Frame) -> Any:
        """Take the next rows; return their values."""
        aligned, schema = self.schema.read(frame)
        frame = numeric_columns(aligned, "rolling")
        self._check_order(frame.index)
        if self.how == "aggregate":
            result = self._by_function(frame, schema)
        elif len(frame):
            result = _like(frame, self._by_number(frame, schema))
        else:
            return _like(frame, floats(frame))
        if len(frame):
            self.schema = schema
            self.newest = frame.index[-1:] if self.timed else None
        return result

    def _by_function(self, frame: Frame, schema: Schema) -> Any:
        tail = self.tail
        if isinstance(tail, pd.DataFrame) and schema is not self.schema:
            tail = tail.reindex(columns=frame.columns)
        rows: Any = frame if tail is None or not len(tail) else pd.concat([tail, frame])
        result = self._by_pandas(rows, len(frame))
        if len(frame):
            self.tail = reach(rows, self.window)
        return result

    def _by_number(self, frame: Frame, schema: Schema) -> Floats:
        """Take new rows; return their values."""
        values = floats(frame.notna() if self.how == "count" else frame)
        labels = [None] if isinstance(frame, pd.Series) else list(frame.columns)
        if schema is not self.schema:
            self.sorted = self.sums = None
        rows, before = self.rows, self.rows.size
        rows.take(labels, values, frame.index if self.timed else None)
        huge = self.huge if is_small(values) else rows.size
        starts = self._starts(before)
        last = int(starts[-1]) if self.timed else max(0, rows.size - self.window + 1)
        if self._sorts(len(frame)) and last <= before:
            made = self._by_order(starts, before, last)
        elif not huge and self._sums(len(frame)):
            made = self._by_sums(starts, before, last)
        else:
            made = self._by_pandas_or_undo(before)
        rows.drop_oldest(last)
        self.huge = max(0, huge - last)
        return made

    def _by_pandas_or_undo(self, before: int) -> Floats:
        self.sorted = self.sums = None
        try:
            made: Floats = self._by_pandas(self.rows.frame(), self.rows.size - before).to_numpy()
        except BaseException:  # raised by options that pandas refuses
            self.rows.drop_newest(self.rows.size - before)
            raise
        return made

    def _sorts(self, new: int) -> bool:
        """Return whether the window is so much larger than the batch that sorting it pays."""
        if self.how not in ("median", "quantile") or new * LARGE >= self.rows.size:
            return False
        q = self.options.get("q", 0.5)
        return self.options.keys() <= {"q"} and isinstance(q, float) and 0 <= q <= 1 and available()

    def _sums(self, new: int) -> bool:
        """Return whether the window is so much larger than the batch that two stacks pay."""
        if self.how not in SUMMED or new * LARGE >= self.rows.size:
            return False
        ddof = self.options.get("ddof", 1)
        allowed = {"ddof"} if self.how in ("var", "std") else set()
        return self.options.keys() <= allowed and isinstance(ddof, int)

    def _least(self) -> int:
        if self.min_periods is not None:
            return self.min_periods
        return 1 if self.timed else self.window

    def _columns(self) -> list[Floats]:
        return [buffer.view() for buffer in self.rows.buffers.values()]

    def _by_order(self, starts: Ints, before: int, last: int) -> Floats:
        columns = self._columns()
        if self.sorted is None:
            self.sorted = [SortedWindow(column[:before]) for column in columns]
        q, made = self.options.get("q", 0.5), np.empty((len(starts), len(columns)))
        for at, (window, column) in enumerate(zip(self.sorted, columns, strict=True)):
            leaving = column[:last]
            made[:, at] = window.quantiles(column[before:], leaving, starts, q, self._least())
            window.drop(leaving[int(starts[-1]) :])
        return made

    def _by_sums(self, starts: Ints, before: int, last: int) -> Floats:
        columns = self._columns()
        if self.sums is None:
            self.sums = [RollingSums(self.how, column[:before]) for column in columns]
        made, ddof = np.empty((len(starts), len(columns))), self.options.get("ddof", 1)
        for at, (sums, column) in enumerate(zip(self.sums, columns, strict=True)):
            made[:, at] = sums.step(column, before, starts, self._least(), ddof)
            sums.drop(last)
        return made

    def _by_pandas(self, rows: Any, new: int) -> Any:
        rolling = rows.rolling(self.window, min_periods=self.min_periods)
        how = "sum" if self.how == "count" else self.how  # of ones and zeros
        return getattr(rolling, how)(**self.options).iloc[len(rows) - new :]

    def _starts(self, before: int) -> Ints:
        """Return the start of the window of each new row."""
        if self.timed:
            return self.rows.starts(self.window, before)
        starts: Ints = np.maximum(np.arange(before, self.rows.size) - self.window + 1, 0)
        return starts

    def _check_order(self, index: Any) -> None:
        if not self.timed or not len(index):
            return
        if not isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
            raise TypeError(f"rolling: index must hold times for {self.window}, got {index.dtype}")
        stamps: Any = index
        if self.newest is not None:
            same_clock("rolling", self.newest, index)
            stamps = self.newest.append(index)
        if stamps.is_monotonic_increasing:
            return
        if stamps.hasnans:
            raise ValueError("rolling: index must have no missing values, got a missing one")
        back = int((stamps[1:] < stamps[:-1]).argmax())
        raise ValueError(
            f"rolling: index must be in order for a window of time,"
            f" got {stamps[back + 1]} after {stamps[back]}"
        )


def reach(rows: Any, window: Any) -> Any:
    """Return the rows that later windows can reach.

    >>> reach(pd.Series([1, 2, 3]), 2).tolist()
    [3]
    """
    window, timed = _window(window)
    if timed:
        if not len(rows):
            return rows
        return rows[LatenessRule(window).admits(rows.index, rows.index[-1])].copy()
    return rows.iloc[max(0, len(rows) - window + 1) :].copy()


def _like(frame: Frame, values: Floats) -> Any:
    """Return values in the shape of the frame."""
    if isinstance(frame, pd.Series):
        return pd.Series(values[:, 0], index=frame.index, name=frame.name)
    return pd.DataFrame(values, index=frame.index, columns=frame.columns)


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
