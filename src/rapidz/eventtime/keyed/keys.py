"""Keys of elements: read, and refused if they cannot be hashed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rapidz.eventtime.getter import Getter
from rapidz.kernel.protocol.short_repr import short_repr


def refuse_key(operator: str, key: Any, error: Exception) -> Exception:
    """Return the error of a key that cannot be hashed; *error* if it can be."""
    try:
        hash(key)
    except TypeError:
        return TypeError(f"{operator}: key must be hashable, got {short_repr(key)}")
    return error


def key_reader(operator: str, getter: Getter) -> Callable[[Any], Any]:
    """Return what reads the key of an element, and refuses one that cannot be hashed."""

    def read_key(x: Any) -> Any:
        key = getter(x)
        try:
            hash(key)
        except TypeError as error:
            raise refuse_key(operator, key, error) from error
        return key

    return read_key
