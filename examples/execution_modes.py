"""One pipeline in three execution modes, fed by a Tornado coroutine and by a source too.

Output::

    synchronous: 1 2 3
    inside an asyncio loop: 1 2 3
    from a thread, loop in the background: 1 2 3
    a Tornado coroutine: 1 2 3
    a source that emits by itself: 1 2 3
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from tornado import gen
from tornado.ioloop import IOLoop

from rapidz import Stream


def increment(x: int) -> int:
    return x + 1


async def write(x: int, written: list[int]) -> None:
    """Stand for a slow database: the pipeline waits for it."""
    await asyncio.sleep(0.01)
    written.append(x)


def show(title: str, written: list[int]) -> None:
    print(f"{title}:", *written)


def synchronous() -> None:
    """Run the nodes in the thread that emits: no node needs a loop."""
    written: list[int] = []
    source = Stream[int]()
    source.map(increment).sink(written.append)
    for x in range(3):
        source.emit(x)
    show("synchronous", written)


async def inside_asyncio() -> None:
    """Await `emit` until the pipeline has capacity for the next element."""
    written: list[int] = []
    async with Stream[int](asynchronous=True) as source:
        source.map(increment).rate_limit("20ms").sink(write, written)
        for x in range(3):
            await source.emit(x)
    show("inside an asyncio loop", written)


def from_a_thread() -> None:
    """Block in `emit` until there is capacity; the nodes run on the background loop."""
    written: list[int] = []
    with Stream[int](asynchronous=False) as source:
        source.map(increment).rate_limit("20ms").sink(write, written)
        for x in range(3):
            source.emit(x)
    show("from a thread, loop in the background", written)


@gen.coroutine
def tornado_coroutine() -> Generator[Any, Any, None]:
    """Yield the awaitable that `emit` returns."""
    written: list[int] = []
    source = Stream[int](asynchronous=True)
    source.map(increment).rate_limit("20ms").sink(write, written)
    for x in range(3):
        yield source.emit(x)
    yield source.close()
    show("a Tornado coroutine", written)


def a_source() -> None:
    """Let a source emit by itself from its start to the end of its data."""
    written: list[int] = []
    source = Stream.from_iterable(range(3))
    source.map(increment).sink(write, written)
    source.start()
    source.join(timeout=10)
    show("a source that emits by itself", written)


if __name__ == "__main__":
    synchronous()
    asyncio.run(inside_asyncio())
    from_a_thread()
    IOLoop(make_current=False).run_sync(tornado_coroutine)
    a_source()
