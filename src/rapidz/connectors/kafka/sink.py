"""Sink that writes elements to a Kafka topic, and emits what was delivered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rapidz.connectors.codecs import read_codec
from rapidz.connectors.kafka.message import as_message, as_value
from rapidz.connectors.kafka.params import check_client, client_library, make_client, read_params
from rapidz.connectors.kafka.writer import KafkaWriter
from rapidz.kernel.compile.async_steps import await_each, push_all
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.failures import Failure
from rapidz.sinks.session import run_here
from rapidz.sinks.writer_sink import WriterSink


@Stream.register_api()
class to_kafka(WriterSink[Any]):
    """Write every element to a Kafka topic, and emit what was delivered.

    Emits the value of each message, in bytes, once the broker has acknowledged it.

    Delivery: an `emit` returns when its message, or the batch that it completes, is
    acknowledged: at least once.  While no broker can be reached it waits; a message that was not
    acknowledged for ``"message.timeout.ms"`` is written again by a new connection, or, with
    ``restart=False``, fails.  With *transactional*, the messages of a batch are visible
    together or not at all, for consumers that read committed messages.

    Applies back pressure until they are acknowledged, so *batch* gives throughput.

    Parameters
    ----------
    topic : str or callable
        Name of the topic, or a function of the element that returns it.
    producer_config : dict
        Configuration of the client, confluent-kafka, with ``"bootstrap.servers"``.
    key, headers, partition : callable, optional
        Functions of the element that return the key (bytes or str), the headers (a dict, or
        pairs) and the partition; *partition* may be a number.
    codec : str or codec
        How to encode values; by default an element is bytes, str, None (a tombstone) or a
        `KafkaMessage`, whose key, headers and timestamp are taken over too.
    type : type, optional
        Dataclass or msgspec.Struct that the codec encodes.
    transactional : str, optional
        ``"transactional.id"`` of the producer: each batch is one transaction.
    messages : bool
        Emit a `KafkaMessage`, with partition and offset, for each message that was delivered.
    **kwargs
        Options of every `WriterSink`: batch, max_bytes, max_wait, restart, stream_name, loop,
        asynchronous.

    Raises ValueError for a configuration that the client refuses.  A message that the broker
    or the client refuses goes to the policy of the sink; the others of its batch do not.

    >>> source = Stream()
    >>> node = source.to_kafka(
    ...     "alerts", {"bootstrap.servers": "localhost:9092"}, batch=1000, max_wait="1s"
    ... )  # doctest: +SKIP
    """

    _is_end: ClassVar[bool] = False
    _graphviz_shape = "trapezium"

    writer: KafkaWriter

    def __init__(
        self,
        upstream: Stream[Any],
        topic: str | Callable[[Any], str],
        producer_config: Any,
        *,
        key: Callable[[Any], Any] | None = None,
        headers: Callable[[Any], Any] | None = None,
        partition: Callable[[Any], int] | int | None = None,
        codec: Any = "raw",
        type: Any = None,
        transactional: str | None = None,
        messages: bool = False,
        **kwargs: Any,
    ) -> None:
        name = "to_kafka"
        client_library(name)
        if not (isinstance(topic, str) and topic) and not callable(topic):
            raise ValueError(f"{name}: topic must be a name or a function, got {short_repr(topic)}")
        for argument, value in (("key", key), ("headers", headers)):
            if value is not None:
                check_callable(name, argument, value)
        if partition is not None and not isinstance(partition, int):
            check_callable(name, "partition", partition)
        params = read_params(name, "producer_config", producer_config)
        if transactional is not None:
            params["transactional.id"] = transactional
        check_client(name, "producer_config", "Producer", params)
        raw = codec == "raw" and type is None
        encode = None if raw else read_codec(name, codec, type).encode
        self.topic = topic
        writer = KafkaWriter(
            topic,
            params,
            key=key,
            headers=headers,
            partition=partition,
            encode=encode,
            form=as_message if messages else as_value,
        )
        writer.collects = True
        super().__init__(upstream, writer, **kwargs)

    @property
    def producer(self) -> Any:
        """The client; it connects when it is first needed."""
        if self.writer.producer is None:
            self.writer.producer = make_client(
                "to_kafka", "producer_config", "Producer", self.writer.params
            )
        return self.writer.producer

    def flush(self, timeout: Any = -1) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Write what the sink has buffered; see `Stream.flush`.

        *timeout* is that of streamz, and not needed: an element that was emitted is delivered.
        """
        first: Stream[Any] = self._ahead[0] if self._ahead else self
        return Stream.flush(first)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        write, pipeline = self._write, self._pipeline
        step = await_each(self, self._deliver, lambda _, done: push_all(self, done))

        def write_here(x: Any) -> Pending:
            if pipeline.needs_loop:
                return step(x)
            try:
                run_here(self._session, write(x))
            finally:
                wait = push_all(self, self._delivered())
            return wait

        return write_here

    async def _deliver(self, x: Any) -> list[Any]:
        try:
            await self._write(x)
        except Exception:
            if (wait := push_all(self, self._delivered())) is not None:
                await wait
            raise
        return self._delivered()

    def _delivered(self) -> list[Any]:
        """Return what was delivered since the last call."""
        done, self.writer.delivered = self.writer.delivered, []
        return done if self.downstreams else []

    def _each_failure(self, failure: Failure) -> Sequence[Failure]:
        failures = super()._each_failure(failure)
        failed = self.writer.failed
        if self.writer._batch is not failure.element or not self._batches:
            return failures
        return [
            Failure(each.element, failed[n], each.node, each.attempts)
            for n, each in enumerate(failures)
            if n in failed
        ]
