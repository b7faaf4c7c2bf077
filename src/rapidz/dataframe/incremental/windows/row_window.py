"""The rows of a window themselves."""

from __future__ import annotations

import pandas as pd

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.types import Frame
from rapidz.dataframe.incremental.windows.admission import Arrivals
from rapidz.dataframe.incremental.windows.extents import Over
from rapidz.dataframe.incremental.windows.rows import Rows

__all__ = ["Held"]

#: Before pandas 3 a shallow copy shares what is changed in place.
COPIES_ARE_EAGER = int(pd.__version__.split(".")[0]) < 3


class Held:
    """The rows that a window holds, in their order; none where they are not to be kept.

    `late` holds the rows of the last update that came too late.

    >>> import pandas as pd
    >>> from rapidz.dataframe.incremental import LastRows
    >>> rows = Held(pd.Series([0]), LastRows(2))
    >>> rows.update(pd.Series([1, 2, 3])).tolist()
    [2, 3]
    """

    def __init__(self, example: Frame, over: Over, keep: bool = True) -> None:
        self.schema = Schema(example)
        self.over, self.keep = over, keep
        self.arrivals = Arrivals(over)
        self.rows = Rows(self.schema.empty, [])
        self.late: Frame = self.schema.empty

    def update(self, frame: Frame) -> Frame:
        """Take the next rows; the rows in the window."""
        frame, schema = self.schema.read(frame)
        if not len(frame):
            self.late = frame
            return self._given_away()
        arrival = self.arrivals.look(frame.index)
        if self.keep:
            rows = self.rows if schema is self.schema else self.rows.fitted(schema, [])
            self.rows = rows.after(arrival, frame.iloc[arrival.take], [])
        self.schema = schema
        self.arrivals.commit(arrival)
        self.late = frame.iloc[arrival.late]
        return self._given_away()

    def _given_away(self) -> Frame:
        """The rows as others get them, who may change them in place."""
        return self.rows.frame.copy(deep=COPIES_ARE_EAGER)
