"""Streaming frames: what frames with columns, series and indexes have in common."""

from __future__ import annotations

import functools
import importlib
import operator
import sys
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from rapidz.dataframe.collection.batch_expressions import check_expression, check_slice, typed
from rapidz.dataframe.collection.class_registry import frame_classes
from rapidz.dataframe.collection.column_access import dir_with_columns, has_columns, may_be_column
from rapidz.dataframe.collection.partials import (
    assigned,
    largest,
    method_call,
    names_in_expression,
    selected,
    with_column,
)
from rapidz.dataframe.collection.streaming import Streaming, map_partitions
from rapidz.dataframe.collection.unsupported import UnsupportedAttribute, unsupported_attribute
from rapidz.dataframe.frames.accessors import ACCESSORS, Accessor
from rapidz.dataframe.frames.rowwise import ColumnWise, RowWise, ValueWise
from rapidz.dataframe.interop.native import has_index, kind_of, refuse, to_pandas
from rapidz.dataframe.interop.nullable import mapped
from rapidz.dataframe.interop.protocols import is_dataframe_like
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["BaseFrame", "_DataFrameMixin", "_SeriesMixin"]


class BaseFrame(RowWise, Streaming):
    """Methods that treat the rows of every element alike."""

    _is_kind: ClassVar[Any] = staticmethod(is_dataframe_like)
    _kind_name: ClassVar[str] = "a data frame"

    @staticmethod
    def _read_example(example: Any) -> tuple[Any, str | None]:
        kind = kind_of(example)
        return (example, None) if kind in (None, "pandas") else (to_pandas(example), kind)

    def _check_example(self, example: Any) -> None:
        if not self._is_kind(example):
            raise TypeError(
                f"{type(self).__name__}: example must be {self._kind_name}, "
                f"got {short_repr(example)}"
            )
        self._subtype = type(example)

    def verify(self, x: Any) -> None:
        """Raise TypeError or ValueError if *x* is not as the example is.

        The order of columns may differ.
        """
        if self._conform is not None and not (self._verifier and self._verifier.knows(x)):
            self._conform(self._to_pandas(x), self._input_example.get())

    def _may_defer(self, stream: Stream[Any]) -> bool:
        return (
            has_columns(self)
            and self._example.kind in ("polars", "pyarrow")
            and self._example.value is not None
            and not stream._remote
        )

    def __contains__(self, key: object) -> bool:
        """Return whether *key* is a column, as in pandas."""
        if has_columns(self):
            return key in self._known_example().columns
        return super().__contains__(key)

    def _map_parts(
        self, func: Callable[..., Any] | str, *args: Any, kind: type | None = None, **kwargs: Any
    ) -> Any:
        """Map every element by a function, or a method by its name.

        The class of the result is this one, or *kind*, while no example is known.
        """
        if isinstance(func, str):
            return self._map_parts(method_call(func), *args, kind=kind, **kwargs)
        return map_partitions(func, self, *args, _kind=kind or type(self), **kwargs)

    def _resolve(self, value: Any) -> Any:
        """Return *value*, or its result for the streaming frame if it is a function.

        So it may refer to all rows, as in ``lambda sdf: sdf.x.cumsum()``.  A function that needs
        the values themselves gets each batch.
        """
        if self._stream_type != "streaming":
            return value
        if isinstance(value, slice):
            check_slice(value)
        if not callable(value) or isinstance(value, Streaming):
            return value
        try:
            return value(self)
        except UnsupportedAttribute:
            raise
        except Exception:
            return value

    def _no_attribute(self, key: str) -> AttributeError:
        """Return the error for an unknown attribute."""
        whole = ""
        if self._stream_type == "updating":
            whole = f"use map_partitions(lambda result: result.{key}(…)) for each result"
        return unsupported_attribute(type(self).__name__, key, dir(self), whole)

    @property
    def index(self) -> Any:
        """The index."""
        needs_index(self, "index")
        return self._map_parts(operator.attrgetter("index"), kind=_class_for(self, "index"))

    def astype(self, dt: Any) -> Any:
        """Cast all columns to a dtype, or some by a dict."""
        return self._map_parts(typed if self._stream_type == "streaming" else "astype", dt)

    def map(self, func: Any, na_action: Any = None) -> Any:
        """Apply a function, or for a series a dict, to every value."""
        if has_index(self._example.kind or "pandas"):
            return self._map_parts("map", func, na_action=na_action)
        return self._map_parts(mapped, func, na_action)  # a dtype that missing values do not change

    def round(self, decimals: Any = 0) -> Any:
        """Round numbers to so many decimals."""
        return self._map_parts("round", decimals)

    def reset_index(self) -> Any:
        """Make the index a column; the new index of every element starts at 0."""
        needs_index(self, "reset_index")
        return self._map_parts("reset_index", kind=_class_for(self, "frame"))

    def set_index(self, index: Any, **kwargs: Any) -> Any:
        """Make a column, by its name or as a streaming series, the index."""
        return self._map_parts("set_index", index, **kwargs)

    @property
    def plot(self) -> Any:
        """Live plots by hvplot, which must be installed: ``sdf.plot.line(x="time", y="load")``.

        They show the last rows, ``backlog=`` of them, or the latest result.
        """
        return importlib.import_module("rapidz.dataframe.frames.plotting").plots(self)

    @property
    def hvplot(self) -> Any:
        """Live plots by hvplot; an alias of `plot`."""
        return self.plot

    def __panel__(self) -> Any:
        """Return what Panel shows: a table of the latest element."""
        return importlib.import_module("rapidz.dataframe.frames.plotting").pane(self)

    def tail(self, n: int = 5) -> Any:
        """Return the last *n* rows of every element."""
        return self._map_parts("tail", n)

    def nlargest(self, n: int, *args: Any, **kwargs: Any) -> Any:
        """Return the *n* largest rows of every element, as pandas orders them."""
        return self._map_parts(largest, n, *args, **kwargs)


if TYPE_CHECKING:
    _Mixed = BaseFrame
else:
    _Mixed = object


class _DataFrameMixin(ColumnWise, _Mixed):
    """Methods of frames with columns."""

    @property
    def columns(self) -> Any:
        """The columns of the example, as pandas has them."""
        return self._known_example().columns

    @property
    def dtypes(self) -> Any:
        """The dtypes of the example, by column, as pandas has them."""
        return self._known_example().dtypes

    def __getitem__(self, index: Any) -> Any:
        index = self._resolve(index)
        one = not isinstance(index, (list, slice, Streaming)) and not callable(index)
        made = self._map_parts(selected, index, kind=_class_for(self, "series") if one else None)
        if self._deferred is not None and _is_mask(index):
            made._deferred, made._eager = made._eager, None
        if _names(index):
            self._example.add_check(functools.partial(selected, index=index), made._inner)
        return made

    def __setitem__(self, key: Any, value: Any) -> None:
        made = self._map_parts(with_column, key, value)
        self.stream, self._example = made._inner, made._example

    def __getattr__(self, key: str) -> Any:
        if not key.startswith("_") and may_be_column(self, key):
            return self[key]
        raise self._no_attribute(key)

    def __dir__(self) -> Iterable[str]:
        return dir_with_columns(self, self)

    def assign(self, **kwargs: Any) -> Any:
        """Add columns: streaming series, values, or functions of the frame.

        >>> import pandas as pd
        >>> from rapidz.dataframe import DataFrame
        >>> sdf = DataFrame(example=pd.DataFrame({"x": [1]}))
        >>> shown = sdf.assign(y=sdf.x * 2, z=0).stream.map(len).sink(print)
        >>> sdf.emit(pd.DataFrame({"x": [1, 2, 3]}))
        3
        """
        if not any(callable(value) for value in kwargs.values()):
            return self._map_parts(assigned, tuple(kwargs), *kwargs.values())
        made: Any = self
        for name, value in kwargs.items():  # a function may use columns added before
            made = made._map_parts(assigned, (name,), made._resolve(value))
        return made

    def query(self, expr: str, **kwargs: Any) -> Any:
        """Select rows by a boolean expression, as in pandas.

        Names with an ``@`` are bound now.

        >>> import pandas as pd
        >>> from rapidz.dataframe import DataFrame
        >>> sdf, least = DataFrame(example=pd.DataFrame({"x": [1]})), 2
        >>> shown = sdf.query("x >= @least").stream.map(len).sink(print)
        >>> sdf.emit(pd.DataFrame({"x": [1, 2, 3]}))
        2
        """
        if self._stream_type == "streaming":
            check_expression("query", expr)
        kwargs.setdefault("local_dict", names_in_expression(expr, sys._getframe(1)))
        return self._map_parts("query", expr, **kwargs)

    def eval(self, expr: str, **kwargs: Any) -> Any:
        """Evaluate an expression for every element, as in pandas; see `query`."""
        if self._stream_type == "streaming":
            check_expression("eval", expr)
        kwargs.setdefault("local_dict", names_in_expression(expr, sys._getframe(1)))
        return self._map_parts("eval", expr, **kwargs)

    def to_frame(self) -> Any:
        """Return the frame itself."""
        return self


class _SeriesMixin(ValueWise, _Mixed):
    """Methods of a single column."""

    @property
    def dtype(self) -> Any:
        """The dtype of the example, as pandas has it."""
        return self._known_example().dtype

    @property
    def name(self) -> Any:
        """The name of the example."""
        return self._known_example().name

    def __getitem__(self, index: Any) -> Any:
        return self._map_parts(operator.getitem, self._resolve(index))

    def __getattr__(self, key: str) -> Any:
        if key in ACCESSORS:
            return Accessor(self, key)
        raise self._no_attribute(key)

    def to_frame(self) -> Any:
        """Return a frame of this one column."""
        return self._map_parts("to_frame", kind=_class_for(self, "frame"))


def needs_index(collection: Streaming, operation: str) -> None:
    """Refuse *operation* if the rows of *collection* have no labels, nor a column named for it."""
    index = getattr(collection._example.get(), "index", None)
    if collection._example.kind is not None and (index is None or index.names == [None]):
        refuse(collection._example.kind, operation, "name a column by set_index before")


def needs_name(collection: Streaming, operation: str) -> None:
    """Refuse *operation* if values become the labels of rows, and would be lost without a name."""
    example = collection._example.get()
    if collection._example.kind is not None and getattr(example, "name", "") is None:
        refuse(collection._example.kind, f"{operation} by a series without a name")


def _names(index: Any) -> bool:
    """Return whether *index* is a label or labels of columns, and does not select rows."""
    labels = index if isinstance(index, list) else [index]
    rows = (bool, slice, Streaming)
    return not any(
        isinstance(x, rows) or callable(x) or not isinstance(x, Hashable) for x in labels
    )


def _is_mask(index: Any) -> bool:
    """Return whether *index* is a streaming series, which selects rows."""
    return isinstance(index, Streaming) and isinstance(index._example.get(), pd.Series)


def _class_for(collection: Any, kind: str) -> type[Streaming]:
    """Return the class of a frame or a series of the same stream type as *collection*."""
    return frame_classes[collection._stream_type, kind]
