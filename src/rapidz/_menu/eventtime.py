"""Typed methods of event time: timestamps, windows, keyed streams, joins."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from rapidz._menu.types import (
    ElementType,
    K,
    NodeOptions,
    P,
    Processor,
    T,
    TimeWindowOptions,
    U,
)

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

    @overload
    def key_by(
        self, key: Callable[[T], K], **options: Unpack[NodeOptions]
    ) -> KeyedStream[K, T]: ...
    @overload
    def key_by(self, key: Any, **options: Unpack[NodeOptions]) -> KeyedStream[Any, T]: ...
    def key_by(self, key: Any, **options: Unpack[NodeOptions]) -> KeyedStream[Any, T]:
        """Give elements keys, for windows, joins and state of each key."""

    @overload
    def process(
        self, cls: Callable[P, Processor[Any, T, U]], *args: P.args, **kwargs: P.kwargs
    ) -> keyed_process.process[U]: ...
    @overload
    def process(
        self,
        cls: Callable[..., Processor[Any, T, U]],
        *args: Any,
        timestamp: Any = None,
        hold: bool | Interval = True,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> keyed_process.process[U]: ...
    def process(self, cls: Any, *args: Any, **kwargs: Any) -> keyed_process.process[Any]:
        """Call a class with each element and each timer of its key."""

    def tumbling(
        self, size: Interval, *, offset: Interval = 0, **options: Unpack[TimeWindowOptions]
    ) -> Windows[None, T]:
        """Divide event time into windows of one size, one after the other."""

    def sliding(
        self,
        size: Interval,
        every: Interval,
        *,
        offset: Interval = 0,
        **options: Unpack[TimeWindowOptions],
    ) -> Windows[None, T]:
        """Windows of one size that begin every so often, and overlap."""

    def session(
        self,
        gap: Interval,
        *,
        max_length: Interval | None = None,
        **options: Unpack[TimeWindowOptions],
    ) -> Windows[None, T]:
        """Windows of elements that follow each other closely."""

    @overload
    def interval_join(
        self,
        other: Stream[U],
        key: Any = None,
        *,
        within: Interval | tuple[Interval, Interval],
        how: Literal["inner"] = "inner",
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> interval.interval_join[tuple[T, U]]: ...
    @overload
    def interval_join(
        self,
        other: Stream[U],
        key: Any = None,
        *,
        within: Interval | tuple[Interval, Interval],
        how: Literal["left"],
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> interval.interval_join[tuple[T, U | None]]: ...
    @overload
    def interval_join(
        self,
        other: Stream[U],
        key: Any = None,
        *,
        within: Interval | tuple[Interval, Interval],
        how: Literal["right"],
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> interval.interval_join[tuple[T | None, U]]: ...
    @overload
    def interval_join(
        self,
        other: Stream[U],
        key: Any = None,
        *,
        within: Interval | tuple[Interval, Interval],
        how: Literal["outer"],
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> interval.interval_join[tuple[T | None, U | None]]: ...
    def interval_join(
        self,
        other: Stream[Any],
        key: Any = None,
        *,
        within: Interval | tuple[Interval, Interval],
        how: Literal["inner", "left", "right", "outer"] = "inner",
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> interval.interval_join[Any]:
        """Pair the elements of two streams that have the same key and are close in event time."""

    @overload
    def asof_join(
        self,
        other: Stream[U],
        key: Any = None,
        *,
        tolerance: Interval | None = None,
        how: Literal["left"] = "left",
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> asof.asof_join[tuple[T, U | None]]: ...
    @overload
    def asof_join(
        self,
        other: Stream[U],
        key: Any = None,
        *,
        tolerance: Interval | None = None,
        how: Literal["inner"],
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> asof.asof_join[tuple[T, U]]: ...
    def asof_join(
        self,
        other: Stream[Any],
        key: Any = None,
        *,
        tolerance: Interval | None = None,
        how: Literal["left", "inner"] = "left",
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> asof.asof_join[Any]:
        """Pair each element with the newest one of another stream that is not newer than itself."""

    @overload
    def lookup(
        self,
        table: Stream[U],
        key: Any = None,
        *,
        version: Literal["latest", "event time"] = "latest",
        how: Literal["left"] = "left",
        **options: Unpack[NodeOptions],
    ) -> Stream[tuple[T, U | None]]: ...
    @overload
    def lookup(
        self,
        table: Stream[U],
        key: Any = None,
        *,
        version: Literal["latest", "event time"] = "latest",
        how: Literal["inner"],
        **options: Unpack[NodeOptions],
    ) -> Stream[tuple[T, U]]: ...
    def lookup(
        self,
        table: Stream[Any],
        key: Any = None,
        *,
        version: Literal["latest", "event time"] = "latest",
        how: Literal["left", "inner"] = "left",
        **options: Unpack[NodeOptions],
    ) -> Stream[Any]:
        """Pair each element with the row of a table."""
