"""Window: the last rows of a frame, by number or by index."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from rapidz.dataframe.collection.column_access import ColumnAttributes, has_columns
from rapidz.dataframe.collection.operators import OperatorMixin
from rapidz.dataframe.collection.partials import renumbered, with_index_as_column
from rapidz.dataframe.collection.streaming import Streaming, map_partitions
from rapidz.dataframe.frames.aggregate_methods import AggregateMethods, aggregate_spec
from rapidz.dataframe.frames.fold_rows import fold_rows, late_rows
from rapidz.dataframe.frames.groupby import GroupBy, WindowedGroupBy
from rapidz.dataframe.frames.resume import resume_window
from rapidz.dataframe.frames.snapshots import DataFrames, Seriess
from rapidz.dataframe.frames.window_spec import window_arguments, window_extent
from rapidz.dataframe.incremental import AllRows, RowWindow, create_aggregate
from rapidz.kernel.graph.stream import Stream

__all__ = ["Window", "result_class"]


def result_class(root: Streaming, how: Any) -> type[Streaming]:
    """Return the class of the results of an aggregate while no example is known."""
    if not isinstance(how, (str, list, dict)) or how == "size":
        return Streaming
    if has_columns(root):
        if isinstance(how, str):
            return Seriess
        several = isinstance(how, list) or not all(isinstance(one, str) for one in how.values())
        return DataFrames if several else Seriess
    one = isinstance(how, str) and how != "value_counts"
    return Streaming if one else Seriess


class Window(ColumnAttributes, AggregateMethods, OperatorMixin):
    """Window of the last rows of a streaming frame: each aggregate is emitted for every element.

    A window by *value* takes the rows of an element in the order of their index.  Rows that are
    older than the window enter no result; `late` emits them.

    Parameters
    ----------
    sdf : DataFrame or Series
        The streaming frame.
    n : int, str or timedelta
        The number of rows; a length of time is taken for *value*.
    value : str, timedelta or number
        The extent instead: rows whose index is less than that behind the newest.
    with_state : bool
        Emit ``(state, result)``.
    start : state, optional
        An emitted state to resume from; or the rows before.

    >>> import pandas as pd
    >>> from rapidz.dataframe import DataFrame
    >>> sdf = DataFrame(example=pd.DataFrame({"x": [0]}))
    >>> shown = sdf.window(n=3).x.mean().stream.map(float).sink(print)
    >>> sdf.emit(pd.DataFrame({"x": [1, 2]}))
    1.5
    >>> sdf.emit(pd.DataFrame({"x": [6, 7]}))
    5.0
    """

    def __init__(
        self,
        sdf: Any,
        n: Any = None,
        value: Any = None,
        with_state: bool = False,
        start: Any = None,
    ) -> None:
        n, value = window_arguments(n, value)
        self._extent = self._extent_of(sdf, n, value)
        self.root, self.n, self.value = sdf, n, value
        self.with_state, self.start = with_state, start
        self._renumbers = False

    def _extent_of(self, sdf: Any, n: Any, value: Any) -> Any:
        return window_extent(type(self).__name__, sdf, n, value)

    def _for_root(self, root: Any, **own: Any) -> Any:
        """Return the same window of another frame; *own* are further arguments of the class."""
        made = type(self)(root, self.n, self.value, self.with_state, self.start, **own)
        made._renumbers = self._renumbers
        return made

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        make = functools.partial(create_aggregate, how=how, over=self._extent, **options)
        return self._fold(make, start, with_state, result_class(self.root, how), how=how)

    def _fold(
        self, make: Any, start: Any, with_state: bool, kind: type[Streaming], **wanted: Any
    ) -> Any:
        start = self.start if start is None else start
        make, start = self._resume(start, make, wanted)
        with_state = with_state or self.with_state
        return fold_rows(self.root, make, start=start, with_state=with_state, kind=kind)

    def _resume(self, start: Any, make: Any, wanted: dict[str, Any]) -> tuple[Any, Any]:
        return resume_window(type(self).__name__, start, make, over=self._extent, **wanted)

    @property
    def late(self) -> Any:
        """The rows that are too late for the window, as a streaming frame.

        It emits only for elements that have such rows.  No row is late for a window of *n* rows.

        >>> import pandas as pd
        >>> from rapidz.dataframe import Series
        >>> series = Series(example=pd.Series([0]))
        >>> shown = series.window(value=5).late.stream.map(list).sink(print)
        >>> series.emit(pd.Series([1], index=[10]))
        >>> series.emit(pd.Series([2, 3, 4], index=[9, 4, 11]))
        [3]
        """
        return late_rows(self.root, self._extent, self.start)

    def full(self) -> Any:
        """Return the rows in the window."""
        make = functools.partial(RowWindow, over=self._extent)
        kind = DataFrames if has_columns(self.root) else Seriess
        rows = self._fold(make, None, False, kind)
        if self._renumbers and not self.with_state:
            return map_partitions(renumbered, rows, _kind=kind)
        return rows

    def apply(self, func: Callable[[Any], Any]) -> Any:
        """Apply a function to the rows in the window."""
        plain = self._for_root(self.root)
        plain.with_state = False
        return map_partitions(func, plain.full())

    @property
    def size(self) -> Any:
        """The number of values in the window."""
        return self._aggregate("size", None, False)

    def aggregate(  # type: ignore[override]  # the name that it has always had
        self, agg: Any = None, start: Any = None, with_state: bool = False, **named: Any
    ) -> Any:
        """Aggregate by several functions, or one of your own; see `AggregateMethods.aggregate`."""
        return self._aggregate(aggregate_spec(type(self).__name__, agg, named), start, with_state)

    def agg(  # type: ignore[override]  # the name that it has always had
        self, agg: Any = None, start: Any = None, with_state: bool = False, **named: Any
    ) -> Any:
        """Aggregate by several functions; an alias of `aggregate`."""
        return self.aggregate(agg, start, with_state, **named)

    def groupby(
        self, other: Any, *, sort: bool = True, dropna: bool = True, observed: bool = True
    ) -> GroupBy:
        """Group the rows in the window; groups whose rows have all left are dropped."""
        options = {"sort": sort, "dropna": dropna, "observed": observed}
        return self._grouped(WindowedGroupBy, other, n=self.n, value=self.value, **options)

    def _grouped(self, make: Callable[..., GroupBy], other: Any, **options: Any) -> GroupBy:
        by = [_root_of(one) for one in other] if isinstance(other, list) else _root_of(other)
        return make(self.root, by, with_state=self.with_state, start=self.start, **options)

    # --- transformations of rows before they enter ---------------------------------------

    def map_partitions(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return the same window of the results of a function for every element.

        The function is called with the arguments given, windows among them replaced by elements;
        with an element before these if no window is among them.
        """
        if not any(isinstance(arg, Window) for arg in (*args, *kwargs.values())):
            args = (self, *args)
        roots = {name: _root_of(arg) for name, arg in kwargs.items()}
        return self._for_root(map_partitions(func, *map(_root_of, args), **roots))

    def __getitem__(self, key: Any) -> Any:
        return self._for_root(self.root[_root_of(key)])

    def _alternative(self, key: str) -> str:
        return f"use apply(lambda rows: rows.{key}(…))"

    @property
    def columns(self) -> Any:
        """The columns of the example."""
        return self.root.columns

    @property
    def dtypes(self) -> Any:
        """The dtypes of the example, by column."""
        return self.root.dtypes

    @property
    def example(self) -> Any:
        """An element, or an example of one."""
        return self.root.example

    @property
    def index(self) -> Any:
        """The index of the rows in the window; expressions of it can be keys of `groupby`."""
        return WindowIndex(self)

    def reset_index(self) -> Any:
        """Return the window with the index as a column; its extent is by the old index."""
        made = self._for_root(self.root.map_partitions(with_index_as_column))
        made._renumbers = True
        return made

    def __repr__(self) -> str:
        extent = "everything" if isinstance(self._extent, AllRows) else repr(self._extent)
        return f"<{type(self).__name__} of {extent}>"


class WindowIndex(Window):
    """The index of the rows in a window: a key of groups, as its expressions are.

    >>> import pandas as pd
    >>> from rapidz.dataframe import Series
    >>> window = Series(example=pd.Series([0])).window(n=3)
    >>> odd = window.groupby(window.index % 2).sum().stream.map(pd.Series.to_dict).sink(print)
    >>> window.root.emit(pd.Series([1, 2, 3, 4]))
    {0: 3, 1: 6}
    """

    def __init__(self, rows: Window) -> None:
        self._rows, self._extent, self._renumbers = rows, rows._extent, False
        self.root, self.n, self.value = rows.root.index, rows.n, rows.value
        self.with_state, self.start = rows.with_state, rows.start

    def _for_root(self, root: Any, **own: Any) -> Any:
        return self._rows._for_root(root, **own)  # and not an index, perhaps

    @property
    def stream(self) -> Stream[Any]:
        """The stream of the indexes of the rows in the window."""
        made: Stream[Any] = self.full().stream
        return made

    def full(self) -> Any:
        """Return the index of the rows in the window."""
        return self._rows.apply(operator.attrgetter("index"))


def _root_of(x: Any) -> Any:
    """Return the streaming frame that *x* is a window of; *x* itself if it is none."""
    return x.root if isinstance(x, Window) else x
