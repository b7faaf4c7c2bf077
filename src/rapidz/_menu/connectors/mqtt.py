"""Typed methods of the connectors: mqtt."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Unpack

from rapidz._menu.types import ElementType, SourceOptions, T, WriterOptions

if TYPE_CHECKING:
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.sinks.base import Sink
    from rapidz.sources.base import Source


class MqttSources(ElementType[T]):
    """Sources, as static methods: ``Stream.from_x(...)``."""

    @staticmethod
    def from_mqtt(
        host: str,
        port: int,
        topic: str | Sequence[str],
        keepalive: int = 60,
        client_kwargs: Mapping[str, Any] | None = None,
        user: str | None = None,
        pw: str | None = None,
        *,
        qos: int = 0,
        client_id: str | None = None,
        tls: bool | SSLContext = False,
        protocol: str = "3.1.1",
        configure: Callable[[Any], object] | None = None,
        buffer: int = 100,
        stop_wait: Interval = 5.0,
        codec: Any = None,
        type: Any = None,
        **options: Unpack[SourceOptions],
    ) -> Source[Any]:
        """Emit the messages of MQTT topics."""


class MqttSinks(ElementType[T]):
    """Sinks, as methods of the stream that they consume."""

    def to_mqtt(
        self,
        host: str,
        port: int,
        topic: str | Callable[[T], str],
        keepalive: int = 60,
        client_kwargs: Mapping[str, Any] | None = None,
        user: str | None = None,
        pw: str | None = None,
        *,
        qos: int = 0,
        retain: bool = False,
        client_id: str | None = None,
        tls: bool | SSLContext = False,
        protocol: str = "3.1.1",
        configure: Callable[[Any], object] | None = None,
        codec: Any = None,
        timeout: Interval = 10.0,
        **options: Unpack[WriterOptions],
    ) -> Sink[T]:
        """Publish every element to an MQTT topic."""
