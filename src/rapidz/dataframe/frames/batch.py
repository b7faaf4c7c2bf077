"""Batch: a stream whose elements are lists of Python objects."""

from __future__ import annotations

import builtins
import functools
import importlib
from collections.abc import Callable, Iterable
from typing import Any

from rapidz.dataframe.collection.class_registry import _stream_types, class_named
from rapidz.dataframe.collection.streaming import Streaming, map_partitions
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.protocol.push import SKIP
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["Batch"]


class Batch(Streaming):
    """A stream of lists, tuples or sets of Python objects.

    Methods apply to the objects of every batch.

    Parameters
    ----------
    stream : Stream, optional
        The stream of the batches; a stream of its own by default.
    example : list, tuple or set, optional
        A batch, empty by default.  Give one to sum objects that are not numbers.

    >>> batches = Batch()
    >>> shown = batches.filter(lambda x: x > 1).map(lambda x: x * x).to_stream().sink(print)
    >>> batches.emit([1, 2, 3])
    4
    9
    """

    def __init__(self, stream: Any = None, example: Any = None, stream_type: Any = None) -> None:
        super().__init__(stream, [] if example is None else example, stream_type)

    def _check_example(self, example: Any) -> None:
        _check_batch("example", example)

    def verify(self, x: Any) -> None:
        """Raise TypeError if *x* is not a batch of objects."""
        _check_batch("element", x)

    def map(self, func: Callable[..., Any], **kwargs: Any) -> Any:
        """Apply a function to every object; it gets *kwargs* as well.

        >>> batches = Batch()
        >>> shown = batches.map(int, base=2).stream.sink(print)
        >>> batches.emit(["10", "11"])
        [2, 3]
        """
        check_callable("Batch.map", "func", func)
        func = functools.partial(func, **kwargs) if kwargs else func
        return map_partitions(_map_map, self, func)

    def filter(self, predicate: Callable[[Any], Any]) -> Any:
        """Leave out objects that do not satisfy a predicate; a batch may become empty."""
        check_callable("Batch.filter", "predicate", predicate)
        return map_partitions(_filter, self, predicate)

    def pluck(self, ind: Any) -> Any:
        """Take one item of every object, or a tuple of several if *ind* is a list."""
        return map_partitions(_pluck, self, ind)

    def sum(self) -> Any:
        """Sum all objects so far; the sum is emitted with every batch.

        >>> batches = Batch()
        >>> shown = batches.sum().stream.sink(print)
        >>> batches.emit([1, 2])
        3
        >>> batches.emit((3,))
        6
        """
        return self.accumulate_partitions(_accumulate_sum, start=0)

    def to_dataframe(self) -> Any:
        """Return a streaming `DataFrame` with a row for every object.

        The columns are those of the example.  If that is empty they are those of the first batch
        which is not, and empty batches emit nothing.

        >>> people = Batch(example=[{"name": "Ada", "born": 1815}])
        >>> shown = (people.to_dataframe()["born"] + 100).stream.map(list).sink(print)
        >>> people.emit([{"name": "Alan", "born": 1912}, {"name": "Grace", "born": 1906}])
        [2012, 2006]
        """
        if len(self.example):
            return map_partitions(_to_frame, self, _to_frame(self.example).iloc[:0])
        return class_named("DataFrame")(self._inner.map(_to_frame))

    def to_stream(self) -> Stream[Any]:
        """Return a stream of the single objects.

        >>> batches = Batch()
        >>> shown = batches.to_stream().sink(print)
        >>> batches.emit(["a", "b"])
        a
        b
        """
        return self._inner.flatten()


def _check_batch(argument: str, x: Any) -> None:
    if isinstance(x, (str, bytes)) or not isinstance(x, Iterable):
        raise TypeError(f"Batch: {argument} must be a list, tuple or set, got {short_repr(x)}")


def _to_frame(batch: Any, empty: Any = SKIP) -> Any:
    """Return the rows of *batch* as a frame; *empty* if it has none."""
    rows = list(batch)
    return importlib.import_module("pandas").DataFrame(rows) if rows else empty


def _accumulate_sum(accumulator: Any, new: Iterable[Any]) -> Any:
    return accumulator + builtins.sum(new)


def _filter(seq: Iterable[Any], predicate: Callable[[Any], Any]) -> list[Any]:
    return [x for x in seq if predicate(x)]


def _map_map(seq: Iterable[Any], func: Callable[..., Any], **kwargs: Any) -> list[Any]:
    return [func(x, **kwargs) for x in seq]


def _pluck(seq: Iterable[Any], ind: Any) -> list[Any]:
    if isinstance(ind, list):
        return [tuple(x[i] for i in ind) for x in seq]
    return [x[ind] for x in seq]


_stream_types["streaming"].append(((list, tuple, set), Batch))
