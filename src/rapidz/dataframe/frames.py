"""DataFrame, Series, Index: streams whose elements are rows that belong to one large frame."""

from __future__ import annotations

import importlib
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from rapidz.dataframe.accessors import ACCESSORS, Accessor
from rapidz.dataframe.calls import Method
from rapidz.dataframe.collection import Streaming, _stream_types, map_partitions
from rapidz.dataframe.conform import conform_frame, conform_index, conform_series
from rapidz.dataframe.kinds import is_dataframe_like, is_index_like, is_series_like
from rapidz.dataframe.parts import (
    accumulate_size,
    assigned,
    cumulate,
    named_in,
    of_columns,
    with_column,
)
from rapidz.dataframe.periodic_data import random_datablock

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


class BaseFrame(Streaming):
    """What is done to the rows of every element alike."""

    _is_kind: ClassVar[Any] = staticmethod(is_dataframe_like)
    _kind_name: ClassVar[str] = "a data frame"

    def _check_example(self, example: Any) -> None:
        if not self._is_kind(example):
            raise TypeError(
                f"{type(self).__name__}: example must be {self._kind_name}, got {example!r}"
            )
        self._subtype = type(example)

    def verify(self, x: Any) -> None:
        """Raise TypeError or ValueError if *x* is not as the example is.

        Columns in another order are all right.
        """
        if self._conform is not None:
            self._conform(x, self._coming.get())

    def _each(
        self, func: Callable[..., Any], *args: Any, kind: type | None = None, **kwargs: Any
    ) -> Any:
        """What *func* makes of every element: of this class, or *kind*, if nothing tells yet."""
        return map_partitions(func, self, *args, _kind=kind or type(self), **kwargs)

    @property
    def index(self) -> Any:
        """The index."""
        return self._each(operator.attrgetter("index"), kind=Index)

    def astype(self, dt: Any) -> Any:
        """Change the dtype of all columns, or of some by a dict."""
        return self._each(Method("astype"), dt)

    def map(self, func: Any, na_action: Any = None) -> Any:
        """Apply a function, or for a series a dict, to every value."""
        return self._each(Method("map"), func, na_action=na_action)

    def round(self, decimals: Any = 0) -> Any:
        """Round numbers to so many decimals."""
        return self._each(Method("round"), decimals)

    def reset_index(self) -> Any:
        """Make the index a column; that of every element counts on from 0 then."""
        return self._each(Method("reset_index"), kind=_frame_class(self))

    def set_index(self, index: Any, **kwargs: Any) -> Any:
        """Take a column, by its name or as a streaming series, for the index."""
        return self._each(Method("set_index"), index, **kwargs)

    def tail(self, n: int = 5) -> Any:
        """The last *n* rows of every element."""
        return self._each(Method("tail"), n)

    def nlargest(self, n: int, *args: Any, **kwargs: Any) -> Any:
        """The *n* largest rows of every element, as pandas orders them."""
        return self._each(Method("nlargest"), n, *args, **kwargs)


class Frame(BaseFrame):
    """Rows that come in parts: what is known of all of them changes with every element."""

    _stream_type = "streaming"

    @property
    def size(self) -> Any:
        """The number of values in all rows so far."""
        return self.accumulate_partitions(accumulate_size, start=0)

    def cumsum(self) -> Any:
        """The sum of all rows up to each, through all elements."""
        return self._cumulated("cumsum")

    def cumprod(self) -> Any:
        """The product of all rows up to each, through all elements."""
        return self._cumulated("cumprod")

    def cummin(self) -> Any:
        """The smallest of all rows up to each, through all elements."""
        return self._cumulated("cummin")

    def cummax(self) -> Any:
        """The largest of all rows up to each, through all elements."""
        return self._cumulated("cummax")

    def _cumulated(self, how: str) -> Any:
        return self.accumulate_partitions(
            cumulate, how, start=None, returns_state=True, _kind=type(self)
        )


if TYPE_CHECKING:
    _Mixed = BaseFrame
else:
    _Mixed = object


class _DataFrameMixin(_Mixed):
    """What only a frame with columns has."""

    @property
    def columns(self) -> Any:
        """The columns of the example."""
        return self.example.columns

    @property
    def dtypes(self) -> Any:
        """The dtypes of the example, by column."""
        return self.example.dtypes

    def __getitem__(self, index: Any) -> Any:
        one = not isinstance(index, (list, slice, Streaming)) and not callable(index)
        return self._each(operator.getitem, index, kind=_series_class(self) if one else None)

    def __setitem__(self, key: Any, value: Any) -> None:
        made = self._each(with_column, key, value)
        self.stream, self._example = made.stream, made._example

    def __getattr__(self, key: str) -> Any:
        if not key.startswith("_"):
            example = self._example.get()
            if example is None or key in example.columns:
                return self[key]
        raise AttributeError(f"{type(self).__name__} has no attribute {key!r}")

    def __dir__(self) -> Iterable[str]:
        example = self._example.get()
        names = [] if example is None else list(example.columns)
        columns = [name for name in names if isinstance(name, str) and name.isidentifier()]
        return sorted({*object.__dir__(self), *columns})

    def assign(self, **kwargs: Any) -> Any:
        """Add columns: streaming series, values, or functions of the frame.

        >>> import pandas as pd
        >>> sdf = DataFrame(example=pd.DataFrame({"x": [1]}))
        >>> shown = sdf.assign(y=sdf.x * 2, z=0).stream.map(len).sink(print)
        >>> sdf.emit(pd.DataFrame({"x": [1, 2, 3]}))
        3
        """
        return self._each(assigned, tuple(kwargs), *kwargs.values())

    def query(self, expr: str, **kwargs: Any) -> Any:
        """The rows for which *expr* holds, as in pandas.

        Names with an ``@`` have the values that they have now.

        >>> import pandas as pd
        >>> sdf, least = DataFrame(example=pd.DataFrame({"x": [1]})), 2
        >>> shown = sdf.query("x >= @least").stream.map(len).sink(print)
        >>> sdf.emit(pd.DataFrame({"x": [1, 2, 3]}))
        2
        """
        kwargs.setdefault("local_dict", named_in(expr, sys._getframe(1)))
        return self._each(Method("query"), expr, **kwargs)

    def eval(self, expr: str, **kwargs: Any) -> Any:
        """What *expr* gives for every element, as in pandas; see `query`."""
        kwargs.setdefault("local_dict", named_in(expr, sys._getframe(1)))
        return self._each(Method("eval"), expr, **kwargs)

    def to_frame(self) -> Any:
        """The frame itself."""
        return self


class _SeriesMixin(_Mixed):
    """What only a single column has."""

    @property
    def dtype(self) -> Any:
        """The dtype of the example."""
        return self.example.dtype

    @property
    def name(self) -> Any:
        """The name of the example."""
        return self.example.name

    def __getitem__(self, index: Any) -> Any:
        return self._each(operator.getitem, index)

    def __getattr__(self, key: str) -> Any:
        if key in ACCESSORS:
            return Accessor(self, key)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {key!r}")

    def to_frame(self) -> Any:
        """A frame of this one column."""
        return self._each(Method("to_frame"), kind=_frame_class(self))


class DataFrame(Frame, _DataFrameMixin):
    """A data frame whose rows come in parts, along a stream.

    Parameters
    ----------
    stream : Stream or dict, optional
        Where the parts come from: pandas data frames, with the columns of the example in any
        order.  A stream of its own by default, see `emit`.  Or a dict of streaming series and
        values, which become the columns.
    example : pandas.DataFrame, optional
        Rows like those that will come; an empty frame with the right columns and dtypes will do.
        It is taken from the first element if it is not given; what cannot be known before then
        says so.

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
            super().__init__(made.stream, *args[1:], **kwargs)
            if self._example.value is None:
                self._knows(made._example)
        else:
            super().__init__(*args, **kwargs)

    @property
    def plot(self) -> Any:
        """Plots by hvplot, which must be installed."""
        try:
            hvplot: Any = importlib.import_module("hvplot")
        except ImportError as error:
            raise ImportError(
                "DataFrame.plot needs hvplot, which is not installed: pip install rapidz[plot]"
            ) from error
        return hvplot.hvPlot(self)

    @staticmethod
    def from_periodic(
        datafn: Callable[..., Any] = random_datablock,
        interval: Any = "500ms",
        dask: bool = False,
        start: bool = True,
        **kwargs: Any,
    ) -> Any:
        """A `PeriodicDataFrame`."""
        periodic: Any = importlib.import_module("rapidz.dataframe.periodic")
        return periodic.PeriodicDataFrame(datafn, interval, dask, start, **kwargs)

    @staticmethod
    def random(
        freq: Any = "100ms",
        interval: Any = "500ms",
        dask: bool = False,
        start: bool = True,
        datafn: Callable[..., Any] = random_datablock,
    ) -> Any:
        """A `Random`."""
        periodic: Any = importlib.import_module("rapidz.dataframe.periodic")
        return periodic.Random(freq, interval, dask, start, datafn)


class Series(Frame, _SeriesMixin):
    """A column whose values come in parts, along a stream.

    Parameters
    ----------
    stream : Stream, optional
        Where the parts come from: pandas series.
    example : pandas.Series, optional
        Values like those that will come; taken from the first element if it is not given.
    """

    _is_kind = staticmethod(is_series_like)
    _kind_name = "a series"
    _conform = staticmethod(conform_series)


class Index(Series):
    """An index whose labels come in parts, along a stream."""

    _is_kind = staticmethod(is_index_like)
    _kind_name = "an index"
    _conform = staticmethod(conform_index)


class Frames(BaseFrame):
    """Frames each of which is all there is, anew: what aggregations and windows give.

    What a method says is said of each by itself.
    """

    _stream_type = "updating"

    @property
    def size(self) -> Any:
        """The number of values."""
        return self._each(operator.attrgetter("size"))

    def sum(self, **kwargs: Any) -> Any:
        """The sum."""
        return self._each(Method("sum"), **kwargs)

    def count(self, **kwargs: Any) -> Any:
        """The number of values that are not missing."""
        return self._each(Method("count"), **kwargs)

    def mean(self, **kwargs: Any) -> Any:
        """The mean."""
        return self._each(Method("mean"), **kwargs)

    def var(self, **kwargs: Any) -> Any:
        """The variance."""
        return self._each(Method("var"), **kwargs)

    def std(self, **kwargs: Any) -> Any:
        """The standard deviation."""
        return self._each(Method("std"), **kwargs)

    def min(self, **kwargs: Any) -> Any:
        """The smallest value."""
        return self._each(Method("min"), **kwargs)

    def max(self, **kwargs: Any) -> Any:
        """The largest value."""
        return self._each(Method("max"), **kwargs)


class DataFrames(Frames, _DataFrameMixin):
    """Data frames each of which is all there is, anew."""


class Seriess(Frames, _SeriesMixin):
    """Series each of which is all there is, anew."""

    _is_kind = staticmethod(is_series_like)
    _kind_name = "a series"


def _frame_class(collection: Any) -> type[Streaming]:
    return DataFrames if collection._stream_type == "updating" else DataFrame


def _joined(columns: Mapping[Any, Any]) -> Any:
    """A streaming frame of *columns*."""
    if not any(isinstance(value, Streaming) for value in columns.values()):
        raise TypeError(
            f"DataFrame: columns must include a streaming series, got {list(columns.values())!r}"
        )
    return map_partitions(of_columns, tuple(columns), *columns.values(), _kind=DataFrame)


def _series_class(collection: Any) -> type[Streaming]:
    return Seriess if collection._stream_type == "updating" else Series


_stream_types["streaming"] += [
    (is_dataframe_like, DataFrame),
    (is_index_like, Index),
    (is_series_like, Series),
]
_stream_types["updating"] += [(is_dataframe_like, DataFrames), (is_series_like, Seriess)]
