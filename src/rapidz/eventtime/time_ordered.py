"""Order of timestamps: elements are taken up when the watermark has passed them."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
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
    `_results`, and `_reader` if it calls a function of the user.

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
        self._numbers = itertools.count()
        super().__init__(operator, [upstream], timestamp, **kwargs)

    def _reader(self) -> Callable[[Any], Any] | None:
        """Return the function that reads what `_results` needs besides the element.

        It is called when the element arrives, and may fail.  None: nothing is read.
        """
        return None

    def _results(self, t: int, read: Any, entry: Any) -> Sequence[Any]:
        """Take up an element of the instant *t*; return what to emit.

        *entry* is the element, with its metadata if it carries any.
        """
        raise NotImplementedError

    def _can_inline(self) -> bool:
        return False

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        """Return a step that lets elements wait for the watermark."""
        ref, clock, waiting, numbers = weakref.ref(self), self._clock, self._waiting, self._numbers
        to_ns, timestamp, reader = self._domain.to_ns, self._timestamp, self._reader()
        tracked = self._pipeline.tracked

        def step(x: Any) -> Pending:
            bare = unbox(x) if tracked else x
            try:
                t, read = to_ns(timestamp(bare)), None if reader is None else reader(bare)
            except Exception as error:
                attribute_to(error, ref(), x)
                raise
            if t >= clock.timer:  # the watermark has not passed that, so it is behind this too
                heappush(waiting, (t, next(numbers), read, x))
                return None
            node = ref()
            return None if node is None else node._take(t, read, x)

        return step

    def _take(self, t: int, read: Any, x: Any) -> Pending:
        """Take an element that may be due, or late."""
        clock, waiting = self._clock, self._waiting
        reached = clock.caught_up()
        if t < reached:
            return self._send_late(unbox(x), reached - t, self._domain)
        if t == reached and not (waiting and waiting[0][0] <= t):
            if self._serial_queue.busy():  # elements before it are not taken up yet
                return self._emit_all(self._taken_up([(t, read, x)]))
            results = self._results(t, read, x)
            if len(results) == 1:
                return self._outlet.send(results[0])
            return self._emit_all(results) if results else None
        heappush(waiting, (t, next(self._numbers), read, x))
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
