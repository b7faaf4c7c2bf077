"""WebSocket connections: the client library, its options, and the check that a peer is alive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl as tls
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from rapidz.connectors.extras import require
from rapidz.connectors.net.sockets import probe_peer
from rapidz.connectors.secrets import short_hidden_repr
from rapidz.kernel.protocol.short_repr import short_repr

#: Log of the client library, which reports every malformed handshake as an error, and headers.
library_log = logging.getLogger("rapidz.sources.websockets")
library_log.setLevel(logging.CRITICAL)

#: Close codes of peers that leave, in order or by the loss of the connection.
LOST = (1000, 1001, 1005, 1006)


def websockets_library(operator: str) -> Any:
    """Return the parts of the library that the connectors use; says what to install."""
    base = require(operator, "websockets", extra="websocket")
    try:
        server = require(operator, "websockets.asyncio.server", extra="websocket")
    except ImportError:
        found = getattr(base, "__version__", "unknown")
        raise ImportError(
            f"{operator}: needs websockets 13 or later, found {found}: "
            "pip install -U 'rapidz[websocket]'"
        ) from None
    client = require(operator, "websockets.asyncio.client", extra="websocket")
    failures = require(operator, "websockets.exceptions", extra="websocket")
    protocol = require(operator, "websockets.protocol", extra="websocket")
    return SimpleNamespace(
        server=server,
        client=client,
        connecting=protocol.State.CONNECTING,
        ConnectionClosed=failures.ConnectionClosed,
        ConnectionClosedOK=failures.ConnectionClosedOK,
        InvalidStatus=failures.InvalidStatus,
        InvalidHandshake=failures.InvalidHandshake,
    )


def limited_connection(library: Any, opened: set[Any], limit: int) -> Any:
    """Return the class of a server's connections, which closes those beyond *limit* at once.

    The library calls no function of ours before the end of the opening handshake.  *opened* has
    the connections, those in their handshake too.
    """

    class LimitedConnection(library.server.ServerConnection):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            if len(opened) >= limit:
                transport.abort()
            else:
                opened.add(self)
                super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            if self in opened:
                opened.discard(self)
                super().connection_lost(exc)

    return LimitedConnection


class ClientOptions:
    """How a client connects to one server."""

    def __init__(
        self,
        operator: str,
        uri: str,
        ws_kwargs: dict[str, Any] | None,
        headers: Mapping[str, str] | None,
        ssl: tls.SSLContext | None,
        timeout: float,
        max_size: int,
    ) -> None:
        self.library = websockets_library(operator)
        self._uri = _check_uri(operator, uri)
        given = dict(ws_kwargs or {})
        self.ping = None if "ping_interval" in given else timeout
        """Seconds between pings that the connector sends; None: the library sends them."""
        self._options: dict[str, Any] = {
            "max_size": max_size,
            "open_timeout": timeout,
            "ping_interval": None,  # the library would disconnect under back pressure
            "close_timeout": min(timeout, 10.0),
            "logger": library_log,
        }
        if headers:
            self._options["additional_headers"] = dict(headers)
        if ssl is not None:
            self._options["ssl"] = ssl
        self._options.update(given)

    async def connect(self) -> Any:
        """Return a connection."""
        connection = await self.library.client.connect(self._uri, **self._options)
        probe_peer(connection.transport.get_extra_info("socket"))
        return connection


class PeerActivity:
    """What a connection does: whether it waits for a message, or processes one."""

    __slots__ = ("busy", "received")

    def __init__(self) -> None:
        self.busy, self.received = False, 0

    def waits_since(self, received: int) -> bool:
        """Return whether the connection waits for a message since that many were received."""
        return not self.busy and self.received == received


@contextlib.asynccontextmanager
async def keep_alive(connection: Any, interval: float | None) -> AsyncIterator[PeerActivity]:
    """Ping a silent peer, and lose the connection if it does not answer.

    A connection that processes a message is not pinged: under back pressure it does not read
    the answers.
    """
    activity = PeerActivity()
    if interval is None:
        yield activity
        return
    task = asyncio.ensure_future(_ping(connection, interval, activity))
    try:
        yield activity
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _ping(connection: Any, interval: float, activity: PeerActivity) -> None:
    seen = -1
    while True:
        await asyncio.sleep(interval)
        if not activity.waits_since(seen):
            seen = activity.received
            continue
        try:
            answer = await connection.ping()
            async with asyncio.timeout(interval):
                await answer
        except TimeoutError:
            if activity.waits_since(seen):
                connection.transport.abort()
                return
        except Exception:  # the connection was closed, which the reader notices
            return


def is_transient(library: Any, error: Any, otherwise: bool) -> bool:
    """Return whether a new connection may succeed after *error*."""
    if isinstance(error, library.ConnectionClosed):
        return not (error.sent is not None and error.sent.code in (1002, 1007, 1009))
    if isinstance(error, library.InvalidStatus):
        status = error.response.status_code
        return status >= 500 or status in (408, 425, 429)
    if isinstance(error, library.InvalidHandshake):
        return True  # no or half an answer
    return otherwise and not isinstance(error, tls.SSLCertVerificationError)


def as_bytes(message: str | bytes) -> bytes:
    """Return a message as a codec reads it."""
    return message if isinstance(message, bytes) else message.encode()


def _check_uri(operator: str, uri: object) -> str:
    """Return the address of a server; a message shows no more than its scheme and host.

    >>> _check_uri("to_websocket", "http://host/?token=secret")
    Traceback (most recent call last):
    ...
    ValueError: to_websocket: uri must be a ws or wss URI, got 'http://host'
    """
    if not isinstance(uri, str):
        raise TypeError(f"{operator}: uri must be a str, got {short_hidden_repr(uri)}")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{operator}: uri must be a ws or wss URI, got one malformed") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        shown = f"{parts.scheme}://{parts.hostname or ''}"
        raise ValueError(f"{operator}: uri must be a ws or wss URI, got {short_repr(shown)}")
    return uri
