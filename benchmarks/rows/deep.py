"""Chain of ten thousand nodes: building it with the first element, and the next elements."""

from __future__ import annotations

from typing import Any

from benchmarks.growth import Measured, growth_row
from benchmarks.model import Watch
from benchmarks.shapes import Sink, increment
from benchmarks.sides import new_stream, release

NODES = 10_000


def build(source: Any, nodes: int, sink: Sink) -> Any:
    node = source
    for _ in range(nodes):
        node = node.map(increment)
    return node.sink(sink)


def hand_built(nodes: int, watch: Watch) -> bool:
    with watch:
        functions = [increment for _ in range(nodes)]
        x = 0
        for function in functions:
            x = function(x)
    return x == nodes


def hand_run(nodes: int, watch: Watch) -> bool:
    functions = [increment for _ in range(nodes)]
    x = 0
    with watch:
        for function in functions:
            x = function(x)
    return x == nodes


def built(library: str) -> Measured:
    def measured(nodes: int, watch: Watch) -> bool:
        out, source = list[object](), new_stream(library)
        with watch:
            last = build(source, nodes, out.append)
            source.emit(0)
        release(library, source, [last])
        return out == [nodes]

    return measured


def run(library: str) -> Measured:
    def measured(nodes: int, watch: Watch) -> bool:
        out, source = list[object](), new_stream(library)
        last = build(source, nodes, out.append)
        source.emit(0)
        with watch:
            source.emit(1)
        release(library, source, [last])
        return out == [nodes, nodes + 1]

    return measured


ROW = growth_row(
    "deep",
    "chain of 10,000 maps: build it and `emit` once, a node; against 1,000 maps",
    NODES,
    hand_built,
    built,
)
RUN_ROW = growth_row(
    "deep-run",
    "the same chain, built: one `emit`, a node; against 1,000 maps",
    NODES,
    hand_run,
    run,
)
