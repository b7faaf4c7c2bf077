"""What others put into a queue."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from typing import Any, ClassVar, TypeVar

from tornado import queues

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import Seconds, Source
from rapidz.sources.run import Unfinished

T = TypeVar("T")

#: What a queue raises when it is empty, and what when nothing will come any more.
EMPTY = (queue.Empty, asyncio.QueueEmpty, queues.QueueEmpty)
SHUT: tuple[type[Exception], ...] = tuple(
    getattr(module, name)
    for module, name in ((queue, "ShutDown"), (asyncio, "QueueShutDown"))
    if hasattr(module, name)
)


@Stream.register_api(staticmethod)
class from_q(Source[Any]):
    """Emit what is put into a queue.

    Takes an element out when there is room for it below, never ahead of that;
    so a bounded queue holds back those who put elements in.  An asynchronous
    queue is waited for, any other one is looked at in every interval once it is
    empty.  Ends when the queue is shut down, which queues know from Python 3.13
    on.

    Parameters
    ----------
    q : queue
        A `queue.Queue` or one with its ``get_nowait``, of asyncio or Tornado
        too: these belong to the loop that the source runs on.  Or a
        `collections.deque`.
    sleep_time : float or str
        How long to wait when there is nothing: seconds, or a string such as
        ``"10ms"``, above 0.
    **kwargs
        What every `Source` takes.

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

    endless: ClassVar[bool | None] = True
    sleep_time: Seconds = Seconds()

    def __init__(self, q: Any, sleep_time: Interval = 0.01, **kwargs: Any) -> None:
        if not isinstance(q, deque) and not callable(getattr(q, "get_nowait", None)):
            raise TypeError(f"from_q: q must be a queue with get_nowait, got {short_repr(q)}")
        self.q = q
        self.sleep_time = sleep_time
        self._getting = Unfinished()
        super().__init__(**kwargs)

    @property
    def sleep(self) -> float:
        """The `sleep_time`, under its old name."""
        return self.sleep_time

    def _ends_with_run(self) -> bool:
        return True

    async def run(self) -> None:
        while self._goes_on():
            try:
                x = await self._next()
            except SHUT:
                return
            for wait in self._emit(x):
                await wait

    async def _next(self) -> Any:
        """The next element, as soon as there is one."""
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
        super()._on_end()
        self._pipeline.start(self._getting.give_up())
