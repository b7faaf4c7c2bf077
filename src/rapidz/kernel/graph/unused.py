"""Unused chains: nodes that are collected before any element arrived, though their source lives.

Nothing refers to a chain of operators that does not end in a sink and is not
kept in a variable, so it goes away at once, and with it what it was built for.
A warning reports that when it happens, but not when a pipeline goes as a whole:
nothing could have been emitted into it any more.
"""

from __future__ import annotations

import gc
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

#: What refers to a node while its references are counted: a variable and an argument.
_OWN_REFERENCES = 2

_collecting = False


def _note_collection(phase: str, _: object) -> None:
    global _collecting
    _collecting = phase == "start"


gc.callbacks.append(_note_collection)  # what is found in a cycle goes as a whole


def warn_if_unused(node: Node) -> None:
    """Warn that *node*, which never got an element, is being collected."""
    plain = "_plugins_go_here" in vars(type(node))  # `Stream` itself: no operator
    of_frames = type(node).__module__.startswith("rapidz.dataframe")
    if plain or of_frames or node._ended or node._is_end or _collecting or sys.is_finalizing():
        return
    if _is_fed(node):
        warnings.warn(
            f"{node._describe()} has no reference and no sink, so it is gone and gets no element: "
            "end the chain with a sink, or keep what the last call returned",
            RuntimeWarning,
            stacklevel=3,
        )


def _is_fed(node: Node) -> bool:
    """Return whether anything but nodes downstream refers to a node upstream of *node*."""
    seen: set[int] = set()
    stack = list(node.upstreams)
    while stack:
        at = stack.pop()
        if id(at) not in seen:
            seen.add(id(at))
            by_nodes = sum(_references(down, at) for down in list(at.downstreams))
            if sys.getrefcount(at) > by_nodes + _OWN_REFERENCES + stack.count(at):
                return True
            stack.extend(at.upstreams)
    return False


def _references(node: Node, to: Node) -> int:
    """Return how often *node* refers to the stream *to*, in its attributes or their items."""
    count = 0
    for value in list(vars(node).values()):
        if isinstance(value, dict):
            count += sum((key is to) + (item is to) for key, item in value.items())
        elif isinstance(value, (list, tuple, set, frozenset)):
            count += sum(item is to for item in value)
        else:
            count += value is to
    return count
