"""Idleness: asked for data and got none, never busy, never under back pressure."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from rapidz.eventtime.domain import SECOND
from rapidz.kernel.protocol.node import edges
from rapidz.kernel.runtime.timer import Timer

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

#: What a timer may be early or late by rounding, in nanoseconds.
_ROUNDING: Final = 1_000
#: How often an input that waits upstream is looked at, in the time of *idle*.
_LOOKS: Final = 16


class IdleWatch:
    """Counts the time without elements, as long as none of this input is in flight.

    The count begins when the last element is through: an input that has to wait for
    what is downstream is busy, and not idle.  So is one whose elements are further up, or
    block what feeds it on another branch.  The elements of other inputs do not count.  An input
    that has had no element at all is counted from the first element of the pipeline on.
    """

    __slots__ = (
        *("__weakref__", "_clock", "_edits", "_last", "_node"),
        *("_held", "_held_since", "_patience", "_pending", "_timer", "_waits_for", "_when"),
    )

    def __init__(self, node: Node, clock: Any, patience: int) -> None:
        self._node = weakref.ref(node)
        self._clock = weakref.ref(clock)
        self._pending: list[Any] = []
        """What elements of this input wait for, as their senders do."""
        self._held, self._held_since = 0.0, 0.0
        """For how many seconds elements had to wait, so far; since when they do."""
        self._waits_for: Any = None
        """That of it whose end calls `_go_on`; or True, if something upstream is looked at."""
        self._patience = patience / SECOND
        self._timer, self._when = Timer(node), 0.0
        self._last: float | None = None
        self._edits = -1
        """The version of the graph for which the other inputs count as well."""

    def note(self, wait: Any = None) -> None:
        """Note an element, through when *wait* is done: the count begins anew."""
        if (node := self._node()) is None:
            return
        pipeline = node._pipeline
        self._last = pipeline.clock.time()
        if self._waits_for is True:
            self._waits_for = None
        due = self._last + self._patience
        if not self._timer.is_set() or self._when > due:  # or was set for an idle input
            self._set(due)
        if wait is not None:
            if not self._pending:
                self._held_since = self._last
            self._pending.append(wait)
            self._is_waiting()
        if self._edits != pipeline.edits:
            self._edits = pipeline.edits
            self._begin_others(pipeline)

    def _begin_others(self, pipeline: Any) -> None:
        """Let the inputs count that have had no element yet."""
        for node in list(pipeline.nodes):
            watch = getattr(node._clock, "watch", None)
            if watch is not None and watch._last is None:
                watch.note()

    def start_anew(self) -> None:
        """Forget what was in flight in a loop that has ended."""
        self._pending, self._waits_for = [], None
        self.note()

    def held_for(self, now: float) -> float:
        """Return for how many seconds elements had to wait for capacity, until *now*."""
        return self._held + (now - self._held_since if self._pending else 0.0)

    def elapsed(self) -> int:
        """Return how long ago the last element was, in nanoseconds."""
        node = self._node()
        if node is None or self._last is None:
            return 0
        return round((node._pipeline.clock.time() - self._last) * SECOND)

    def wake_at(self, after: int) -> None:
        """Tell the clock once *after* nanoseconds have passed since the last element."""
        if self._last is not None:
            self._set(self._last + after / SECOND)

    def cancel(self) -> None:
        self._timer.cancel()

    def _set(self, when: float) -> None:
        if (node := self._node()) is None or node._ended:
            return
        ref, self._when = weakref.ref(self), when

        def fire() -> None:
            if (watch := ref()) is not None:
                watch._fire()

        self._timer.set(node._pipeline, when, fire)

    def _fire(self) -> None:
        node, clock = self._node(), self._clock()
        if node is None or clock is None or node._ended or self._last is None:
            return
        self._timer.cancel()
        if clock.asleep:
            clock.tell_if_due(_ROUNDING)
            return
        now = node._pipeline.clock.time()
        if self._is_waiting():
            return
        if _is_held_up(node):
            self._waits_for = True
            self._set(now + self._patience / _LOOKS)
            return
        if self._waits_for is True:
            self._waits_for, self._last = None, now
        due = self._last + self._patience
        if now < due:
            self._set(due)
        else:
            clock.fall_asleep()

    def _is_waiting(self) -> bool:
        """Return whether an element of this input is in flight; `_go_on` is called after it."""
        before, self._pending = self._pending, [one for one in self._pending if not one.done()]
        if not self._pending:
            if before and (node := self._node()) is not None:
                self._held += node._pipeline.clock.time() - self._held_since
            return False
        first = self._pending[0]
        if self._waits_for is not first:
            self._waits_for, ref = first, weakref.ref(self)

            def go_on(_: object) -> None:
                if (watch := ref()) is not None:
                    watch._go_on()

            first.add_done_callback(go_on)
        return True

    def _go_on(self) -> None:
        """Begin the count, if no element is in flight any more."""
        node, clock = self._node(), self._clock()
        if node is None or clock is None or node._ended or self._is_waiting() or clock.asleep:
            return
        self._last, self._waits_for = node._pipeline.clock.time(), None
        self._set(self._last + self._patience)


def _is_held_up(node: Any) -> bool:
    """Return whether elements are in flight upstream, or on other branches of it."""
    upstream, stack = {node}, [node]
    while stack:
        new = {up for up in stack.pop().upstreams if up is not None} - upstream
        upstream |= new
        stack += new
    seen, stack = set(upstream), list(upstream - {node})
    while stack:
        each = stack.pop()
        if each._has_elements_in_flight():
            return True
        new = {down for down, _ in edges(each)} - seen
        seen |= new
        stack += new
    return False
