"""Keys of a stream: those of the nearest `key_by`, as far as elements are passed on as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidz.kernel.graph.stream import Stream

if TYPE_CHECKING:
    from rapidz.eventtime.getter import Getter


def key_of(stream: Any) -> Getter | None:
    """Return what reads the keys of *stream*; None if its elements have none.

    A filter, a queue or a union of streams with the same keys keeps them; an operator that
    emits other elements does not.
    """
    seen: set[Any] = set()
    while (type(stream) is Stream or stream._passes_elements) and stream not in seen:
        if (getter := getattr(stream, "key_getter", None)) is not None:
            own: Getter = getter
            return own
        seen.add(stream)
        ups = [up for port, up in enumerate(stream.upstreams) if port not in stream._side_ports]
        if len(ups) != 1:
            getters = [key_of(up) for up in ups]
            same = bool(getters) and all(each == getters[0] for each in getters)
            return getters[0] if same else None
        stream = ups[0]
    return None
