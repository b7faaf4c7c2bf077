"""WebSockets: a server and a client as sources, and a client as sink."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ssl as tls
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from rapidz.connectors.codecs import Codec, read_codec
from rapidz.connectors.net.listener import Listener, logger
from rapidz.connectors.net.pusher import Pusher
from rapidz.connectors.net.sockets import probe_peer, read_limit, read_token
from rapidz.connectors.net.websocket_peer import (
    LOST,
    ClientOptions,
    PeerActivity,
    as_bytes,
    is_transient,
    keep_alive,
    library_log,
    limited_connection,
    websockets_library,
)
from rapidz.connectors.net.websocket_writer import EncodingWebSocketWriter, WebSocketWriter
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.failures import Raise
from rapidz.sinks.writer_sink import WriterSink
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart

T = TypeVar("T")

_MAX_SIZE = 1 << 20


@Stream.register_api(staticmethod)
class from_websocket(Listener[Any]):
    """Listen for WebSocket connections, and emit the messages of the clients.

    A text message is a str, a binary one bytes, unless a codec decodes both.  Messages of one
    client keep their order.  While downstream has no capacity the source does not read, so the
    clients wait, after 16 messages each.  Ends when stopped.

    WebSocket acknowledges nothing: what a client has sent and the pipeline has not processed is
    lost with the connection or with this program.

    Parameters
    ----------
    host : str
        The address to listen on; the empty string is every address of the machine.
    port : int
        The port; 0 for one that the system chooses, which `port` then has.
    serve_kwargs : dict, optional
        Arguments of `websockets.asyncio.server.serve`, for example origins.
    max_size : int
        Bytes of a message; a client that sends a longer one is disconnected, with code 1009.
    timeout : float or str
        Seconds, or a string such as ``"20s"``: the time for the opening handshake, for an answer to
        a ping, and between pings to a client that sends nothing.
    max_clients : int
        The clients that are connected at a time; a further one is answered with 503.
    token : str, optional
        Secret that clients must send as ``Authorization: Bearer TOKEN``; else they are answered
        with 401.
    ssl : ssl.SSLContext, optional
        Context of a server, which turns on TLS.
    codec : str, Codec or pair of functions, optional
        Decodes a message.  What it cannot decode goes to the policy of the source; without
        one, the client is disconnected, with code 1007.
    type : type, optional
        The type of the elements, for the codec.
    **kwargs
        Options of every `Source`.

    >>> source = Stream.from_websocket("127.0.0.1", 0, codec="json")
    >>> source.state
    'new'
    """

    def __init__(
        self,
        host: str,
        port: int,
        serve_kwargs: dict[str, Any] | None = None,
        *,
        max_size: int = _MAX_SIZE,
        timeout: Interval = "20s",
        max_clients: int = 1000,
        token: str | None = None,
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        type: Any = None,
        **kwargs: Any,
    ) -> None:
        name = "from_websocket"
        self._library = websockets_library(name)
        check_count(name, "max_size", max_size)
        self._token = read_token(name, token)
        self.serve_kwargs, self.max_size = serve_kwargs, max_size
        self.timeout = read_limit(name, "timeout", timeout) or 20.0
        self._codec: Codec[Any] | None = None
        if codec is not None or type is not None:
            self._codec = read_codec(name, "raw" if codec is None else codec, type)
        self._clients = 0
        super().__init__(port, host=host, max_clients=max_clients, ssl=ssl, **kwargs)

    @contextlib.asynccontextmanager
    async def _serving(self, sockets: Sequence[Any]) -> AsyncIterator[None]:
        given, opened = dict(self.serve_kwargs or {}), set[Any]()
        self._own_request_check = given.pop("process_request", None)
        options = {
            "ssl": self._ssl,
            "max_size": self.max_size,
            "open_timeout": self.timeout,
            "ping_interval": None,  # the library would disconnect clients under back pressure
            "close_timeout": 2.0,
            "logger": library_log,
            "create_connection": limited_connection(self._library, opened, 2 * self.max_clients),
            **given,
        }
        servers: list[Any] = []
        try:
            for each in sockets:
                servers.append(
                    await self._library.server.serve(
                        self._receive, sock=each, process_request=self._check, **options
                    )
                )
            self.server = servers[0]
            yield
        finally:
            for server in servers:
                server.close()
            for connection in list(opened):
                if connection.protocol.state is self._library.connecting:
                    connection.transport.abort()
            for server in servers:
                await server.wait_closed()

    async def _check(self, connection: Any, request: Any) -> Any:
        """Refuse a client before its handshake, or let the user's own check decide."""
        if self._token is not None:
            given = str(request.headers.get("Authorization", "")).encode("utf-8", "replace")
            if not hmac.compare_digest(given, b"Bearer " + self._token):
                return connection.respond(401, "the token is missing or wrong\n")
        if self._clients >= self.max_clients:
            logger.warning("%s: %d clients: another one was refused", self, self._clients)
            return connection.respond(503, "too many clients\n")
        if self._own_request_check is None:
            return None
        answer = self._own_request_check(connection, request)
        return await answer if hasattr(answer, "__await__") else answer

    async def _receive(self, connection: Any) -> None:
        """Emit the messages of one client until it disconnects."""
        self._clients += 1
        probe_peer(connection.transport.get_extra_info("socket"))
        pings = "ping_interval" not in (self.serve_kwargs or {})
        try:
            async with keep_alive(connection, self.timeout if pings else None) as activity:
                await self._emit_all(connection, activity, Pusher(self, own_task=True))
        except asyncio.CancelledError:
            pass  # the source was stopped
        except Exception as error:
            self._fail(error)
        finally:
            self._clients -= 1

    async def _emit_all(self, connection: Any, activity: PeerActivity, pusher: Pusher) -> None:
        push = pusher.push
        lost, receive, codec = self._library.ConnectionClosed, connection.recv, self._codec
        while True:
            try:
                message = await receive()
            except lost as error:
                if connection.protocol.close_code not in LOST:
                    logger.warning("%s: a client was disconnected: %s", self, error)
                return
            activity.received += 1
            activity.busy = True
            if codec is None:
                if (wait := push(message)) is not None:
                    await wait
            elif not await self._emit_decoded(connection, as_bytes(message), codec, pusher):
                return
            activity.busy = False

    async def _emit_decoded(
        self, connection: Any, raw: bytes, codec: Codec[Any], pusher: Pusher
    ) -> bool:
        """Decode and emit a message; return whether the client may go on."""
        if self._policy is not None and not isinstance(self._policy, Raise):
            pusher.raise_if_stopped()
            await self.emit_decoded(raw, codec.decode)
            return True
        try:
            x = codec.decode(raw)
        except ValueError as error:
            logger.warning("%s: a client was disconnected: %s", self, error)
            await connection.close(1007, "the message cannot be decoded")
            return False
        if (wait := pusher.push(x)) is not None:
            await wait
        return True


@Stream.register_api(staticmethod)
class from_websocket_client(Source[Any]):
    """Connect to a WebSocket server, and emit its messages.

    A text message is a str, a binary one bytes, unless a codec decodes both.  While downstream
    has no capacity the source does not read, so the server waits, after 16 messages.  When the
    connection is lost or the server closes it, the source connects again, with back-off; what the
    server sends meanwhile, and what was in flight, is lost.  Ends when stopped; with
    ``restart=False`` also when the server closes the connection in order.

    Parameters
    ----------
    uri : str
        The server, ws or wss.
    ws_kwargs : dict, optional
        Arguments of `websockets.asyncio.client.connect`.
    subscribe : iterable of str or bytes
        Messages that are sent after every connection.
    headers : dict, optional
        Sent with the handshake.
    max_size : int
        Bytes of a message; a longer one is a failure of the source.
    timeout : float or str
        Seconds, or a string such as ``"20s"``: the time for the opening handshake, for an answer to
        a ping, and between pings to a server that sends nothing.
    ssl : ssl.SSLContext, optional
        For wss; by default the certificate of the server is verified.
    codec : str, Codec or pair of functions, optional
        Decodes a message; what it cannot decode goes to the policy of the source.
    type : type, optional
        The type of the elements, for the codec.
    **kwargs
        Options of every `Source`; *restart* connects again by default.

    >>> source = Stream.from_websocket_client("wss://example.org/prices", codec="json")
    >>> source.state
    'new'
    """

    infinite: ClassVar[bool | None] = True
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        uri: str,
        ws_kwargs: dict[str, Any] | None = None,
        *,
        subscribe: Iterable[str | bytes] = (),
        headers: Mapping[str, str] | None = None,
        max_size: int = _MAX_SIZE,
        timeout: Interval = "20s",
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        type: Any = None,
        **kwargs: Any,
    ) -> None:
        name = "from_websocket_client"
        self._library = websockets_library(name)
        check_count(name, "max_size", max_size)
        if isinstance(subscribe, (str, bytes)):
            rule = f"{name}: subscribe must be a list of messages"
            raise TypeError(f"{rule}, got {short_repr(subscribe)}")
        self._subscribe = list(subscribe)
        limit = read_limit(name, "timeout", timeout) or 20.0
        self._options = ClientOptions(name, uri, ws_kwargs, headers, ssl, limit, max_size)
        self._codec: Codec[Any] | None = None
        if codec is not None or type is not None:
            self._codec = read_codec(name, "raw" if codec is None else codec, type)
        super().__init__(**kwargs)

    async def run(self) -> None:
        options = self._options
        async with await options.connect() as connection:
            for message in self._subscribe:
                await connection.send(message)
            self.connected()
            async with keep_alive(connection, options.ping) as activity:
                code = await self._emit_all(connection, activity)
        if self._restart is not None:
            raise EOFError(f"from_websocket_client: the server closed the connection ({code})")

    async def _emit_all(self, connection: Any, activity: PeerActivity) -> int:
        """Emit messages until the server closes in order; return its code."""
        receive, codec, push = connection.recv, self._codec, Pusher(self, own_task=False).push
        while True:
            try:
                message = await receive()
            except self._library.ConnectionClosedOK:
                return int(connection.protocol.close_code)
            activity.received += 1
            activity.busy = True
            if codec is not None:
                await self.emit_decoded(as_bytes(message), codec.decode)
            elif (wait := push(message)) is not None:
                await wait
            activity.busy = False

    def _is_transient(self, error: Exception) -> bool:
        return is_transient(self._library, error, super()._is_transient(error))


@Stream.register_api()
class to_websocket(WriterSink[T]):
    """Send every element to a WebSocket server, as a message.

    A str is a text message, bytes are a binary one.  Connects at the first element.  Applies back
    pressure while the server does not read.  When the connection is lost, the sink connects again,
    and sends again the message that it was sending: it may arrive twice.  WebSocket acknowledges
    nothing: what was in flight, or read by the server and not processed, is lost.  The end of
    the stream waits until the server has read everything.  What the server sends is discarded.

    Parameters
    ----------
    uri : str
        The server, ws or wss.
    ws_kwargs : dict, optional
        Arguments of `websockets.asyncio.client.connect`.
    headers : dict, optional
        Sent with the handshake.
    timeout : float or str
        Seconds, or a string such as ``"20s"``: the time for the opening handshake, and for an
        answer to a ping.
    ssl : ssl.SSLContext, optional
        For wss; by default the certificate of the server is verified.
    codec : str, Codec or pair of functions, optional
        Encodes an element: as a text message for json, text and csv, else as a binary one.
    **kwargs
        Options of `WriterSink`: batch, max_wait, restart; and of every `Stream`.

    >>> source = Stream()
    >>> node = source.to_websocket("ws://127.0.0.1:8765", codec="json")
    """

    def __init__(
        self,
        upstream: Stream[T],
        uri: str,
        ws_kwargs: dict[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Interval = "20s",
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        **kwargs: Any,
    ) -> None:
        limit = read_limit("to_websocket", "timeout", timeout) or 20.0
        options = ClientOptions("to_websocket", uri, ws_kwargs, headers, ssl, limit, _MAX_SIZE)
        made = WebSocketWriter if codec is None else EncodingWebSocketWriter
        read = None if codec is None else read_codec("to_websocket", codec)
        super().__init__(upstream, made(options, read), **kwargs)
