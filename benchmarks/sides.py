"""Sides that several rows share: a shape by hand, through ``emit`` and through ``emit_many``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, cast

from benchmarks.model import Sample, Side, Watch
from benchmarks.shapes import Shape


def new_stream(library: str, **options: Any) -> Any:
    """Return a new source of *library*; untyped, because the peers have no types."""
    return import_module(library).Stream(**options)


def release(library: str, source: Any, sinks: list[Any]) -> None:
    """Release a finished pipeline, so that it does not affect the next sample."""
    if library == "rapidz":
        source.close()
        return
    for sink in sinks:
        sink.destroy()


async def release_in_loop(library: str, source: Any, sinks: list[Any]) -> None:
    """Do the same as ``release``, from inside the pipeline's loop."""
    if library == "rapidz":
        await cast(Awaitable[object], source.close())
        return
    for sink in sinks:
        sink.destroy()


def by_hand(shape: Shape) -> Side:
    def run(n: int) -> Sample:
        data, out = list(range(n)), list[object]()
        with Watch() as watch:
            shape.by_hand(data, out.append)
        return Sample(watch.ns, out)

    return Side("by hand", run)


def through_emit(shape: Shape, library: str = "rapidz", share: int = 1) -> Side:
    def drive(source: Any, data: list[int]) -> None:
        emit = source.emit
        for x in data:
            emit(x)

    return _driven(shape, library, share, drive)


def through_emit_many(shape: Shape) -> Side:
    def drive(source: Any, data: list[int]) -> None:
        source.emit_many(data)

    return _driven(shape, "rapidz", 1, drive)


def _driven(
    shape: Shape, library: str, share: int, drive: Callable[[Any, list[int]], None]
) -> Side:
    def run(n: int) -> Sample:
        data, out = list(range(n)), list[object]()
        source = new_stream(library)
        sinks = shape.build(source, out.append)
        # A first element compiles the graph, which is not part of the cost. The chain drops -1.
        drive(source, [-1])
        out.clear()
        with Watch() as watch:
            drive(source, data)
        release(library, source, sinks)
        return Sample(watch.ns, out)

    return Side(library, run, share, library)
