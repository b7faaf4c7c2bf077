"""Access to columns by name: as attributes of streaming frames, their windows and groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from rapidz.dataframe.collection.unsupported import unsupported_attribute

__all__ = ["ColumnAttributes", "dir_with_columns", "has_columns", "may_be_column"]


class ColumnAttributes:
    """Columns of the streaming frame *root* as attributes of a window, a group or the like."""

    root: Any

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    def __getattr__(self, key: str) -> Self:
        if not key.startswith("_") and may_be_column(self.root, key):
            chosen: Self = self[key]
            return chosen
        raise unsupported_attribute(type(self).__name__, key, dir(self), self._alternative(key))

    def _alternative(self, key: str) -> str:
        """Return what to use instead of a method of pandas that is not offered."""
        return f"use agg, or window(n=…).apply(lambda rows: rows.….{key}(…)), which keeps rows"

    def __iter__(self) -> Any:
        raise TypeError(f"{type(self).__name__} has no end: it cannot be iterated over")

    def __dir__(self) -> Iterable[str]:
        return dir_with_columns(self, self.root)


def has_columns(collection: Any) -> bool:
    """Return whether the elements of *collection* are frames, by its class: no example is needed.

    >>> from rapidz.dataframe import DataFrame, Series
    >>> has_columns(DataFrame()), has_columns(Series())
    (True, False)
    """
    return hasattr(type(collection), "columns")


def may_be_column(collection: Any, name: str) -> bool:
    """Return whether *name* is a column of *collection*; any may be while no example is known.

    >>> from rapidz.dataframe import DataFrame, Series
    >>> may_be_column(DataFrame(), "x"), may_be_column(Series(), "x")
    (True, False)
    """
    if not has_columns(collection):
        return False
    example = collection._example.get()
    return example is None or name in example.columns


def dir_with_columns(owner: object, collection: Any) -> list[str]:
    """Return the attributes of *owner*, and the columns of *collection* that can be attributes."""
    example = collection._example.get()
    columns = getattr(example, "columns", ())
    names = [name for name in columns if isinstance(name, str) and name.isidentifier()]
    return sorted({*object.__dir__(owner), *names})
