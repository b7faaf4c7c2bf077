"""Typed methods of the connectors: redis."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from rapidz._menu.types import ElementType, SourceOptions, T, WriterOptions

if TYPE_CHECKING:
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.sinks.base import Sink
    from rapidz.sources.base import Source


class RedisSources(ElementType[T]):
    """Sources, as static methods: ``Stream.from_x(...)``."""

    @staticmethod
    def from_redis_stream(
        url: str,
        stream: str,
        group: str | None = None,
        consumer: str | None = None,
        *,
        since: str = "0",
        batch: int = 100,
        claim: Interval | None = None,
        codec: Any = None,
        type: Any = None,
        field: str = "data",
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[Any]:
        """Emit the entries of a Redis stream."""

    @staticmethod
    def from_redis_list(
        url: str,
        key: str,
        processing: str | None = None,
        *,
        batch: int = 100,
        codec: Any = "raw",
        type: Any = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[Any]:
        """Emit the items of a Redis list, from its left end."""

    @staticmethod
    def from_redis_pubsub(
        url: str,
        channels: str | Sequence[str] = (),
        *,
        patterns: str | Sequence[str] = (),
        codec: Any = None,
        type: Any = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[Any]:
        """Emit the messages that are published to Redis channels."""


class RedisSinks(ElementType[T]):
    """Sinks, as methods of the stream that they consume."""

    def to_redis_stream(
        self,
        url: str,
        stream: str,
        *,
        codec: Any = None,
        field: str = "data",
        maxlen: int | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[WriterOptions],
    ) -> Sink[T]:
        """Add every element to a Redis stream."""

    def to_redis_list(
        self,
        url: str,
        key: str,
        *,
        codec: Any = "raw",
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[WriterOptions],
    ) -> Sink[T]:
        """Append every element to a Redis list."""

    def to_redis_pubsub(
        self,
        url: str,
        channel: str,
        *,
        codec: Any = "raw",
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[WriterOptions],
    ) -> Sink[T]:
        """Publish every element to a Redis channel."""
