"""Debouncing: the newest element, once no other has arrived for an interval."""

from __future__ import annotations

from typing import Any

from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.operators.pace.newest import NewestElement


@Stream.register_api()
class debounce(NewestElement[T]):
    """Emit the newest element once no other has arrived for an interval.

    Emits an element *interval* after its arrival, unless another one arrives
    before: that replaces it.  A flush or the end emits it at once.  Never
    applies back pressure: until downstream has taken an element, the next ones
    replace each other.  ``node.dropped`` counts the elements that were replaced.

    Parameters
    ----------
    interval : float, str or timedelta
        Seconds, or a string such as ``"500ms"``, above 0.

    >>> source = Stream()
    >>> queries = source.debounce("20ms").sink_to_list()
    >>> source.emit_many(["c", "ca", "cat"])
    >>> source.join()
    >>> queries
    ['cat']
    """

    def __init__(self, upstream: Stream[T], interval: Interval, **kwargs: Any) -> None:
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, interval, **kwargs)

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        slot, interval, time = self._slot, self.interval, self._pipeline.clock.time
        slot.bind(self)

        def step(x: Any) -> Pending:
            now = time()
            if slot.is_overdue(now):
                slot.deliver()
            slot.put(x, now + interval)
            return None

        return step
