"""Keys of elements: which `key_by` they are of, how they are read, and which are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

if TYPE_CHECKING:
    from rapidz.eventtime.getter import Getter


def key_of(stream: Any) -> Getter | None:
    """Return what reads the keys of *stream*; None if its elements have none.

    A filter, a queue or a union of streams with the same keys keeps them; an operator that
    emits other elements does not.
    """
    found: list[Getter] = []
    stack, seen = [stream], {stream}
    while stack:
        node = stack.pop()
        if not (type(node) is Stream or node._passes_elements):
            return None
        if (getter := getattr(node, "key_getter", None)) is not None:
            found.append(getter)
            continue
        ups = [up for port, up in enumerate(node.upstreams) if port not in node._side_ports]
        if not ups:
            return None
        ahead = [up for up in ups if up not in seen]
        seen.update(ahead)
        stack += ahead
    return found[0] if found and all(each == found[0] for each in found) else None


def check_key(operator: str, key: Any) -> None:
    """Refuse a key that cannot be hashed."""
    try:
        hash(key)
    except TypeError as error:
        raise refuse_key(operator, key, error) from error


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
        check_key(operator, key)
        return key

    return read_key
