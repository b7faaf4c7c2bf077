"""Sliding windows by event time: the elements of the last span of timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from rapidz.eventtime.domain import nanoseconds
from rapidz.eventtime.event_time import TimeDefinition
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.time_ordered import TimeOrdered
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.intervals import Interval
from rapidz.operators.window.sliding import sliding_window

T = TypeVar("T")


class LastTime:
    """Reads the timestamp of a window: that of its last element."""

    def __init__(self, getter: Getter) -> None:
        self._getter = getter

    def __call__(self, window: tuple[Any, ...]) -> Any:
        return self._getter(window[-1])


class SlidingWindowByTime(TimeOrdered[tuple[T, ...]], sliding_window[T]):
    """`sliding_window` with *time*, downstream of an `event_time`.

    Emits, in the order of timestamps and when the watermark has reached them, for
    each element those of the last *time* before its timestamp.  An element that is
    older than the watermark goes to `late`.  Applies back pressure when downstream
    does.  A flush emits nothing; the end emits the rest.

    Parameters
    ----------
    time : float, str or timedelta
        Length of the span.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where `event_time` found it.
    **kwargs
        As for `sliding_window`.
    """

    def __init__(
        self,
        upstream: Stream[T],
        n: int | None = None,
        return_partial: bool = False,
        *,
        time: Interval,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> None:
        self._length = nanoseconds(time, operator="sliding_window", argument="time")
        kwargs.update(n=n, return_partial=return_partial, time=time)
        super().__init__("sliding_window", upstream, timestamp, **kwargs)
        self._make_add()
        self.time_definition = TimeDefinition(
            Getter(LastTime(self._timestamp), "sliding_window", "timestamp"), self._domain
        )

    def _make_add(self) -> None:
        assert self._span is not None
        self._add = self._span.adder(self._length, self.n)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        super()._on_attribute_set(name, value)
        if name == "time":
            self._length = nanoseconds(value, operator="sliding_window", argument="time")
        if name in ("n", "time"):
            self._make_add()

    def _results(self, t: int, read: Any, entry: Any) -> Sequence[Any]:
        window = self._add(entry, t)
        partial = self.n is None or self.return_partial
        return (window,) if partial or len(window) == self.n else ()
