"""Sinks for NATS subjects and JetStream streams."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

from rapidz.connectors.checks import check_target
from rapidz.connectors.codecs import read_codec
from rapidz.connectors.nats.connection import LOCAL, NatsConnection, close
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.sinks.writer import Writer
from rapidz.sinks.writer_sink import WriterSink
from rapidz.sources.restart import Restart

T = TypeVar("T")


class NatsMessage(NamedTuple):
    """Message to be published."""

    subject: str
    data: bytes
    headers: dict[str, str] | None


class NatsWriter(Writer[Any]):
    """Writer to NATS subjects; a write returns when the server has all of it."""

    default_restart: ClassVar[Restart | None] = Restart()
    operator: ClassVar[str] = "to_nats"

    def __init__(
        self,
        subject: str | Callable[[Any], str],
        servers: str | Sequence[str],
        options: Mapping[str, Any] | None,
        codec: Any,
        timeout: Interval,
    ) -> None:
        name = self.operator
        check_target(name, "subject", subject)
        self.connection = NatsConnection(name, servers, options)
        self.subject, self.timeout = subject, read_interval(name, timeout, argument="timeout")
        self._encode = read_codec(name, codec).encode
        self._client: Any = None

    async def open(self) -> None:
        """Connect."""
        self._client = await self.connection.connect()

    def encode(self, x: Any) -> NatsMessage:
        """Return the message."""
        subject = self.subject(x) if callable(self.subject) else self.subject
        return NatsMessage(subject, self._encode(x), None)

    def size(self, payload: NatsMessage) -> int:
        """Return the bytes of the payload."""
        return len(payload.data)

    async def write_many(self, payloads: Sequence[NatsMessage]) -> None:
        """Publish messages, and wait until the server has them."""
        publish = self._client.publish
        for subject, data, _ in payloads:
            await publish(subject, data)
        await self._client.flush(self.timeout)

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            await close(client)

    def is_transient(self, error: Exception) -> bool:
        """Return whether a new connection may help."""
        return self.connection.is_transient(error)


class JetStreamWriter(NatsWriter):
    """Writer to subjects of a JetStream stream; a write returns when the stream has all of it."""

    operator: ClassVar[str] = "to_jetstream"

    def __init__(
        self, *args: Any, stream: str | None, message_id: Callable[[Any], str] | None
    ) -> None:
        super().__init__(*args)
        self.stream, self.message_id = stream, message_id
        self._stream: Any = None

    async def open(self) -> None:
        """Connect."""
        await super().open()
        self._stream = self._client.jetstream()

    def encode(self, x: Any) -> NatsMessage:
        """Return the message, with an identifier by which JetStream drops repeated ones."""
        identifier = uuid.uuid4().hex if self.message_id is None else str(self.message_id(x))
        return super().encode(x)._replace(headers={"Nats-Msg-Id": identifier})

    async def write_many(self, payloads: Sequence[NatsMessage]) -> None:
        """Publish messages, and wait until the stream has them."""
        publish, stream = self._stream.publish_async, self.stream
        async with asyncio.timeout(self.timeout):
            answers = [
                await publish(subject, data, stream=stream, headers=headers)
                for subject, data, headers in payloads
            ]
            await asyncio.wait(answers)
        for answer in answers:
            answer.result()


@Stream.register_api()
class to_nats(WriterSink[T]):
    """Publish every element to a NATS subject.

    An element, or its batch, is done when the server has received it; NATS does not keep it, so
    subscribers that are not connected lose it.  After a lost connection the batch is published
    again.

    Parameters
    ----------
    upstream : Stream
        The elements.
    subject : str or callable
        The subject, or a function that returns it for an element.
    servers : str or sequence of str
        Addresses, such as ``"nats://user:password@host:4222"``; ``tls://`` for TLS.
    codec : str or Codec or pair of functions
        Encodes an element; by default elements are bytes.
    timeout : float or str
        Longest time that the server may take to confirm.
    client_kwargs : mapping, optional
        Keyword arguments of `nats.connect`.
    **kwargs
        Options of every `WriterSink`: batch, max_bytes, max_wait, restart.

    >>> node = stream.to_nats("alerts", "nats://host:4222", codec="json")  # doctest: +SKIP
    """

    def __init__(
        self,
        upstream: Stream[T],
        subject: str | Callable[[T], str],
        servers: str | Sequence[str] = LOCAL,
        *,
        codec: Any = "raw",
        timeout: Interval = 10.0,
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        writer = NatsWriter(subject, servers, client_kwargs, codec, timeout)
        super().__init__(upstream, writer, **kwargs)


@Stream.register_api()
class to_jetstream(WriterSink[T]):
    """Publish every element to a subject of a JetStream stream.

    An element, or its batch, is done when the stream has confirmed it.  After a lost connection the
    batch is published again, **at least once**; each message has an identifier, so JetStream drops
    those that it has already, within its duplicate window (two minutes if not configured).

    Parameters
    ----------
    upstream : Stream
        The elements.
    subject : str or callable
        The subject, or a function that returns it for an element; a stream must have it.
    servers : str or sequence of str
        Addresses, such as ``"nats://user:password@host:4222"``; ``tls://`` for TLS.
    stream : str, optional
        Name of the stream that must have the subject; any other one refuses the message.
    message_id : callable, optional
        Returns the identifier of an element: elements with the same one are kept once, also after
        the program has started again.  By default, each element has one of its own.
    codec : str or Codec or pair of functions
        Encodes an element; by default elements are bytes.
    timeout : float or str
        Longest time that the stream may take to confirm a batch.
    client_kwargs : mapping, optional
        Keyword arguments of `nats.connect`.
    **kwargs
        Options of every `WriterSink`: batch, max_bytes, max_wait, restart.

    >>> node = stream.to_jetstream("orders.new", codec="json", batch=100)  # doctest: +SKIP
    """

    def __init__(
        self,
        upstream: Stream[T],
        subject: str | Callable[[T], str],
        servers: str | Sequence[str] = LOCAL,
        *,
        stream: str | None = None,
        message_id: Callable[[T], str] | None = None,
        codec: Any = "raw",
        timeout: Interval = 10.0,
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        common = (subject, servers, client_kwargs, codec, timeout)
        writer = JetStreamWriter(*common, stream=stream, message_id=message_id)
        super().__init__(upstream, writer, **kwargs)
