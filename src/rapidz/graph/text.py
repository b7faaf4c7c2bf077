"""Diagrams as text, for Graphviz and for Mermaid; without any dependency."""

from __future__ import annotations

import re
from typing import Any, Final

from rapidz.graph.walk import DiagramNode, diagram_of, plain_label
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

#: Mermaid's brackets for the shapes of Graphviz.
_BRACKETS: Final = {
    "ellipse": ("([", "])"),
    "circle": ("((", "))"),
    "box": ("[", "]"),
    "diamond": ("{", "}"),
    "octagon": ("{{", "}}"),
    "triangle": (">", "]"),
    "trapezium": ("[/", "\\]"),
    "doubleoctagon": ("[[", "]]"),
}
_OTHER_BRACKETS: Final = ("(", ")")


def to_dot(node: Stream[Any], **graph_attr: object) -> str:
    """Return the pipeline around *node* in the DOT language of Graphviz.

    Parameters
    ----------
    node : Stream
        Any node of the pipeline.
    **graph_attr
        Attributes of the graph, e.g. ``rankdir="LR"``.

    >>> source = Stream(stream_name="numbers")
    >>> node = source.map(str)
    >>> print(to_dot(node, rankdir="LR"))
    digraph {
        graph [rankdir="LR"]
        n0 [label="numbers; Stream" shape="ellipse" ...]
        n1 [label="map: str" ...
        n0 -> n1
    }
    """
    drawn = diagram_of(node)
    lines = [f"graph{_attributes(graph_attr)}"] if graph_attr else []
    for number, drawn_node in enumerate(drawn.nodes):
        attributes = {"label": plain_label(drawn_node.label)} | drawn_node.attributes()
        lines.append(f"n{number}{_attributes(attributes)}")
    for edge in drawn.edges:
        lines.append(f"n{edge.upstream} -> n{edge.downstream}{_attributes(edge.attributes)}")
    return "\n".join(["digraph {", *(f"    {line}" for line in lines), "}"])


def _attributes(attributes: dict[str, Any]) -> str:
    if not attributes:
        return ""
    return " [" + " ".join(f"{key}={_quoted(str(x))}" for key, x in attributes.items()) + "]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def to_mermaid(node: Stream[Any], direction: str = "TD") -> str:
    """Return the pipeline around *node* as a Mermaid flowchart, which notebooks and wikis render.

    Parameters
    ----------
    node : Stream
        Any node of the pipeline.
    direction : str
        ``"TD"`` for top down, ``"LR"`` for left to right, ``"BT"`` or ``"RL"``.

    >>> source = Stream(stream_name="numbers")
    >>> node = source.accumulate(max)
    >>> print(to_mermaid(node))
    flowchart TD
        n0(["numbers; Stream"])
        n1["accumulate: max"]
        n0 --> n1
    """
    if direction not in ("TB", "TD", "BT", "LR", "RL"):
        raise ValueError(
            f"to_mermaid: direction must be 'TB', 'TD', 'BT', 'LR' or 'RL', "
            f"got {short_repr(direction)}"
        )
    drawn = diagram_of(node)
    lines = [f"flowchart {direction}"]
    for number, drawn_node in enumerate(drawn.nodes):
        lines += [f"    {line}" for line in _mermaid_node(number, drawn_node)]
    for edge in drawn.edges:
        arrow = "-.->" if edge.attributes.get("style") in ("dashed", "dotted") else "-->"
        label = f'|"{_entities(edge.attributes["label"])}"|' if "label" in edge.attributes else ""
        lines.append(f"    n{edge.upstream} {arrow}{label} n{edge.downstream}")
    return "\n".join(lines)


def _mermaid_node(number: int, drawn_node: DiagramNode) -> list[str]:
    left, right = _BRACKETS.get(drawn_node.shape, _OTHER_BRACKETS)
    lines = [f'n{number}{left}"{_entities(plain_label(drawn_node.label))}"{right}']
    if drawn_node.fillcolor != "white" and re.fullmatch(r"#?\w+", drawn_node.fillcolor):
        lines.append(f"style n{number} fill:{drawn_node.fillcolor}")
    return lines


def _entities(text: str) -> str:
    """Escape what Mermaid interprets within quotes."""
    text = re.sub(r'[#"<>&`\\]', lambda found: f"#{ord(found[0])};", text)
    return text.replace("\n", "<br/>")
