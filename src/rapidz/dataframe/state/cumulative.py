"""Cumulative sums, products, minima and maxima: one value for each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.state.aliases import Frame
from rapidz.dataframe.state.schema import Schema

__all__ = ["CumulativeState"]

HOWS = ("cumsum", "cumprod", "cummin", "cummax")


class CumulativeState:
    """The rows that a cumulative function of pandas gives for all rows, as they come.

    A missing value is missing in the result and leaves the total alone.

    >>> state = CumulativeState(pd.Series([], dtype="float64"), "cumsum")
    >>> state.update(pd.Series([1.0, np.nan])).tolist(), state.update(pd.Series([3.0])).tolist()
    ([1.0, nan], [4.0])
    """

    def __init__(self, example: Frame, how: str) -> None:
        if how not in HOWS:
            raise ValueError(f"cumulative: how must be one of {', '.join(HOWS)}, got {how!r}")
        self.schema = Schema(example)
        self.how = how
        self.carry: Any = None
        self.kinds: Any = None
        # Columns whose total is no number any more, as the sum of inf and -inf.
        self.lost: list[Any] = []

    def update(self, frame: Frame) -> Any:
        """Take the next rows; the values that belong to them."""
        frame, schema = self.schema.read(frame)
        if not len(frame):
            return self._of(frame)
        rows: Any = frame
        if self.carry is not None:
            # Results can be wider than the rows: truth values add up to integers.
            kinds = self.kinds if schema is self.schema else _kinds(self._of(frame.iloc[:1]))
            carry = self.carry.astype(kinds).set_axis(frame.index[:1])
            rows = pd.concat([carry, frame.astype(kinds)])
        results = self._of(rows)
        result = self._spoiled(results.iloc[len(rows) - len(frame) :].set_axis(frame.index))
        lost = self._lost(frame, result)
        self.schema, self.kinds = schema, _kinds(results)
        self.carry, self.lost = results.ffill().iloc[-1:], lost
        return result

    def _of(self, rows: Any) -> Any:
        return getattr(rows, self.how)()

    def _lost(self, frame: Any, result: Any) -> list[Any]:
        # A total that is missing where the row is not will be missing for good.
        gone = result.isna() & frame.notna()
        if isinstance(frame, pd.Series):
            return [None] if self.lost or gone.any() else []
        return [label for label in frame if label in self.lost or gone[label].any()]

    def _spoiled(self, result: Any) -> Any:
        if self.lost and isinstance(result, pd.Series):
            return result * np.nan
        if self.lost:
            result = result.copy(deep=False)
            for label in self.lost:
                result[label] = result[label] * np.nan
        return result


def _kinds(rows: Frame) -> Any:
    return rows.dtype if isinstance(rows, pd.Series) else rows.dtypes.to_dict()
