"""The accessors of a series, ``.str``, ``.dt`` and ``.cat``, for every part of a streaming one."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from rapidz.dataframe.collection.batch_expressions import check_accessor
from rapidz.dataframe.collection.streaming import Streaming, map_partitions

#: What pandas offers under these names has the length of the series.
ACCESSORS = ("cat", "dt", "str")


class Accessor:
    """Attributes and methods of an accessor; what they give is a streaming collection.

    >>> import pandas as pd
    >>> from rapidz.dataframe import Series
    >>> names = Series(example=pd.Series(["Ada"]))
    >>> shown = names.str.upper().stream.map(list).sink(print)
    >>> names.emit(pd.Series(["Alan", "Grace"]))
    ['ALAN', 'GRACE']
    """

    def __init__(self, collection: Streaming, name: str) -> None:
        self._collection, self._name = collection, name
        self._example = getattr(collection._worked_with(), name)  # pandas says if there is none

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):
            raise AttributeError(f".{self._name} has no attribute {key!r}")
        if callable(getattr(self._example, key)):
            return functools.partial(self._call, key)
        return map_partitions(Through(self._name, key), self._collection)

    def _call(self, key: str, *args: Any, **kwargs: Any) -> Any:
        if self._collection._stream_type == "streaming":
            check_accessor(self._name, key, args, kwargs)
        through = Through(self._name, key, called=True)
        return map_partitions(through, self._collection, *args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return map_partitions(
            Through(self._name, "__getitem__", called=True), self._collection, key
        )

    def __dir__(self) -> Iterable[str]:
        return dir(self._example)


class Through:
    """Takes an attribute of an accessor of a series, and calls it if so told."""

    def __init__(self, accessor: str, key: str, called: bool = False) -> None:
        self._accessor, self._key, self._called = accessor, key, called
        self.__name__ = f"{accessor}.{key}"

    def __call__(self, series: Any, *args: Any, **kwargs: Any) -> Any:
        attribute = getattr(getattr(series, self._accessor), self._key)
        return attribute(*args, **kwargs) if self._called else attribute
