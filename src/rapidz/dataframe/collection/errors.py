"""Error messages: columns that a frame does not have, and methods that only streams have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["NoColumnError", "no_column", "stream_hint"]

#: Methods of streams that look at one object, with its key or its time, and not at a frame of rows.
_OF_OBJECTS: Final = frozenset({"asof_join", "interval_join", "key_by", "lookup", "process"})


class NoColumnError(KeyError):
    """A column that a frame does not have."""

    def __str__(self) -> str:
        return str(self.args[0])  # and not its repr, as that of other keys


def no_column(argument: str, columns: Iterable[Any], got: Any) -> ValueError:
    """Return the error for an *argument* that names a column which is not among *columns*.

    >>> no_column("groupby: other", ["x", "y"], "z")
    ValueError("groupby: other must name columns of ['x', 'y'], got 'z'")
    """
    return ValueError(
        f"{argument} must name columns of {short_repr(list(columns))}, got {short_repr(got)}"
    )


def stream_hint(name: str) -> str:
    """Return how to call the method *name* of streams from a collection; "" if streams have none.

    >>> stream_hint("sink")
    'it is a method of streams, write .stream.sink(…)'
    >>> stream_hint("process").endswith(".flatten().process(…)")
    True
    """
    if name.startswith("_") or not hasattr(Stream, name):
        return ""
    if name in _OF_OBJECTS:
        rows = ".stream.map(lambda frame: frame.to_dict('records')).flatten()"
        return f"it is a method of streams of objects, make rows: {rows}.{name}(…)"
    return f"it is a method of streams, write .stream.{name}(…)"
