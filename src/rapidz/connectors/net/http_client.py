"""HTTP client: one connection to one server, kept open between requests, with back pressure."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl as tls
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn
from urllib.parse import SplitResult, urljoin, urlunsplit

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import Resolver
from tornado.tcpclient import TCPClient

from rapidz.connectors.net.sockets import probe_peer
from rapidz.connectors.net.urls import base_headers, check_url, host_of, origin_of, shown
from rapidz.kernel.protocol.short_repr import short_repr

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_CHUNK = 1 << 16
#: Headers that are sent to the server of the URL alone, never to the target of a redirect.
_PRIVATE = ("Authorization", "Cookie", "Proxy-Authorization")


@dataclass(frozen=True)
class StreamedBody:
    """How to receive a long answer; the next part is read when *on_data* returns.

    Parameters
    ----------
    on_data : async callable
        Gets each part of the body.
    on_open : callable
        Called when the headers have arrived.
    media_type : str
        An answer of another type is an error.
    idle : float, optional
        Seconds without a part after which the connection is lost.
    """

    on_data: Callable[[bytes], Awaitable[None]]
    on_open: Callable[[], object]
    media_type: str
    idle: float | None = None


class HttpReply(NamedTuple):
    """Answer of a server."""

    status: int
    reason: str
    headers: HTTPHeaders
    body: bytes


class HttpStatusError(RuntimeError):
    """Answer that is an error; a `ConnectionError` takes its place where no answer arrived.

    Attributes
    ----------
    status : int
        The status code.
    body : bytes
        The beginning of the answer.
    """

    def __init__(self, operator: str, method: str, url: str, reply: HttpReply) -> None:
        self.status, self.body = reply.status, reply.body[:1000]
        self.retry_after = reply.headers.get("Retry-After")
        answer = f"{reply.status} {reply.reason}".strip()
        super().__init__(f"{operator}: {method} {url} was answered with {answer}")

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status >= 500 or self.status in (408, 425, 429)


class HttpConnection:
    """Client of one URL; sends one request at a time.

    Keeps the connection open for the next request, and opens a new one if the server has
    closed it.  Every failure of the network is an `OSError`.

    Parameters
    ----------
    operator : str
        For messages.
    url : str
        ``http`` or ``https``; a user and a password in it are sent as basic authentication.
    headers : mapping, optional
        Sent with every request.
    ssl : ssl.SSLContext, optional
        For https; by default the certificate of the server is verified.
    timeout : float, optional
        Seconds for a connection, and for a whole answer, or its headers if it is streamed.
    max_size : int
        Bytes of an answer, unless it is streamed.
    """

    def __init__(
        self,
        operator: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        ssl: tls.SSLContext | None = None,
        timeout: float | None = 30.0,
        max_size: int = 1 << 24,
    ) -> None:
        self._operator, self._timeout, self._max_size = operator, timeout, max_size
        self._url = check_url(operator, url)
        self.shown_url = shown(self._url)
        """The URL without what may be secret."""
        self._headers = base_headers(operator, self._url, headers)
        self._ssl = ssl
        self._stream: IOStream | None = None
        self._origin: tuple[str, str, int] | None = None
        self._used = False

    async def request(
        self,
        method: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        streaming: StreamedBody | None = None,
        follow: bool = False,
    ) -> HttpReply:
        """Send a request, and return the answer.

        Parameters
        ----------
        method : str
            The method.
        body : bytes, optional
            The body.
        headers : mapping, optional
            Further headers.
        streaming : StreamedBody, optional
            Receives the body of an answer with status 200, part by part.
        follow : bool
            Whether to follow redirects, of requests without a body.
        """
        url, sent = self._url, HTTPHeaders({**self._headers, **(headers or {})})
        for _ in range(_MAX_REDIRECTS + 1):
            reply = await self._send(url, method, body, sent, streaming)
            target = reply.headers.get("Location")
            if not (follow and body is None and target and reply.status in _REDIRECTS):
                return reply
            url, before = check_url(self._operator, urljoin(urlunsplit(url), target)), url
            if origin_of(url) != origin_of(before):
                if before.scheme == "https" and url.scheme != "https":
                    raise ConnectionError(f"{self._operator}: redirect from https to {shown(url)}")
                for name in _PRIVATE:
                    sent.pop(name, None)
        raise ConnectionError(f"{self._operator}: {self.shown_url} redirects too often")

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    async def connect(self) -> None:
        """Connect, if there is no open connection."""
        try:
            await self._connect(self._url)
        except BaseException as error:
            self._raise_for(error, self._url)

    # --- one request -----------------------------------------------------------------------

    async def _send(
        self,
        url: SplitResult,
        method: str,
        body: bytes | None,
        headers: HTTPHeaders,
        streaming: StreamedBody | None,
    ) -> HttpReply:
        try:
            reused = await self._connect(url)
            try:
                return await self._exchange(url, method, body, headers, streaming)
            except StreamClosedError:
                if not reused:
                    raise
            self.close()  # the server had closed the kept connection: nothing was answered
            await self._connect(url)
            return await self._exchange(url, method, body, headers, streaming)
        except BaseException as error:
            self._raise_for(error, url)

    def _raise_for(self, error: BaseException, url: SplitResult) -> NoReturn:
        """Close, and raise what *error* means."""
        self.close()
        if isinstance(error, StreamClosedError):
            cause = error.real_error
            if isinstance(cause, tls.SSLError):  # it says what is wrong about the certificate
                raise cause from None
            said = "" if cause is None else f": {cause}"
            raise ConnectionError(
                f"{self._operator}: {shown(url)} closed the connection{said}"
            ) from None
        if isinstance(error, TimeoutError) and not error.args:
            raise TimeoutError(f"{self._operator}: {shown(url)} did not answer in time") from None
        raise error

    async def _connect(self, url: SplitResult) -> bool:
        """Connect to the server of *url*; return whether the connection was used before."""
        origin, stream = origin_of(url), self._stream
        if stream is not None and not stream.closed() and origin == self._origin:
            return self._used
        self.close()
        scheme, host, port = origin
        context = None
        if scheme == "https":
            context = self._ssl = self._ssl or tls.create_default_context()
        async with asyncio.timeout(self._timeout):
            self._stream = await TCPClient(_Resolver()).connect(
                host, port, ssl_options=context, max_buffer_size=self._max_size + (1 << 20)
            )
        probe_peer(self._stream.socket)
        self._stream.set_nodelay(True)
        self._origin, self._used = origin, False
        return False

    async def _exchange(
        self,
        url: SplitResult,
        method: str,
        body: bytes | None,
        headers: HTTPHeaders,
        streaming: StreamedBody | None,
    ) -> HttpReply:
        stream = self._stream
        assert stream is not None
        limit = (1 << 62) if streaming is not None else self._max_size
        parameters = HTTP1ConnectionParameters(max_body_size=limit, decompress=True)
        connection = HTTP1Connection(stream, True, parameters)
        encoding = "identity" if streaming is not None else "gzip"
        sent = HTTPHeaders({"Host": host_of(url), "Accept-Encoding": encoding})
        sent.update(headers)
        if body is not None:
            sent["Content-Length"] = str(len(body))
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        reader = _ReplyReader(connection, streaming, self._max_size)
        async with asyncio.timeout(self._timeout) as limit_of_time:
            reader.limit_time = limit_of_time.reschedule
            start = RequestStartLine(method, target, "HTTP/1.1")
            connection.write_headers(start, sent, body or None)
            connection.finish()
            try:
                is_open = await connection.read_response(reader)
                if reader.detached is not None:
                    await reader.read_until_close(reader.detached)
            except StreamClosedError:
                if reader.error is None:
                    raise
                is_open = False
        if reader.error is not None:
            raise reader.error
        if not reader.complete or reader.start is None:
            raise ConnectionError(f"{self._operator}: {shown(url)} sent no complete answer")
        self._used = is_open and not stream.closed() and reader.keeps_alive()
        if not self._used:
            self.close()
        return HttpReply(
            reader.start.code, reader.start.reason, reader.headers, b"".join(reader.parts)
        )


class _ReplyReader(HTTPMessageDelegate):
    """Receives one answer; keeps what fails for the caller, so that nothing logs it."""

    def __init__(
        self, connection: HTTP1Connection, streaming: StreamedBody | None, max_size: int
    ) -> None:
        self._connection, self._streaming = connection, streaming
        self._max_size, self._size = max_size, 0
        self._streams = False
        self.limit_time: Callable[[float | None], None] = lambda instant: None
        self.start: ResponseStartLine | None = None
        self.headers = HTTPHeaders()
        self.parts: list[bytes] = []
        self.complete = False
        self.detached: IOStream | None = None
        """The connection of a streamed answer that ends with the connection."""
        self.error: BaseException | None = None

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        self.start, self.headers = start_line, headers
        streaming = self._streaming
        if streaming is None or start_line.code != 200:
            return
        found = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if found != streaming.media_type:
            self._fail(
                ValueError(f"the answer must be {streaming.media_type}, got {short_repr(found)}")
            )
            return
        self._streams = True
        streaming.on_open()
        self._limit_idle(streaming)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            self.detached = self._connection.detach()  # older versions of Tornado do not stream it

    async def data_received(self, chunk: bytes) -> None:
        streaming = self._streaming
        if streaming is None or not self._streams:
            self._size += len(chunk)
            if self._size > self._max_size:  # also after decompression
                self._fail(ConnectionError(f"the answer is longer than {self._max_size} bytes"))
            elif self.error is None:
                self.parts.append(chunk)
            return
        if self.error is not None:
            return
        self.limit_time(None)
        try:
            await streaming.on_data(chunk)
        except BaseException as error:  # Tornado would log even a cancellation
            self._fail(error)
        else:
            self._limit_idle(streaming)

    def _limit_idle(self, streaming: StreamedBody) -> None:
        idle = streaming.idle
        self.limit_time(None if idle is None else asyncio.get_running_loop().time() + idle)

    def _fail(self, error: BaseException) -> None:
        self.error = error
        if self.detached is not None:
            self.detached.close()
        else:
            self._connection.close()

    async def read_until_close(self, stream: IOStream) -> None:
        """Read the body of an answer that ends with its connection."""
        while self.error is None:
            try:
                chunk = await stream.read_bytes(_CHUNK, partial=True)
            except StreamClosedError:
                self.complete = self.error is None
                return
            await self.data_received(chunk)

    def finish(self) -> None:
        self.complete = True

    def keeps_alive(self) -> bool:
        """Return whether the server leaves the connection open."""
        assert self.start is not None
        option = self.headers.get("Connection", "").lower()
        return option != "close" and (self.start.version == "HTTP/1.1" or option == "keep-alive")


class _Resolver(Resolver):
    """Resolver that asks the system only for names, not for addresses."""

    async def resolve(self, host: str, port: int, family: Any = 0) -> list[tuple[int, Any]]:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            flags = socket.AI_NUMERICHOST
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
            return [(family, address) for family, _, _, _, address in found]
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]
