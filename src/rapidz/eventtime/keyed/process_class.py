"""Class of a process: what its methods must be, and what they return."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.loop import is_async


def read_results(method: str, results: Any) -> Sequence[Any]:
    """Return what a method has returned as a sequence; refuse what is no iterable of elements."""
    if results is None:
        return ()
    if type(results) is list:
        return results
    one = isinstance(results, (str, bytes, Mapping)) or hasattr(results, "_fields")
    if one or not hasattr(results, "__iter__"):
        raise TypeError(
            f"process: {method} must return None or an iterable of what to emit, "
            f"got {short_repr(results)}: return a list of it, or yield it"
        )
    return list(results)


def check_methods(instance: Any) -> None:
    """Refuse an object without ``on_element``, or with a method that is ``async def``."""
    for name, second in (("on_element", "x"), ("on_timer", "t")):
        method = getattr(instance, name, None)
        if method is None and name == "on_timer":
            continue
        if not callable(method):
            raise TypeError(
                f"process: cls must have a method {name}(key, {second}, ctx), "
                f"got {short_repr(type(instance))}"
            )
        if is_async(method) or inspect.isasyncgenfunction(method):
            raise TypeError(
                f"process: {name} must not be async def, got {short_repr(method)}: await in "
                "`map_async` upstream or downstream"
            )


def sets_wall_timers(cls: type[Any]) -> bool:
    """Return whether a method of *cls* names ``after``: then the node needs an event loop."""
    return any(
        "after" in getattr(getattr(member, "__code__", None), "co_names", ())
        for kind in cls.__mro__
        for member in vars(kind).values()
    )
