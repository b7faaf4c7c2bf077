"""Checks of arguments that several connectors have."""

from __future__ import annotations

from typing import Any

from rapidz.kernel.protocol.short_repr import short_repr


def check_target(operator: str, argument: str, value: Any) -> None:
    """Raise unless *value* names a topic or subject, or is a function that returns one.

    >>> check_target("to_mqtt", "topic", "")
    Traceback (most recent call last):
    ...
    TypeError: to_mqtt: topic must be a name or a function that returns one, got ''
    """
    if not callable(value) and not (isinstance(value, str) and value):
        rule = "must be a name or a function that returns one"
        raise TypeError(f"{operator}: {argument} {rule}, got {short_repr(value)}")
