"""Requests of an HTTP server: limits while they arrive, and their answers."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, Protocol

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    ResponseStartLine,
)
from tornado.iostream import IOStream

from rapidz.connectors.net.listener import logger
from rapidz.connectors.net.sockets import probe_peer

_MAX_HEADER_SIZE = 1 << 14
#: Bytes of the body of a refused request that are read, so that the client sees the answer.
_DISCARDED = 1 << 22


class Answer(NamedTuple):
    """Answer to a request."""

    status: int
    reason: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False
    """Whether the connection is closed after it."""


class RequestTaker(Protocol):
    """Source, as far as its server knows it."""

    max_size: int
    max_clients: int
    timeout: float | None
    _ssl: Any

    def refuse(self, method: str, path: str, authorization: str, length: int) -> Answer | None: ...
    def too_large(self) -> Answer: ...
    async def take_body(self, body: bytes) -> Answer: ...


class RequestServer(HTTPServer):
    """HTTP server that gives the bodies of requests to a source."""

    source: RequestTaker
    requests: set[RequestReader]
    stopping: bool

    def initialize(self, source: RequestTaker, options: dict[str, Any]) -> None:  # type: ignore[override]
        """Configure the server; called by its base class."""
        self.source, self.requests, self.stopping = source, set(), False
        super().initialize(lambda request: None, **_options(source, options))

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        if len(self._connections) >= self.source.max_clients:
            count = len(self._connections)
            logger.warning("%s: %d clients: another one was refused", self.source, count)
            stream.close()
            return
        probe_peer(stream.socket)
        super().handle_stream(stream, address)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        return RequestReader(self, server_conn, request_conn)

    def close_idle(self) -> None:
        """Close the connections that wait for a request, the others after their answers."""
        self.stopping = True
        busy = {id(reader.server_connection) for reader in self.requests}
        for connection in list(self._connections):
            if id(connection) not in busy:
                connection.stream.close()


class RequestReader(HTTPMessageDelegate):
    """Receives one request within its limits, and answers it."""

    def __init__(self, server: RequestServer, server_connection: Any, connection: Any) -> None:
        self._server, self._source = server, server.source
        self.server_connection: HTTP1ServerConnection = server_connection
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._is_head = self._answered = False
        self._refusal: Answer | None = None

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        method, path = start_line.method, start_line.path.partition("?")[0]
        self._is_head = method == "HEAD"
        length = headers.get("Content-Length", "0")
        size = int(length[:18]) if length.isascii() and length.isdigit() else 0
        self._refusal = self._source.refuse(method, path, headers.get("Authorization", ""), size)
        if self._refusal is not None and (size > _DISCARDED or "Expect" in headers):
            self._answer(self._refusal, closes=True)

    def data_received(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._refusal is None and self._size > self._source.max_size:
            self._refusal = self._source.too_large()
        if self._refusal is None:
            self._parts.append(chunk)
            return
        self._parts.clear()
        if self._size > _DISCARDED:
            self._answer(self._refusal, closes=True)

    def finish(self) -> None:
        if self._refusal is not None:
            self._answer(self._refusal)
            return
        self._server.requests.add(self)
        task = asyncio.ensure_future(self._process(b"".join(self._parts)))
        task.add_done_callback(self._finished)
        self._parts.clear()

    def on_connection_close(self) -> None:
        self._parts.clear()
        self._answered = True

    async def _process(self, body: bytes) -> None:
        self._answer(await self._source.take_body(body))

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._server.requests.discard(self)
        if task.cancelled():
            self._connection.close()
        elif (error := task.exception()) is not None:
            logger.error("%s: a request was not answered", self._source, exc_info=error)
            self._connection.close()

    def _answer(self, answer: Answer, closes: bool = False) -> None:
        """Send an answer, unless one was sent or the client has left."""
        if self._answered:
            return
        self._answered = True
        connection, closes = self._connection, closes or answer.closes or self._server.stopping
        length = str(len(answer.body))
        headers = HTTPHeaders({"Content-Type": "text/plain", "Content-Length": length})
        for name, value in (*answer.headers, *((("Connection", "close"),) if closes else ())):
            headers.add(name, value)
        start = ResponseStartLine("HTTP/1.1", answer.status, answer.reason)
        body = None if self._is_head else answer.body or None
        written = connection.write_headers(start, headers, body)
        connection.finish()
        if closes:
            stream = self.server_connection.stream
            written.add_done_callback(lambda _: stream.close())


def _options(source: RequestTaker, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "ssl_options": source._ssl,
        "max_header_size": _MAX_HEADER_SIZE,
        "idle_connection_timeout": source.timeout,
        "body_timeout": source.timeout,
        "max_body_size": 1 << 62,  # the reader limits the size, and answers
        **given,
    }
