"""Typed methods of the connectors: kafka."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from rapidz._menu.types import ElementType, SourceOptions, T, WriterOptions

if TYPE_CHECKING:
    from rapidz.connectors import kafka
    from rapidz.connectors.kafka.message import KafkaMessage
    from rapidz.kernel.graph.stream import Stream
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.sources.base import Source
    from rapidz.sources.restart import Restart


class KafkaSources(ElementType[T]):
    """Sources, as static methods: ``Stream.from_x(...)``."""

    @overload
    @staticmethod
    def from_kafka(
        topics: str | Iterable[str],
        consumer_params: Mapping[str, Any],
        poll_interval: Interval = 0.1,
        *,
        messages: Literal[True],
        codec: Any = "raw",
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> Source[KafkaMessage]: ...
    @overload
    @staticmethod
    def from_kafka(
        topics: str | Iterable[str],
        consumer_params: Mapping[str, Any],
        poll_interval: Interval = 0.1,
        *,
        messages: bool = False,
        keys: bool = False,
        codec: Any = "raw",
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> Source[Any]: ...
    @staticmethod
    def from_kafka(
        topics: str | Iterable[str],
        consumer_params: Mapping[str, Any],
        poll_interval: Interval = 0.1,
        *,
        messages: bool = False,
        keys: bool = False,
        codec: Any = "raw",
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> Source[Any]:
        """Emit the messages of Kafka topics, as a member of a consumer group."""

    @staticmethod
    def from_kafka_batched(
        topic: str,
        consumer_params: Mapping[str, Any],
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
        restart: bool | Restart | None = None,
        stream_name: str | None = None,
        loop: Any = None,
        asynchronous: bool | None = None,
    ) -> Stream[list[Any]]:
        """Emit the messages of a Kafka topic in batches, one for each partition."""


class KafkaSinks(ElementType[T]):
    """Sinks, as methods of the stream that they consume."""

    def to_kafka(
        self,
        topic: str | Callable[[T], str],
        producer_config: Mapping[str, Any],
        *,
        key: Callable[[T], Any] | None = None,
        headers: Callable[[T], Any] | None = None,
        partition: Callable[[T], int] | int | None = None,
        codec: Any = "raw",
        type: Any = None,
        transactional: str | None = None,
        messages: bool = False,
        **options: Unpack[WriterOptions],
    ) -> kafka.to_kafka:
        """Write every element to a Kafka topic, and emit what was delivered."""
