"""HTTP clients: a source that polls a URL, and a sink that sends elements to one."""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

from rapidz.connectors.codecs import Codec, read_codec
from rapidz.connectors.net.http_client import HttpConnection, HttpReply, HttpStatusError
from rapidz.connectors.net.sockets import read_limit
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_choice, check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sinks.writer import Writer
from rapidz.sinks.writer_sink import WriterSink
from rapidz.sources.base import LiveInterval, Source
from rapidz.sources.restart import Restart

T = TypeVar("T")

#: Seconds that a server may ask to wait by ``Retry-After``.
_MAX_RETRY_AFTER = 60.0
_CONTENT_TYPES = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "msgpack": "application/msgpack",
    "csv": "text/csv; charset=utf-8",
    "jsonlines": "application/x-ndjson",
}


@Stream.register_api(staticmethod)
class from_http(Source[Any]):
    """Request a URL at every interval, and emit the body of each new answer.

    Sends the ``ETag`` and ``Last-Modified`` of the last answer back, so that a server which
    knows them answers 304 when nothing has changed, and nothing is emitted.  A server
    that sends neither gives an element at every interval; `unique` drops repetitions.  Changes
    between two requests are not noticed.  Applies back pressure to itself: the next request
    waits until downstream has capacity.  Ends when stopped.

    An answer 5xx, 408, 425 or 429, a time-out and a lost connection are transient: the source
    tries again, with back-off.  Any other error is final.

    Parameters
    ----------
    url : str
        What to request, http or https.
    poll_interval : float or str
        Seconds, or a string such as ``"10s"``, between two requests.
    headers : dict, optional
        Sent with every request.
    timeout : float or str, optional
        The time that an answer may take.
    ssl : ssl.SSLContext, optional
        For https; by default the certificate of the server is verified.
    max_size : int
        Bytes of an answer.
    codec : str, Codec or pair of functions, optional
        Decodes the body; what it cannot decode goes to the policy of the source.
    type : type, optional
        The type of the elements, for the codec.
    **kwargs
        Options of every `Source`; *restart* tries again by default.

    >>> source = Stream.from_http("https://example.org/rates", "1 min", codec="json")
    >>> source.state
    'new'
    """

    infinite: ClassVar[bool | None] = True
    seekable: ClassVar[bool] = True
    default_restart: ClassVar[Restart | None] = Restart()
    poll_interval: LiveInterval = LiveInterval()

    def __init__(
        self,
        url: str,
        poll_interval: Interval = 1.0,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Interval | None = "30s",
        ssl: tls.SSLContext | None = None,
        max_size: int = 1 << 24,
        codec: Any = None,
        type: Any = None,
        **kwargs: Any,
    ) -> None:
        check_count("from_http", "max_size", max_size)
        self.poll_interval = poll_interval
        limit = read_limit("from_http", "timeout", timeout)
        self._client = HttpConnection("from_http", url, headers, ssl, limit, max_size)
        self._codec: Codec[Any] | None = None
        if codec is not None or type is not None:
            self._codec = read_codec("from_http", "raw" if codec is None else codec, type)
        self._validators: dict[str, str] = {}
        super().__init__(**kwargs)

    def position(self) -> dict[str, str]:
        """Return the headers by which the server knows the last answer that was emitted."""
        return dict(self._validators)

    def seek(self, position: Any) -> None:
        """Emit the next answer that differs from the one of *position*."""
        if not isinstance(position, dict):
            raise TypeError(f"from_http: position must be a dict, got {short_repr(position)}")
        self._validators = dict(position)

    async def run(self) -> None:
        clock = self._pipeline.clock
        instant = clock.time()
        try:
            while self._may_emit():
                reply = await self._client.request("GET", None, self._validators, follow=True)
                await self._take(reply)
                instant = max(instant + self.poll_interval, clock.time())
                await clock.sleep_until(instant)
        finally:
            self._client.close()

    async def _take(self, reply: HttpReply) -> None:
        if reply.status not in (200, 203, 204, 304):
            raise HttpStatusError("from_http", "GET", self._client.shown_url, reply)
        self.connected()
        if reply.status in (204, 304):
            return
        known = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
        self._validators = {
            ask: reply.headers[name] for ask, name in known.items() if name in reply.headers
        }
        if self._codec is None:
            await self.emit(reply.body, asynchronous=True)
        else:
            await self.emit_decoded(reply.body, self._codec.decode)

    def _is_transient(self, error: Exception) -> bool:
        return is_transient(error, super()._is_transient(error))


class HttpWriter(Writer[Any]):
    """Writer of requests to one URL."""

    transient: ClassVar[tuple[type[Exception], ...]] = (OSError, EOFError, TimeoutError)
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self, client: HttpConnection, method: str, codec: Codec[Any], array: bool, batched: bool
    ) -> None:
        self._client, self._method, self._codec = client, method, codec
        self._array, self._batched = array, batched
        self._not_before = 0.0

    async def open(self) -> None:
        await asyncio.sleep(self._not_before - asyncio.get_running_loop().time())
        await self._client.connect()

    def encode(self, x: Any) -> bytes:
        data = self._codec.encode(x)
        if self._batched and not self._array and b"\n" in data:
            raise ValueError("to_http: an element of a batch of lines must contain no newline")
        return data

    async def write(self, payload: bytes) -> None:
        reply = await self._client.request(self._method, payload)
        if not 200 <= reply.status < 300:
            error = HttpStatusError("to_http", self._method, self._client.shown_url, reply)
            wait = error.retry_after or ""
            if wait.isascii() and wait.isdigit():
                pause = min(float(wait[:9]), _MAX_RETRY_AFTER)
                self._not_before = asyncio.get_running_loop().time() + pause
            raise error

    async def write_many(self, payloads: Sequence[bytes]) -> None:
        if self._array:
            await self.write(b"[" + b",".join(payloads) + b"]")
        else:
            await self.write(b"".join(payload + b"\n" for payload in payloads))

    async def close(self) -> None:
        self._client.close()

    def is_transient(self, error: Exception) -> bool:
        return is_transient(error, super().is_transient(error))


@Stream.register_api()
class to_http(WriterSink[T]):
    """Send every element to a URL, one request after the other, or a batch in each request.

    Applies back pressure until the server has answered.  An answer 2xx is success.  After an
    answer 5xx, 408, 425 or 429, a time-out or a lost connection, the sink sends the same request
    again, with back-off, and not before the time in ``Retry-After``: at least once, and a
    request whose answer was lost arrives twice.  Any other answer is a failure of the elements in
    the request, `HttpStatusError`, for the policy of the sink.

    Parameters
    ----------
    url : str
        Where to send, http or https.
    method : str
        ``"POST"``, ``"PUT"``, ``"PATCH"`` or ``"DELETE"``.
    headers : dict, optional
        Sent with every request.  ``Content-Type`` follows from the codec unless given.
    codec : str, Codec or pair of functions, optional
        Encodes an element; by default bytes are sent as they are, and a str in UTF-8.
    batch_format : str
        The body of a batch: ``"lines"``, elements with a newline after each, or ``"array"``, one
        JSON array, for the codec ``"json"``.
    timeout : float or str, optional
        Seconds, or a string such as ``"30s"``, that an answer may take.
    ssl : ssl.SSLContext, optional
        For https; by default the certificate of the server is verified.
    **kwargs
        Options of `WriterSink`: batch, max_bytes, max_wait, restart; and of every `Stream`.

    >>> source = Stream()
    >>> node = source.to_http("https://example.org/events", codec="json", batch=100, max_wait="1s")
    """

    def __init__(
        self,
        upstream: Stream[T],
        url: str,
        method: str = "POST",
        *,
        headers: Mapping[str, str] | None = None,
        codec: Any = "raw",
        batch_format: Literal["lines", "array"] = "lines",
        timeout: Interval | None = "30s",
        ssl: tls.SSLContext | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("to_http", "method", method, ("POST", "PUT", "PATCH", "DELETE"))
        check_choice("to_http", "batch_format", batch_format, ("lines", "array"))
        array = batch_format == "array"
        read = read_codec("to_http", codec)
        if array and read.name != "json":
            raise ValueError(f"to_http: batch_format 'array' needs codec 'json', got {read.name!r}")
        batched = kwargs.get("batch", 1) != 1 or kwargs.get("max_wait") is not None
        name = "jsonlines" if batched and not array and read.name == "json" else read.name
        sent = {"Content-Type": _CONTENT_TYPES.get(name, "application/octet-stream")}
        given = {str(key).lower() for key in headers or ()}
        if "content-type" in given:
            sent = {}
        limit = read_limit("to_http", "timeout", timeout)
        client = HttpConnection("to_http", url, {**sent, **(headers or {})}, ssl, limit)
        writer = HttpWriter(client, method, read, array, batched)
        super().__init__(upstream, writer, **kwargs)


def is_transient(error: Exception, otherwise: bool) -> bool:
    """Return whether a request that has failed with *error* may succeed later."""
    if isinstance(error, HttpStatusError):
        return error.is_transient
    return otherwise and not isinstance(error, tls.SSLCertVerificationError)
