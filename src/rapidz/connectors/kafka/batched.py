"""Source of the messages of a Kafka topic in batches, one for each partition."""

from __future__ import annotations

import functools
import itertools
import operator
from typing import Any, ClassVar

from rapidz.connectors.codecs import read_codec
from rapidz.connectors.kafka.assignment import ReadPlan
from rapidz.connectors.kafka.consumer_thread import Kind, ReadBatch
from rapidz.connectors.kafka.fetch import get_message_batch
from rapidz.connectors.kafka.message import Reader, as_message, as_pair, as_value, read_all, reader
from rapidz.connectors.kafka.offsets import PartitionOffsets
from rapidz.connectors.kafka.reading import KafkaSource
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr

_PARTITION = operator.methodcaller("partition")


class FromKafkaBatched(KafkaSource[Any]):
    """Emit ranges of offsets of a Kafka topic, for `get_message_batch` to read.

    Emits the arguments of `get_message_batch`: ``(consumer_params, topic, partition, keys,
    low, high)``, one tuple for each partition with new messages.  `from_kafka_batched`
    describes the parameters.
    """

    _kind: ClassVar[Kind] = "ranges"

    def __init__(
        self,
        topic: Any,
        consumer_params: Any,
        poll_interval: Interval = "1s",
        npartitions: int | None = None,
        refresh_partitions: bool = False,
        max_batch_size: int = 10_000,
        keys: bool = False,
        engine: str | None = None,
        **kwargs: Any,
    ) -> None:
        name = "from_kafka_batched"
        if not isinstance(topic, str) or not topic:
            raise ValueError(f"{name}: topic must be a name, got {short_repr(topic)}")
        if npartitions is not None:
            check_count(name, "npartitions", npartitions)
        check_count(name, "max_batch_size", max_batch_size)
        if engine is not None:
            raise ImportError(
                f"{name}: engine {short_repr(engine)} needs cudf and its Kafka reader, "
                "which rapidz does not support",
                name="cudf",
            )
        self.topic, self.npartitions, self.keys = topic, npartitions, keys
        self.refresh_partitions, self.max_batch_size = refresh_partitions, max_batch_size
        super().__init__(name, [topic], consumer_params, poll_interval, max_batch_size, **kwargs)

    def _plan(self) -> ReadPlan:
        plan = super()._plan()
        plan.npartitions, plan.refresh = self.npartitions, self.refresh_partitions
        return plan

    async def _emit_batch(self, batch: ReadBatch) -> None:
        waits = []
        for partition, low, high in batch.items:
            if (at := self._offsets.find(self.topic, partition, batch.epoch)) is not None:
                done = at.advance(low, high)
                x = (self.consumer_params, self.topic, partition, self.keys, low, high)
                waits.append(self.emit_tracked(x, done, self._element_failed))
        for wait in waits:
            await wait


class BatchReader(FromKafkaBatched):
    """Emit lists of messages, which it reads itself."""

    _kind: ClassVar[Kind] = "batches"

    def __init__(self, *args: Any, read: Reader, decodes: bool, **kwargs: Any) -> None:
        self._read, self._decodes = read, decodes
        super().__init__(*args, **kwargs)

    async def _emit_batch(self, batch: ReadBatch) -> None:
        partitions: dict[int, list[Any]] = {}
        for partition, run in itertools.groupby(batch.items, _PARTITION):
            partitions.setdefault(partition, []).extend(run)
        for partition, messages in partitions.items():
            at = self._offsets.find(self.topic, partition, batch.epoch)
            if at is not None and self._may_emit():
                elements = await self._elements(at, messages)
                done = at.advance(messages[0].offset(), messages[-1].offset())
                await self.emit_tracked(elements, done, self._element_failed)

    async def _elements(self, at: PartitionOffsets, messages: list[Any]) -> list[Any]:
        """Return the elements of a batch; those that cannot be decoded go to the policy."""
        read = self._read
        if not self._decodes:
            return read_all(read, messages)
        elements = []
        before = messages[0].offset() - 1
        for message in messages:
            try:
                elements.append(read(message))
            except Exception as error:
                done = at.order.add(before)  # they count towards the batch, not for themselves
                await self._settle_undecodable(message.value(), error, done, self._element_failed)
        return elements


@Stream.register_api(staticmethod)
def from_kafka_batched(
    topic: str,
    consumer_params: Any,
    poll_interval: Interval = "1s",
    npartitions: int | None = None,
    refresh_partitions: bool = False,
    start: bool = False,
    dask: bool = False,
    max_batch_size: int = 10_000,
    keys: bool = False,
    engine: str | None = None,
    *,
    messages: bool = False,
    codec: Any = "raw",
    type: Any = None,
    **kwargs: Any,
) -> Stream[Any]:
    """Emit the messages of a Kafka topic in batches, one for each partition.

    Emits a list of values, in bytes, for each partition with new messages, at every interval,
    or at once while there are more.  A tombstone, which has no value, is a `KafkaMessage`
    with value None.  It reads all partitions, whatever other members of its group do; the
    group stores the offsets.

    Delivery: at least once.  The offsets of a batch are committed when it and all before it,
    of the same partition, are done.  Without committed offsets it begins at the end of the
    topic, unless ``"auto.offset.reset"`` is ``"earliest"``.

    Applies back pressure: it reads two batches ahead.  Ends when it is stopped.

    Parameters
    ----------
    topic : str
        Name of the topic.
    consumer_params : dict
        Configuration of the client, confluent-kafka, with ``"bootstrap.servers"`` and
        ``"group.id"``.
    poll_interval : float or str
        Seconds, or a string such as ``"100ms"``, between two batches of a partition that has
        no more messages.
    npartitions : int, optional
        Read only the first partitions; all by default.
    refresh_partitions : bool
        Look for new partitions about once a second, and read them from their beginning.
    start : bool
        Start at once.
    dask : bool
        Emit a scattered stream: tasks on the workers of a Dask cluster read the messages.
        Needs a `distributed.Client`.
    max_batch_size : int
        Messages of a batch at most.
    keys : bool
        Emit dicts with the items ``"key"`` and ``"value"`` instead of values.
    engine : None
        ``"cudf"`` of streamz is not supported.
    messages : bool
        Emit a `KafkaMessage` for each message instead.
    codec, type
        How to decode values, see `from_kafka`.
    **kwargs
        Options of every `Source`: restart, stream_name, loop, asynchronous.

    >>> source = Stream.from_kafka_batched(
    ...     "readings", {"bootstrap.servers": "localhost:9092", "group.id": "archive"}
    ... )  # doctest: +SKIP
    >>> source.map(len).sink(print)  # doctest: +SKIP
    >>> source.start()  # doctest: +SKIP
    """
    name = "from_kafka_batched"
    raw = codec == "raw" and type is None
    decode = None if raw else read_codec(name, codec, type).decode
    form = as_message if messages else as_pair if keys else as_value
    options: dict[str, Any] = {
        "npartitions": npartitions,
        "refresh_partitions": refresh_partitions,
        "max_batch_size": max_batch_size,
        "keys": keys,
        "engine": engine,
        **kwargs,
    }
    node: Stream[Any]
    if dask:
        source = FromKafkaBatched(topic, consumer_params, poll_interval, **options)
        fetch: Any = get_message_batch
        if messages or decode is not None:
            fetch = functools.partial(get_message_batch, messages=messages, decode=decode)
        scattered: Any = source.scatter(backend="dask")
        node = scattered.starmap(fetch)
    else:
        read = reader(form, decode)
        source = BatchReader(
            topic, consumer_params, poll_interval, read=read, decodes=decode is not None, **options
        )
        node = Stream(source)
    if start:
        source.start()
    return node
