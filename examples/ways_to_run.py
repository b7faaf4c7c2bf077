"""One pipeline, five ways to run it.

Output::

    plain calls: 1 2 3
    inside an asyncio loop: 1 2 3
    from a thread, loop in the background: 1 2 3
    a Tornado coroutine: 1 2 3
    a source that runs itself: 1 2 3
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
    """Stand in for a database that takes its time: the pipeline waits for it."""
    await asyncio.sleep(0.01)
    written.append(x)


def show(title: str, written: list[int]) -> None:
    print(f"{title}:", *written)


def plain_calls() -> None:
    """Nothing here needs a loop, so the thread that emits runs the nodes."""
    written: list[int] = []
    source = Stream[int]()
    source.map(increment).sink(written.append)
    for x in range(3):
        source.emit(x)
    show("plain calls", written)


async def inside_asyncio() -> None:
    """Awaiting `emit` waits until the pipeline has room for the next element."""
    written: list[int] = []
    async with Stream[int](asynchronous=True) as source:
        source.map(increment).rate_limit("20ms").sink(write, written)
        for x in range(3):
            await source.emit(x)
    show("inside an asyncio loop", written)


def from_a_thread() -> None:
    """`emit` blocks until there is room; the nodes run on the library's own loop."""
    written: list[int] = []
    with Stream[int](asynchronous=False) as source:
        source.map(increment).rate_limit("20ms").sink(write, written)
        for x in range(3):
            source.emit(x)
    show("from a thread, loop in the background", written)


@gen.coroutine
def tornado_coroutine() -> Generator[Any, Any, None]:
    """What `emit` returns can be yielded, too."""
    written: list[int] = []
    source = Stream[int](asynchronous=True)
    source.map(increment).rate_limit("20ms").sink(write, written)
    for x in range(3):
        yield source.emit(x)
    yield source.close()
    show("a Tornado coroutine", written)


def a_source() -> None:
    """A source emits by itself from its start to the end of its data."""
    written: list[int] = []
    source = Stream.from_iterable(range(3))
    source.map(increment).sink(write, written)
    source.start()
    source.join(timeout=10)
    show("a source that runs itself", written)


if __name__ == "__main__":
    plain_calls()
    asyncio.run(inside_asyncio())
    from_a_thread()
    IOLoop(make_current=False).run_sync(tornado_coroutine)
    a_source()
