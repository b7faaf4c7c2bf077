"""Row window: the rows that are in a window."""

from __future__ import annotations

import pandas as pd

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.types import Frame
from rapidz.dataframe.incremental.windows.admission import WindowAdmission
from rapidz.dataframe.incremental.windows.extents import Extent
from rapidz.dataframe.incremental.windows.rows import WindowRows

__all__ = ["RowWindow"]

#: Before pandas 3 a change in place of a shallow copy changes the original.
COPIES_ARE_EAGER = int(pd.__version__.split(".")[0]) < 3


class RowWindow:
    """Buffer of the rows in a window, in their order; without `keep`, only their admission.

    `late` has the late rows of the last update.

    >>> import pandas as pd
    >>> from rapidz.dataframe.incremental import LastRows
    >>> rows = RowWindow(pd.Series([0]), LastRows(2))
    >>> rows.update(pd.Series([1, 2, 3])).tolist()
    [2, 3]
    """

    def __init__(self, example: Frame, over: Extent, keep: bool = True) -> None:
        self.schema = Schema(example)
        self.over, self.keep = over, keep
        self.admission = WindowAdmission(over)
        self.rows = WindowRows(self.schema.empty, [])
        self.late: Frame = self.schema.empty

    def update(self, frame: Frame) -> Frame:
        """Take the next rows; return the rows in the window."""
        frame, schema = self.schema.read(frame)
        if not len(frame):
            self.late = frame
            return self._copy()
        change = self.admission.preview(frame.index)
        if self.keep:
            rows = self.rows if schema is self.schema else self.rows.cast(schema, [])
            self.rows = rows.apply(change, frame.iloc[change.take], [])
        self.schema = schema
        self.admission.commit(change)
        self.late = frame.iloc[change.late]
        return self._copy()

    def _copy(self) -> Frame:
        """Return the rows in a copy that the caller may change in place."""
        return self.rows.frame.copy(deep=COPIES_ARE_EAGER)
