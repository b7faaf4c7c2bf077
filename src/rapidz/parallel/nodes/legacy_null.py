"""Historic helpers: functions that know of elements that were filtered out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from rapidz.parallel.wire.outcomes import DROPPED

#: What stands for an element that was filtered out; told apart by identity.
NULL_COMPUTE: Final = DROPPED


def return_null(func: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that gives `DROPPED` if that is among its arguments.

    >>> return_null(abs)(-1)
    1
    >>> return_null(abs)(DROPPED)
    DROPPED
    """

    @functools.wraps(func)
    def with_nothing(*args: Any, **kwargs: Any) -> Any:
        if any(arg is DROPPED for arg in (*args, *kwargs.values())):
            return DROPPED
        return func(*args, **kwargs)

    return with_nothing


def filter_null_wrapper(func: Callable[..., Any]) -> Callable[..., Any]:
    """Make of a predicate a function that gives its element, or `DROPPED`.

    >>> filter_null_wrapper(str.isupper)("A")
    'A'
    >>> filter_null_wrapper(str.isupper)("a")
    DROPPED
    """

    @functools.wraps(func)
    def passing(x: Any, *args: Any, **kwargs: Any) -> Any:
        return x if x is DROPPED or func(x, *args, **kwargs) else DROPPED

    return passing
