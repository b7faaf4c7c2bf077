"""Stateful methods of a streaming frame: aggregates of all rows so far, windows, groups, joins."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.frames.aggregate_methods import AggregateMethods
from rapidz.dataframe.frames.base import BaseFrame
from rapidz.dataframe.frames.event_time_methods import FrameTimeMethods
from rapidz.dataframe.frames.event_windows import grouper_windows
from rapidz.dataframe.frames.expanding import EWM, Expanding
from rapidz.dataframe.frames.fold_rows import fold_rows
from rapidz.dataframe.frames.groupby import GroupBy
from rapidz.dataframe.frames.joins import join, merge
from rapidz.dataframe.frames.resume import resume_aggregate
from rapidz.dataframe.frames.rolling import Rolling
from rapidz.dataframe.frames.window import Window, result_class
from rapidz.dataframe.incremental import create_aggregate
from rapidz.dataframe.interop.protocols import is_dataframe_like

__all__ = ["StatefulMethods"]

if TYPE_CHECKING:
    _Mixed = BaseFrame
else:
    _Mixed = object


class StatefulMethods(AggregateMethods, FrameTimeMethods, _Mixed):
    """Aggregates of all rows so far, emitted for every element; windows, groups and joins.

    >>> import pandas as pd
    >>> from rapidz.dataframe import DataFrame
    >>> sdf = DataFrame(example=pd.DataFrame({"x": [0]}))
    >>> shown = sdf.x.sum().stream.map(int).sink(print)
    >>> sdf.emit(pd.DataFrame({"x": [1, 2]}))
    3
    >>> sdf.emit(pd.DataFrame({"x": [10]}))
    13
    """

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        make: Any = functools.partial(create_aggregate, how=how, **options)
        make, start = resume_aggregate(type(self).__name__, how, start, make)
        kind = result_class(self, how)
        return fold_rows(self, make, start=start, with_state=with_state, kind=kind)

    def window(
        self,
        n: Any = None,
        value: Any = None,
        with_state: bool = False,
        start: Any = None,
    ) -> Window:
        """Return a window of the last *n* rows, or those less than *value* behind the newest index.

        A length of time given as *n* is a *value*: ``window("2h")``.

        >>> import pandas as pd
        >>> from rapidz.dataframe import Series
        >>> series = Series(example=pd.Series([0]))
        >>> shown = series.window(n=2).max().stream.map(int).sink(print)
        >>> series.emit(pd.Series([5, 2, 3]))
        3
        """
        return Window(self, n, value, with_state, start)

    def rolling(
        self,
        window: Any,
        min_periods: int | None = None,
        with_state: bool = False,
        start: Any = (),
    ) -> Rolling:
        """Return the window of *window* rows, or of a length of time, that ends at each row.

        A window with fewer values than *min_periods* has no result: as in pandas, these are by
        default as many as the window has rows, or 1 for a length of time.
        """
        return Rolling(self, window, min_periods, with_state, start)

    def expanding(self, with_state: bool = False, start: Any = None) -> Expanding:
        """Return a window of all rows so far."""
        return Expanding(self, n=1, with_state=with_state, start=start)

    def ewm(
        self,
        com: float | None = None,
        span: float | None = None,
        halflife: float | None = None,
        alpha: float | None = None,
        with_state: bool = False,
        start: Any = None,
    ) -> EWM:
        """Return an exponentially weighted window: exactly one of the first four sets the decay.

        >>> import pandas as pd
        >>> from rapidz.dataframe import Series
        >>> series = Series(example=pd.Series([0.0]))
        >>> shown = series.ewm(com=1).mean().stream.map(float).sink(print)
        >>> series.emit(pd.Series([1.0, float("nan"), 3.0]))
        2.6
        """
        return EWM(
            self,
            with_state=with_state,
            start=start,
            com=com,
            span=span,
            halflife=halflife,
            alpha=alpha,
        )

    def groupby(
        self, other: Any, *, sort: bool = True, dropna: bool = True, observed: bool = True
    ) -> Any:
        """Group rows.

        Parameters
        ----------
        other : label, streaming series, callable, or a list of these
            A column, a separate series, a function of the index.  With a `pandas.Grouper` that has
            a *freq*, results are those of event-time windows: see `resample`.
        sort, dropna, observed : bool
            As in pandas.

        >>> import pandas as pd
        >>> from rapidz.dataframe import DataFrame
        >>> sdf = DataFrame(example=pd.DataFrame({"name": ["a"], "x": [0]}))
        >>> shown = sdf.groupby("name").x.sum().stream.map(pd.Series.to_dict).sink(print)
        >>> sdf.emit(pd.DataFrame({"name": ["a", "b", "a"], "x": [1, 2, 3]}))
        {'a': 4, 'b': 2}
        """
        options = {"sort": sort, "dropna": dropna, "observed": observed}
        if (windows := grouper_windows(self, other, **options)) is not None:
            return windows
        return GroupBy(self, other, sort=sort, dropna=dropna, observed=observed)

    def merge(self, right: Any, how: str = "inner", on: Any = None, **kwargs: Any) -> Any:
        """Merge every element with a static frame; see `rapidz.dataframe.merge`."""
        return merge(self, right, how, on, **kwargs)

    def join(
        self,
        other: Any,
        on: Any = None,
        within: Any = None,
        how: str = "inner",
        suffixes: tuple[str | None, str | None] = ("_x", "_y"),
    ) -> Any:
        """Join the rows of two streaming frames; see `rapidz.dataframe.frames.joins.join`."""
        if not isinstance(other, Streaming) and is_dataframe_like(other):
            raise TypeError("join: other must be a streaming frame; use merge for one that is not")
        return join(self, other, on, within, how, suffixes)
