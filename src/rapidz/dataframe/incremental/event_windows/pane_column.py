"""Column of panes: the accumulators of one column, by pane and key."""

from __future__ import annotations

from typing import Any

import numpy as np

from rapidz.dataframe.incremental.accumulators.grouped_column import (
    FLOATS,
    GroupCodes,
    GroupedColumn,
)
from rapidz.dataframe.incremental.columns.column_codec import ColumnCodec, ColumnValues
from rapidz.dataframe.incremental.event_windows.by_time import ValueByTime
from rapidz.dataframe.incremental.types import Ints

__all__ = ["PaneColumn"]


class PaneColumn(GroupedColumn):
    """Accumulators of one column by kind; the first and the last value go by time."""

    def __init__(self, dtype: Any) -> None:
        super().__init__(dtype, sliding=False)

    def need(self, kind: str) -> None:
        """Add an accumulator of this kind unless there is one."""
        if kind not in ("first", "last"):
            super().need(kind)
            return
        if self.codec.kind == "other" and not self.codec.objects:
            self.codec = ColumnCodec(self.codec.dtype, objects=True)
        self.accumulators.setdefault(kind, ValueByTime(kind, self.codec.storage))

    def add_at(self, values: ColumnValues, codes: GroupCodes, times: Ints) -> None:
        """Add rows, which have these times."""
        data, rows = codes.valid(values)
        floats = None
        for kind, accumulator in self.accumulators.items():
            if isinstance(accumulator, ValueByTime):
                accumulator.times, _ = codes.valid(ColumnValues(times, values.valid))
            if kind in FLOATS and data.dtype.kind != "f":
                floats = data.astype(np.float64) if floats is None else floats
                accumulator.add(floats, rows)
            else:
                accumulator.add(data, rows)
