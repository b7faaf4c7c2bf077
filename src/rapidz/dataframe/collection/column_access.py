"""The columns of a streaming frame by their names: as attributes, and in messages."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Self

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = [
    "Columns",
    "NoColumnError",
    "dir_with_columns",
    "has_columns",
    "may_be_column",
    "no_column",
]


class NoColumnError(KeyError):
    """A column is asked for that a frame does not have."""

    def __str__(self) -> str:
        return str(self.args[0])  # and not its repr, as that of other keys


class Columns:
    """Columns as attributes, for what is made of the rows of a streaming frame, the *root*."""

    root: Any

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    def __getattr__(self, key: str) -> Self:
        if not key.startswith("_") and may_be_column(self.root, key):
            chosen: Self = self[key]
            return chosen
        missing: Any = importlib.import_module("rapidz.dataframe.collection.unsupported")
        raise missing.not_offered(type(self).__name__, key, dir(self), self._instead(key))

    def _instead(self, key: str) -> str:
        """Return what to use in the place of a method of pandas that is not there."""
        return f"use agg, or window(n=…).apply(lambda rows: rows.….{key}(…)), which keeps rows"

    def __iter__(self) -> Any:
        raise TypeError(f"{type(self).__name__} has no end: it cannot be iterated over")

    def __dir__(self) -> Iterable[str]:
        return dir_with_columns(self, self.root)


def stream_hint(name: str) -> str:
    """Return how to call the method *name* of streams from a collection; "" if there is none.

    >>> stream_hint("sink")
    'it is a method of streams, write .stream.sink(…)'
    """
    if name.startswith("_") or not hasattr(Stream, name):
        return ""
    return f"it is a method of streams, write .stream.{name}(…)"


def has_columns(collection: Any) -> bool:
    """Whether the elements of *collection* are frames, by its class: an example need not be known.

    >>> from rapidz.dataframe import DataFrame, Series
    >>> has_columns(DataFrame()), has_columns(Series())
    (True, False)
    """
    return hasattr(type(collection), "columns")


def may_be_column(collection: Any, name: str) -> bool:
    """Whether *name* is a column of *collection*; any may be as long as no example tells.

    >>> from rapidz.dataframe import DataFrame, Series
    >>> may_be_column(DataFrame(), "x"), may_be_column(Series(), "x")
    (True, False)
    """
    if not has_columns(collection):
        return False
    example = collection._example.get()
    return example is None or name in example.columns


def dir_with_columns(owner: object, collection: Any) -> list[str]:
    """What *owner* has, and the columns of *collection* that can be written as attributes."""
    example = collection._example.get()
    columns = getattr(example, "columns", ())
    names = [name for name in columns if isinstance(name, str) and name.isidentifier()]
    return sorted({*object.__dir__(owner), *names})


def no_column(argument: str, columns: Iterable[Any], got: Any) -> ValueError:
    """The error for an argument that names what is no column.

    >>> no_column("groupby: other", ["x", "y"], "z")
    ValueError("groupby: other must name columns of ['x', 'y'], got 'z'")
    """
    return ValueError(
        f"{argument} must name columns of {short_repr(list(columns))}, got {short_repr(got)}"
    )
