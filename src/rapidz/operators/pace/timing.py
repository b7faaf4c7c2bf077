"""Operators that delay elements: `delay` and `rate_limit`."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, ClassVar

from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute
from rapidz.kernel.protocol.checks import read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime.futures import child_future, resolve
from rapidz.kernel.runtime.wait_for_graph import waits_for_caller
from rapidz.operators.pace.queued import Queued


@Stream.register_api()
class delay(Queued[T]):
    """Delay every element by an interval.

    Emits an element *interval* after its arrival or later, and, unless *spaced*
    is False, *interval* after the one before or later.  Applies back pressure
    when downstream does; the buffer of delayed elements is unbounded.

    Parameters
    ----------
    interval : float, str or timedelta
        Seconds, or a string such as ``"500ms"``, at least 0.
    spaced : bool
        Emit elements at least *interval* apart.

    >>> source = Stream()
    >>> delayed = source.delay("10ms").sink_to_list()
    >>> source.emit("later")
    >>> source.join()
    >>> delayed
    ['later']
    """

    _passes_elements: ClassVar[bool] = True

    _graphviz_shape = "octagon"
    _emits_one_for_one: ClassVar[bool] = True

    interval: LiveAttribute[float] = LiveAttribute()
    spaced: LiveAttribute[bool] = LiveAttribute()

    def __init__(
        self, upstream: Stream[T], interval: Interval, spaced: bool = True, **kwargs: Any
    ) -> None:
        self.interval = read_interval("delay", interval, allow_zero=True)
        self.spaced = spaced
        self._left = Cell(float("-inf"))
        self._delivery: Cell[asyncio.Future[None] | None] = Cell(None)
        self._next: Cell[Any] = Cell(None)
        """The entry at the head of the queue, while its task sleeps."""
        super().__init__(upstream, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "interval":
            vars(self)[name] = read_interval("delay", value, allow_zero=True)

    def _buffered(self) -> int:
        return (self._next.value is not None) + super()._buffered()

    def _resumes_queue(self) -> bool:
        return self._next.value is not None

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._left.value, self._delivery.value = float("-inf"), None
        if self._next.value is not None:  # its task was not cancelled when the loop ended
            self._drainer.entries.appendleft(self._next.value)
            self._next.value = None
        self._drainer.entries.extend(
            (float("-inf"), space, x)
            for _, space, x in [self._drainer.entries.popleft() for _ in self.queue.copy()]
        )

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        drainer, outlet, pipeline, left = self._drainer, self._outlet, self._pipeline, self._left
        interval, space = self.interval, self.interval if self.spaced else 0.0
        clock, delivery, waiting = pipeline.clock, self._delivery, self._next

        async def carry(entry: tuple[float, float, T]) -> None:
            due, space, x = entry
            waiting.value = entry
            try:
                await clock.sleep_until(max(due, left.value + space))
            except asyncio.CancelledError:  # the loop ends; the next one resumes the queue
                waiting.value = None
                drainer.entries.appendleft(entry)
                raise
            left.value, waiting.value = clock.time(), None
            if (wait := outlet.send(x)) is not None:
                delivery.value = pipeline.running_on.create_future()
                try:
                    await wait
                finally:
                    resolve(delivery.value)
                    delivery.value = None

        drainer.resume(carry, pipeline)

        def step(x: T) -> Pending:
            drainer.put((clock.time() + interval, space, x), carry, pipeline)
            if delivery.value is None or waits_for_caller(*drainer.capacity_owners()):
                return None
            return child_future(delivery.value)

        return step


@Stream.register_api()
class rate_limit(Stream[T]):
    """Throttle: emit elements at least an interval apart.

    Emits an element at once if *interval* has passed since the one before, else
    as soon as it has.  Applies back pressure until then, and when downstream
    does.  Drops no element.  In other libraries: throttle.

    Parameters
    ----------
    interval : float, str or timedelta
        Minimum time between two elements: seconds, or a string such as
        ``"500ms"``, at least 0.  The clock is monotonic.

    >>> source = Stream()
    >>> node = source.rate_limit("5ms").sink(print)
    >>> source.emit_many("ab")
    a
    b
    """

    _passes_elements: ClassVar[bool] = True

    _graphviz_shape = "octagon"
    _emits_one_for_one: ClassVar[bool] = True

    interval: LiveAttribute[float] = LiveAttribute()

    def __init__(self, upstream: Stream[T], interval: Interval, **kwargs: Any) -> None:
        self.interval = read_interval("rate_limit", interval, allow_zero=True)
        self._left = Cell(float("-inf"))
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        vars(self)[name] = read_interval("rate_limit", value, allow_zero=True)

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._left.value = float("-inf")

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        outlet, pipeline, line, left = self._outlet, self._pipeline, self._serial_queue, self._left
        interval, clock = self.interval, self._pipeline.clock

        lost, ref = self._loss_reporter(), weakref.ref(self)

        async def later(x: T) -> None:
            try:
                await clock.sleep_until(left.value + interval)
            except BaseException:
                if (node := ref()) is not None:
                    node._report_loss()
                raise
            left.value = clock.time()
            if (wait := outlet.send(x)) is not None:
                line.emitted += 1
                try:
                    await wait
                finally:
                    line.emitted -= 1

        def step(x: T) -> Pending:
            now = clock.time()
            if line.busy() or now < left.value + interval:
                return line.enqueue(later(x), pipeline, lost)
            left.value = now
            return push(x)

        return step
