"""Virtual time for pipelines that run on the background loop of the library."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from rapidz.kernel.runtime import loop as loops
from rapidz.testing.loop import VirtualLoop

__all__ = ["VirtualBackground", "virtual_background"]


class VirtualBackground:
    """Clock of the background loop, yielded by `virtual_background()`."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self._owner = threading.current_thread()

    def new_event_loop(self) -> VirtualLoop:
        self.loop = VirtualLoop(background=True)
        self.loop.watch(self._owner)
        return self.loop

    def time(self) -> float:
        """Return the virtual time; 0.0 until a pipeline has started the loop."""
        return 0.0 if self.loop is None else self.loop.time()

    def let_pass(self, seconds: float) -> None:
        """Advance virtual time by `seconds`, and run what is due; return when done."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(seconds), self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        return loops.background_loop() if self.loop is None else self.loop


@contextlib.contextmanager
def virtual_background() -> Iterator[VirtualBackground]:
    """Run the background event loop of the library in virtual time, within a ``with`` block.

    Time passes only while the thread that opened the block waits for the loop, as in a blocking
    `emit`, `join` or `close`, or in `let_pass(seconds)`. The block stops the background loop at
    its beginning and end, so close earlier pipelines first.

    >>> with virtual_background() as clock:
    ...     clock.let_pass(3600)
    ...     clock.time()
    3600.0
    """
    loops.stop_background_loop()
    before = loops.new_event_loop
    background = VirtualBackground()
    loops.new_event_loop = background.new_event_loop
    try:
        yield background
    finally:
        loops.stop_background_loop()
        loops.new_event_loop = before
