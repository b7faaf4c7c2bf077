"""Typed methods of the connectors: web."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

import ssl as tls
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Unpack

from rapidz._menu.types import ElementType, SourceOptions, T, WriterOptions

if TYPE_CHECKING:
    from rapidz.connectors import http, http_server, process, sse, tcp, websocket
    from rapidz.kernel.protocol.intervals import Interval


class WebSources(ElementType[T]):
    """Sources, as static methods: ``Stream.from_x(...)``."""

    @staticmethod
    def from_tcp(
        port: int,
        delimiter: bytes = b"\n",
        server_kwargs: dict[str, Any] | None = None,
        *,
        host: str = "127.0.0.1",
        max_size: int = 1 << 20,
        timeout: Interval | None = "30s",
        idle_timeout: Interval | None = None,
        max_clients: int = 1000,
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> tcp.from_tcp:
        """Listen on a TCP port, and emit what clients send, frame by frame."""

    @staticmethod
    def from_http_server(
        port: int,
        path: str = "/.*",
        server_kwargs: dict[str, Any] | None = None,
        *,
        host: str = "127.0.0.1",
        methods: Sequence[str] = ("POST", "PUT"),
        token: str | None = None,
        answer: Literal["done", "accepted"] = "done",
        answer_timeout: Interval | None = "60s",
        max_size: int = 1 << 20,
        max_pending: int = 100,
        busy: Literal["reject", "wait"] = "reject",
        max_clients: int = 1000,
        timeout: Interval = "30s",
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> http_server.from_http_server:
        """Listen for HTTP requests, and emit their bodies."""

    @staticmethod
    def from_http(
        url: str,
        poll_interval: Interval = 1.0,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Interval | None = "30s",
        ssl: tls.SSLContext | None = None,
        max_size: int = 1 << 24,
        codec: Any = None,
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> http.from_http:
        """Request a URL at every interval, and emit the body of each new answer."""

    @staticmethod
    def from_sse(
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
        **options: Unpack[SourceOptions],
    ) -> sse.from_sse:
        """Follow a stream of server-sent events, and emit each event."""

    @staticmethod
    def from_websocket(
        host: str,
        port: int,
        serve_kwargs: dict[str, Any] | None = None,
        *,
        max_size: int = 1 << 20,
        timeout: Interval = "20s",
        max_clients: int = 1000,
        token: str | None = None,
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> websocket.from_websocket:
        """Listen for WebSocket connections, and emit the messages of the clients."""

    @staticmethod
    def from_websocket_client(
        uri: str,
        ws_kwargs: dict[str, Any] | None = None,
        *,
        subscribe: Iterable[str | bytes] = (),
        headers: Mapping[str, str] | None = None,
        max_size: int = 1 << 20,
        timeout: Interval = "20s",
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> websocket.from_websocket_client:
        """Connect to a WebSocket server, and emit its messages."""

    @staticmethod
    def from_process(
        cmd: str | Sequence[str | PathLike[str]],
        open_kwargs: dict[str, Any] | None = None,
        with_stderr: bool = False,
        with_end: bool = True,
        *,
        check: bool = True,
        grace: Interval = "5s",
        max_size: int = 1 << 20,
        codec: Any = None,
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> process.from_process:
        """Run a command, and emit the lines that it writes to standard output."""


class WebSinks(ElementType[T]):
    """Sinks, as methods of the stream that they consume."""

    def to_tcp(
        self,
        host: str,
        port: int,
        delimiter: bytes = b"\n",
        *,
        ssl: bool | tls.SSLContext = False,
        codec: Any = "raw",
        timeout: Interval | None = "30s",
        **options: Unpack[WriterOptions],
    ) -> tcp.to_tcp[T]:
        """Send every element to a TCP server, as a frame that ends with the delimiter."""

    def to_http(
        self,
        url: str,
        method: str = "POST",
        *,
        headers: Mapping[str, str] | None = None,
        codec: Any = "raw",
        batch_format: Literal["lines", "array"] = "lines",
        timeout: Interval | None = "30s",
        ssl: tls.SSLContext | None = None,
        **options: Unpack[WriterOptions],
    ) -> http.to_http[T]:
        """Send every element to a URL, one request after the other, or a batch in each request."""

    def to_websocket(
        self,
        uri: str,
        ws_kwargs: dict[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Interval = "20s",
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        **options: Unpack[WriterOptions],
    ) -> websocket.to_websocket[T]:
        """Send every element to a WebSocket server, as a message."""
