"""Row windows: the rows that are in a window, for users and for what only pandas can compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.columns.dtypes import fit
from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.types import Frame
from rapidz.dataframe.incremental.windows.admission import WindowAdmission, WindowChange
from rapidz.dataframe.incremental.windows.extents import Extent

__all__ = ["RowWindow", "WindowRows"]

#: Before pandas 3 a change in place of a shallow copy changes the original.
COPIES_ARE_EAGER = int(pd.__version__.split(".")[0]) < 3


class WindowRows:
    """Rows in a window and their keys; never changed, `apply` returns new ones."""

    def __init__(self, frame: Frame, keys: Sequence[pd.Series[Any]]) -> None:
        self.frame = frame
        self.keys = list(keys)

    def apply(
        self, change: WindowChange, frame: Frame, keys: Sequence[pd.Series[Any]]
    ) -> WindowRows:
        """Return the rows after a batch."""
        keys = [_joined(old, new, change) for old, new in zip(self.keys, keys, strict=True)]
        return WindowRows(_joined(self.frame, frame, change), keys)

    def cast(self, schema: Schema, keys: Sequence[pd.Series[Any]]) -> WindowRows:
        """Return the same rows in the wider dtypes of a schema and of these keys."""
        fitted = [fit(old, new.dtype, "key") for old, new in zip(self.keys, keys, strict=True)]
        return WindowRows(schema.align(self.frame), fitted)


def _joined(old: Any, new: Any, change: WindowChange) -> Any:
    split = len(old) - change.moved
    head, tail = old.iloc[change.expired : split], old.iloc[split:]
    if change.merge is not None:
        new = pd.concat([tail, new]).iloc[change.merge]
    if len(head) and len(new):
        return pd.concat([head, new])
    return head if len(head) else new.copy()  # a copy: the caller may reuse its buffer


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
