"""Loop binding: which event loop a pipeline runs on, and when it moves to another one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

from rapidz.kernel.protocol.clock import Clock
from rapidz.kernel.runtime import loop as loops


class NoLoop(RuntimeError):
    """A node needs an event loop where none is running and none can be started."""


class LoopBinding:
    """The event loop of a pipeline: given, the running one, or the one in the background."""

    def __init__(self, loop: Any = None, asynchronous: bool | None = None) -> None:
        self.asynchronous = asynchronous
        self.loop = None if loop is None else loops.asyncio_loop(loop)
        self.loop_given = loop is not None
        self.needs_loop = loop is not None or asynchronous is not None
        self._process = os.getpid()

    @property
    def running_on(self) -> asyncio.AbstractEventLoop:
        """The loop that the nodes run on, bound now if it was not."""
        return self.loop if self.loop is not None else self.bind()

    def check_loop(self) -> None:
        """Raise `NoLoop` if the pipeline has no loop, and there is none to bind it to."""
        assert self.running_on is not None

    @property
    def clock(self) -> Clock:
        """The clock of the loop."""
        return Clock(self.running_on)

    @property
    def monotonic(self) -> Callable[[], float]:
        """The monotonic clock, in seconds, for a node that needs no loop.

        That of the loop where the pipeline has one, or where one is running, else
        that of the system, which such a loop reads too.  To be read when compiling.
        """
        loop = self.running_on if self.needs_loop else loops.running_loop()
        return time.monotonic if loop is None else loop.time

    def require_loop(self) -> None:
        """Run on a loop from now on: some node cannot do without."""
        if not self.needs_loop:
            self.needs_loop = True
            self.invalidate_all()

    def bind(self) -> asyncio.AbstractEventLoop:
        """Choose the loop: the one given, else the running one, else the one in the background."""
        loop, here = self.loop, loops.running_loop()
        if self._process != os.getpid():
            self._process, loop = os.getpid(), None
        if loop is not None and self._stays_on(loop, here):
            if self.loop_given and loop is here:
                loops.notify_end(loop, self)
            return loop
        fresh = self._choose_loop(here)
        if fresh is not self.loop:
            rebound, self.loop = self.loop is not None, fresh
            self.loop_given = False
            if rebound:
                self._leave_loop()
            self.invalidate_all()
            if rebound:
                self._resume_on(fresh)
        if fresh is here:
            loops.notify_end(fresh, self)
        return fresh

    def _stays_on(
        self, loop: asyncio.AbstractEventLoop, here: asyncio.AbstractEventLoop | None
    ) -> bool:
        """Return whether the pipeline stays on *loop*, where it was."""
        if loops.has_ended(loop):
            return False
        if self.loop_given or loop.is_running():
            return True
        return here is None and self.asynchronous is not None  # it will run again

    def _choose_loop(self, here: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
        """Return the loop for a pipeline that is used in the loop *here*, if any."""
        threads = loops.can_start_threads()
        if here is not None and (not threads or self._prefers_running_loop()):
            return here
        if self.asynchronous:
            raise NoLoop(
                "Stream: asynchronous=True needs a running event loop; emit from within it"
                + loops.foreign_loop()
            )
        if not threads:
            raise NoLoop(
                "Stream: no thread can start here, so a node that needs an event loop must be "
                "used within a running one"
            )
        return loops.background_loop()

    def _prefers_running_loop(self) -> bool:
        """Return whether to run on the running loop, and not on the one in the background."""
        return not loops.in_notebook() if self.asynchronous is None else self.asynchronous

    def bind_to_running_loop(self) -> None:
        """Bind to the running loop, in which an asynchronous node was built."""
        here = loops.running_loop()
        if self.asynchronous and self.loop is None:
            self.loop = here
        if here is not None and self.loop is here:
            loops.notify_end(here, self)

    def runs_here(self) -> bool:
        """Return whether the nodes may be run, and compiled, in the calling thread."""
        return not self.needs_loop or (self.loop is not None and loops.running_loop() is self.loop)

    def is_alive(self) -> bool:
        """Return whether the loop runs, in this process."""
        loop = self.loop
        return loop is not None and loop.is_running() and self._process == os.getpid()

    def is_of_this_process(self) -> bool:
        """Return whether the pipeline was not inherited by a fork."""
        return self._process == os.getpid()

    def emit_blocks(self) -> bool:
        """Return whether `emit`, called here, blocks while at capacity, or returns an awaitable."""
        here = loops.running_loop()
        if not self.needs_loop or (here is not None and here is self.loop):
            return False
        if self.asynchronous is None:
            return here is None or loops.in_notebook()
        return not (self.asynchronous or loops.in_background())

    # --- for the classes that extend this ---------------------------------------------------

    def invalidate_all(self) -> None:
        """Compile every node anew before its next use."""
        raise NotImplementedError

    def _leave_loop(self) -> None:
        """Drop all that belonged to a loop that has ended."""
        raise NotImplementedError

    def _resume_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Resume queues, on *loop*, with the elements that the ended loop has left in them."""
        raise NotImplementedError
