"""Read-ahead: requests the next batch while the present one is processed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from rapidz.connectors.cleanup import finish

B = TypeVar("B")

#: Seconds after which a read that does not end is cancelled again.
_AGAIN = 0.02


class ReadAhead(Generic[B]):
    """Batches of a reader, at most one of which is read before it is asked for.

    Parameters
    ----------
    read : callable
        ``await read()`` returns the next batch; it is called from the first `next` on, one call at
        a time.

    >>> async def main():
    ...     batches = iter([[1, 2], [3], []])
    ...
    ...     async def read():
    ...         return next(batches)
    ...
    ...     async with ReadAhead(read) as ahead:
    ...         return await ahead.next(), await ahead.next()
    >>> asyncio.run(main())
    ([1, 2], [3])
    """

    def __init__(self, read: Callable[[], Awaitable[B]]) -> None:
        self._read = read
        self._task: asyncio.Task[B] | None = None

    async def __aenter__(self) -> ReadAhead[B]:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await finish(self._cancel(self._task))

    async def _cancel(self, task: asyncio.Task[B]) -> None:
        while not task.done():  # redis-py ignores a cancellation just after it has sent
            task.cancel()
            await asyncio.wait([task], timeout=_AGAIN)
        if not task.cancelled():
            task.exception()  # it is not reported as never retrieved

    async def next(self) -> B:
        """Return the next batch, and request the one after it."""
        if self._task is None:
            self._task = self._start()
        await asyncio.wait([self._task])  # which a cancellation ends at once
        batch = self._task.result()
        self._task = self._start()
        return batch

    def _start(self) -> asyncio.Task[B]:
        async def read() -> B:
            return await self._read()

        return asyncio.create_task(read())
