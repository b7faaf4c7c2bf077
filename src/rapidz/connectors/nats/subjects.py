"""Source over NATS subjects: publish and subscribe."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rapidz.connectors.codecs import read_codec
from rapidz.connectors.nats.connection import LOCAL, NatsConnection
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart

_log = logging.getLogger("rapidz.sources")


@Stream.register_api(staticmethod)
class from_nats(Source[Any]):
    """Emit the messages of a NATS subject.

    **At most once**: NATS keeps no messages; `from_jetstream` reads those that JetStream keeps.
    What is published while the source does not run, or reconnects, is lost.  NATS does not wait
    for a slow subscriber: the client buffers up to *buffer* messages and *buffer_bytes* bytes, and
    drops what is more; `dropped` counts that.

    Reconnects with back-off.  Never ends.  A message that cannot be decoded goes to the policy of
    the source with its raw bytes.

    Parameters
    ----------
    subject : str
        Subject; may contain the wildcards ``*`` and ``>``.
    servers : str or sequence of str
        Addresses, such as ``"nats://user:password@host:4222"``; ``tls://`` for TLS.
    queue : str, optional
        Queue group: each message goes to one of its members.
    buffer : int
        Messages that the client buffers, at least 1.
    buffer_bytes : int
        Bytes that the client buffers, at least 1.
    codec : str or Codec or pair of functions, optional
        Decodes the payload.  By default, the source emits the message of `nats-py`, with
        ``subject``, ``data``, ``headers`` and ``reply``.
    type : type, optional
        Dataclass or msgspec Struct that the codec decodes to.
    client_kwargs : mapping, optional
        Keyword arguments of `nats.connect`: ``user``, ``token``, ``user_credentials``, ``tls``.
    **kwargs
        Options of every `Source`.

    >>> source = Stream.from_nats("sensors.>", "nats://host:4222", codec="json")
    ... # doctest: +SKIP
    """

    infinite: ClassVar[bool | None] = True
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        subject: str,
        servers: str | Sequence[str] = LOCAL,
        queue: str | None = None,
        *,
        buffer: int = 65_536,
        buffer_bytes: int = 64 << 20,
        codec: Any = None,
        type: Any = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = "from_nats"
        check_count(name, "buffer", buffer)
        check_count(name, "buffer_bytes", buffer_bytes)
        self.connection = NatsConnection(name, servers, client_kwargs)
        self.subject, self.queue = subject, queue
        self.max_messages, self.max_bytes = buffer, buffer_bytes
        self.dropped = 0
        """Number of messages that were dropped, because the pipeline was too slow."""
        self._codec = None if codec is None else read_codec(name, codec, type)
        super().__init__(**kwargs)

    def _is_transient(self, error: Exception) -> bool:
        return self.connection.is_transient(error)

    async def run(self) -> None:
        """Emit messages until the source is stopped."""
        arrived: asyncio.Queue[Any] = asyncio.Queue(1)

        def wake() -> None:
            with contextlib.suppress(asyncio.QueueFull):
                arrived.put_nowait(None)

        connection = self.connection
        async with connection.connected(on_error=self._on_client_error, on_close=wake) as client:
            await client.subscribe(
                self.subject,
                queue=self.queue or "",
                cb=arrived.put,
                pending_msgs_limit=self.max_messages,
                pending_bytes_limit=self.max_bytes,
            )
            await client.flush()  # the server has the subscription
            self.connected()
            while self._may_emit():
                if (message := await arrived.get()) is not None:
                    await self._emit_message(message)
                elif client.is_closed:
                    raise connection.lost(client)

    async def _emit_message(self, message: Any) -> None:
        if self._codec is None:
            if (wait := self.emit(message, asynchronous=True)) is not None:
                await wait
        else:
            await self.emit_decoded(message.data, self._codec.decode)

    async def _on_client_error(self, error: Exception) -> None:
        if isinstance(error, self.connection.errors.SlowConsumerError):
            self.dropped += 1
            if self.dropped & (self.dropped - 1) == 0:  # 1, 2, 4, 8, ...: not for each message
                _log.warning("%s: too slow, %d messages dropped so far", self, self.dropped)
        else:
            _log.info("%s: %s: %s", self, type(error).__name__, error)
