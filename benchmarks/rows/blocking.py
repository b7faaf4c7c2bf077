"""From a plain thread into a pipeline on the background loop: one by one, and as one batch.

The sink is an async function that does not wait, so the hop to the loop's thread cannot be saved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.background import loop_thread
from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.sides import new_stream, release

Sinking = Callable[[int], Coroutine[Any, Any, None]]


def prompt_sink(out: list[object]) -> Sinking:
    async def sink(x: int) -> None:
        out.append(x)

    return sink


def one_by_one(n: int) -> Sample:
    out, hop = list[object](), asyncio.run_coroutine_threadsafe
    sink = prompt_sink(out)
    with loop_thread() as loop:
        hop(sink(-1), loop).result()
        with Watch() as watch:
            for x in range(n):
                hop(sink(x), loop).result()
    return Sample(watch.ns, out)


def one_batch(n: int) -> Sample:
    data, out = list(range(n)), list[object]()
    sink = prompt_sink(out)

    async def all_of_them() -> None:
        for x in data:
            await sink(x)

    with loop_thread() as loop:
        asyncio.run_coroutine_threadsafe(sink(-1), loop).result()
        with Watch() as watch:
            asyncio.run_coroutine_threadsafe(all_of_them(), loop).result()
    return Sample(watch.ns, out)


def emitted(library: str, drive: Callable[[Any, list[int]], None]) -> Side:
    def run(n: int) -> Sample:
        data, out = list(range(n)), list[object]()
        source = new_stream(library, asynchronous=False)
        sinks = [source.sink(prompt_sink(out))]
        source.emit(-1)  # the loop's thread starts with the first element
        with Watch() as watch:
            drive(source, data)
        release(library, source, sinks)
        return Sample(watch.ns, out)

    return Side(library, run, needs=library)


def emit_each(source: Any, data: list[int]) -> None:
    emit = source.emit
    for x in data:
        emit(x)


def emit_batch(source: Any, data: list[int]) -> None:
    source.emit_many(data)


ROW = Row(
    name="blocking",
    what="blocking `emit` into the background loop; against `run_coroutine_threadsafe().result()`",
    n=1_000,
    reach=Reach("ratio", 1.3),
    baseline=Side("by hand", one_by_one),
    rapidz=emitted("rapidz", emit_each),
    others=(emitted("streamz", emit_each),),
)

BULK_ROW = Row(
    name="blocking-bulk",
    what="`emit_many` into the background loop; against one coroutine that awaits the sink",
    n=50_000,
    reach=Reach("ns", 2_000),
    baseline=Side("by hand", one_batch),
    rapidz=emitted("rapidz", emit_batch),
)
