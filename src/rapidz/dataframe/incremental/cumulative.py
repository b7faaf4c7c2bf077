"""State of cumulative sums, products, minima and maxima: one value for each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.accumulators.sums import LARGE
from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.types import Frame
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["CumulativeState"]

HOWS = ("cumsum", "cumprod", "cummin", "cummax")
TOTALS: dict[str, tuple[np.ufunc, float]] = {
    "cumsum": (np.add, 0.0),
    "cumprod": (np.multiply, 1.0),
}


class CumulativeState:
    """State of a cumulative function: `update` returns what pandas has for the new rows.

    A missing value is missing in the result and does not change the total.

    >>> state = CumulativeState(pd.Series([], dtype="float64"), "cumsum")
    >>> state.update(pd.Series([1.0, np.nan])).tolist(), state.update(pd.Series([3.0])).tolist()
    ([1.0, nan], [4.0])
    """

    def __init__(self, example: Frame, how: str) -> None:
        if how not in HOWS:
            raise ValueError(
                f"cumulative: how must be one of {', '.join(HOWS)}, got {short_repr(how)}"
            )
        self.schema = Schema(example)
        self.how = how
        self.carry: Any = None
        self.dtypes: Any = None
        # Totals of integers as floats, which do not wrap: later rows may be floats.
        self.near: dict[Any, float] = {}
        # Columns whose total has become NaN, as the sum of inf and -inf.
        self.lost: list[Any] = []

    def update(self, frame: Frame) -> Any:
        """Take the next rows; return their values."""
        frame, schema = self.schema.read(frame)
        if not len(frame):
            return self._of(frame)
        rows: Any = frame
        if self.carry is not None:
            # Results can have wider dtypes than the rows: truth values add up to integers.
            dtypes = self.dtypes if schema is self.schema else _dtypes(self._of(frame.iloc[:1]))
            carry = self._carried(dtypes).set_axis(frame.index[:1])
            rows = pd.concat([carry, _with_dtypes(frame, dtypes)])
        results = self._of(rows)
        result = self._with_lost(results.iloc[len(rows) - len(frame) :].set_axis(frame.index))
        lost, near = self._lost(frame, result), self._near(frame)
        self.schema, self.dtypes, self.near = schema, _dtypes(results), near
        self.carry, self.lost = results.ffill().iloc[-1:], lost
        return result

    def _carried(self, dtypes: Any) -> Any:
        """Return the last totals in the present dtypes of results."""
        carry: Any = _with_dtypes(self.carry, dtypes)
        for label, near in self.near.items():
            series = isinstance(carry, pd.Series)
            dtype = carry.dtype if series else carry[label].dtype
            if abs(near) < LARGE or pd.api.types.is_integer_dtype(dtype):
                continue
            column = pd.Series([near], index=carry.index, dtype=dtype)
            carry = column.rename(carry.name) if series else _with_column(carry, label, column)
        return carry

    def _near(self, frame: Any) -> dict[Any, float]:
        """Return the totals of integers after these rows, as floats."""
        if self.how not in TOTALS:
            return {}
        ufunc, start = TOTALS[self.how]
        near = {}
        for label in [None] if isinstance(frame, pd.Series) else frame:
            column = frame if isinstance(frame, pd.Series) else frame[label]
            if pd.api.types.is_integer_dtype(column.dtype):
                data = column.to_numpy(np.float64, na_value=start)
                near[label] = ufunc.reduce(data, initial=self.near.get(label, start))
        return near

    def _of(self, rows: Any) -> Any:
        return getattr(rows, self.how)()

    def _lost(self, frame: Any, result: Any) -> list[Any]:
        # A total that is missing though the row is not remains missing.
        gone = result.isna() & frame.notna()
        if isinstance(frame, pd.Series):
            return [None] if self.lost or gone.any() else []
        return [label for label in frame if label in self.lost or gone[label].any()]

    def _with_lost(self, result: Any) -> Any:
        if self.lost and isinstance(result, pd.Series):
            return result * np.nan
        if self.lost:
            result = result.copy(deep=False)
            for label in self.lost:
                result[label] = result[label] * np.nan
        return result


def _with_column(frame: Any, label: Any, column: pd.Series[Any]) -> Any:
    """Return the frame with one column replaced."""
    frame = frame.copy(deep=False)
    frame[label] = column
    return frame


def _with_dtypes(rows: Any, dtypes: Any) -> Any:
    """Return the rows in these dtypes, by label."""
    if isinstance(rows, pd.Series) or isinstance(rows.columns, pd.MultiIndex):
        return rows.astype(dtypes)
    if not any(isinstance(label, tuple) for label in rows):
        return rows.astype(dtypes)
    # Pandas would turn labels that are tuples into levels.
    numbered = rows.set_axis(range(len(rows.columns)), axis=1)
    typed = numbered.astype({at: dtypes[label] for at, label in enumerate(rows)})
    return typed.set_axis(rows.columns, axis=1)


def _dtypes(rows: Frame) -> Any:
    return rows.dtype if isinstance(rows, pd.Series) else rows.dtypes.to_dict()
