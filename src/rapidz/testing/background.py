"""Virtual time for pipelines whose loop runs in the library's background thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from rapidz.kernel.runtime import loop as door
from rapidz.testing.loop import VirtualLoop

__all__ = ["VirtualBackground", "virtual_background"]


class VirtualBackground:
    """The clock of the background loop; `virtual_background()` gives it."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self._owner = threading.current_thread()

    def new_event_loop(self) -> VirtualLoop:
        self.loop = VirtualLoop(background=True)
        self.loop.watch(self._owner)
        return self.loop

    def time(self) -> float:
        """The virtual instant; 0.0 until a pipeline has started the loop."""
        return 0.0 if self.loop is None else self.loop.time()

    def let_pass(self, seconds: float) -> None:
        """Return when `seconds` of virtual time have passed, with what was due in them."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(seconds), self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        return door.background_loop() if self.loop is None else self.loop


@contextlib.contextmanager
def virtual_background() -> Iterator[VirtualBackground]:
    """Within this block the library's background event loop runs in virtual time.

    Time passes only while the thread that opened the block waits for the loop, as in a blocking
    `emit`, `join` or `close`, or in `let_pass(seconds)`. The background loop is stopped at both
    ends, so whatever ran on it before has to be closed.

    >>> with virtual_background() as clock:
    ...     clock.let_pass(3600)
    ...     clock.time()
    3600.0
    """
    door.stop_background_loop()
    before = door.new_event_loop
    background = VirtualBackground()
    door.new_event_loop = background.new_event_loop
    try:
        yield background
    finally:
        door.stop_background_loop()
        door.new_event_loop = before
