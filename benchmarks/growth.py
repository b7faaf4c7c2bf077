"""Rows about growth: the cost of a node (or a round) in a graph ten times as large.

The baseline is rapidz itself at a tenth of the size, so a ratio of 1 is linear and one of 10 is
quadratic. The same by hand stands among the others.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.model import Reach, Row, Sample, Side, Watch

Measured = Callable[[int, Watch], object]

LINEAR = Reach("ratio", 2.0)
"""Limit of growth: cache misses cost a little more, a quadratic algorithm ten times more."""


def growth_row(name: str, what: str, n: int, by_hand: Measured, graph: GraphRun) -> Row:
    """Return a row of functions that do the work at a given size and return the outcome."""
    return Row(
        name=name,
        what=what,
        n=n,
        reach=LINEAR,
        baseline=Side("rapidz, a tenth of the size", _in_tenths(graph("rapidz")), needs="rapidz"),
        rapidz=Side("rapidz", _whole(graph("rapidz")), needs="rapidz"),
        others=(
            Side("by hand", _whole(by_hand)),
            Side("streamz", _whole(graph("streamz")), share=5, needs="streamz"),
        ),
    )


GraphRun = Callable[[str], Measured]


def _whole(measured: Measured) -> Callable[[int], Sample]:
    def run(n: int) -> Sample:
        watch = Watch()
        outcome = measured(n, watch)
        return Sample(watch.ns, outcome)

    return run


def _in_tenths(measured: Measured) -> Callable[[int], Sample]:
    """Build ten graphs of n/10 nodes, as many nodes as the large graph."""

    def run(n: int) -> Sample:
        watch = Watch()
        outcomes = [measured(max(n // 10, 1), watch) for _ in range(10)]
        return Sample(watch.ns, all(outcomes))

    return run
