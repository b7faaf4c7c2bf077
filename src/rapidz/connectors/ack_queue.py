"""Acknowledgement queue: sends the acknowledgements of many elements in one request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

A = TypeVar("A")

_log = logging.getLogger("rapidz.sources")


class AckQueue(Generic[A]):
    """Acknowledgements that a source has to send to its server.

    While one request is in flight, further acknowledgements are collected for the next one,
    so a slow connection makes requests larger, and not more of them.  `Stream.join` waits
    until they are sent.

    A failure to send them that is transient is a warning, and `raise_failure` raises it in
    `run`, so that the source connects again and calls `flush`.  Any other one fails the source.

    Parameters
    ----------
    source : Source
        The source, on whose loop they are sent.
    send : callable
        ``await send(items)`` sends a batch; an exception keeps the batch for `flush`.
    keep : callable
        ``keep(error)`` tells whether a batch may be sent again after *error*.  If not, it is
        dropped, and the server delivers its elements again.  By default, every batch may.
    on_failure : callable, optional
        ``on_failure(error)`` is called after a transient failure, to wake `run`.
    """

    def __init__(
        self,
        source: Any,
        send: Callable[[Sequence[A]], Awaitable[object]],
        *,
        keep: Callable[[BaseException], bool] = lambda error: True,
        on_failure: Callable[[Exception], object] = lambda error: None,
    ) -> None:
        self._source, self._send, self._keep = source, send, keep
        self._on_failure = on_failure
        self._items: list[A] = []
        self._failure: Exception | None = None
        self._task: Any = None
        """Task that sends, or has sent."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """Loop of that task."""

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def add(self, item: A) -> None:
        """Queue one acknowledgement; called on the loop of the source."""
        self._items.append(item)
        if self._failure is None and not self._is_sending():
            self._loop = asyncio.get_running_loop()
            self._task = self._source._pipeline.start(self._send_all())

    def raise_failure(self) -> None:
        """Raise what acknowledgements could not be sent for, until `flush` has sent them."""
        if self._failure is not None:
            raise self._failure

    async def flush(self) -> None:
        """Send what is queued, also what could not be sent before; raise if that fails."""
        await self.wait_idle()
        self._failure = None
        while self._items:
            await self._send_batch()

    async def wait_idle(self) -> None:
        """Wait until no request is in flight."""
        while self._is_sending():
            ended = asyncio.get_running_loop().create_future()
            self._task.add_done_callback(lambda _, f=ended: f.done() or f.set_result(None))
            await ended

    def _is_sending(self) -> bool:
        """Return whether a request is in flight; none is on a loop before this one."""
        if self._task is None or self._loop is not asyncio.get_running_loop():
            return False
        return not self._task.done()

    async def _send_all(self) -> None:
        try:
            await asyncio.sleep(0)  # what is done in this turn goes into the same request
            while self._items:
                try:
                    await self._send_batch()
                except Exception as error:
                    if not self._keep(error):
                        raise
                    await self._send_batch()  # on another connection: `stop` may close one
        except Exception as error:
            self._failure = error
            self._report(error)

    def _report(self, error: Exception) -> None:
        source = self._source
        if source._is_transient(error):
            failure = f"{type(error).__name__}: {error}"
            _log.warning("%s: acknowledgements could not be sent: %s", source, failure)
            self._on_failure(error)
        else:
            source._fail_report(source._source_run, error)

    async def _send_batch(self) -> None:
        batch, self._items = self._items, []
        try:
            await self._send(batch)
        except BaseException as error:
            if self._keep(error):
                self._items[:0] = batch
            raise
