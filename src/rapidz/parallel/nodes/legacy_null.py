"""Compatibility helpers: functions that pass on the marker of an element that was filtered out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from rapidz.parallel.wire.outcomes import DROPPED

#: Marker of an element that was filtered out; compared by identity.
NULL_COMPUTE: Final = DROPPED


def return_null(func: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that returns `NULL_COMPUTE` if that is among its arguments.

    >>> return_null(abs)(-1)
    1
    >>> return_null(abs)(NULL_COMPUTE) is NULL_COMPUTE
    True
    """

    @functools.wraps(func)
    def with_null(*args: Any, **kwargs: Any) -> Any:
        if any(arg is NULL_COMPUTE for arg in (*args, *kwargs.values())):
            return NULL_COMPUTE
        return func(*args, **kwargs)

    return with_null


def filter_null_wrapper(func: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function from a predicate that returns its element, or `NULL_COMPUTE`.

    >>> filter_null_wrapper(str.isupper)("A")
    'A'
    >>> filter_null_wrapper(str.isupper)("a") is NULL_COMPUTE
    True
    """

    @functools.wraps(func)
    def passing(x: Any, *args: Any, **kwargs: Any) -> Any:
        return x if x is NULL_COMPUTE or func(x, *args, **kwargs) else NULL_COMPUTE

    return passing
