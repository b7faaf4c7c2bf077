"""Window specification: the extent of a window, by its arguments."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.frames.base import needs_index
from rapidz.dataframe.incremental import LastRows, Span
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["window_arguments", "window_extent"]

_LENGTHS = (str, dt.timedelta, np.timedelta64, pd.DateOffset)


def window_arguments(n: Any, value: Any) -> tuple[Any, Any]:
    """Return *n* and *value*, of which the first one given may be a length of time.

    >>> window_arguments(2, None), window_arguments("2h", None)
    ((2, None), (None, '2h'))
    """
    return (None, n) if value is None and isinstance(n, _LENGTHS) else (n, value)


def window_extent(owner: str, root: Streaming, n: Any, value: Any) -> LastRows | Span:
    """Return the extent of a window: *n* rows, or those less than *value* behind the newest.

    >>> from rapidz.dataframe import DataFrame
    >>> window_extent("Window", DataFrame(), 3, None)
    LastRows(n=3)
    >>> window_extent("Window", DataFrame(), None, None)
    Traceback (most recent call last):
    ...
    ValueError: Window: exactly one of n and value must be given, got n=None, value=None
    """
    if (n is None) == (value is None):
        raise ValueError(
            f"{owner}: exactly one of n and value must be given, "
            f"got n={short_repr(n)}, value={short_repr(value)}"
        )
    if n is not None:
        return LastRows(n)
    span = Span(value)
    needs_index(root, "window by value")
    return span
