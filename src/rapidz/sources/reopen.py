"""Restart of a stream that a finite source has ended."""

from __future__ import annotations

from typing import Any

from rapidz.kernel.graph.signals import SignalBarrier
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.node import edges


def sinks_downstream(source: Stream[Any]) -> tuple[Stream[Any], ...]:
    """Return the sinks downstream; a reference to them allows the stream to restart."""
    found: dict[Stream[Any], None] = {source: None}
    stack = [source]
    while stack:
        for down, _ in edges(stack.pop()):
            if down not in found:
                found[down] = None
                stack.append(down)
    return tuple(node for node in found if node._is_end)


def reopen(source: Stream[Any]) -> None:
    """Reopen the nodes downstream of *source* after the end of the stream."""
    stack = [source]
    while stack:
        node = stack.pop()
        node._closing = node._ended = False
        node._signal_barrier = SignalBarrier()
        node._invalidate()
        node._on_restart()
        for down, port in edges(node):
            if down._ended:
                stack.append(down)
            else:
                down._signal_barrier._ended.discard(port)
