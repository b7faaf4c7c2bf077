"""Sink that records the time of arrival of every element."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rapidz.kernel.graph.stream import Stream

__all__ = ["record"]

T = TypeVar("T")


def record(stream: Stream[T]) -> list[tuple[float, T]]:
    """Return a list, and append (time of arrival, element) to it for every element of `stream`.

    The time is that of the event loop that runs the sink: exact in virtual time. In a synchronous
    pipeline it is `time.monotonic()`. The sink never applies back pressure.

    >>> import asyncio
    >>> from rapidz import Stream
    >>> from rapidz.testing import record, run
    >>> async def main() -> list[tuple[float, int]]:
    ...     source = Stream[int](asynchronous=True)
    ...     log = record(source)
    ...     await source.emit(1)
    ...     await asyncio.sleep(10)
    ...     await source.emit(2)
    ...     return log
    >>> run(main())
    [(0.0, 1), (10.0, 2)]
    """
    log: list[tuple[float, T]] = []

    def note(x: T) -> None:
        log.append((_now(), x))

    stream.sink(note)
    return log


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
