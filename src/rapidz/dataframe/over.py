"""Which rows a window holds, by what its user says."""

from __future__ import annotations

from typing import Any

from rapidz.dataframe.base import needs_index
from rapidz.dataframe.collection import Streaming
from rapidz.dataframe.state import LastRows, Span

__all__ = ["over_of"]


def over_of(owner: str, root: Streaming, n: Any, value: Any) -> LastRows | Span:
    """The last *n* rows of a streaming frame, or those less than *value* behind the newest.

    >>> from rapidz.dataframe import DataFrame
    >>> over_of("Window", DataFrame(), 3, None)
    LastRows(n=3)
    >>> over_of("Window", DataFrame(), None, None)
    Traceback (most recent call last):
    ...
    ValueError: Window: exactly one of n and value must be given, got n=None, value=None
    """
    if (n is None) == (value is None):
        raise ValueError(
            f"{owner}: exactly one of n and value must be given, got n={n!r}, value={value!r}"
        )
    if n is not None:
        return LastRows(n)
    span = Span(value)
    needs_index(root, "window by value")
    return span
