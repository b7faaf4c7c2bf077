"""Drawing of a pipeline as plain text: a chain in one line, a branch in a line below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from rapidz.graph.walk import Diagram, diagram_of, plain_label
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
    return "\n".join(TreeDrawing(diagram_of(node), style).lines())


class TreeDrawing:
    """Drawing of one diagram; it is made once."""

    def __init__(self, diagram: Diagram, style: TreeStyle) -> None:
        self._style = style
        self._labels = [plain_label(each.label) for each in diagram.nodes]
        self._downstream: list[list[int]] = [[] for _ in diagram.nodes]
        self._inputs: list[set[int]] = [set() for _ in diagram.nodes]
        for edge in diagram.edges:
            if edge.downstream not in self._downstream[edge.upstream]:
                self._downstream[edge.upstream].append(edge.downstream)
                self._inputs[edge.downstream].add(edge.upstream)
        self._numbers: dict[int, int] = {}
        self._drawn: set[int] = set()
        self._entrances: set[int] = set()
        """Nodes where the drawing begins; those of a cycle have inputs."""

    def lines(self) -> Iterator[str]:
        """Yield the lines, from the sources downstream."""
        nodes = range(len(self._labels))
        heads = [at for at in nodes if not self._inputs[at]]
        for head in [*heads, *nodes]:  # a cycle has no head
            if head not in self._drawn:
                self._entrances.add(head)
                yield from self._lines_from(head)

    def _lines_from(self, head: int) -> Iterator[str]:
        style = self._style
        stack = [(head, "", "")]
        while stack:
            at, prefix, indent = stack.pop()
            text, branches = self._chain(at)
            yield prefix + text
            for branch in reversed(branches):
                last = branch == branches[-1]
                mark, below = (style.last, style.gap) if last else (style.branch, style.trunk)
                stack.append((branch, indent + mark, indent + below))

    def _chain(self, at: int) -> tuple[str, list[int]]:
        """Return the line that begins with a node, and the branches at its end."""
        parts: list[str] = []
        while at not in self._drawn:
            self._drawn.add(at)
            joins = len(self._inputs[at]) > (0 if at in self._entrances else 1)
            parts.append(f"{self._labels[at]} {self._number(at)}" if joins else self._labels[at])
            if len(self._downstream[at]) != 1:
                return self._style.arrow.join(parts), self._downstream[at]
            at = self._downstream[at][0]
        return self._style.arrow.join([*parts, self._number(at)]), []

    def _number(self, at: int) -> str:
        return f"({self._numbers.setdefault(at, len(self._numbers) + 1)})"
