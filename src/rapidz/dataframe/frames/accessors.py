"""Accessors of a streaming series: ``.str``, ``.dt`` and ``.cat``."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from rapidz.dataframe.collection.batch_expressions import check_accessor
from rapidz.dataframe.collection.partials import named_partial
from rapidz.dataframe.collection.streaming import Streaming, map_partitions

#: The results of these accessors have the length of the series.
ACCESSORS = ("cat", "dt", "str")


class Accessor:
    """Accessor of a streaming series: its attributes and methods return streaming collections.

    >>> import pandas as pd
    >>> from rapidz.dataframe import Series
    >>> names = Series(example=pd.Series(["Ada"]))
    >>> shown = names.str.upper().stream.map(list).sink(print)
    >>> names.emit(pd.Series(["Alan", "Grace"]))
    ['ALAN', 'GRACE']
    """

    def __init__(self, collection: Streaming, name: str) -> None:
        self._collection, self._name = collection, name
        self._example = getattr(collection._known_example(), name)  # raises if the dtype has none

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):
            raise AttributeError(f".{self._name} has no attribute {key!r}")
        if callable(getattr(self._example, key)):
            return functools.partial(self._call, key)
        return map_partitions(_accessed(self._name, key, called=False), self._collection)

    def _call(self, key: str, *args: Any, **kwargs: Any) -> Any:
        if self._collection._stream_type == "streaming":
            check_accessor(self._name, key, args, kwargs)
        return map_partitions(_accessed(self._name, key), self._collection, *args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return map_partitions(_accessed(self._name, "__getitem__"), self._collection, key)

    def __dir__(self) -> Iterable[str]:
        return dir(self._example)


def _accessed(accessor: str, key: str, called: bool = True) -> Any:
    """Return a function that takes an attribute of an accessor of a series, and may call it."""
    return named_partial(f"{accessor}.{key}", _access, accessor, key, called)


def _access(accessor: str, key: str, called: bool, series: Any, /, *args: Any, **kw: Any) -> Any:
    attribute = getattr(getattr(series, accessor), key)
    return attribute(*args, **kw) if called else attribute
