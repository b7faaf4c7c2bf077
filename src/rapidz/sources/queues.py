"""Source over a queue."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from typing import Any, ClassVar, TypeVar

from tornado import queues

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import LiveInterval, Source
from rapidz.sources.run import ResumableWait

T = TypeVar("T")

#: Exceptions that queues raise when they are empty, and when they are shut down.
EMPTY = (queue.Empty, asyncio.QueueEmpty, queues.QueueEmpty)
SHUT: tuple[type[Exception], ...] = tuple(
    getattr(module, name)
    for module, name in ((queue, "ShutDown"), (asyncio, "QueueShutDown"))
    if hasattr(module, name)
)


@Stream.register_api(staticmethod)
class from_q(Source[Any]):
    """Emit the elements of a queue.

    Takes an element out of the queue when downstream has capacity, never
    earlier: a bounded queue applies back pressure to its producers.  It awaits
    an asynchronous queue, and polls any other one at every interval while that
    is empty.  Ends when the queue is shut down (Python 3.13 and later).

    Parameters
    ----------
    q : queue
        A `queue.Queue` or any object with its ``get_nowait``; a queue of
        asyncio or Tornado, which must belong to the loop of the source; or a
        `collections.deque`.
    sleep_time : float or str
        Interval between polls of an empty queue: seconds, or a string such as
        ``"10ms"``, above 0.
    **kwargs
        Options of every `Source`.

    >>> q = queue.Queue()
    >>> source = Stream.from_q(q, start=True)
    >>> seen = source.sink_to_list()
    >>> last = source.filter(lambda x: x == "bye").sink(lambda _: source.stop())
    >>> q.put("hello")
    >>> q.put("bye")
    >>> source.join()
    >>> seen
    ['hello', 'bye']
    """

    infinite: ClassVar[bool | None] = True
    sleep_time: LiveInterval = LiveInterval()

    def __init__(self, q: Any, sleep_time: Interval = 0.01, **kwargs: Any) -> None:
        if not isinstance(q, deque) and not callable(getattr(q, "get_nowait", None)):
            raise TypeError(f"from_q: q must be a queue with get_nowait, got {short_repr(q)}")
        self.q = q
        self.sleep_time = sleep_time
        self._getting = ResumableWait()
        super().__init__(**kwargs)

    @property
    def sleep(self) -> float:
        """Old name of `sleep_time`."""
        return self.sleep_time

    def _ends_with_run(self) -> bool:
        return True

    async def run(self) -> None:
        while self._may_emit():
            try:
                x = await self._next()
            except SHUT:
                return
            for wait in self._emit(x):
                await wait

    async def _next(self) -> Any:
        """Return the next element, as soon as the queue has one."""
        q = self.q
        if isinstance(q, deque):
            while not q:
                await asyncio.sleep(self.sleep_time)
            return q.popleft()
        while True:
            try:
                return q.get_nowait()
            except EMPTY:
                if isinstance(q, asyncio.Queue):
                    return await q.get()
                if isinstance(q, queues.Queue):
                    return await self._getting.result(q.get)
                await asyncio.sleep(self.sleep_time)

    def _on_end(self) -> None:
        self._pipeline.start(self._getting.cancel())
