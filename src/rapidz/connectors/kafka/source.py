"""Source of the messages of Kafka topics, one by one."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, ClassVar

from rapidz.connectors.codecs import read_codec
from rapidz.connectors.kafka.consumer_thread import Kind, ReadBatch
from rapidz.connectors.kafka.message import Reader, as_message, as_value, reader
from rapidz.connectors.kafka.reading import KafkaSource
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr

#: Messages that are taken from the client together.
_TOGETHER = 1000


@Stream.register_api(staticmethod)
class from_kafka(KafkaSource[Any]):
    """Emit the messages of Kafka topics, as a member of a consumer group.

    Emits the value of each message, in bytes; the empty value too.  A tombstone, which has
    none, is a `KafkaMessage` whose value is None.  The order is that of each partition.

    Delivery: at least once.  An offset is committed when its message and all before it, in
    the same partition, are done: they have reached all sinks, or a policy has handled their
    failure.  When the group takes a partition away, what is done is committed; messages in
    flight are delivered again to its new member.

    Applies back pressure: it reads a few batches ahead, then pauses, and remains a member of
    the group.  It ends when it is stopped.

    Parameters
    ----------
    topics : str or iterable of str
        Names of topics; one that begins with ``^`` is a regular expression.
    consumer_params : dict
        Configuration of the client, confluent-kafka, with ``"bootstrap.servers"`` and
        ``"group.id"``.  A group without committed offsets begins at the end of the topic,
        unless ``"auto.offset.reset"`` is ``"earliest"``.
    poll_interval : float or str
        Longest wait of one poll, in seconds or as a string; there is no need to change it.
    messages, keys : bool
        Emit a `KafkaMessage` for each message: key, value, headers, topic, partition, offset
        and timestamp.
    codec : str or codec
        How to decode values: ``"json"``, ``"text"`` and others; by default bytes are left as
        they are.  What cannot be decoded goes to the policy of the source, in bytes.
    type : type, optional
        Dataclass or msgspec.Struct that the codec makes.
    **kwargs
        Options of every `Source`: start, restart, stream_name, loop, asynchronous.

    Raises ValueError for a configuration that the client refuses.  If no broker answers at
    the start, the source fails with ConnectionError; later it waits until one does, and so for
    a topic that does not exist yet, unless *restart* is False.

    >>> source = Stream.from_kafka(
    ...     ["readings"], {"bootstrap.servers": "localhost:9092", "group.id": "alerts"}
    ... )  # doctest: +SKIP
    >>> source.map(float).filter(lambda x: x > 30).sink(print)  # doctest: +SKIP
    >>> source.start()  # doctest: +SKIP
    """

    _kind: ClassVar[Kind] = "group"

    def __init__(
        self,
        topics: str | Iterable[str],
        consumer_params: Any,
        poll_interval: Interval = 0.1,
        start: bool = False,
        *,
        messages: bool = False,
        keys: bool = False,
        codec: Any = "raw",
        type: Any = None,
        **kwargs: Any,
    ) -> None:
        names: list[Any] = [topics] if isinstance(topics, str) else list(topics)
        self.topics: list[str] = names
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError(
                f"from_kafka: topics must be names of topics, got {short_repr(topics)}"
            )
        form = as_message if messages or keys else as_value
        raw = codec == "raw" and type is None
        decode = None if raw else read_codec("from_kafka", codec, type).decode
        self._decodes, self._read = decode is not None, reader(form, decode)
        super().__init__(
            "from_kafka",
            self.topics,
            consumer_params,
            poll_interval,
            _TOGETHER,
            start=start,
            **kwargs,
        )

    async def _emit_batch(self, batch: ReadBatch) -> None:
        find, read, failed = self._offsets.find, self._read, self._element_failed
        for message in batch.items:
            at = find(message.topic(), message.partition(), batch.epoch)
            if at is None:
                continue  # it was revoked meanwhile
            if not self._may_emit():
                return
            offset = message.offset()
            done = at.advance(offset, offset)
            if self._decodes:
                raw = message.value()
                await self.emit_decoded(
                    raw, functools.partial(_decode, read, message), done, failed
                )
            else:
                await self.emit_tracked(read(message), done, failed)


def _decode(read: Reader, message: Any, raw: bytes) -> Any:
    """Return the element of *message*, whose value is *raw*."""
    return read(message)
