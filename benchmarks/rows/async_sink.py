"""``await emit`` into an async sink that yields to the loop once for each element."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.sides import new_stream, release_in_loop

Sinking = Callable[[int], Coroutine[Any, Any, None]]


def yielding_sink(out: list[object]) -> Sinking:
    async def sink(x: int) -> None:
        out.append(x)
        await asyncio.sleep(0)

    return sink


async def awaited(push: Callable[[int], Awaitable[object]], n: int) -> int:
    data = list(range(n))
    with Watch() as watch:
        for x in data:
            await push(x)
    return watch.ns


def by_hand(n: int) -> Sample:
    out = list[object]()
    return Sample(asyncio.run(awaited(yielding_sink(out), n)), out)


def task_each(n: int) -> Sample:
    out = list[object]()
    sink = yielding_sink(out)

    async def run() -> int:
        loop = asyncio.get_running_loop()
        data = list(range(n))
        with Watch() as watch:
            for x in data:
                await loop.create_task(sink(x))
        return watch.ns

    return Sample(asyncio.run(run()), out)


def emitted(library: str, share: int = 1) -> Side:
    async def run(n: int) -> Sample:
        out = list[object]()
        source = new_stream(library, asynchronous=True)
        sinks = [source.sink(yielding_sink(out))]
        ns = await awaited(source.emit, n)
        await release_in_loop(library, source, sinks)
        return Sample(ns, out)

    return Side(library, lambda n: asyncio.run(run(n)), share, library)


ROW = Row(
    name="async-sink",
    what="`await emit` into an async sink that yields once; against awaiting the sink in a loop",
    n=10_000,
    reach=Reach("ratio", 2.0),
    baseline=Side("by hand", by_hand),
    rapidz=emitted("rapidz"),
    others=(Side("by hand, a task each", task_each), emitted("streamz", share=4)),
)
