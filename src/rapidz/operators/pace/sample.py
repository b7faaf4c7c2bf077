"""Sampling: the newest element at each interval."""

from __future__ import annotations

import functools
import math
from typing import Any

from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import Cell
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.operators.pace.newest import EMPTY, NewestElement


@Stream.register_api()
class sample(NewestElement[T]):
    """Emit the newest element at each interval, if there is a new one.

    Emits at the full intervals since the first use of the pipeline; an element
    that arrives at the very instant is emitted at the next one.  A flush or the
    end emits the newest element at once.  Never applies back pressure: while
    downstream has not taken an element, intervals pass without one.
    ``node.dropped`` counts the elements that newer ones have replaced.

    Parameters
    ----------
    interval : float, str or timedelta
        Seconds, or a string such as ``"500ms"``, above 0.

    >>> source = Stream()
    >>> shown = source.sample("20ms").sink_to_list()
    >>> source.emit_many([20.1, 20.3, 20.2])
    >>> source.join()
    >>> shown
    [20.2]
    """

    def __init__(self, upstream: Stream[T], interval: Interval, **kwargs: Any) -> None:
        self._first: Cell[float | None] = Cell(None)
        """When the first interval began."""
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, interval, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        super()._on_attribute_set(name, value)
        if name == "interval":
            self._first.value = None

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._first.value = None

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        slot, interval, time = self._slot, self.interval, self._pipeline.clock.time
        first = self._first.value
        if first is None:
            first = self._first.value = time()
        next_tick = slot.postpone = functools.partial(_next_tick, first, interval)
        slot.bind(self)

        def step(x: Any) -> Pending:
            now = time()
            if slot.is_overdue(now):
                slot.deliver()
            slot.put(x, next_tick(now) if slot.x is EMPTY else slot.due)
            return None

        return step


def _next_tick(first: float, interval: float, now: float) -> float:
    """Return the next full interval after *now*, counted from *first*."""
    return first + (math.floor((now - first) / interval) + 1) * interval
