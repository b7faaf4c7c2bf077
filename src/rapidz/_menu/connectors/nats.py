"""Typed methods of the connectors: nats."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from rapidz._menu.types import ElementType, SourceOptions, T, WriterOptions

if TYPE_CHECKING:
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.sinks.base import Sink
    from rapidz.sources.base import Source


class NatsSources(ElementType[T]):
    """Sources, as static methods: ``Stream.from_x(...)``."""

    @staticmethod
    def from_nats(
        subject: str,
        servers: str | Sequence[str] = "nats://127.0.0.1:4222",
        queue: str | None = None,
        *,
        buffer: int = 65_536,
        buffer_bytes: int = 64 << 20,
        codec: Any = None,
        type: Any = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[Any]:
        """Emit the messages of a NATS subject."""

    @staticmethod
    def from_jetstream(
        stream: str,
        durable: str,
        servers: str | Sequence[str] = "nats://127.0.0.1:4222",
        *,
        subject: str | None = None,
        since: str | int = "all",
        batch: int = 100,
        ack_wait: Interval = 30.0,
        max_ack_pending: int = 1000,
        codec: Any = None,
        type: Any = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[Any]:
        """Emit the messages of a JetStream stream, by a durable pull consumer."""


class NatsSinks(ElementType[T]):
    """Sinks, as methods of the stream that they consume."""

    def to_nats(
        self,
        subject: str | Callable[[T], str],
        servers: str | Sequence[str] = "nats://127.0.0.1:4222",
        *,
        codec: Any = "raw",
        timeout: Interval = 10.0,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[WriterOptions],
    ) -> Sink[T]:
        """Publish every element to a NATS subject."""

    def to_jetstream(
        self,
        subject: str | Callable[[T], str],
        servers: str | Sequence[str] = "nats://127.0.0.1:4222",
        *,
        stream: str | None = None,
        message_id: Callable[[T], str] | None = None,
        codec: Any = "raw",
        timeout: Interval = 10.0,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[WriterOptions],
    ) -> Sink[T]:
        """Publish every element to a subject of a JetStream stream."""
