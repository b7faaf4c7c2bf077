"""Rolling: aggregates of the window that ends at each row."""

from __future__ import annotations

import functools
import numbers
from typing import Any

import pandas as pd

from rapidz.dataframe.collection.column_access import ColumnAttributes
from rapidz.dataframe.frames.base import needs_index
from rapidz.dataframe.frames.fold_rows import fold_rows
from rapidz.dataframe.frames.resume import resume_window
from rapidz.dataframe.incremental import RollingState

__all__ = ["Rolling"]

_NOTHING: Any = pd.Series([], dtype="float64")


class Rolling(ColumnAttributes):
    """Rolling aggregates of the windows that end at each row, across all elements.

    Emits, for every element, the results for its rows.  A time index must be monotonic.

    Parameters
    ----------
    sdf : DataFrame or Series
        The streaming frame.
    window : int, str or timedelta
        The number of rows, or a length of time.
    min_periods : int, optional
        The number of values that a window needs for a result; by default, as in pandas,
        *window* if that is a number of rows, or else 1.
    with_state : bool
        Emit ``(state, result)``.
    start : state, optional
        An emitted state to resume from; or the rows before.

    >>> import pandas as pd
    >>> from rapidz.dataframe import DataFrame
    >>> sdf = DataFrame(example=pd.DataFrame({"x": [0]}))
    >>> shown = sdf.rolling(2).x.sum().stream.map(list).sink(print)
    >>> sdf.emit(pd.DataFrame({"x": [1, 2]}))
    [nan, 3.0]
    >>> sdf.emit(pd.DataFrame({"x": [3]}))
    [5.0]
    """

    def __init__(
        self,
        sdf: Any,
        window: Any,
        min_periods: int | None = None,
        with_state: bool = False,
        start: Any = (),
    ) -> None:
        if not isinstance(window, numbers.Integral):
            needs_index(sdf, "rolling by time")
        self.root, self.window, self.min_periods = sdf, window, min_periods
        self.with_state, self.start = with_state, start
        self._of_nothing = RollingState(_NOTHING, window, "sum", min_periods)  # or it complains

    def _aggregate(self, how: str, **options: Any) -> Any:
        make = functools.partial(
            RollingState, window=self.window, how=how, min_periods=self.min_periods, **options
        )
        same = {name: getattr(self._of_nothing, name) for name in ("window", "min_periods")}
        first, start = resume_window("Rolling", self.start, make, how=how, options=options, **same)
        return fold_rows(
            self.root,
            first,
            start=start,
            with_state=self.with_state,
            stream_type="streaming",
            kind=type(self.root),
        )

    def __getitem__(self, key: Any) -> Rolling:
        return Rolling(self.root[key], self.window, self.min_periods, self.with_state, self.start)

    def sum(self) -> Any:
        """Sum values."""
        return self._aggregate("sum")

    def mean(self) -> Any:
        """Return the mean."""
        return self._aggregate("mean")

    def min(self) -> Any:
        """Return the minimum."""
        return self._aggregate("min")

    def max(self) -> Any:
        """Return the maximum."""
        return self._aggregate("max")

    def median(self) -> Any:
        """Return the median."""
        return self._aggregate("median")

    def var(self, ddof: int = 1) -> Any:
        """Return the variance."""
        return self._aggregate("var", ddof=ddof)

    def std(self, ddof: int = 1) -> Any:
        """Return the standard deviation."""
        return self._aggregate("std", ddof=ddof)

    def count(self) -> Any:
        """Count values that are not missing."""
        return self._aggregate("count")

    def quantile(self, q: float = 0.5, **kwargs: Any) -> Any:
        """Return the quantile *q*."""
        return self._aggregate("quantile", q=q, **kwargs)

    def aggregate(self, func: Any, **kwargs: Any) -> Any:
        """Aggregate by functions, as ``.rolling(...).aggregate(func)`` of pandas does."""
        return self._aggregate("aggregate", func=func, **kwargs)

    agg = aggregate
