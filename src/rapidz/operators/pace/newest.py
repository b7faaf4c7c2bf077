"""Newest element: a slot that a timer empties, and whose element the next one replaces."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.checks import read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime.futures import child_future, resolve
from rapidz.kernel.runtime.in_flight_token import InFlightToken
from rapidz.kernel.runtime.supervision import push_supervised
from rapidz.kernel.runtime.timer import Timer

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import PipelineContext

EMPTY: Final[Any] = object()
"""What a slot without an element contains."""


class NewestSlot:
    """The newest element of a node, and when it leaves.

    It leaves at the instant *due*, or, if downstream has not taken the element
    before by then, as soon as it has.  The next element that arrives until then
    replaces it.
    """

    __slots__ = (
        "_armed",
        "_outlet",
        "_pipeline",
        "_timer",
        "_token",
        "dropped",
        "due",
        "in_flight",
        "left",
        "postpone",
        "x",
    )

    def __init__(self, node: NewestElement[Any]) -> None:
        self._timer = Timer(node)
        self.x: Any = EMPTY
        self.due = 0.0
        """When the element leaves, by the clock of the pipeline."""
        self.left = -math.inf
        """When the last element left."""
        self.dropped = 0
        """How many elements were dropped."""
        self.in_flight: asyncio.Future[None] | None = None
        """What is done when downstream has taken the last element; None: it has."""
        self.postpone: Callable[[float], float] | None = None
        """From the present time: when an element leaves that was due before; None: at once."""
        self._armed = False
        self._token = InFlightToken(node)

    def bind(self, node: NewestElement[Any]) -> None:
        """Deliver to what is downstream of *node*: at compile time."""
        self._pipeline: PipelineContext = node._pipeline
        self._outlet = node._outlet
        if self.x is not EMPTY and not self._armed and self.in_flight is None:
            self.due = self._pipeline.clock.time() + node.interval  # an earlier loop has left it
            self._token.begin(self._pipeline)
            self._arm()

    def check_time(self, now: float) -> None:
        """Note the present time, by a clock that may be another one than before."""
        if now < self.left:
            self.left = -math.inf

    def leave_loop(self, node: NewestElement[Any]) -> None:
        """Forget what belonged to a loop that has ended; the element stays."""
        self.stop()
        self.left, self.in_flight, self._token = -math.inf, None, InFlightToken(node)

    def put(self, x: Any, due: float) -> None:
        """Let *x* leave at the instant *due*; drop the element that it replaces."""
        if self.x is EMPTY:
            self._token.begin(self._pipeline)
        else:
            self.dropped += 1
        self.x, self.due = x, due
        if not self._armed and self.in_flight is None:
            self._arm()

    def is_overdue(self, now: float) -> bool:
        """Return whether the element would have left already, were the loop not behind."""
        return self.x is not EMPTY and now >= self.due and self.in_flight is None

    def deliver(self) -> Pending:
        """Emit the element."""
        x, self.x = self.x, EMPTY
        self.left = self._pipeline.clock.time()
        wait = push_supervised(self._pipeline, self._outlet.send, x)
        if wait is None:
            self._end_token_if_idle()
            return None
        self._follow(wait)
        return child_future(wait)

    def pass_on(self, push: Push[Any], x: Any, now: float) -> Pending:
        """Emit *x* at once, for its emitter to wait for."""
        self.left = now
        wait = push(x)
        if wait is not None:
            delivered = self._pipeline.running_on.create_future()
            running: Any = wait
            running.add_done_callback(lambda _: resolve(delivered))
            self._follow(delivered)
        return wait

    def _follow(self, delivered: asyncio.Future[None]) -> None:
        self.in_flight = delivered
        delivered.add_done_callback(self._on_delivered)

    def stop(self) -> None:
        """Deliver nothing any more by the clock."""
        self._armed = False
        self._timer.cancel()

    def _arm(self) -> None:
        self._armed = True
        self._timer.set(self._pipeline, self.due, self._fire)

    def _fire(self) -> None:
        self._armed = False
        if self.x is EMPTY or self.in_flight is not None:
            return
        if self._pipeline.clock.time() < self.due:  # it was put off since the timer was set
            self._arm()
        else:
            self.deliver()

    def _on_delivered(self, wait: Any) -> None:
        if self.in_flight is not wait:
            return  # a flush has emitted another element meanwhile
        self.in_flight = None
        if self.x is not EMPTY:
            now = self._pipeline.clock.time()
            if self.postpone is not None and self.due <= now:
                self.due = self.postpone(now)
            if not self._armed:
                self._arm()
        self._end_token_if_idle()

    def _end_token_if_idle(self) -> None:
        if self.in_flight is None and self.x is EMPTY:
            self._token.end(self._pipeline)


class NewestElement(Stream[T]):
    """Base class of the operators that emit the newest element, and drop others."""

    _passes_elements: ClassVar[bool] = True

    _keeps_elements: ClassVar[bool] = True
    _graphviz_shape = "octagon"

    interval: LiveAttribute[float] = LiveAttribute()

    def __init__(self, upstream: Stream[T], interval: Interval, **kwargs: Any) -> None:
        self.interval = read_interval(type(self).__name__, interval)
        self._slot = NewestSlot(self)
        super().__init__(upstream, **kwargs)

    @property
    def dropped(self) -> int:
        """The number of elements that were dropped."""
        return self._slot.dropped

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "interval":
            vars(self)[name] = read_interval(type(self).__name__, value)

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._slot.leave_loop(self)

    def _buffered(self) -> int:
        return int(self._slot.x is not EMPTY)

    def _resumes_queue(self) -> bool:
        return self._slot.x is not EMPTY

    def _emit_buffered(self) -> Pending:
        slot = self._slot
        if slot.x is not EMPTY:
            return slot.deliver()
        return None if slot.in_flight is None else child_future(slot.in_flight)

    def _stop_background_work(self) -> None:
        self._slot.stop()

    def _on_end(self) -> None:
        self._slot.stop()
