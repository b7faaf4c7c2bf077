"""Nodes of collections, also on streams whose class defines `map` or `accumulate` itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rapidz import operators
from rapidz.kernel.graph.stream import Stream

__all__ = ["accumulate_node", "map_node"]


def map_node(
    stream: Stream[Any], func: Callable[..., Any], *args: Any, **kwargs: Any
) -> Stream[Any]:
    """Return a `map` of *stream*, on the workers if it is scattered.

    >>> class Loud(Stream):
    ...     def map(self, *args, **kwargs):
    ...         raise NotImplementedError
    >>> map_node(Loud(), abs)
    <map: abs>
    """
    if stream._remote:
        return stream.map(func, *args, **kwargs)
    return operators.map(stream, func, *args, **kwargs)


def accumulate_node(stream: Stream[Any], func: Callable[..., Any], **options: Any) -> Stream[Any]:
    """Return an `accumulate` of *stream*, on the workers if it is scattered."""
    if stream._remote:
        return stream.accumulate(func, **options)
    return operators.accumulate(stream, func, **options)
