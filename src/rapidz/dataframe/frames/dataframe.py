"""DataFrame, Series, Index: streams whose elements are batches of rows of one unbounded frame."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from rapidz.dataframe.collection.class_registry import _stream_types, class_named, frame_classes
from rapidz.dataframe.collection.partials import (
    accumulate_size,
    cumulate,
    frame_of_columns,
)
from rapidz.dataframe.collection.streaming import Streaming, map_partitions
from rapidz.dataframe.collection.validation import conform_frame, conform_index, conform_series
from rapidz.dataframe.frames.base import BaseFrame, _DataFrameMixin, _SeriesMixin
from rapidz.dataframe.frames.periodic_data import random_datablock
from rapidz.dataframe.frames.snapshots import DataFrames, Frames, Seriess
from rapidz.dataframe.frames.stateful import StatefulMethods
from rapidz.dataframe.interop.protocols import is_dataframe_like, is_index_like, is_series_like
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = [
    "BaseFrame",
    "DataFrame",
    "DataFrames",
    "Frame",
    "Frames",
    "Index",
    "Series",
    "Seriess",
]


class Frame(StatefulMethods, BaseFrame):
    """Rows that arrive in batches: aggregates of all of them change with every element."""

    _stream_type = "streaming"

    @property
    def size(self) -> Any:
        """The number of values in all rows so far."""
        return self.accumulate_partitions(accumulate_size, start=0, stream_type="updating")

    def cumsum(self) -> Any:
        """Return the cumulative sum, across all elements."""
        return self._cumulated("cumsum")

    def cumprod(self) -> Any:
        """Return the cumulative product, across all elements."""
        return self._cumulated("cumprod")

    def cummin(self) -> Any:
        """Return the cumulative minimum, across all elements."""
        return self._cumulated("cummin")

    def cummax(self) -> Any:
        """Return the cumulative maximum, across all elements."""
        return self._cumulated("cummax")

    def _cumulated(self, how: str) -> Any:
        return self.accumulate_partitions(
            cumulate, how, start=None, returns_state=True, _kind=type(self)
        )


class DataFrame(Frame, _DataFrameMixin):
    """A data frame whose rows arrive in batches, along a stream.

    Parameters
    ----------
    stream : Stream or dict, optional
        The stream of the batches: pandas data frames, with the columns of the example in any
        order.  A stream of its own by default, see `emit`.  Or a dict of streaming series and
        values, which become the columns.
    example : DataFrame, optional
        Rows like those to come; an empty frame with the right columns and dtypes will do.  If it
        is not given, the first element becomes the example; what needs one before then raises.
        With a frame of polars or a table of pyarrow, elements and results are of that library;
        pandas does the work.

    >>> import pandas as pd
    >>> sdf = DataFrame(example=pd.DataFrame({"x": [0], "y": [0.0]}))
    >>> large = sdf[sdf.x > 1]
    >>> shown = (large.x + large.y).stream.map(list).sink(print)
    >>> sdf.emit(pd.DataFrame({"x": [1, 2, 3], "y": [0.5, 0.5, 0.5]}))
    [2.5, 3.5]
    """

    _conform = staticmethod(conform_frame)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and isinstance(args[0], Mapping):
            made = _joined(args[0])
            super().__init__(made, *args[1:], **kwargs)
            if self._example.value is None:
                self._set_example(made._example)
        else:
            super().__init__(*args, **kwargs)

    @staticmethod
    def from_periodic(
        datafn: Callable[..., Any] = random_datablock,
        interval: Any = "500ms",
        dask: bool = False,
        start: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Return a `PeriodicDataFrame`."""
        return class_named("PeriodicDataFrame")(datafn, interval, dask, start, **kwargs)

    @staticmethod
    def random(
        freq: Any = "100ms",
        interval: Any = "500ms",
        dask: bool = False,
        start: bool = True,
        datafn: Callable[..., Any] = random_datablock,
    ) -> Any:
        """Return a `Random`."""
        return class_named("Random")(freq, interval, dask, start, datafn)


class Series(Frame, _SeriesMixin):
    """A column whose values arrive in batches, along a stream.

    Parameters
    ----------
    stream : Stream, optional
        The stream of the batches: pandas series.
    example : pandas.Series, optional
        Values like those to come; if it is not given, the first element becomes the example.
    """

    _is_kind = staticmethod(is_series_like)
    _kind_name = "a series"
    _conform = staticmethod(conform_series)


def _of_labels(name: str) -> Callable[..., Any]:
    """Return the method of a series, for the labels of an index."""
    method: Callable[..., Any] = getattr(Series, name)

    @functools.wraps(method)
    def of_labels(self: Index, *args: Any, **kwargs: Any) -> Any:
        return method(self._labels(), *args, **kwargs)

    return of_labels


class Index(Series):
    """An index whose labels arrive in batches, along a stream.

    Aggregates, windows and groups are those of a series of the labels, indexed by them.
    """

    _is_kind = staticmethod(is_index_like)
    _kind_name = "an index"
    _conform = staticmethod(conform_index)

    def _labels(self) -> Any:
        return self._map_parts("to_series", kind=Series)

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        return self._labels()._aggregate(how, start, with_state, **options)

    def _cumulated(self, how: str) -> Any:
        return self._labels()._cumulated(how)

    window: Any = _of_labels("window")
    rolling: Any = _of_labels("rolling")
    expanding: Any = _of_labels("expanding")
    ewm: Any = _of_labels("ewm")
    groupby: Any = _of_labels("groupby")
    event_time: Any = _of_labels("event_time")
    tumbling: Any = _of_labels("tumbling")
    sliding: Any = _of_labels("sliding")
    session: Any = _of_labels("session")
    resample: Any = _of_labels("resample")


def _joined(columns: Mapping[Any, Any]) -> Any:
    """Return a streaming frame of *columns*."""
    if not any(isinstance(value, Streaming) for value in columns.values()):
        raise TypeError(
            f"DataFrame: columns must include a streaming series, "
            f"got {short_repr(list(columns.values()))}"
        )
    return map_partitions(frame_of_columns, tuple(columns), *columns.values(), _kind=DataFrame)


_stream_types["streaming"] += [
    (is_dataframe_like, DataFrame),
    (is_index_like, Index),
    (is_series_like, Series),
]
frame_classes.update(
    {
        ("streaming", "frame"): DataFrame,
        ("streaming", "series"): Series,
        ("streaming", "index"): Index,
    }
)
