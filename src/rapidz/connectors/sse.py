"""Server-sent events: a source that follows the event stream of a web server."""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Mapping
from typing import Any, ClassVar

from rapidz.connectors.codecs import Codec, read_codec
from rapidz.connectors.net.event_stream import EventStreamParser, ServerSentEvent
from rapidz.connectors.net.http_client import HttpConnection, HttpStatusError, StreamedBody
from rapidz.connectors.net.sockets import read_limit
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart

#: Seconds that a server may ask to wait before a new connection.
_MAX_RETRY = 3600.0


@Stream.register_api(staticmethod)
class from_sse(Source[Any]):
    """Follow a stream of server-sent events, and emit each event.

    Emits `ServerSentEvent(data, event, id)`.  While downstream has no capacity the source does
    not read, so the server waits.  When the connection is lost or the server ends it, the
    source connects again, after the time that the server asked for by ``retry:``, and sends the
    id of the last event as ``Last-Event-ID``: a server that keeps events resumes after it.  What
    a server without ids sends meanwhile is lost.  Ends when stopped, and when the server answers
    204.

    Parameters
    ----------
    url : str
        The event stream, http or https.
    headers : dict, optional
        Sent with the request.
    timeout : float or str, optional
        Seconds, or a string such as ``"30s"``, for the connection and the headers of the answer.
    idle_timeout : float or str, optional
        The time without any data, comments included, after which the connection is lost; by
        default the system alone asks whether the server is still connected.
    ssl : ssl.SSLContext, optional
        For https; by default the certificate of the server is verified.
    last_event_id : str
        Where to begin.
    max_size : int
        Characters of an event.
    codec : str, Codec or pair of functions, optional
        Decodes the data; what it cannot decode goes to the policy of the source.
    type : type, optional
        The type of the data, for the codec.
    **kwargs
        Options of every `Source`; *restart* connects again by default.

    >>> source = Stream.from_sse("https://example.org/prices", codec="json")  # doctest: +SKIP
    """

    infinite: ClassVar[bool | None] = True
    seekable: ClassVar[bool] = True
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Interval | None = "30s",
        idle_timeout: Interval | None = None,
        ssl: tls.SSLContext | None = None,
        last_event_id: str = "",
        max_size: int = 1 << 20,
        codec: Any = None,
        type: Any = None,
        **kwargs: Any,
    ) -> None:
        check_count("from_sse", "max_size", max_size)
        self.seek(last_event_id)
        self._client = HttpConnection(
            "from_sse", url, headers, ssl, read_limit("from_sse", "timeout", timeout)
        )
        self.idle_timeout = read_limit("from_sse", "idle_timeout", idle_timeout)
        self.max_size = max_size
        self._codec: Codec[Any] | None = None
        if codec is not None or type is not None:
            self._codec = read_codec("from_sse", "text" if codec is None else codec, type)
        self._retry = 0.0
        super().__init__(**kwargs)

    def position(self) -> str:
        """Return the id of the last event that was emitted."""
        return self._last_id

    def seek(self, position: Any) -> None:
        """Resume after the event with the id *position*."""
        if not isinstance(position, str) or any(c in position for c in "\r\n\0"):
            rule = "from_sse: last_event_id must be a str without line breaks"
            raise ValueError(f"{rule}, got {short_repr(position)}")
        self._last_id = position

    async def run(self) -> None:
        retry, self._retry = self._retry, 0.0
        await asyncio.sleep(retry)
        parser = EventStreamParser(self.max_size, self._last_id)

        async def receive(chunk: bytes) -> None:
            for event in parser.feed(chunk):
                self._last_id = event.id
                await self._emit_event(event)
            self._last_id = parser.resume_id

        sent = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id:
            sent["Last-Event-ID"] = self._last_id.encode().decode("latin-1")
        streaming = StreamedBody(receive, self.connected, "text/event-stream", self.idle_timeout)
        try:
            reply = await self._client.request("GET", None, sent, streaming, follow=True)
        finally:
            self._client.close()
            if parser.retry is not None:
                self._retry = min(parser.retry, _MAX_RETRY)
        if reply.status == 204:
            return
        if reply.status != 200:
            raise HttpStatusError("from_sse", "GET", self._client.shown_url, reply)
        raise EOFError(f"from_sse: {self._client.shown_url} ended the event stream")

    async def _emit_event(self, event: ServerSentEvent) -> None:
        if self._codec is None:
            await self.emit(event, asynchronous=True)
        else:
            await self.emit_decoded(event, self._decode)

    def _decode(self, event: ServerSentEvent) -> ServerSentEvent:
        assert self._codec is not None
        return event._replace(data=self._codec.decode(event.data.encode()))

    def _is_transient(self, error: Exception) -> bool:
        if isinstance(error, HttpStatusError):
            return error.is_transient
        return super()._is_transient(error) and not isinstance(error, tls.SSLCertVerificationError)
