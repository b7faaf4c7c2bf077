"""Order of timestamps: elements are taken up when the watermark has passed them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Any, ClassVar, TypeVar

from rapidz.eventtime.clock import NEVER
from rapidz.eventtime.time_node import TimeNode
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.tracked_element import unbox

T = TypeVar("T")


class TimeOrdered(TimeNode[T]):
    """Base class of the nodes that take up elements in the order of their timestamps.

    An element is taken up when the watermark has reached its timestamp, so that no
    older one follows; of two with the same timestamp, the one that arrived first.
    An element that is older than the watermark is late.  A subclass overrides
    `_results`, and `_read` if it calls a function of the user.

    Parameters
    ----------
    operator : str
        Its name, for errors.
    upstream : Stream
        Where elements come from; it must have an `event_time` upstream.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where that `event_time` found it.
    """

    _keeps_elements: ClassVar[bool] = True

    def __init__(self, operator: str, upstream: Any, timestamp: Any = None, **kwargs: Any) -> None:
        self._waiting: list[tuple[int, int, Any, Any]] = []
        """Heap of the elements not taken up yet: instant, number, what was read, element."""
        self._taken = 0
        """How many elements have arrived."""
        super().__init__(operator, [upstream], timestamp, **kwargs)

    def _read(self, x: Any) -> Any:
        """Return what `_results` needs besides *x*, when *x* arrives; it may fail."""
        return None

    def _results(self, t: int, read: Any, entry: Any) -> Iterable[Any]:
        """Take up an element of the instant *t*; return what to emit.

        *entry* is the element, with its metadata if it carries any.
        """
        raise NotImplementedError

    def _can_inline(self) -> bool:
        return False

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        """Return a step that lets elements wait for the watermark."""
        ref = weakref.ref(self)

        def step(x: Any) -> Pending:
            node = ref()
            return None if node is None else node._take(x)

        return step

    def _take(self, x: Any) -> Pending:
        bare = unbox(x)
        try:
            t, read = self._domain.to_ns(self._timestamp(bare)), self._read(bare)
        except Exception as error:
            attribute_to(error, self, x)
            raise
        clock = self._clock
        reached = clock.caught_up()
        if t < reached:
            return self._send_late(bare, reached - t, self._domain)
        if t == reached and not (self._waiting and self._waiting[0][0] <= t):
            return self._emit_all(self._taken_up([(t, read, x)]))
        self._taken += 1
        heappush(self._waiting, (t, self._taken, read, x))
        clock.set_timer(t)
        wait: Pending = clock.advance() if t == reached else None
        return wait

    def _on_time(self, t: int) -> Pending:
        waiting, due = self._waiting, list[tuple[int, Any, Any]]()
        while waiting and waiting[0][0] <= t:
            instant, _, read, x = heappop(waiting)
            due.append((instant, read, x))
        self._clock.timer = waiting[0][0] if waiting else NEVER
        return self._emit_all(self._taken_up(due)) if due else None

    def _taken_up(self, due: list[tuple[int, Any, Any]]) -> Iterator[Any]:
        due.reverse()  # each entry is dropped when it is taken up
        while due:
            t, read, x = due.pop()
            try:
                results = self._results(t, read, x)
            except Exception as error:
                attribute_to(error, self, x)
                self._pipeline.record_failure(error)
            else:
                del x
                yield from results

    def _buffered(self) -> int:
        return len(self._waiting)
