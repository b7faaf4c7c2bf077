"""What an element must be like, given the example; and how it is put right if it can be."""

from __future__ import annotations

from typing import Any

from rapidz.dataframe.kinds import is_dataframe_like, is_index_like, is_series_like
from rapidz.dataframe.native import kind_of


class ColumnsError(ValueError, IndexError):
    """A frame without the columns it must have; streamz raises IndexError there."""


def conform_frame(x: Any, example: Any) -> Any:
    """Return the frame *x* with the columns in the order that *example* has.

    >>> import pandas as pd
    >>> example = pd.DataFrame({"x": [1], "y": [2]})
    >>> list(conform_frame(example[["y", "x"]], example))
    ['x', 'y']
    >>> conform_frame(example[["x"]], example)
    Traceback (most recent call last):
    ...
    rapidz.dataframe.conform.ColumnsError: DataFrame: columns must be ['x', 'y'], got ['x']: \
'y' is missing
    """
    if example is None:
        return _of_kind("DataFrame", "a data frame", x, is_dataframe_like(x))
    _of_type("DataFrame", x, example)
    columns, wanted = x.columns, example.columns
    if columns is wanted or columns.equals(wanted):
        return x
    return x[_in_order("DataFrame", list(columns), list(wanted))]


def conform_series(x: Any, example: Any) -> Any:
    """Return *x*, which must be a series as *example* is."""
    if example is None:
        return _of_kind("Series", "a series", x, is_series_like(x))
    _of_type("Series", x, example)
    return x


def conform_index(x: Any, example: Any) -> Any:
    """Return *x*, which must be an index: of what class depends on the values."""
    return _of_kind("Index", "an index", x, is_index_like(x))


def _of_type(owner: str, x: Any, example: Any) -> None:
    if not isinstance(x, type(example)):
        raise TypeError(
            f"{owner}: element must be of type {type(example).__name__}, as the example is, "
            f"got {type(x).__name__}"
        )


def _of_kind(owner: str, kind: str, x: Any, good: bool) -> Any:
    if not good:
        if (of := kind_of(x)) not in (None, "pandas"):
            raise TypeError(f"{owner}: example must be given for elements of {of}")
        raise TypeError(f"{owner}: element must be {kind}, got {type(x).__name__}")
    return x


def _in_order(owner: str, columns: list[Any], wanted: list[Any]) -> list[Any]:
    """The names *wanted*, if *columns* are the same in another order."""
    missing = [name for name in wanted if name not in columns]
    excess = [name for name in columns if name not in wanted]
    repeated = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    faults = [
        f"{', '.join(map(repr, names))} {fault}"
        for names, fault in (
            (missing, "is missing"),
            (excess, "is not among them"),
            (repeated, "comes more than once"),
        )
        if names
    ]
    if faults or len(columns) != len(wanted):
        reason = "; ".join(faults) or "not as often"
        raise ColumnsError(f"{owner}: columns must be {wanted!r}, got {columns!r}: {reason}")
    return wanted
