"""Methods of `Stream` that make collections; their classes are imported on the first call."""

from __future__ import annotations

from typing import Any

from rapidz.dataframe.collection.class_registry import class_named
from rapidz.kernel.graph.stream import Stream


@Stream.register_api()
def to_batch(upstream: Stream[Any], **kwargs: Any) -> Any:
    """Return a collection whose elements are lists of objects: see `rapidz.batch.Batch`.

    >>> source = Stream()
    >>> totals = source.to_batch().sum().stream.sink_to_list()
    >>> source.emit([1, 2])
    >>> source.emit([3])
    >>> totals
    [3, 6]
    """
    return class_named("Batch")(upstream, **kwargs)


@Stream.register_api()
def to_dataframe(upstream: Stream[Any], example: Any = None) -> Any:
    """Return a collection whose elements are data frames: see `rapidz.dataframe.DataFrame`.

    Parameters
    ----------
    example : DataFrame, optional
        A frame like those to arrive, of pandas, polars or pyarrow.  If it is not given, the first
        frame, which must be of pandas, becomes the example.

    >>> import pandas as pd
    >>> source = Stream()
    >>> doubled = (source.to_dataframe(pd.DataFrame({"x": [0]})).x * 2).stream
    >>> shown = doubled.map(list).sink(print)
    >>> source.emit(pd.DataFrame({"x": [1, 2]}))
    [2, 4]
    """
    return class_named("DataFrame")(stream=upstream, example=example)
