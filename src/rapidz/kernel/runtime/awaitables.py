"""Unexpected awaitables: returned by a function that is not ``async def``.

Such a function does not look asynchronous, so its node was compiled for results
that are values.  `filter` looks at every result that is not a bool,
`map` and `accumulate` at the first one of each compilation, and all only if the
function could return a coroutine, by what it names.  Futures and tasks are elements like
any others there: old code maps `Client.submit`.
"""

from __future__ import annotations

import builtins
import functools
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import Any

from rapidz.kernel.runtime.loop import is_async


def may_return_coroutine(func: Any, depth: int = 3) -> bool:
    """Return whether calling *func* could give a coroutine, as far as its code tells.

    A plain function could not if all that it names is neither asynchronous nor unknown, as methods
    are, and so on *depth* functions deep.
    """
    while isinstance(func, functools.partial):
        func = func.func
    if isinstance(func, MethodType):
        func = func.__func__
    if isinstance(func, FunctionType):
        return is_async(func) or (
            depth > 0 and any(may_return_coroutine(each, depth - 1) for each in _named_in(func))
        )
    return func is _UNKNOWN or (
        callable(func) and not isinstance(func, type) and not inspect.isroutine(func)
    )


_UNKNOWN = object()


def _named_in(func: FunctionType) -> Iterator[Any]:
    """Yield what the names in a function refer to: globals, builtins, variables around it."""
    for name in func.__code__.co_names:
        yield func.__globals__.get(name, getattr(builtins, name, _UNKNOWN))
    for cell in func.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not there yet
            yield _UNKNOWN


def look_at_first(operator: str, argument: str) -> list[Callable[[Any], None]]:
    """Return a list of one function, which refuses a coroutine, else empties the list."""
    looks: list[Callable[[Any], None]] = []

    def look(result: Any) -> None:
        if inspect.iscoroutine(result):
            refuse(operator, argument, result)
        looks.clear()

    looks.append(look)
    return looks


def check_verdict(operator: str, verdict: Any) -> Any:
    """Return what a predicate returned, unless that is an awaitable."""
    if hasattr(type(verdict), "__await__"):
        refuse(operator, "predicate", verdict)
    return verdict


def refuse(operator: str, argument: str, result: Any) -> None:
    """Raise that *result* is not waited for."""
    kind = type(result).__name__
    if inspect.iscoroutine(result):
        result.close()  # else Python warns that it was never awaited
    raise TypeError(
        f"{operator}: {argument} must be `async def` to be awaited, got a function that is not "
        f"and returned a {kind}: write `async def` and `return await` around it"
    )
