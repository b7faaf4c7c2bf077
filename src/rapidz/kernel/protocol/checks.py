"""Argument checks, with one form of message: operator, argument, rule, value."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from operator import index as operator_index
from typing import Any, SupportsIndex

from rapidz.kernel.protocol.intervals import seconds
from rapidz.kernel.protocol.short_repr import short_repr


def check_callable(operator: str, argument: str, value: object) -> None:
    """Refuse what cannot be called.

    >>> check_callable("map", "func", 3)
    Traceback (most recent call last):
    ...
    TypeError: map: func must be callable, got 3
    """
    if not callable(value):
        raise TypeError(f"{operator}: {argument} must be callable, got {short_repr(value)}")


def check_writes(operator: str, argument: str, func: object) -> None:
    """Refuse a generator function, which would run nothing when it is called for its effect.

    >>> def write(x):
    ...     yield x
    >>> check_writes("sink", "func", write)
    Traceback (most recent call last):
    ...
    TypeError: sink: func must not be a generator function, which nothing would run, got write: \
write `async def` and `await`, or decorate it with `gen.coroutine`
    """
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise TypeError(
            f"{operator}: {argument} must not be a generator function, which nothing would run, "
            f"got {func.__name__}: write `async def` and `await`, or decorate it with "
            "`gen.coroutine`"
        )


def check_metadata(metadata: object) -> None:
    """Refuse metadata that is no list.

    >>> check_metadata({"offset": 1})
    Traceback (most recent call last):
    ...
    TypeError: emit: metadata must be a list of dicts, got {'offset': 1}
    """
    if not isinstance(metadata, (list, tuple)):
        raise TypeError(f"emit: metadata must be a list of dicts, got {short_repr(metadata)}")


def check_elements(elements: Iterable[Any]) -> None:
    """Refuse what cannot be iterated over.

    >>> check_elements(5)
    Traceback (most recent call last):
    ...
    TypeError: emit_many: elements must be an iterable, got 5
    """
    if not (hasattr(elements, "__iter__") or hasattr(elements, "__getitem__")):
        raise TypeError(f"emit_many: elements must be an iterable, got {short_repr(elements)}")


def check_count(operator: str, argument: str, value: object, least: int = 1) -> None:
    """Refuse what is not a whole number of at least *least*.

    >>> check_count("partition", "n", 0)
    Traceback (most recent call last):
    ...
    ValueError: partition: n must be an int >= 1, got 0
    """
    rule = f"{operator}: {argument} must be an int >= {least}, got {short_repr(value)}"
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(rule)
    if operator_index(value) < least:
        raise ValueError(rule)


def check_bool(operator: str, argument: str, value: object) -> bool:
    """Refuse what is neither True nor False; return the value.

    >>> check_bool("filenames", "force_polling", 1)
    Traceback (most recent call last):
    ...
    TypeError: filenames: force_polling must be a bool, got 1
    """
    if isinstance(value, bool):
        return value
    raise TypeError(f"{operator}: {argument} must be a bool, got {short_repr(value)}")


def check_number(operator: str, argument: str, value: object, least: float) -> None:
    """Refuse what is not a number of at least *least*.

    >>> check_number("Retry", "factor", 0.5, 1)
    Traceback (most recent call last):
    ...
    ValueError: Retry: factor must be a number >= 1, got 0.5
    """
    rule = f"{operator}: {argument} must be a number >= {least}, got {short_repr(value)}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(rule)
    if not value >= least:
        raise ValueError(rule)


def check_choice(operator: str, argument: str, value: object, choices: Iterable[Any]) -> None:
    """Refuse what is not one of *choices*.

    >>> check_choice("partition_unique", "keep", "x", ("first", "last"))
    Traceback (most recent call last):
    ...
    ValueError: partition_unique: keep must be 'first' or 'last', got 'x'
    """
    allowed = list(choices)
    if not any(value is choice or value == choice for choice in allowed):
        listed = " or ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{operator}: {argument} must be {listed}, got {short_repr(value)}")


def check_queue(operator: str, value: object) -> None:
    """Refuse what has not the methods of a queue of `tornado`, `asyncio` or `queue`.

    >>> check_queue("buffer", [1])
    Traceback (most recent call last):
    ...
    TypeError: buffer: queue must have maxsize, empty() and get_nowait(), got [1]
    """
    if not all(hasattr(value, name) for name in ("maxsize", "empty", "get_nowait")):
        rule = f"{operator}: queue must have maxsize, empty() and get_nowait()"
        raise TypeError(f"{rule}, got {short_repr(value)}")


def read_interval(
    operator: str, value: object, *, argument: str = "interval", allow_zero: bool = False
) -> float:
    """Return an interval in seconds; a number stays the number that it was."""
    length = seconds(value, operator=operator, argument=argument, allow_zero=allow_zero)
    return value if isinstance(value, (int, float)) else length


def read_timeout(operator: str, value: object) -> float | None:
    """Return a time limit in seconds, None for none.

    >>> read_timeout("join", "2s")
    2.0
    >>> read_timeout("join", "x")
    Traceback (most recent call last):
    ...
    ValueError: join: timeout must be a number of seconds >= 0 or a string such as '500ms', got 'x'
    """
    if value is None or value == math.inf:
        return None
    return read_interval(operator, value, argument="timeout", allow_zero=True)
