"""Throttling: at most one element an interval; the others are dropped."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.checks import check_choice
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.operators.pace.newest import EMPTY, NewestElement

Edge: TypeAlias = Literal["leading", "trailing", "both"]


@Stream.register_api()
class throttle(NewestElement[T]):
    """Emit at most one element an interval; drop the others.

    An interval begins with the first element after the interval before.  Emits
    that element at once, by the edge ``"leading"``; the newest element at the
    end of the interval, by ``"trailing"``; with ``"both"`` the two, and the next
    interval begins when the second one is emitted.  A flush or the end emits the
    newest element at once.  Applies back pressure when downstream does, but for
    an element at the end of an interval: until downstream has taken that, the
    next ones replace each other.  ``node.dropped`` counts the elements that were
    dropped.

    Parameters
    ----------
    interval : float, str or timedelta
        Seconds, or a string such as ``"500ms"``, above 0.
    edge : "leading", "trailing" or "both"
        Which element of an interval to emit.  Only ``"leading"`` needs no event
        loop, and may drop the last element of the stream.

    >>> source = Stream()
    >>> alarms = source.throttle("1h").sink_to_list()
    >>> source.emit_many(["hot", "hot", "hot"])
    >>> alarms
    ['hot']
    """

    edge: LiveAttribute[Edge] = LiveAttribute()

    def __init__(
        self, upstream: Stream[T], interval: Interval, edge: Edge = "leading", **kwargs: Any
    ) -> None:
        _check_edge(edge)
        self.edge = edge
        if edge != "leading":
            kwargs["ensure_io_loop"] = True
        super().__init__(upstream, interval, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        super()._on_attribute_set(name, value)
        if name == "edge":
            _check_edge(value)
            if value != "leading":
                self._pipeline.require_loop()

    def _can_inline(self) -> bool:
        return self.edge == "leading" and self._slot.x is EMPTY

    def inline(self, code: Code, port: int = 0) -> None:
        time = self._pipeline.monotonic
        self._slot.check_time(time())
        slot, interval = code.bind("slot", self._slot), code.bind("interval", self.interval)
        code.line(f"now = {code.bind('time', time)}()")
        code.line(f"early = now < {slot}.left + {interval}")
        code.line(f"if early: {slot}.dropped += 1")
        code.nest("not early")
        code.line(f"{slot}.left = now")

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        if self._can_inline():
            return self._compile_inline(push, port)
        slot, interval, time = self._slot, self.interval, self._pipeline.clock.time
        leads, trails = self.edge != "trailing", self.edge != "leading"
        slot.check_time(time())
        slot.bind(self)

        def step(x: Any) -> Pending:
            now = time()
            if slot.is_overdue(now):
                slot.deliver()
            if slot.x is not EMPTY:
                if trails:
                    slot.put(x, slot.due)
                else:
                    slot.dropped += 1
            elif leads and slot.in_flight is None and now >= slot.left + interval:
                return slot.pass_on(push, x, now)
            elif trails:
                slot.put(x, slot.left + interval if leads else now + interval)
            else:
                slot.dropped += 1
            return None

        return step


def _check_edge(edge: object) -> None:
    check_choice("throttle", "edge", edge, ("leading", "trailing", "both"))
