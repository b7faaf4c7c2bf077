"""Clock of `event_time`: the greatest timestamp so far, minus the lag."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from rapidz.eventtime.clock import END, NEVER, EventClock
from rapidz.eventtime.domain import SECOND
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.loop import running_loop

if TYPE_CHECKING:
    from rapidz.eventtime.domain import TimeDomain
    from rapidz.kernel.protocol.node import Node
    from rapidz.kernel.protocol.push import Pending

#: No timestamp is as far from 1970 as this, in nanoseconds: half of what the end of time is.
_BOUND = END >> 1

logger = logging.getLogger("rapidz.eventtime")


class OriginClock(EventClock):
    """Clock of `event_time`: the greatest timestamp so far, minus the lag.

    A generated function compares each timestamp with ``bar``, the greatest so far; one
    that is past ``alarm`` as well takes the slow way, `take`: a node downstream waits
    for that instant, or it may lie in the future.
    """

    __slots__ = (
        "_converted",
        "ahead",
        "alarm",
        "asleep",
        "bar",
        "domain",
        "lag",
        "noted",
        "warned",
        "watch",
    )

    def __init__(self, node: Node, domain: TimeDomain, lag: int, ahead: int | None) -> None:
        super().__init__(node)
        self.domain, self.lag, self.ahead = domain, lag, ahead
        self.bar: Any = None
        self._converted: tuple[Any, int] = (None, 0)
        """A value of `bar`, and the same as an instant."""
        self.alarm: Any = None
        self.asleep = self.warned = False
        self.noted: tuple[Any, float] | None = None
        """The greatest timestamp when `silent_for` was last called, and when it was first seen."""
        self.watch: Any = None
        """The `IdleWatch`, if the input may become idle."""

    # --- what time it is ------------------------------------------------------------------

    def is_idle(self) -> bool:
        return self.asleep

    def said(self) -> int:
        """Return the watermark by the elements alone."""
        bar = self.bar
        if bar is None:
            return self.reached
        if bar is not self._converted[0]:
            self._converted = bar, self.domain.to_ns(bar)
        return max(self.reached, self._converted[1] - self.lag)

    def arrived(self) -> int:
        return self.said()

    def now(self) -> int:
        return END if self.has_ended() else self.latest()

    def latest(self) -> int:
        """Return the watermark, also of a stream that has ended; an idle one follows the clock."""
        return self.said() + (self.watch_elapsed() if self.asleep else 0)

    def silent_for(self, now: float) -> float:
        """Return for how many seconds no later timestamp has come, as far as is known.

        Elements do not read the clock: it is known from the second time on that this is asked.
        """
        if self.watch is not None:
            return self.watch_elapsed() / SECOND
        if self.noted is None or self.noted[0] != self.bar:
            self.noted = self.bar, now
        return now - self.noted[1]

    def follows_bar(self) -> bool:
        return self.watch is None

    # --- what is asked for ------------------------------------------------------------------

    def ask(self, t: int) -> None:
        if t < self.due:
            self.due = t
            self.set_alarm()
            if self.asleep and self.watch is not None:
                self.watch.wake_at(t - self.said())

    def set_alarm(self) -> None:
        """Compute the timestamp from which on elements take the slow way."""
        if self.bar is None:
            return
        limit = self.due + self.lag
        if self.ahead is not None:
            limit = min(limit, self._wall() + self.ahead + 1)
        self.alarm = self.domain.upper(limit)

    # --- elements that matter ---------------------------------------------------------------

    def take(self, ts: Any) -> int:
        """Take a timestamp that is greater than all before, or the first.

        Returns 0, or how far it lies beyond what is allowed of the future.
        """
        t = self.domain.to_ns(ts)
        if not -_BOUND < t < _BOUND:
            raise ValueError(
                f"{self.domain.operator}: timestamp must be an instant of some calendar, "
                f"got {short_repr(ts)}"
            )
        if (too_far := self.too_far(ts)) > 0:
            self.set_alarm()
            return too_far
        if self.asleep:
            self._wake(t)
        if self.bar is None or ts > self.bar:
            self.bar = ts
        self.set_alarm()
        if self.due < NEVER and self.now() >= self.due:
            self.tell()
        return 0

    def too_far(self, ts: Any) -> int:
        """Return how far a timestamp lies beyond what is allowed of the future."""
        if self.ahead is None:
            return 0
        return max(0, self.domain.to_ns(ts) - self._wall() - self.ahead)

    def _wall(self) -> int:
        """Return the time of this machine, or of virtual time, in nanoseconds since 1970."""
        if (node := self._ref()) is None:
            return time.time_ns()
        pipeline: Any = node._pipeline
        loop = pipeline.running_on if pipeline.needs_loop else running_loop()
        now: int = getattr(loop, "wall_ns", time.time_ns)()
        return now

    def tell(self) -> None:
        """Tell the nodes downstream that the watermark has come as far as they asked for."""
        self.due = NEVER
        self.set_alarm()
        node = self._ref()
        if node is not None and (graph := self.graph()) is not None:
            graph.owe(node._pipeline, self.tell_outputs())

    def tell_if_due(self, rounding: int) -> None:
        """Tell the nodes downstream what they asked for, if it has come but for *rounding*."""
        if self.due < NEVER and self.now() >= self.due - rounding:
            self.reached = max(self.reached, self.due - self.watch_elapsed())
            self.tell()

    def watch_elapsed(self) -> int:
        """Return how long ago the last element was, where that is watched."""
        elapsed: int = 0 if self.watch is None else self.watch.elapsed()
        return elapsed

    def fall_asleep(self) -> None:
        """Leave the minimum of watermarks: asked for data, and got none."""
        if not self.asleep:
            self.asleep = True
            self.tell()

    def _wake(self, t: int) -> None:
        self.graph()
        seen = [clock.arrived() for ref in self._outputs if (clock := ref()) is not None]
        self.reached, self.asleep = max(self.reached, min(seen, default=self.now())), False
        behind = self.reached - t
        if behind > 0 and not self.warned:
            self.warned = True
            logger.warning(
                "%s: was idle, and goes on with an element %s behind the watermark",
                self._ref(),
                self.domain.delta(behind),
            )

    def ask_again(self) -> None:
        pass  # it has no clock upstream to ask

    def advance(self) -> Pending:
        return None  # another `event_time` upstream moves it by elements alone
