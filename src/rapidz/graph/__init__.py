"""Visualization of pipelines: as text, as images, in notebooks, and as graphs of networkx.

>>> from rapidz import Stream
>>> from rapidz.graph import to_mermaid
>>> source = Stream()
>>> branch = source.filter(None)
>>> print(to_mermaid(source.combine_latest(branch, emit_on=branch)))
flowchart TD
    n0(["Stream"])
    n1(["filter: _truthy"])
    n2>"combine_latest"]
    n0 -->|"0"| n1
    n0 -.->|"1"| n2
    n1 --> n2
"""

from __future__ import annotations

from rapidz.graph.draw import (
    _get_display_cls,
    create_graph,
    readable_graph,
    to_graphviz,
    visualize,
)
from rapidz.graph.notebook import _ipython_display_, _repr_mimebundle_
from rapidz.graph.text import to_dot, to_mermaid
from rapidz.graph.walk import _clean_text, build_node_set
from rapidz.kernel.graph.stream import Stream

__all__ = [
    "build_node_set",
    "create_graph",
    "readable_graph",
    "to_dot",
    "to_graphviz",
    "to_mermaid",
    "visualize",
    "_clean_text",
    "_get_display_cls",
]

for _method in (visualize, _ipython_display_, _repr_mimebundle_):
    Stream.register_api()(_method)
