"""Edits of a whole graph: destroy a pipeline, change the order of siblings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.node import edges

S = TypeVar("S", bound=Stream[Any])


def destroy_pipeline(source_node: Stream[Any]) -> None:
    """Destroy *source_node* and every node downstream of it.

    >>> source = Stream()
    >>> shown = source.map(str).sink(print)
    >>> destroy_pipeline(source)
    >>> source.emit(1)
    """
    stack, nodes = [source_node], [source_node]
    while stack:
        for down, _ in edges(stack.pop()):
            if down not in nodes:
                nodes.append(down)
                stack.append(down)
    for node in nodes:
        node.destroy()


def move_to_first(node: S, f: bool | Stream[Any] | Iterable[Stream[Any]] = True) -> S:
    """Let *node* get elements before its siblings do.

    Parameters
    ----------
    node : Stream
        The node to move.
    f : True, Stream or list of Stream
        The upstreams below which to move it; all of them by default.

    Returns the node itself.

    >>> source = Stream()
    >>> a = source.sink(lambda x: print("a"))
    >>> b = move_to_first(source.sink(lambda x: print("b")))
    >>> source.emit(1)
    b
    a
    """
    if f is False:
        return node
    chosen = list(node.upstreams) if f is True else [f] if isinstance(f, Stream) else list(f)
    for upstream in chosen:
        for ref in list(upstream.downstreams.data):
            if ref() is node:
                upstream.downstreams.data._od.move_to_end(ref, last=False)
    return node
