"""Sinks for Redis streams, lists and channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from rapidz.connectors.codecs import read_codec
from rapidz.connectors.redis.connection import Connection
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sinks.writer import Writer
from rapidz.sinks.writer_sink import WriterSink
from rapidz.sources.restart import Restart

T = TypeVar("T")


class RedisWriter(Writer[Any]):
    """Writer to one key or channel of a Redis server."""

    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(self, operator: str, url: str, key: str, options: Any, codec: Any) -> None:
        self.connection, self.key = Connection(operator, url, options), key
        self._encode = None if codec is None else read_codec(operator, codec).encode
        self._client: Any = None

    async def open(self) -> None:
        """Connect."""
        client = self.connection.client()
        try:
            await client.ping()
        except BaseException:
            await client.aclose()
            raise
        self._client = client

    def encode(self, x: Any) -> Any:
        """Return the payload."""
        assert self._encode is not None
        return self._encode(x)

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def is_transient(self, error: Exception) -> bool:
        """Return whether a new connection may help."""
        return self.connection.is_transient(error)


class StreamWriter(RedisWriter):
    """Writer of entries of a Redis stream; a batch is one transaction."""

    def __init__(
        self, url: str, key: str, options: Any, codec: Any, field: str, maxlen: int | None
    ) -> None:
        super().__init__("to_redis_stream", url, key, options, codec)
        if maxlen is not None:
            check_count("to_redis_stream", "maxlen", maxlen)
        self.field, self.maxlen = field, maxlen

    def encode(self, x: Any) -> Mapping[Any, Any]:
        """Return the fields of the entry."""
        if self._encode is not None:
            return {self.field: self._encode(x)}
        if not isinstance(x, Mapping) or not x:
            needs = "elements must be mappings with at least one field, unless codec is given"
            raise TypeError(f"to_redis_stream: {needs}, got {short_repr(x)}")
        return x

    def size(self, payload: Mapping[Any, Any]) -> int:
        """Return about the bytes of the entry."""
        return sum(_length(name) + _length(value) for name, value in payload.items())

    async def write(self, payload: Mapping[Any, Any]) -> None:
        """Add one entry."""
        await self._client.xadd(self.key, payload, maxlen=self.maxlen)

    async def write_many(self, payloads: Sequence[Mapping[Any, Any]]) -> None:
        """Add entries, all or none."""
        async with self._client.pipeline(transaction=True) as pipe:
            for fields in payloads:
                pipe.xadd(self.key, fields, maxlen=self.maxlen)
            await pipe.execute()


class ListWriter(RedisWriter):
    """Writer that appends to a Redis list; a batch is one command."""

    async def write_many(self, payloads: Sequence[bytes]) -> None:
        """Append the items, all or none."""
        await self._client.rpush(self.key, *payloads)


class ChannelWriter(RedisWriter):
    """Writer that publishes to a Redis channel."""

    async def write_many(self, payloads: Sequence[bytes]) -> None:
        """Publish the messages in order."""
        if len(payloads) == 1:
            await self._client.publish(self.key, payloads[0])
            return
        async with self._client.pipeline(transaction=False) as pipe:
            for payload in payloads:
                pipe.publish(self.key, payload)
            await pipe.execute()


@Stream.register_api()
class to_redis_stream(WriterSink[T]):
    """Add every element to a Redis stream.

    An element is done when Redis has answered.  A batch is one transaction: all of it is added, or
    none.  After a lost connection the batch is written again, **at least once**: entries are
    doubled if Redis had written them and only its answer was lost.

    Parameters
    ----------
    upstream : Stream
        Mappings of fields to values; elements of any kind with *codec*.
    url : str
        ``redis://user:password@host:6379/0``; ``rediss://`` for TLS.
    stream : str
        Key of the stream.
    codec : str or Codec or pair of functions, optional
        Encodes an element, as the value of *field*.
    field : str
        Name of the field for *codec*.
    maxlen : int, optional
        Cut the stream to about so many entries, at least 1.
    client_kwargs : mapping, optional
        Keyword arguments of `redis.asyncio.Redis.from_url`.
    **kwargs
        Options of every `WriterSink`: batch, max_bytes, max_wait, restart.

    >>> node = stream.to_redis_stream("redis://host", "orders", batch=100)  # doctest: +SKIP
    """

    def __init__(
        self,
        upstream: Stream[T],
        url: str,
        stream: str,
        *,
        codec: Any = None,
        field: str = "data",
        maxlen: int | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        writer = StreamWriter(url, stream, client_kwargs, codec, field, maxlen)
        super().__init__(upstream, writer, **kwargs)


@Stream.register_api()
class to_redis_list(WriterSink[T]):
    """Append every element to a Redis list.

    An element is done when Redis has answered.  A batch is one command.  After a lost connection
    the batch is written again, **at least once**: items are doubled if only the answer was lost.

    Parameters
    ----------
    upstream : Stream
        The elements.
    url : str
        ``redis://user:password@host:6379/0``; ``rediss://`` for TLS.
    key : str
        Key of the list; `from_redis_list` takes its items from the other end.
    codec : str or Codec or pair of functions
        Encodes an element; by default elements are bytes.
    client_kwargs : mapping, optional
        Keyword arguments of `redis.asyncio.Redis.from_url`.
    **kwargs
        Options of every `WriterSink`: batch, max_bytes, max_wait, restart.

    >>> node = stream.to_redis_list("redis://host", "jobs", codec="json")  # doctest: +SKIP
    """

    def __init__(
        self,
        upstream: Stream[T],
        url: str,
        key: str,
        *,
        codec: Any = "raw",
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        writer = ListWriter("to_redis_list", url, key, client_kwargs, codec)
        super().__init__(upstream, writer, **kwargs)


@Stream.register_api()
class to_redis_pubsub(WriterSink[T]):
    """Publish every element to a Redis channel.

    An element is done when Redis has answered; Redis does not keep it, so subscribers that are not
    connected lose it.  After a lost connection the batch is published again.

    Parameters
    ----------
    upstream : Stream
        The elements.
    url : str
        ``redis://user:password@host:6379/0``; ``rediss://`` for TLS.
    channel : str
        Name of the channel.
    codec : str or Codec or pair of functions
        Encodes an element; by default elements are bytes.
    client_kwargs : mapping, optional
        Keyword arguments of `redis.asyncio.Redis.from_url`.
    **kwargs
        Options of every `WriterSink`: batch, max_bytes, max_wait, restart.

    >>> node = stream.to_redis_pubsub("redis://host", "news", codec="text")  # doctest: +SKIP
    """

    def __init__(
        self,
        upstream: Stream[T],
        url: str,
        channel: str,
        *,
        codec: Any = "raw",
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        writer = ChannelWriter("to_redis_pubsub", url, channel, client_kwargs, codec)
        super().__init__(upstream, writer, **kwargs)


def _length(x: Any) -> int:
    return len(x) if isinstance(x, (bytes, str)) else len(str(x))
