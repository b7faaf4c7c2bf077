"""Clock of a node in which elements wait: the watermark waits among them, in its place."""

from __future__ import annotations

import functools
from typing import Any

from rapidz.eventtime.clock import END, EventClock
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime.futures import wait_for


class InOrderClock(EventClock):
    """Event-time clock of a node that queues elements under back pressure.

    While the node has elements in flight, the watermark that it sees is that of the
    element at work: one that arrives meanwhile queues behind the elements before it.  So what
    the node makes of an element does not depend on how fast its outputs are taken.
    """

    __slots__ = ("_in_order", "_marked")

    def __init__(self, node: Any, shift: int = 0) -> None:
        super().__init__(node, shift)
        self._in_order = self._marked = -END
        """The watermark of the element at work, and the last one that has queued."""

    def arrived(self) -> int:
        node = self._ref()
        if node is None or not node._is_busy():
            self._in_order = max(self._in_order, super().arrived())
        return self._in_order

    def end_in_order(self) -> None:
        """Note that the end of the stream is in its turn."""
        self._in_order = END

    def let_in(self) -> None:
        """Queue the watermark behind the elements that are in flight."""
        node = self._ref()
        if node is not None and (t := super().arrived()) > self._marked:
            self._marked = t
            node._run_in_order(functools.partial(self._move, t))

    def wrap_step(self, step: Push[Any]) -> Push[Any]:
        """Return *step*, with the watermark ahead of an element that has to wait."""
        node: Any = self._ref()
        serial, policy, let_in = node._serial_queue, node._policy_queue, self.let_in

        def marked(x: Any) -> Pending:
            if serial.last is not None or policy.last is not None:
                let_in()
            return step(x)

        return marked

    def advance(self) -> Pending:
        node = self._ref()
        if node is not None and node._is_busy():
            self.let_in()
            return None
        return super().advance()

    def _move(self, t: int) -> Pending:
        """Take the watermark *t*, in its turn."""
        self._in_order = max(self._in_order, t)
        node = self._ref()
        if node is None or node._ended:
            return None
        if t >= self.timer and (wait := self._fire(node, t)) is not None:
            return node._pipeline.start(self._tell_after(wait))
        return self._tell()

    async def _tell_after(self, wait: Any) -> None:
        await wait
        await wait_for(self._tell())
