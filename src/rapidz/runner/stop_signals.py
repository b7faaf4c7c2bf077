"""Stop signals: SIGINT and SIGTERM as requests, and what a second one does."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import signal
import threading
from asyncio.base_events import _run_until_complete_cb  # type: ignore[attr-defined]
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from rapidz.kernel.runtime import loop as loops

#: The signals that end a run; Windows has Ctrl-Break too, and no others.
STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)


class StopRequested(KeyboardInterrupt):
    """A stop signal that interrupts code of the user."""


class StopSignals:
    """Context manager that handles stop signals, in the main thread alone.

    The first signal goes to `inbox`; each further one calls *on_second* in the signal handler.
    While `interrupting` is True, the first one interrupts the main thread instead: it cancels
    what ``asyncio.run`` runs there, or raises `StopRequested`.
    """

    def __init__(self, on_second: Callable[[int], object]) -> None:
        self.inbox: queue.SimpleQueue[int | None] = queue.SimpleQueue()  # its `put` is reentrant
        self.interrupting = False
        self.first: int | None = None
        """The number of the first signal."""
        self._on_second = on_second
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` and `&` ask for
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # A handler that the program has set in the meantime stays.
            if signal.getsignal(number) == self._handle:
                with contextlib.suppress(TypeError):  # it was not set by Python
                    signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.first is not None:
            self._on_second(number)
            return
        self.first = number
        if not self.interrupting:
            self.inbox.put(number)
        elif (loop := loops.running_loop()) is None:
            raise StopRequested(signal.Signals(number).name)
        else:  # not inside a function of a pipeline: the element would fail
            loop.call_soon_threadsafe(_interrupt_loop, loop, number)


def _interrupt_loop(loop: asyncio.AbstractEventLoop, number: int) -> None:
    """Cancel the main task of *loop*, as ``asyncio.run`` does; without one, leave the loop."""
    for task in asyncio.all_tasks(loop):
        callbacks: Any = getattr(task, "_callbacks", None) or ()
        if any(_run_until_complete_cb in each for each in callbacks):
            task.cancel()
            return
    raise StopRequested(signal.Signals(number).name)
