"""State of custom aggregations, which have `initial`, `on_new` and `on_old`."""

from __future__ import annotations

from typing import Any

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.types import Frame
from rapidz.dataframe.incremental.windows.admission import WindowAdmission
from rapidz.dataframe.incremental.windows.extents import Extent
from rapidz.dataframe.incremental.windows.row_window import WindowRows

__all__ = ["CustomState", "is_custom"]


def is_custom(how: Any) -> bool:
    """Return whether an object is a custom aggregation."""
    return all(callable(getattr(how, name, None)) for name in ("initial", "on_new", "on_old"))


class CustomState:
    """State of a custom aggregation of the rows in a window.

    `initial(new)` gives the first accumulator, from an empty frame; `on_new(acc, new)` takes new
    rows and `on_old(acc, old)` rows that leave; both return (accumulator, result). If one of
    them raises, the state does not change, provided that they do not change `acc` itself.
    """

    def __init__(self, example: Frame, aggregation: Any, over: Extent) -> None:
        self.schema = Schema(example)
        self.aggregation = aggregation
        self.admission = WindowAdmission(over)
        self.late: Frame = self.schema.empty
        self.rows = WindowRows(self.schema.empty, [])
        self.accumulator: Any = None
        self.started = False
        self._result: Any = None

    def update(self, frame: Frame, keys: Any = None) -> Any:
        """Take the next rows; return the result. Keys are refused."""
        if keys is not None:
            raise TypeError("keys must not be given to a state without groups")
        frame, schema = self.schema.read(frame)
        if not len(frame):
            self.late = frame
            return self.result()
        change = self.admission.preview(frame.index)
        entering = frame.iloc[change.take]
        acc = self.accumulator if self.started else self.aggregation.initial(frame.iloc[:0])
        acc, result = self.aggregation.on_new(acc, entering)
        if change.expired:
            acc, result = self.aggregation.on_old(acc, self.rows.frame.iloc[: change.expired])
        if self.admission.bounded:
            rows = self.rows if schema is self.schema else self.rows.cast(schema, [])
            self.rows = rows.apply(change, entering, [])
        self.schema = schema
        self.admission.commit(change)
        self.accumulator, self._result, self.started = acc, result, True
        self.late = frame.iloc[change.late]
        return result

    def result(self) -> Any:
        """Return the present result."""
        if self.started:
            return self._result
        empty = self.schema.empty
        return self.aggregation.on_new(self.aggregation.initial(empty), empty)[1]
