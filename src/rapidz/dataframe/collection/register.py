"""What frames and batches add to the menu of `Stream`; imports nothing until it is used."""

from __future__ import annotations

import importlib
from typing import Any

from rapidz.kernel.graph.stream import Stream


@Stream.register_api()
def to_batch(upstream: Stream[Any], **kwargs: Any) -> Any:
    """Say that the elements are lists of objects: see `rapidz.batch.Batch`.

    >>> source = Stream()
    >>> totals = source.to_batch().sum().stream.sink_to_list()
    >>> source.emit([1, 2])
    >>> source.emit([3])
    >>> totals
    [3, 6]
    """
    batch: Any = importlib.import_module("rapidz.dataframe.frames.batch")
    return batch.Batch(upstream, **kwargs)


@Stream.register_api()
def to_dataframe(upstream: Stream[Any], example: Any = None) -> Any:
    """Say that the elements are data frames: see `rapidz.dataframe.DataFrame`.

    Parameters
    ----------
    example : DataFrame, optional
        A frame like those that will come, of pandas, polars or pyarrow; taken from the first one,
        of pandas then, if it is not given.

    >>> import pandas as pd
    >>> source = Stream()
    >>> doubled = (source.to_dataframe(pd.DataFrame({"x": [0]})).x * 2).stream
    >>> shown = doubled.map(list).sink(print)
    >>> source.emit(pd.DataFrame({"x": [1, 2]}))
    [2, 4]
    """
    frames: Any = importlib.import_module("rapidz.dataframe.frames.dataframe")
    return frames.DataFrame(stream=upstream, example=example)
