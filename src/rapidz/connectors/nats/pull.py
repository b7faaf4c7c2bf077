"""Pull requests to a JetStream consumer: one is open while the last batch is processed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, Final

#: Seconds for which a request waits in the server.
_EXPIRES: Final = 30
#: Seconds that the server may take to stop sending.
_END: Final = 2
#: Statuses that end a request without messages: none there, expired, cut short.
_ENDS: Final = ("404", "408", "409")
#: Descriptions of the status 409 after which further requests fail too.
_FINAL: Final = ("Consumer Deleted", "Consumer is push based")


class Puller:
    """Messages of a pull consumer.

    At most *batch* messages are requested and as many are buffered, so the server sends no more
    than twice *batch* ahead of `next`.

    Parameters
    ----------
    client : nats.NATS
        A client that is connected.
    stream, durable : str
        Names of the stream and of its consumer.
    batch : int
        Messages of one request.
    on_message : callable
        ``on_message(message)`` is called when a message arrives, and returns whether to keep it.
    changed : asyncio.Event
        Set when a message arrives, and by the caller when the client is closed.
    """

    def __init__(
        self,
        client: Any,
        stream: str,
        durable: str,
        batch: int,
        on_message: Callable[[Any], bool],
        changed: asyncio.Event,
    ) -> None:
        self._client, self._batch, self._on_message = client, batch, on_message
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        request = {"batch": batch, "expires": _EXPIRES * 1_000_000_000}
        self._request = json.dumps(request).encode()
        self._inbox: str = client.new_inbox()
        self._arrived: list[Any] = []
        self._open = 0
        """Messages that the open request may still bring."""
        self._changed = changed
        self._failure: Exception | None = None
        self._subscription: Any = None

    async def begin(self) -> None:
        """Subscribe to the answers."""
        self._subscription = await self._client.subscribe(self._inbox, cb=self._take)

    async def next(self) -> list[Any]:
        """Return the messages that have arrived, at least one, unless the client is closed."""
        while True:
            if self._failure is not None:
                raise self._failure
            messages, self._arrived = self._arrived, []
            if not self._open and not self._client.is_closed:
                self._open = self._batch
                await self._client.publish(self._subject, self._request, reply=self._inbox)
            if messages or self._client.is_closed:
                return messages
            self._changed.clear()
            await self._changed.wait()

    def fail(self, error: Exception) -> None:
        """Let `next` raise *error*."""
        self._failure = error
        self._changed.set()

    async def end(self) -> list[Any]:
        """Let the server send no more; return the messages that `next` has not returned."""
        if self._subscription is not None and not self._client.is_closed:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_END):
                    await self._subscription.drain()
        messages, self._arrived = self._arrived, []
        return messages

    async def _take(self, message: Any) -> None:
        status = (message.headers or {}).get("Status")
        if status is None:
            self._open = max(0, self._open - 1)
            if self._on_message(message):
                self._arrived.append(message)
        elif status in _ENDS:
            self._open = 0
            description = message.headers.get("Description", "")
            if description.startswith(_FINAL):
                self._failure = LookupError(f"JetStream: {description}")
        self._changed.set()
