"""TCP: a source that clients connect to, and a sink that connects to a server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl as tls
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, TypeVar

from tornado.iostream import IOStream, SSLIOStream
from tornado.tcpserver import TCPServer

from rapidz.connectors.codecs import Codec, read_codec
from rapidz.connectors.codecs.base import TruncatedFrame
from rapidz.connectors.codecs.errors import DecodeError
from rapidz.connectors.codecs.framing import MAX_SIZE, LineFramer
from rapidz.connectors.net.line_client import LineClient
from rapidz.connectors.net.listener import Listener, logger
from rapidz.connectors.net.pusher import Pusher
from rapidz.connectors.net.sockets import check_port, client_context, probe_peer, read_limit
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.failures import Raise
from rapidz.sinks.writer import Writer
from rapidz.sinks.writer_sink import WriterSink
from rapidz.sources.restart import Restart

T = TypeVar("T")

_CHUNK = 1 << 16


@Stream.register_api(staticmethod)
class from_tcp(Listener[Any]):
    r"""Listen on a TCP port, and emit what clients send, frame by frame.

    A frame ends with the delimiter, which stays part of the element, unless a codec decodes it.
    Frames of one client keep their order.  While downstream has no capacity the source does not
    read, so the clients wait.  Ends when stopped.

    TCP acknowledges nothing: what a client has sent is lost if this program ends before it is
    processed, and so is the incomplete frame of a client that disconnects.

    Parameters
    ----------
    port : int
        The port; 0 for one that the system chooses, which `port` then has.
    delimiter : bytes
        End of a frame.
    server_kwargs : dict, optional
        Arguments of `tornado.tcpserver.TCPServer`.
    host : str
        The address to listen on; the empty string is every address of the machine.
    max_size : int
        Bytes of a frame; a client that sends a longer one is disconnected.
    timeout : float or str, optional
        Seconds, or a string such as ``"30s"``, that a TLS handshake or a frame may take from its
        first byte on; then the client is disconnected.
    idle_timeout : float or str, optional
        The time after which a client that sends nothing is disconnected; by default never, only
        the system asks whether it is still connected.
    max_clients : int
        The clients that are connected at a time; a further one is disconnected.
    ssl : ssl.SSLContext, optional
        Context of a server, which turns on TLS.
    codec : str, Codec or pair of functions, optional
        Decodes a frame, without its delimiter.  A frame that it cannot decode goes to the policy
        of the source; without one, the client is disconnected.
    type : type, optional
        The type of the elements, for the codec.
    **kwargs
        Options of every `Source`.

    >>> import socket
    >>> source = Stream.from_tcp(0)
    >>> numbers = source.map(int).sink_to_list()
    >>> last = source.map(int).filter(lambda x: x == 3).sink(lambda _: source.stop())
    >>> source.start()
    >>> with socket.create_connection(("127.0.0.1", source.port)) as client:
    ...     client.sendall(b"1\n2\n3\n")
    ...     source.join()
    >>> numbers
    [1, 2, 3]
    """

    def __init__(
        self,
        port: int,
        delimiter: bytes = b"\n",
        server_kwargs: dict[str, Any] | None = None,
        *,
        host: str = "127.0.0.1",
        max_size: int = MAX_SIZE,
        timeout: Interval | None = "30s",
        idle_timeout: Interval | None = None,
        max_clients: int = 1000,
        ssl: tls.SSLContext | None = None,
        codec: Any = None,
        type: Any = None,
        **kwargs: Any,
    ) -> None:
        check_delimiter("from_tcp", delimiter)
        LineFramer(delimiter, max_size)  # checks both
        self.delimiter, self.max_size = delimiter, max_size
        self.server_kwargs = server_kwargs
        self.timeout = read_limit("from_tcp", "timeout", timeout)
        self.idle_timeout = read_limit("from_tcp", "idle_timeout", idle_timeout)
        self._codec: Codec[Any] | None = None
        if codec is not None or type is not None:
            self._codec = read_codec("from_tcp", "raw" if codec is None else codec, type)
        super().__init__(port, host=host, max_clients=max_clients, ssl=ssl, **kwargs)

    @contextlib.asynccontextmanager
    async def _serving(self, sockets: Sequence[Any]) -> AsyncIterator[None]:
        options = {"ssl_options": self._ssl, **(self.server_kwargs or {})}
        self.server = server = _FrameServer(self, options)
        self._accept_by(server, sockets)
        try:
            yield
        finally:
            server.stop()
            for stream in list(server.streams):
                stream.close()

    async def _receive(self, stream: IOStream, peer: str) -> None:
        """Emit the frames of one client until it disconnects."""
        pusher = Pusher(self, own_task=True)
        push = pusher.push
        framer, loop = LineFramer(self.delimiter, self.max_size), asyncio.get_running_loop()
        delimiter, codec = self.delimiter, self._codec
        handshake = isinstance(stream, SSLIOStream)
        begun = loop.time() if handshake else None  # of the handshake, or of the last frame
        while True:
            chunk = await self._read(stream, self._deadline(begun), handshake, peer)
            if chunk is None:
                if framer.pending:
                    logger.warning("%s: %s left an incomplete frame", self, peer)
                return
            handshake = False
            frames = framer.feed(chunk)
            for frame in frames:
                if codec is None and type(frame) is bytes:
                    if (wait := push(frame + delimiter)) is not None:
                        await wait
                elif not await self._emit_decoded(frame, peer, pusher):
                    return
            if not framer.pending:
                begun = None
            elif frames or begun is None:
                begun = loop.time()

    async def _read(
        self, stream: IOStream, deadline: float | None, handshake: bool, peer: str
    ) -> bytes | None:
        """Return the next bytes of a client; None if there are none, or they are too late."""
        try:
            async with asyncio.timeout_at(deadline):
                if handshake and isinstance(stream, SSLIOStream):
                    await stream.wait_for_handshake()
                return await stream.read_bytes(_CHUNK, partial=True)
        except TimeoutError:
            logger.warning("%s: %s sent nothing complete in time", self, peer)
        except tls.SSLError as error:
            logger.warning("%s: %s: %s", self, peer, error.reason)
        except OSError:  # the connection was closed, by either side
            pass
        return None

    def _deadline(self, begun: float | None) -> float | None:
        """Return the instant at which the next bytes are too late."""
        if begun is None:
            limit = self.idle_timeout
            return None if limit is None else asyncio.get_running_loop().time() + limit
        return None if self.timeout is None else begun + self.timeout

    async def _emit_decoded(self, frame: bytes, peer: str, pusher: Pusher) -> bool:
        """Decode and emit a frame; return whether the client may go on."""
        codec = self._codec
        if type(frame) is TruncatedFrame or codec is None:
            logger.warning("%s: %s sent a frame longer than %d bytes", self, peer, self.max_size)
            return False
        if self._policy is not None and not isinstance(self._policy, Raise):
            pusher.raise_if_stopped()
            await self.emit_decoded(frame, codec.decode)
            return True
        try:
            x = codec.decode(frame)
        except DecodeError as error:
            logger.warning("%s: %s: %s", self, peer, error)
            return False
        if (wait := pusher.push(x)) is not None:
            await wait
        return True


class _FrameServer(TCPServer):
    """TCP server that gives the frames of its clients to a source."""

    def __init__(self, source: from_tcp, options: dict[str, Any]) -> None:
        options.setdefault("max_buffer_size", max(2 * source.max_size, 4 * _CHUNK))
        super().__init__(**options)
        self._source = source
        self.streams: set[IOStream] = set()

    async def handle_stream(self, stream: IOStream, address: Any) -> None:
        source, peer = self._source, peer_name(address)
        if len(self.streams) >= source.max_clients:
            logger.warning("%s: %s refused: %d clients", source, peer, len(self.streams))
            stream.close()
            return
        self.streams.add(stream)
        probe_peer(stream.socket)
        try:
            await source._receive(stream, peer)
        except asyncio.CancelledError:
            pass  # the source was stopped
        except Exception as error:
            source._fail(error)
        finally:
            self.streams.discard(stream)
            stream.close()


class LineWriter(Writer[Any]):
    """Writer of frames to a TCP server."""

    transient: ClassVar[tuple[type[Exception], ...]] = (OSError, EOFError, TimeoutError)
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        host: str,
        port: int,
        delimiter: bytes,
        codec: Codec[Any],
        ssl: tls.SSLContext | None,
        timeout: float | None,
    ) -> None:
        self._address, self._delimiter, self._ssl = (host, port), delimiter, ssl
        self._codec, self._timeout = codec, timeout
        self._client: LineClient | None = None

    async def open(self) -> None:
        async with asyncio.timeout(self._timeout):
            self._client = await LineClient.connect(*self._address, self._ssl)

    def encode(self, x: Any) -> bytes:
        data, end = self._codec.encode(x), self._delimiter
        if data.endswith(end):
            data = data[: -len(end)]
        if end in data:
            raise ValueError(f"to_tcp: an element must not contain the delimiter {short_repr(end)}")
        return data + end

    async def write_many(self, payloads: Sequence[bytes]) -> None:
        assert self._client is not None
        async with asyncio.timeout(self._timeout):
            await self._client.write(b"".join(payloads))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


@Stream.register_api()
class to_tcp(WriterSink[T]):
    r"""Send every element to a TCP server, as a frame that ends with the delimiter.

    Connects at the first element.  Applies back pressure while the server does not read.  When the
    connection is lost, the sink connects again, and sends again what it was sending.  TCP
    acknowledges nothing: frames that the server had received, or that were in flight, and that it
    has not processed, are lost.  The end of the stream waits until the server has received all.

    Parameters
    ----------
    host : str
        The server.
    port : int
        Its port.
    delimiter : bytes
        Sent after every element that does not end with it; an element that contains it within is
        a ValueError.
    ssl : bool or ssl.SSLContext
        True for TLS with a verified certificate; a context for other rules.
    codec : str, Codec or pair of functions
        Encodes an element; by default bytes are sent as they are, and a str in UTF-8.
    timeout : float or str, optional
        Seconds, or a string such as ``"30s"``, that a connection or a write may take.
    **kwargs
        Options of `WriterSink`: batch, max_bytes, max_wait, restart; and of every `Stream`.

    >>> source, received = Stream.from_tcp(0, codec="text"), []
    >>> last = source.sink(received.append).sink(lambda _: None)  # doctest: +SKIP
    """

    def __init__(
        self,
        upstream: Stream[T],
        host: str,
        port: int,
        delimiter: bytes = b"\n",
        *,
        ssl: bool | tls.SSLContext = False,
        codec: Any = "raw",
        timeout: Interval | None = "30s",
        **kwargs: Any,
    ) -> None:
        check_delimiter("to_tcp", delimiter)
        check_port("to_tcp", port)
        self.host, self.port, self.delimiter = host, port, delimiter
        writer = LineWriter(
            host,
            port,
            delimiter,
            read_codec("to_tcp", codec),
            client_context("to_tcp", ssl),
            read_limit("to_tcp", "timeout", timeout),
        )
        super().__init__(upstream, writer, **kwargs)


def check_delimiter(operator: str, delimiter: object) -> None:
    """Refuse what is no delimiter.

    >>> check_delimiter("from_tcp", "")
    Traceback (most recent call last):
    ...
    TypeError: from_tcp: delimiter must be bytes, and not empty, got ''
    """
    if not isinstance(delimiter, bytes) or not delimiter:
        raise TypeError(
            f"{operator}: delimiter must be bytes, and not empty, got {short_repr(delimiter)}"
        )


def peer_name(address: Any) -> str:
    """Return the address of a client for messages."""
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
