"""Compatibility module: protocols of frames; see `rapidz.dataframe.interop.protocols`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from rapidz.dataframe.interop.protocols import is_dataframe_like, is_index_like, is_series_like
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = [
    "get_base_frame_type",
    "get_dataframe_package",
    "is_dataframe_like",
    "is_index_like",
    "is_series_like",
]


def get_dataframe_package(df: Any) -> Any:
    """Return the library that a frame is from.

    >>> import pandas as pd
    >>> get_dataframe_package(pd.DataFrame()).__name__
    'pandas'
    """
    module = inspect.getmodule(type(df))
    name = type(df).__module__ if module is None else module.__name__
    return importlib.import_module(name.partition(".")[0])


def get_base_frame_type(
    frame_name: str, is_frame_like: Callable[[Any], bool], example: Any = None
) -> type:
    """Return the class of an example, which must be like a frame, a series or an index."""
    if example is None:
        raise TypeError("Missing required argument:'example'")
    if not is_frame_like(example):
        raise TypeError(
            f"{frame_name}: example must be like a {frame_name.lower()}, "
            f"got {short_repr(type(example))}"
        )
    return type(example)
