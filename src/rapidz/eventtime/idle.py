"""Idleness: asked for data and got none, never busy, never under back pressure."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from rapidz.eventtime.domain import SECOND
from rapidz.kernel.runtime.timer import Timer

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

#: What a timer may be early or late by rounding, in nanoseconds.
_ROUNDING: Final = 1_000


class IdleWatch:
    """Counts the time without elements, as long as nothing is in flight in the pipeline.

    The count begins when the last element is through: an input that has to wait for
    what is downstream is busy, and not idle.  An input that has had no element at all is
    counted from the first element of the pipeline on.
    """

    __slots__ = (
        *("__weakref__", "_clock", "_edits", "_last", "_looks"),
        *("_node", "_patience", "_timer", "_when"),
    )

    def __init__(self, node: Node, clock: Any, patience: int) -> None:
        self._node = weakref.ref(node)
        self._clock = weakref.ref(clock)
        self._looks = False
        """Whether `_look` will be called when something in flight has ended."""
        self._patience = patience / SECOND
        self._timer, self._when = Timer(node), 0.0
        self._last: float | None = None
        self._edits = -1
        """The version of the graph for which the other inputs count as well."""

    def note(self) -> None:
        """Note an element: the count begins anew."""
        if (node := self._node()) is None:
            return
        pipeline = node._pipeline
        self._last = pipeline.clock.time()
        due = self._last + self._patience
        if not self._timer.is_set() or self._when > due:  # or was set for an idle input
            self._set(due)
        if pipeline.active and not self._looks:
            self._wait_until_quiet(pipeline)
        if self._edits != pipeline.edits:
            self._edits = pipeline.edits
            self._begin_others(pipeline)

    def _begin_others(self, pipeline: Any) -> None:
        """Let the inputs count that have had no element yet."""
        for node in list(pipeline.nodes):
            watch = getattr(node._clock, "watch", None)
            if watch is not None and watch._last is None:
                watch.note()

    def _is_asleep(self) -> bool:
        clock = self._clock()
        return clock is not None and clock.asleep

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
        pipeline = node._pipeline
        due = self._last + self._patience
        if pipeline.active:
            self._wait_until_quiet(pipeline)
        elif pipeline.clock.time() < due:
            self._set(due)
        else:
            clock.fall_asleep()

    def _wait_until_quiet(self, pipeline: Any) -> None:
        """Begin to count once what is in flight now has ended."""
        ref = weakref.ref(self)

        def look(_: object) -> None:
            if (watch := ref()) is not None:
                watch._look()

        for running in list(pipeline.active):
            self._looks = True
            running.add_done_callback(look)
            return

    def _look(self) -> None:
        self._looks = False
        node = self._node()
        if node is not None and not node._ended and not self._is_asleep():
            self.note()
