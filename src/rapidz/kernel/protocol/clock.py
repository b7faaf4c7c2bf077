"""Clock of a pipeline: the only source of the present time for nodes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Clock:
    """The monotonic clock of one event loop, in seconds, and the wall clock.

    Under the virtual time of `rapidz.testing` both jump from timer to timer.
    Intervals are measured by the monotonic clock alone; the wall clock, which
    may be set back or ahead, tells only the date.
    """

    __slots__ = ("_loop", "call_at", "time", "wall_ns")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time: Callable[[], float] = loop.time
        self.call_at: Callable[..., asyncio.TimerHandle] = loop.call_at
        self.wall_ns: Callable[[], int] = getattr(loop, "wall_ns", time.time_ns)
        """Returns the wall-clock time, in nanoseconds since 1970 (UTC)."""

    async def sleep_until(self, when: float) -> None:
        """Return at the instant *when*, never earlier."""
        while (rest := when - self.time()) > 0:
            await asyncio.sleep(rest)
