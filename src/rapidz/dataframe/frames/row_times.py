"""Times of rows: which column of a frame has the timestamps, or whether its index does."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.event_windows.stamps import Instants, Stamps
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["LabelTime", "RowTime", "row_time"]


class RowTime:
    """Reader of the timestamps of rows: of a column, or of the index.

    Called with a frame it returns the newest timestamp, in nanoseconds; None if there is none.

    Parameters
    ----------
    label : label, optional
        The column; the index by default.
    unit : str
        What numbers count since 1970.
    """

    def __init__(self, label: Any = None, unit: str = "s") -> None:
        self.label, self.unit = label, unit
        self._recent: tuple[Any, Instants] | None = None

    def __repr__(self) -> str:
        return "the index" if self.label is None else short_repr(self.label)

    def column(self, rows: Any, operator: str) -> Any:
        """Return the timestamps; ValueError if the frame has no such column."""
        if self.label is None:
            return rows.index
        if isinstance(rows, pd.DataFrame) and self.label in rows.columns:
            return rows[self.label]
        got = (
            f"columns {short_repr(list(rows.columns))}" if hasattr(rows, "columns") else "a series"
        )
        raise ValueError(
            f"{operator}: rows must have their time in {short_repr(self.label)}, got {got}: keep "
            "that column, or name another by on="
        )

    def times(self, rows: Any, operator: str) -> Any:
        """Return the timestamps: those that `event_time` has read, while it emits the frame."""
        recent = self._recent
        return (
            recent[1] if recent is not None and recent[0] is rows else self.column(rows, operator)
        )

    def remember(self, rows: Any, times: Instants | None) -> None:
        """Keep the timestamps of a frame as long as it is emitted; None forgets them."""
        self._recent = None if times is None else (rows, times)

    def name(self, rows: Any) -> Any:
        """Return what the index of results is called that has such times."""
        return rows.index.name if self.label is None else self.label

    def __call__(self, rows: Any) -> int | None:
        times = Stamps("event_time", self.unit).read(self.column(rows, "event_time"))
        return None if times.bounds is None else times.bounds[1]


@functools.lru_cache(maxsize=256)
def row_time(label: Any, unit: str) -> RowTime:
    """Return the reader of a column; the same one each time, since readers are compared."""
    return RowTime(label, unit)


class LabelTime(RowTime):
    """Reader of the timestamps of results: the last instant before each window ends.

    Parameters
    ----------
    level : int
        The level of the index that says where windows begin or end.
    closings : callable
        Returns the watermarks at which windows close, of such labels.
    unit : str
        What numbers count since 1970.
    """

    def __init__(self, level: int, closings: Any, unit: str) -> None:
        super().__init__(None, unit)
        self._level, self._closings = level, closings

    def name(self, rows: Any) -> Any:
        """Return what the level of the index is called."""
        return rows.index.names[self._level]

    def column(self, rows: Any, operator: str) -> Any:
        """Return the timestamps; ValueError if rows have lost the index of their windows."""
        if rows.index.nlevels <= self._level:
            raise ValueError(
                f"{operator}: rows must have the index of the windows that made them, got "
                f"{short_repr(rows.index)}: keep it, or name a column by on="
            )
        labels = rows.index.get_level_values(self._level)
        stamps = Stamps(operator, self.unit)
        instants = stamps.read(labels).data
        if not len(instants):
            return labels
        return stamps.index(np.asarray(self._closings(instants)) - 1, labels.name)
