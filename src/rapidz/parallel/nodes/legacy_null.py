"""Historic helpers: functions that know of elements that were filtered out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from rapidz.parallel.wire.outcomes import NOTHING

#: What stands for an element that was filtered out; told apart by identity.
NULL_COMPUTE: Final = NOTHING


def return_null(func: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that gives `NOTHING` if that is among its arguments.

    >>> return_null(abs)(-1)
    1
    >>> return_null(abs)(NOTHING)
    NOTHING
    """

    @functools.wraps(func)
    def with_nothing(*args: Any, **kwargs: Any) -> Any:
        if any(arg is NOTHING for arg in (*args, *kwargs.values())):
            return NOTHING
        return func(*args, **kwargs)

    return with_nothing


def filter_null_wrapper(func: Callable[..., Any]) -> Callable[..., Any]:
    """Make of a predicate a function that gives its element, or `NOTHING`.

    >>> filter_null_wrapper(str.isupper)("A")
    'A'
    >>> filter_null_wrapper(str.isupper)("a")
    NOTHING
    """

    @functools.wraps(func)
    def passing(x: Any, *args: Any, **kwargs: Any) -> Any:
        return x if x is NOTHING or func(x, *args, **kwargs) else NOTHING

    return passing
