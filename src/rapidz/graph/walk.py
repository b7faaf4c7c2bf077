"""Walks over the graph around a node: which nodes there are, and the edges between them.

Walks only look: they change nothing, compile nothing, and start no loop. They keep their own
stacks, so a pipeline may be as deep as it likes, run in circles, and change meanwhile.
"""

from __future__ import annotations

import re
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

#: How often to look again at a set that another thread keeps changing.
_PATIENCE = 100


def build_node_set(node: Stream[Any], s: set[Any] | None = None) -> set[Any]:
    """Return all nodes that are connected with *node*, upwards or downwards.

    Parameters
    ----------
    node : Stream
        Any node of the pipeline.
    s : set, optional
        The set to add them to. Nodes that are in it are not walked through again.

    >>> source = Stream()
    >>> node = source.map(str)
    >>> build_node_set(node) == {source, node}
    True
    """
    found: set[Any] = set() if s is None else s
    found.update(_connected(node, found))
    return found


def _connected(node: Stream[Any], known: Iterable[Any] = ()) -> list[Stream[Any]]:
    """The nodes connected with *node*, in the order in which they are found."""
    if not isinstance(node, Stream):
        raise TypeError(f"graph: node must be a Stream, got {short_repr(node)}")
    seen, found, stack = set(known), [], [node]
    while stack:
        at = stack.pop()
        if at not in seen:
            seen.add(at)
            found.append(at)
            at._unused = False  # it is looked at: that may be what it was made for
            stack += reversed([*_above(at), *_below(at)])
    return found


def in_order(node: Stream[Any]) -> list[Stream[Any]]:
    """The nodes connected with *node*, sources first, then down branch by branch."""
    connected = _connected(node)
    seen: set[Any] = set()
    ordered: list[Stream[Any]] = []
    sources = [at for at in connected if not _above(at)]
    stack = [*reversed(connected), *reversed(sources)]  # a circle has no source
    while stack:
        at = stack.pop()
        if at not in seen:
            seen.add(at)
            ordered.append(at)
            stack += reversed(_below(at))
    return ordered


def _above(node: Stream[Any]) -> list[Stream[Any]]:
    return [up for up in list(node.upstreams) if up is not None]


def _below(node: Stream[Any]) -> list[Stream[Any]]:
    for _ in range(_PATIENCE):
        try:
            return list(node.downstreams)
        except RuntimeError:  # another thread connects or disconnects just now
            continue
    return []


# --- what is in a picture ----------------------------------------------------------------


class Dot(NamedTuple):
    """A node as it is drawn; its attributes are called as in Graphviz."""

    node: weakref.ref[Stream[Any]]
    key: int
    label: str
    shape: str
    orientation: str
    style: str
    fillcolor: str

    def attributes(self) -> dict[str, str]:
        names = ("shape", "orientation", "style", "fillcolor")
        return {name: getattr(self, name) for name in names}


class Line(NamedTuple):
    """An edge as it is drawn, between the numbers of two dots."""

    above: int
    below: int
    attributes: dict[str, str]


class Picture(NamedTuple):
    """The pipeline around a node, ready to be drawn."""

    dots: list[Dot]
    lines: list[Line]


def picture(node: Stream[Any]) -> Picture:
    """Look at the pipeline around *node*.

    Where a node has several below it, their edges are numbered in the order in which they get an
    element. A stream that enters a node at several ports has an edge to each.
    """
    nodes = in_order(node)
    numbers = {at: number for number, at in enumerate(nodes)}
    ports = {at: Counter(_above(at)) for at in nodes}
    styles = {at: _edge_styles(at) for at in nodes}
    lines: list[Line] = []
    for at in nodes:
        below = [down for down in _below(at) if down in numbers]
        for place, down in enumerate(below):
            attributes = {"label": str(place)} if len(below) > 1 else {}
            if at in styles[down]:
                attributes["style"] = str(styles[down][at])
            line = Line(numbers[at], numbers[down], attributes)
            lines += [line] * max(ports[down][at], 1)
    return Picture([_dot(at) for at in nodes], lines)


def _dot(node: Stream[Any]) -> Dot:
    return Dot(
        node=weakref.ref(node),
        key=hash(node),
        label=str(node),
        shape=str(node._graphviz_shape),
        orientation=str(node._graphviz_orientation),
        style=str(node._graphviz_style),
        fillcolor=str(node._graphviz_fillcolor),
    )


def _edge_styles(node: Stream[Any]) -> Mapping[Any, Any]:
    """How *node* wants the edges from those above it to be drawn, if it says so."""
    styles: Any = getattr(node, "_graphviz_edge_types", None)
    return styles if isinstance(styles, Mapping) else {}


# --- labels ------------------------------------------------------------------------------


def _clean_text(text: str, match: str | None = None) -> str:
    """Return *text* fit for a name in Graphviz.

    Parameters
    ----------
    text : str
        The text to clean.
    match : str, optional
        A regular expression for what is to become a blank; by default, whatever is not a letter
        of the alphabet, a digit, or one of ``_:``.

    A colon, which has a meaning there, becomes a semicolon.

    >>> _clean_text("<map: inc>")
    ' map; inc '
    """
    return re.sub(match or r"[^a-zA-Z0-9_:]+", " ", text).replace(":", ";")


def plain_label(text: str) -> str:
    """Return what a node is called, without the angle brackets around it.

    >>> plain_label("<map: <lambda>>")
    'map: <lambda>'
    """
    return text[1:-1] if len(text) > 2 and text.startswith("<") and text.endswith(">") else text
