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
        frame = self.schema.align(frame)
        if not len(frame):
            return getattr(frame, self.how)()
        rows: Any = frame
        if self.carry is not None:
            # Results can be wider than the rows: truth values add up to integers.
            wide = frame.astype(self.kinds)
            carry = self.carry.set_axis(frame.index[:1])
            rows = pd.concat([carry, wide])
        results = getattr(rows, self.how)()
        result = self._spoiled(results.iloc[len(rows) - len(frame) :].set_axis(frame.index))
        lost = self._lost(frame, result)
        if self.schema.open:
            self.schema = Schema(frame.iloc[:0], settled=True)
        self.kinds = results.dtype if isinstance(frame, pd.Series) else results.dtypes.to_dict()
        self.carry, self.lost = results.ffill().iloc[-1:], lost
        return result

    def _lost(self, frame: Any, result: Any) -> list[Any]:
        # A total that is missing where the row is not will be missing for good.
        gone = result.isna() & frame.notna()
        if isinstance(frame, pd.Series):
            return [None] if self.lost or gone.any() else []
        return [label for label in frame if label in self.lost or gone[label].any()]

    def _spoiled(self, result: Any) -> Any:
        if self.lost and isinstance(result, pd.Series):
            return result * np.nan
        return result.assign(**dict.fromkeys(self.lost, np.nan)) if self.lost else result
