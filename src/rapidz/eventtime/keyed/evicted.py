"""Evicted states: a stream of the keys that have left a node by a bound."""

from __future__ import annotations

from typing import Any, TypeVar

from rapidz.kernel.graph.stream import Stream

T = TypeVar("T")


class SendsEvicted(Stream[T]):
    """Base class of the nodes from which states leave by a bound."""

    _evicted: Stream[Any] | None = None

    @property
    def evicted(self) -> Stream[tuple[Any, Any]]:
        """The states that have left by a bound: a stream of ``(key, state)``."""
        if self._evicted is None:
            self._evicted = Stream(stream_name=f"evicted of {self}")
            self._pipeline.absorb(self._evicted._pipeline)
            self._side_streams = (*self._side_streams, self._evicted)
        return self._evicted
