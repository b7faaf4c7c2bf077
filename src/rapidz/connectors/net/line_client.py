"""TCP client that only writes: back pressure, loss of the connection, and an orderly close."""

from __future__ import annotations

import asyncio
import ssl as tls
from typing import cast

from rapidz.connectors.net.sockets import probe_peer

_CLOSE_TIMEOUT = 5.0


class LineClient(asyncio.Protocol):
    """Connection to a server; discards what the server sends."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._lost: asyncio.Future[None] = loop.create_future()
        self._lost.add_done_callback(lambda lost: lost.exception())
        self._writable: asyncio.Future[None] | None = None

    @classmethod
    async def connect(cls, host: str, port: int, ssl: tls.SSLContext | None) -> LineClient:
        """Return a client that is connected."""
        _, protocol = await asyncio.get_running_loop().create_connection(cls, host, port, ssl=ssl)
        return protocol

    async def write(self, data: bytes) -> None:
        """Send *data*; return when there is capacity for more."""
        if self._lost.done():
            self._raise_lost()
        assert self._transport is not None
        self._transport.write(data)
        if self._lost.done():
            self._raise_lost()
        if (writable := self._writable) is not None:
            await asyncio.wait([writable, self._lost], return_when=asyncio.FIRST_COMPLETED)
            if not writable.done():
                self._raise_lost()

    async def close(self) -> None:
        """Send what is left and the end of the data, and wait for the end of the connection."""
        transport = self._transport
        if transport is None or self._lost.done():
            return
        try:
            transport.close() if not transport.can_write_eof() else transport.write_eof()
            await asyncio.wait([self._lost], timeout=_CLOSE_TIMEOUT)
        finally:
            transport.abort()

    def _raise_lost(self) -> None:
        self._lost.result()
        raise ConnectionResetError("to_tcp: the server has closed the connection")

    # --- called by the transport -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        probe_peer(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._lost.done():
            if exc is None:
                self._lost.set_result(None)
            else:
                self._lost.set_exception(exc)

    def eof_received(self) -> None:
        """Close: a server that sends its end has no more use for what we send."""

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)
