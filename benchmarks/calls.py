"""Call counts for one element: exact, so a test can pin them.

Every pipeline runs twice, the second time with twice as many elements; the difference leaves out
what the run itself costs. All elements pass the filter, so each takes the same way.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from importlib.util import find_spec
from types import FrameType
from typing import Any, NamedTuple

from benchmarks.shapes import SHAPES, Shape
from benchmarks.sides import new_stream, release

ELEMENTS = 100

Drive = Callable[[Iterable[int]], object]


class Calls(NamedTuple):
    """Calls for one element: of Python functions (one frame each), and of builtins."""

    python: Fraction
    builtin: Fraction


def by_hand(shape: Shape) -> Calls:
    """Return the calls of the hand-written loop: the user's own functions."""
    return _each(lambda data: shape.by_hand(data, _ignore()))


def through_emit(shape: Shape, library: str = "rapidz") -> Calls:
    def drive(source: Any, data: Iterable[int]) -> None:
        emit = source.emit
        for x in data:
            emit(x)

    return _driven(shape, library, drive)


def through_emit_many(shape: Shape) -> Calls:
    def drive(source: Any, data: Iterable[int]) -> None:
        source.emit_many(data)

    return _driven(shape, "rapidz", drive)


def count(work: Callable[[], object]) -> tuple[int, int]:
    """Return how many Python functions and builtins *work* calls in this thread."""
    python = builtin = 0

    def note(frame: FrameType, event: str, arg: object) -> None:
        nonlocal python, builtin
        python += event == "call"
        builtin += event == "c_call"

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # a collection calls finalizers of whatever ran before
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return python, builtin


def _driven(shape: Shape, library: str, drive: Callable[[Any, Iterable[int]], None]) -> Calls:
    source = new_stream(library)
    sinks = shape.build(source, _ignore())
    try:
        return _each(lambda data: drive(source, data))
    finally:
        release(library, source, sinks)


def _each(drive: Drive) -> Calls:
    drive(_passing(ELEMENTS))  # compiles the graph
    once = count(lambda: drive(_passing(ELEMENTS)))
    twice = count(lambda: drive(_passing(2 * ELEMENTS)))
    return Calls(*(Fraction(b - a, ELEMENTS) for a, b in zip(once, twice, strict=True)))


def _passing(n: int) -> Iterable[int]:
    """Return elements that pass the filter of the chain."""
    return range(0, 3 * n, 3)


def _ignore() -> Callable[[Any], object]:
    """Return a builtin sink that keeps nothing, so that only the pipeline's calls count."""
    return id


def table() -> str:
    lines = ["| shape | by | Python calls | builtin calls |", "| --- | --- | ---: | ---: |"]
    for shape in SHAPES:
        counted = {
            "by hand": by_hand(shape),
            "`emit_many`": through_emit_many(shape),
            "`emit`": through_emit(shape),
        }
        if find_spec("streamz") is not None:
            counted["streamz"] = through_emit(shape, "streamz")
        for name, calls in counted.items():
            lines.append(f"| {shape.name} | {name} | {calls.python} | {calls.builtin} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
