"""Writers of messages to a WebSocket server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, ClassVar

from rapidz.connectors.codecs import Codec
from rapidz.connectors.net.websocket_peer import ClientOptions, is_transient, keep_alive
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sinks.writer import Writer
from rapidz.sources.restart import Restart

#: Other types are sent in fragments by the library, or refused.
_MESSAGES = (str, bytes, bytearray, memoryview)


class WebSocketWriter(Writer[Any]):
    """Writer of messages to a WebSocket server; discards what the server sends."""

    default_restart: ClassVar[Restart | None] = Restart()
    blocking: ClassVar[bool] = False

    def __init__(self, options: ClientOptions, codec: Codec[Any] | None) -> None:
        self._options, self._codec = options, codec
        self._is_text = codec is not None and codec.name in ("json", "text", "csv", "jsonlines")
        self._connection: Any = None
        self._reader: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._connection = await self._options.connect()
        self._reader = asyncio.ensure_future(self._discard(self._connection))

    def size(self, payload: Any) -> int:
        return len(payload)

    def write(self, payload: Any) -> Any:
        kind = type(payload)
        if kind is not bytes and kind is not str and not isinstance(payload, _MESSAGES):
            raise TypeError(
                f"to_websocket: an element must be a str or bytes, got {short_repr(payload)}: "
                "give a codec"
            )
        return self._connection.send(payload)

    async def write_many(self, payloads: Sequence[Any]) -> None:
        for payload in payloads:
            await self.write(payload)

    async def close(self) -> None:
        connection, reader = self._connection, self._reader
        self._connection = self._reader = None
        if connection is None:
            return
        try:
            await connection.close()  # waits until the server has read what was sent
        finally:
            if reader is not None:
                reader.cancel()
                await asyncio.wait([reader])

    async def _discard(self, connection: Any) -> None:
        async with keep_alive(connection, self._options.ping):
            with contextlib.suppress(self._options.library.ConnectionClosed):
                while True:
                    await connection.recv()

    def is_transient(self, error: Exception) -> bool:
        return is_transient(self._options.library, error, super().is_transient(error))


class EncodingWebSocketWriter(WebSocketWriter):
    """Writer that encodes the elements."""

    def encode(self, x: Any) -> str | bytes:
        assert self._codec is not None
        data = self._codec.encode(x)
        return data.decode() if self._is_text else data
