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

    Parameters
    ----------
    source : Source
        The source, on whose loop they are sent.
    send : callable
        ``await send(items)`` sends a batch; an exception keeps the batch for `flush`.
    keep : bool
        Whether a batch whose outcome is unknown may be sent again.  If not, it is dropped, and
        the server delivers its elements again.
    """

    def __init__(
        self,
        source: Any,
        send: Callable[[Sequence[A]], Awaitable[object]],
        *,
        keep: bool = True,
    ) -> None:
        self._source, self._send, self._keep = source, send, keep
        self._items: list[A] = []
        self._sending = self._failed = False
        self._idle: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def add(self, item: A) -> None:
        """Queue one acknowledgement; called on the loop of the source."""
        self._items.append(item)
        if not self._sending and not self._failed:
            self._sending = True
            self._source._pipeline.start(self._send_all())

    async def flush(self) -> None:
        """Send what is queued, also what could not be sent before; raise if that fails."""
        await self.wait_idle()
        self._failed = False
        while self._items:
            await self._send_batch()

    async def wait_idle(self) -> None:
        """Wait until no request is in flight."""
        if self._sending:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    async def _send_all(self) -> None:
        try:
            await asyncio.sleep(0)  # what is done in this turn goes into the same request
            while self._items:
                try:
                    await self._send_batch()
                except Exception:
                    if not self._keep:
                        raise
                    await self._send_batch()  # on another connection: `stop` may close one
        except Exception as error:  # the server delivers them again, or `flush` sends them
            self._failed = True
            failure = f"{type(error).__name__}: {error}"
            _log.info("%s: acknowledgements not sent: %s", self._source, failure)
        finally:
            self._sending = False
            if (idle := self._idle) is not None and not idle.done():
                idle.set_result(None)

    async def _send_batch(self) -> None:
        batch, self._items = self._items, []
        try:
            await self._send(batch)
        except BaseException:
            if self._keep:
                self._items[:0] = batch
            raise
