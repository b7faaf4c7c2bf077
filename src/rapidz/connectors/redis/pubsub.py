"""Source over Redis channels: publish and subscribe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from rapidz.connectors.codecs import read_codec
from rapidz.connectors.redis.connection import Connection, as_text
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart


class RedisMessage(NamedTuple):
    """Message that was published to a Redis channel."""

    channel: str
    """Name of the channel."""
    data: bytes
    """Payload."""


@Stream.register_api(staticmethod)
class from_redis_pubsub(Source[Any]):
    """Emit the messages that are published to Redis channels.

    **At most once**: Redis keeps no messages.  What is published while the source does not run,
    or reconnects, is lost, and so is what a slow pipeline cannot take: Redis closes the
    connection of a subscriber that is too far behind (``client-output-buffer-limit``).

    Reads a message when downstream has capacity.  Reconnects with back-off.  Never ends.  A
    message that cannot be decoded goes to the policy of the source with its raw bytes.

    Parameters
    ----------
    url : str
        ``redis://user:password@host:6379/0``; ``rediss://`` for TLS.
    channels : str or sequence of str
        Names of channels.
    patterns : str or sequence of str
        Patterns of names, such as ``"news.*"``.
    codec : str or Codec or pair of functions, optional
        Decodes the payload.  By default, the source emits `RedisMessage`.
    type : type, optional
        Dataclass or msgspec Struct that the codec decodes to.
    client_kwargs : mapping, optional
        Keyword arguments of `redis.asyncio.Redis.from_url`.
    **kwargs
        Options of every `Source`.

    >>> source = Stream.from_redis_pubsub("redis://host", "news")  # doctest: +SKIP
    """

    infinite: ClassVar[bool | None] = True
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        url: str,
        channels: str | Sequence[str] = (),
        *,
        patterns: str | Sequence[str] = (),
        codec: Any = None,
        type: Any = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = "from_redis_pubsub"
        self.channels, self.patterns = _names(channels), _names(patterns)
        if not self.channels and not self.patterns:
            got = f"channels={short_repr(channels)}"
            raise ValueError(f"{name}: channels or patterns must name a channel, got {got}")
        options = {"health_check_interval": 15, **(client_kwargs or {})}
        self.connection = Connection(name, url, options)
        self._codec = None if codec is None else read_codec(name, codec, type)
        super().__init__(**kwargs)

    def _is_transient(self, error: Exception) -> bool:
        return self.connection.is_transient(error)

    async def run(self) -> None:
        """Emit messages until the source is stopped."""
        async with (
            self.connection.connected() as client,
            client.pubsub(ignore_subscribe_messages=True) as subscriber,
        ):
            if self.channels:
                await subscriber.subscribe(*self.channels)
            if self.patterns:
                await subscriber.psubscribe(*self.patterns)
            self.connected()
            decode = None if self._codec is None else self._codec.decode
            while self._may_emit():
                message = await subscriber.get_message(timeout=self.connection.block)
                if message is None:
                    continue
                if decode is not None:
                    await self.emit_decoded(message["data"], decode)
                else:
                    x = RedisMessage(as_text(message["channel"]), message["data"])
                    await self.emit(x, asynchronous=True)


def _names(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
