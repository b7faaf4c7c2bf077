"""Sides of the rows of event time: CPU time, the garbage collector on and the input frozen.

Windows make many small results.  The collector walks them, which is a cost that a program has too,
so it stays on; the input is frozen, because it is no part of the work.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeAlias, cast

from benchmarks.event_time.loops import Out
from benchmarks.event_time.pipelines import CAPACITY, Build
from benchmarks.model import Sample, Side, Watch
from benchmarks.sides import new_stream

MAX_KEPT = 100_000
"""Up to how many elements the results of a run are kept, to be compared."""

Make: TypeAlias = Callable[[int], list[Any]]
Convert: TypeAlias = Callable[[Any], object]


def cpu_watch() -> Watch:
    return Watch(time.process_time_ns, collects=True)


def kept(n: int) -> tuple[list[Any], Out]:
    """Return a list, and what appends to it; with many elements, results are dropped.

    Sides are compared on fewer elements, and a program does not keep all results: that would
    measure how often the collector walks them.
    """
    results = list[Any]()
    return results, results.append if n <= MAX_KEPT else deque[Any](maxlen=0).append


class Results:
    """Results of a run; they are converted and sorted only if they are compared."""

    def __init__(self, late: int, found: list[Any], convert: Convert) -> None:
        self._late, self._found, self._convert = late, found, convert

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Results):
            return NotImplemented
        return self._late == other._late and self.plain == other.plain

    __hash__ = None  # type: ignore[assignment]

    @property
    def plain(self) -> list[Any]:
        return sorted(map(self._convert, self._found))


def same(x: object) -> object:
    return x


def by_hand(loop: Callable[[Iterable[Any], Out], int], make: Make, name: str = "by hand") -> Side:
    """Return the side of a loop over the elements."""

    def run(n: int) -> Sample:
        data, (results, out) = make(n), kept(n)
        with cpu_watch() as watch:
            late = loop(data, out)
        return Sample(watch.ns, Results(late, results, same))

    return Side(name, run)


def emit_all(source: Any, data: list[Any]) -> None:
    source.emit_many(data)


def emit_each(source: Any, data: list[Any]) -> None:
    source.emit(data[0])  # from now on the function for emit is compiled
    emit = source.emit
    for x in data[1:]:
        emit(x)


def through(
    build: Build,
    make: Make,
    convert: Convert = same,
    drive: Callable[[Any, list[Any]], None] = emit_all,
    name: str = "rapidz",
) -> Side:
    """Return the side of a pipeline: all elements, and the end of the stream."""

    def run(n: int) -> Sample:
        data, (results, out) = make(n), kept(n)
        source = new_stream("rapidz")
        node = build(source)
        node.sink(out)
        source.emit_many([])  # compiles the graph, which is no part of the cost
        with cpu_watch() as watch:
            drive(source, data)
            source.close()
        return Sample(watch.ns, Results(getattr(node, "late_count", 0), results, convert))

    return Side(name, run, needs="rapidz")


def queued_by_hand(loop: Callable[[Iterable[Any], Out], int], make: Make) -> Side:
    """Return the side of a producer and a loop with an ``asyncio.Queue`` in between."""

    async def run(n: int) -> Sample:
        data, (results, out) = make(n), kept(n)
        queue = asyncio.Queue[Any](CAPACITY)

        async def consume() -> int:
            taken: list[Any] = []
            while (x := await queue.get()) is not None:
                taken.append(x)
            return loop(taken, out)

        with cpu_watch() as watch:
            consumer = asyncio.create_task(consume())
            for x in data:
                await queue.put(x)
            await queue.put(None)
            late = await consumer
        return Sample(watch.ns, Results(late, results, same))

    return Side("by hand", lambda n: asyncio.run(run(n)))


def through_buffer(build: Build, make: Make, convert: Convert) -> Side:
    """Return the side of a pipeline behind a buffer, in a loop."""

    async def run(n: int) -> Sample:
        data, (results, out) = make(n), kept(n)
        source = new_stream("rapidz", asynchronous=True)
        node = build(source)
        node.sink(out)
        with cpu_watch() as watch:
            await source.emit_many(data)
            await cast(Any, source.close())
        return Sample(watch.ns, Results(getattr(node, "late_count", 0), results, convert))

    return Side("rapidz", lambda n: asyncio.run(run(n)), needs="rapidz")


def memory(name: str, run: Callable[[list[Any]], object], make: Make) -> Side:
    """Return the side that measures what the result of *run* keeps, in bytes.

    The elements themselves are there before.  It is measured once: it is always the same.
    """

    @cache
    def size(n: int) -> int:
        data = make(n)
        gc.collect()
        tracemalloc.start()
        kept = run(data)
        gc.collect()
        current, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del kept
        return current

    return Side(name, lambda n: Sample(size(n), None))


def kept_by(build: Build) -> Callable[[list[Any]], object]:
    """Return the function that emits everything into a pipeline, and keeps the pipeline."""

    def run(data: list[Any]) -> object:
        source = new_stream("rapidz")
        sink = build(source).sink(id)
        source.emit_many(data)
        return source, sink

    return run
