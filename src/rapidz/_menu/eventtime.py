"""Typed methods of event time: timestamps, windows, keyed streams, joins."""

# The methods have no bodies, as in a stub.
# mypy: disable-error-code="empty-body"
# pyright: reportReturnType=false

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Unpack

from rapidz._menu.types import ElementType, NodeOptions, T

if TYPE_CHECKING:
    from rapidz.eventtime import event_time as timed
    from rapidz.eventtime.joins import asof, interval
    from rapidz.eventtime.keyed import process as keyed_process
    from rapidz.eventtime.keyed.keyed_stream import KeyedStream
    from rapidz.eventtime.windows.definition import Windows
    from rapidz.kernel.graph.stream import Stream
    from rapidz.kernel.protocol.intervals import Interval


class EventTimeMethods(ElementType[T]):
    """Operators that know when things happened."""

    def event_time(
        self,
        timestamp: Any,
        *,
        lag: Interval = 0,
        idle: Interval | None = None,
        ahead: Interval | None = None,
        unit: str = "s",
        partition: Any = None,
        partitions: int = 1,
        **options: Unpack[NodeOptions],
    ) -> timed.event_time[T]:
        """Give elements the time at which they happened, and make watermarks of it."""

    def held_by(self) -> str:
        """Say in words what keeps the watermark back, and since when."""

    def why_open(self, window: Any = None) -> str:
        """Say in words why a window is still open."""

    def timestamps(self, timestamp: Any, **options: Unpack[NodeOptions]) -> Stream[T]:
        """Say anew where the timestamp of an element is."""

    def key_by(self, key: Any, **options: Unpack[NodeOptions]) -> KeyedStream[T]:
        """Give elements keys, for windows, joins and state of each key."""

    def process(
        self,
        cls: Callable[..., Any],
        *args: Any,
        timestamp: Any = None,
        hold: bool | Interval = True,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> keyed_process.process[Any]:
        """Call a class with each element and each timer of its key."""

    def tumbling(
        self,
        size: Interval,
        *,
        offset: Interval = 0,
        emit: Literal["close", "update"] = "close",
        early: Interval | None = None,
        lateness: Interval = 0,
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> Windows:
        """Divide event time into windows of one size, one after the other."""

    def sliding(
        self,
        size: Interval,
        every: Interval,
        *,
        offset: Interval = 0,
        emit: Literal["close", "update"] = "close",
        early: Interval | None = None,
        lateness: Interval = 0,
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> Windows:
        """Windows of one size that begin every so often, and overlap."""

    def session(
        self,
        gap: Interval,
        *,
        max_length: Interval | None = None,
        emit: Literal["close", "update"] = "close",
        early: Interval | None = None,
        lateness: Interval = 0,
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> Windows:
        """Windows of elements that follow each other closely."""

    def interval_join(
        self,
        other: Stream[Any],
        key: Any = None,
        *,
        within: Interval | tuple[Interval, Interval],
        how: Literal["inner", "left", "right", "outer"] = "inner",
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> interval.interval_join:
        """Pair the elements of two streams that have the same key and are close in event time."""

    def asof_join(
        self,
        other: Stream[Any],
        key: Any = None,
        *,
        tolerance: Interval | None = None,
        how: Literal["left", "inner"] = "left",
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> asof.asof_join:
        """Pair each element with the newest one of another stream that is not newer than itself."""

    def lookup(
        self,
        table: Stream[Any],
        key: Any = None,
        *,
        version: Literal["latest", "event time"] = "latest",
        how: Literal["left", "inner"] = "left",
        **options: Unpack[NodeOptions],
    ) -> Stream[tuple[T, Any]]:
        """Pair each element with the row of a table."""
