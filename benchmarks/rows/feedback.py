"""Cycle in the graph: one element goes round a hundred thousand times."""

from __future__ import annotations

from benchmarks.growth import Measured, growth_row
from benchmarks.model import Watch
from benchmarks.shapes import increment
from benchmarks.sides import new_stream, release

TURNS = 100_000


def by_hand(turns: int, watch: Watch) -> bool:
    def unfinished(x: int) -> bool:
        return x < turns

    x, out = 0, list[int]()
    with watch:
        while True:
            x = increment(x)
            if not unfinished(x):
                break
        out.append(x)
    return out == [turns]


def looped(library: str) -> Measured:
    def measured(turns: int, watch: Watch) -> bool:
        def unfinished(x: int) -> bool:
            return x < turns

        def finished(x: int) -> bool:
            return x >= turns

        out, source = list[object](), new_stream(library)
        counted = source.map(increment)
        last = counted.filter(finished).sink(out.append)
        again = counted.filter(unfinished)
        again.connect(source)
        with watch:
            source.emit(0)
        again.disconnect(source)
        release(library, source, [last])
        return out == [turns]

    return measured


ROW = growth_row(
    "feedback",
    "feedback of 100,000 turns through map and filter, a turn; against 10,000 turns",
    TURNS,
    by_hand,
    looped,
)
