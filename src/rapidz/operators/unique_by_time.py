"""Deduplication by event time: one element a key and span of timestamps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rapidz.eventtime.domain import nanoseconds
from rapidz.eventtime.time_ordered import TimeOrdered
from rapidz.kernel.graph.registry import identity
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.intervals import Interval
from rapidz.operators.select import unique


class UniqueByTime(TimeOrdered[T], unique[T]):
    """`unique` with *within*, downstream of an `event_time`.

    Emits, in the order of timestamps and when the watermark has reached them, each
    element whose key was not emitted within the span before its timestamp.  An
    element that is older than the watermark goes to `late`.  Applies back pressure
    when downstream does.  A flush emits nothing; the end emits the rest.

    Parameters
    ----------
    within : float, str or timedelta
        Length of the span.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where `event_time` found it.
    **kwargs
        As for `unique`.
    """

    def __init__(
        self,
        upstream: Stream[T],
        history: int | None = None,
        key: Callable[[T], Any] = identity,
        *,
        within: Interval,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> None:
        self._length = nanoseconds(within, operator="unique", argument="within")
        kwargs.update(history=history, key=key, within=within)
        super().__init__("unique", upstream, timestamp, **kwargs)
        assert self._recent is not None
        self._is_new = self._recent.tester(self._length)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        super()._on_attribute_set(name, value)
        if name == "within" and self._recent is not None:
            self._length = nanoseconds(value, operator="unique", argument="within")
            self._is_new = self._recent.tester(self._length)

    def _reader(self) -> Callable[[Any], Any]:
        return self.key

    def _results(self, t: int, read: Any, entry: Any) -> Sequence[Any]:
        return (entry,) if self._is_new(read, t) else ()
