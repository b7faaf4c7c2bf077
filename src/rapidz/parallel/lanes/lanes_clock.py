"""Clock of lanes: the watermark behind them is the least of all lanes."""

from __future__ import annotations

from typing import Any

from rapidz.eventtime.clock import END, NEVER, EventClock
from rapidz.kernel.protocol.push import Pending


class LanesClock(EventClock):
    """Clock of the node that scatters elements to lanes, as nodes downstream of them see it."""

    __slots__ = ()

    def now(self) -> int:
        """Return the least watermark of the lanes, behind their results."""
        node: Any = self._ref()
        if node is None or node._ended:
            return END
        arrived = node._least_waiting(self.arrived())
        watermarks: list[int] = [lane.watermark(arrived) for lane in node._lanes]
        return min(watermarks)

    def advance(self) -> Pending:
        """Let the lanes do what is due, and tell what is behind them."""
        node: Any = self._ref()
        if node is None or node._ended:
            return None
        self.look_at_lanes()
        return self._tell()

    def look_at_lanes(self) -> None:
        """Send the watermark to the lanes that have something to do at it; ask for the next."""
        node: Any = self._ref()
        if node is None:
            return
        arrived = node._least_waiting(self.arrived())
        self.timer = NEVER
        for lane in node._lanes:
            if lane.due <= arrived:
                lane.move(arrived)
            elif lane.due < self.timer:
                self.timer = lane.due
        node._pump()
        if self.timer < NEVER:
            self.ask_inputs(self.timer)

    def tell(self) -> Pending:
        """Tell the nodes downstream if what they asked for has come."""
        return self._tell()
