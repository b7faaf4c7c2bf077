"""Drawing of a pipeline as plain text: a chain in one line, a branch in a line below it."""

from __future__ import annotations

from typing import Any, NamedTuple

from rapidz.graph.walk import diagram_of, plain_label
from rapidz.kernel.graph.stream import Stream


class TreeStyle(NamedTuple):
    """Characters of the drawing."""

    arrow: str
    branch: str
    last: str
    trunk: str
    gap: str


UNICODE = TreeStyle(" → ", "├─ ", "└─ ", "│  ", "   ")
ASCII = TreeStyle(" -> ", "|- ", "`- ", "|  ", "   ")


def to_tree(node: Stream[Any], style: TreeStyle = UNICODE) -> str:
    """Return the pipeline around *node* as text.

    A node with several inputs has a number, by which the later ones refer to it.

    >>> source = Stream(stream_name="numbers")
    >>> late = source.filter(None, stream_name="late")
    >>> print(to_tree(source.map(str).zip(late)))
    numbers; Stream
    ├─ late; filter: _truthy → zip (1)
    └─ map: str → (1)
    """
    drawing = diagram_of(node)
    downstream: list[list[int]] = [[] for _ in drawing.nodes]
    inputs: list[set[int]] = [set() for _ in drawing.nodes]
    for edge in drawing.edges:
        if edge.downstream not in downstream[edge.upstream]:
            downstream[edge.upstream].append(edge.downstream)
            inputs[edge.downstream].add(edge.upstream)
    labels = [plain_label(each.label) for each in drawing.nodes]
    numbers: dict[int, int] = {}
    drawn: set[int] = set()
    entrances: set[int] = set()  # of cycles
    lines: list[str] = []

    def chain(at: int) -> tuple[str, list[int]]:
        """Return the line that begins with a node, and the branches at its end."""
        parts: list[str] = []
        while True:
            if at in drawn:
                parts.append(f"({numbers.setdefault(at, len(numbers) + 1)})")
                return style.arrow.join(parts), []
            drawn.add(at)
            joins = len(inputs[at]) > (0 if at in entrances else 1)
            number = f" ({numbers.setdefault(at, len(numbers) + 1)})" if joins else ""
            parts.append(labels[at] + number)
            if len(downstream[at]) != 1:
                return style.arrow.join(parts), downstream[at]
            at = downstream[at][0]

    heads = [at for at in range(len(labels)) if not inputs[at]]
    for head in [*heads, *range(len(labels))]:  # a cycle has no head
        if head in drawn:
            continue
        entrances.add(head)
        stack = [(head, "", "")]
        while stack:
            at, prefix, indent = stack.pop()
            text, branches = chain(at)
            lines.append(prefix + text)
            places = list(enumerate(branches, 1))
            stack += [
                (
                    branch,
                    indent + (style.last if place == len(branches) else style.branch),
                    indent + (style.gap if place == len(branches) else style.trunk),
                )
                for place, branch in reversed(places)
            ]
    return "\n".join(lines)
