"""Clock of a pipeline: the only source of the present time for nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Clock:
    """The monotonic clock of one event loop, in seconds.

    Under the virtual time of `rapidz.testing` it jumps from timer to timer.
    """

    __slots__ = ("_loop", "call_at", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time: Callable[[], float] = loop.time
        self.call_at: Callable[..., asyncio.TimerHandle] = loop.call_at

    async def sleep_until(self, when: float) -> None:
        """Return at the instant *when*, never earlier."""
        while (rest := when - self.time()) > 0:
            await asyncio.sleep(rest)
