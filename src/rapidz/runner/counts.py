"""Counts of elements: what each source has emitted, and what has arrived at each sink."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rapidz.graph.walk import plain_label
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.node import edges
from rapidz.runner.selection import SelectedPipeline


class NodeCount(NamedTuple):
    """Number of elements that have passed one node since the count began."""

    label: str
    elements: int


class FlowCounts(NamedTuple):
    """Counts of all sources and sinks of a run."""

    sources: list[NodeCount]
    sinks: list[NodeCount]

    @property
    def emitted(self) -> int:
        return sum(node.elements for node in self.sources)

    @property
    def arrived(self) -> int:
        return sum(node.elements for node in self.sinks)


class FlowCounter:
    """Counter of the elements of pipelines, compiled into them when it is made.

    A source is counted by what arrives at the first node downstream of it, so it costs one
    addition for each element and node.
    """

    def __init__(self, selected: Iterable[SelectedPipeline]) -> None:
        self._sources: list[tuple[str, list[list[int]]]] = []
        self._sinks: list[tuple[str, list[list[int]]]] = []
        for pipeline in selected:
            for source in pipeline.sources:
                self._sources.append((plain_label(str(source)), _departures(source)))
            for sink in pipeline.sinks:
                self._sinks.append((plain_label(str(sink)), list(sink._count_arrivals().values())))

    def read(self) -> FlowCounts:
        """Return the counts so far; from any thread."""
        return FlowCounts(_sums(self._sources), _sums(self._sinks))


def _sums(counts: list[tuple[str, list[list[int]]]]) -> list[NodeCount]:
    return [NodeCount(label, sum(count for (count,) in parts)) for label, parts in counts]


def _departures(source: Stream[Any]) -> list[list[int]]:
    """Return the count of what arrives at the first node downstream of *source*."""
    ahead = edges(source)
    if not ahead:
        return []
    # A join whose inputs come from one element is not entered by each of them.
    node, port = next((edge for edge in ahead if not edge[0]._is_join), ahead[0])
    return [node._count_arrivals()[port]]
