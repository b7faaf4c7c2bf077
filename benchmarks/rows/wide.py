"""Source with ten thousand sinks: building it with the first element, and the next elements."""

from __future__ import annotations

from benchmarks.growth import Measured, growth_row
from benchmarks.model import Watch
from benchmarks.sides import new_stream, release

SINKS = 10_000


def hand_built(sinks: int, watch: Watch) -> bool:
    out = list[object]()
    with watch:
        functions = [out.append for _ in range(sinks)]
        for function in functions:
            function(0)
    return len(out) == sinks


def hand_run(sinks: int, watch: Watch) -> bool:
    out = list[object]()
    functions = [out.append for _ in range(sinks)]
    with watch:
        for function in functions:
            function(0)
    return len(out) == sinks


def built(library: str) -> Measured:
    def measured(sinks: int, watch: Watch) -> bool:
        out, source = list[object](), new_stream(library)
        with watch:
            nodes = [source.sink(out.append) for _ in range(sinks)]
            source.emit(0)
        release(library, source, nodes)
        return len(out) == sinks

    return measured


def run(library: str) -> Measured:
    def measured(sinks: int, watch: Watch) -> bool:
        out, source = list[object](), new_stream(library)
        nodes = [source.sink(out.append) for _ in range(sinks)]
        source.emit(0)
        with watch:
            source.emit(1)
        release(library, source, nodes)
        return len(out) == 2 * sinks

    return measured


ROW = growth_row(
    "wide",
    "fan-out to 10,000 sinks: build it and `emit` once, a node; against 1,000 sinks",
    SINKS,
    hand_built,
    built,
)
RUN_ROW = growth_row(
    "wide-run",
    "the same fan-out, built: one `emit`, a node; against 1,000 sinks",
    SINKS,
    hand_run,
    run,
)
