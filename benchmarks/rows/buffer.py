"""Buffer of 100 in a running loop, from the first ``emit`` until it is empty."""

from __future__ import annotations

import asyncio

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.sides import new_stream, release_in_loop

ROOM = 100


async def queued(n: int) -> Sample:
    data, out = list(range(n)), list[object]()
    queue = asyncio.Queue[int | None](ROOM)

    async def consume() -> None:
        while (x := await queue.get()) is not None:
            out.append(x)

    with Watch() as watch:
        consumer = asyncio.create_task(consume())
        for x in data:
            await queue.put(x)
        await queue.put(None)
        await consumer
    return Sample(watch.ns, out)


def emitted(library: str, share: int = 1) -> Side:
    async def run(n: int) -> Sample:
        data, out = list(range(n)), list[object]()
        source = new_stream(library, asynchronous=True)
        sinks = [source.buffer(ROOM).sink(out.append)]
        with Watch() as watch:
            emit = source.emit
            for x in data:
                await emit(x)
            while len(out) < n:
                await asyncio.sleep(0)
        await release_in_loop(library, source, sinks)
        return Sample(watch.ns, out)

    return Side(library, lambda n: asyncio.run(run(n)), share, library)


ROW = Row(
    name="buffer",
    what="`await emit` into `buffer(100)` in a loop; against an `asyncio.Queue(100)`",
    n=20_000,
    reach=Reach("ratio", 1.5),
    baseline=Side("by hand", lambda n: asyncio.run(queued(n))),
    rapidz=emitted("rapidz"),
    others=(emitted("streamz", share=10),),
)
