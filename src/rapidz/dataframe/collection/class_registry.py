"""Class registry: the class of collection for each kind of element.

Modules register their classes when they are imported. `rapidz.dataframe` provides the import of a
class by its name, so that this package depends on none of those that build on it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeAlias

from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["class_named", "frame_classes", "get_stream_type", "set_class_importer", "stream_type"]

#: Whether an example is of a kind: a predicate, or the classes of the kind.
Kind: TypeAlias = "Callable[[Any], bool] | tuple[type, ...]"

_stream_types: defaultdict[str, list[tuple[Kind, type[Any]]]] = defaultdict(list)
"""By ``"streaming"`` and ``"updating"``: the class for each kind of element."""

frame_classes: dict[tuple[str, str], type[Any]] = {}
"""By stream type and ``"frame"``, ``"series"`` or ``"index"``: the class without an example."""

_importers: list[Callable[[str], Any]] = []


def set_class_importer(importer: Callable[[str], Any]) -> None:
    """Let `class_named` import classes by *importer*."""
    _importers[:] = [importer]


def class_named(name: str) -> Any:
    """Return a class of collections; its module is imported if need be.

    >>> class_named("Batch")
    <class 'rapidz.dataframe.frames.batch.Batch'>
    """
    return _importers[0](name)


def get_stream_type(example: Any, stream_type: str = "streaming") -> Any:
    """Return the class of collection for elements like *example*; None if no class is registered.

    >>> get_stream_type([1, 2])
    <class 'rapidz.dataframe.frames.batch.Batch'>
    """
    class_named("Batch")
    if sys.modules.get("pandas") is not None:  # else the example cannot be a frame
        class_named("DataFrame")
    for kind, cls in _stream_types[checked_stream_type(stream_type)]:
        if isinstance(example, kind) if isinstance(kind, tuple) else kind(example):
            return cls
    return None


stream_type = get_stream_type
"""The name in rapidz 0.2."""


def checked_stream_type(stream_type: object) -> str:
    """Return *stream_type*, which must be "streaming" or "updating"."""
    if stream_type not in ("streaming", "updating"):
        raise ValueError(
            f"Streaming: stream_type must be 'streaming' or 'updating', "
            f"got {short_repr(stream_type)}"
        )
    return str(stream_type)
