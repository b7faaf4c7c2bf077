"""Graph traversal: the nodes connected with a node, and the edges between them.

A traversal is read-only: it compiles nothing and starts no loop. It is iterative, so a pipeline
may be of any depth, have cycles, and change at the same time.
"""

from __future__ import annotations

import re
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

#: How often to retry the iteration of a set that another thread changes.
_RETRIES = 100


def build_node_set(node: Stream[Any], s: set[Any] | None = None) -> set[Any]:
    """Return all nodes that are connected with *node*, upwards or downwards.

    Parameters
    ----------
    node : Stream
        Any node of the pipeline.
    s : set, optional
        The set to add them to. Nodes that are in it are not visited again.

    >>> source = Stream()
    >>> node = source.map(str)
    >>> build_node_set(node) == {source, node}
    True
    """
    found: set[Any] = set() if s is None else s
    found.update(_connected(node, found))
    return found


def _connected(node: Stream[Any], known: Iterable[Any] = ()) -> list[Stream[Any]]:
    """Return the nodes connected with *node*, in the order of discovery."""
    if not isinstance(node, Stream):
        raise TypeError(f"graph: node must be a Stream, got {short_repr(node)}")
    seen, found, stack = set(known), [], [node]
    while stack:
        at = stack.pop()
        if at not in seen:
            seen.add(at)
            found.append(at)
            at._unused = False  # a node that is inspected counts as used
            stack += reversed([*_upstream_of(at), *_downstream_of(at)])
    return found


def depth_first(node: Stream[Any]) -> list[Stream[Any]]:
    """Return the nodes connected with *node*: depth first, from the sources downstream."""
    connected = _connected(node)
    seen: set[Any] = set()
    ordered: list[Stream[Any]] = []
    sources = [at for at in connected if not _upstream_of(at)]
    stack = [*reversed(connected), *reversed(sources)]  # a cycle has no source
    while stack:
        at = stack.pop()
        if at not in seen:
            seen.add(at)
            ordered.append(at)
            stack += reversed(_downstream_of(at))
    return ordered


def _upstream_of(node: Stream[Any]) -> list[Stream[Any]]:
    return [up for up in list(node.upstreams) if up is not None]


def _downstream_of(node: Stream[Any]) -> list[Stream[Any]]:
    for _ in range(_RETRIES):
        try:
            return list(node.downstreams)
        except RuntimeError:  # another thread connects or disconnects a node
            continue
    return []


# --- diagrams ----------------------------------------------------------------------------


class DiagramNode(NamedTuple):
    """Node with its attributes in Graphviz."""

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


class DiagramEdge(NamedTuple):
    """Edge between two nodes, given by their positions, with its attributes in Graphviz."""

    upstream: int
    downstream: int
    attributes: dict[str, str]


class Diagram(NamedTuple):
    """Nodes and edges of a pipeline, with what Graphviz and Mermaid draw."""

    nodes: list[DiagramNode]
    edges: list[DiagramEdge]


def diagram_of(node: Stream[Any]) -> Diagram:
    """Return the diagram of the pipeline around *node*.

    The edges of a node to several downstream nodes are numbered in the order in which these
    receive an element. A stream that enters a node at several ports has an edge to each.
    """
    nodes = depth_first(node)
    numbers = {at: number for number, at in enumerate(nodes)}
    ports = {at: Counter(_upstream_of(at)) for at in nodes}
    styles = {at: _edge_styles(at) for at in nodes}
    edges: list[DiagramEdge] = []
    for at in nodes:
        downstreams = [down for down in _downstream_of(at) if down in numbers]
        for place, down in enumerate(downstreams):
            attributes = {"label": str(place)} if len(downstreams) > 1 else {}
            if at in styles[down]:
                attributes["style"] = str(styles[down][at])
            edge = DiagramEdge(numbers[at], numbers[down], attributes)
            edges += [edge] * max(ports[down][at], 1)
    return Diagram([_drawn_node(at) for at in nodes], edges)


def _drawn_node(node: Stream[Any]) -> DiagramNode:
    return DiagramNode(
        node=weakref.ref(node),
        key=hash(node),
        label=str(node),
        shape=str(node._graphviz_shape),
        orientation=str(node._graphviz_orientation),
        style=str(node._graphviz_style),
        fillcolor=str(node._graphviz_fillcolor),
    )


def _edge_styles(node: Stream[Any]) -> Mapping[Any, Any]:
    """Return the styles of the edges from upstream nodes, if *node* defines any."""
    styles: Any = getattr(node, "_graphviz_edge_types", None)
    return styles if isinstance(styles, Mapping) else {}


# --- labels ------------------------------------------------------------------------------


def _clean_text(text: str, match: str | None = None) -> str:
    """Return *text* as a valid name in Graphviz.

    Parameters
    ----------
    text : str
        The text to clean.
    match : str, optional
        A regular expression for the characters to replace by a blank; by default, all but ASCII
        letters, digits, and ``_:``.

    A colon, which has a meaning in Graphviz, becomes a semicolon.

    >>> _clean_text("<map: inc>")
    ' map; inc '
    """
    return re.sub(match or r"[^a-zA-Z0-9_:]+", " ", text).replace(":", ";")


def plain_label(text: str) -> str:
    """Return the label of a node without angle brackets.

    >>> plain_label("<map: <lambda>>")
    'map: <lambda>'
    """
    return text[1:-1] if len(text) > 2 and text.startswith("<") and text.endswith(">") else text
