"""Stop signals: SIGINT and SIGTERM as requests, and what a second one does."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

#: The signals that end a run; Windows has Ctrl-Break too, and no others.
STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)


class StopRequested(KeyboardInterrupt):
    """A stop signal that interrupts code of the user."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopSignals:
    """Context manager that handles stop signals, in the main thread alone.

    The first signal goes to `inbox`; each further one calls *on_second* in the signal handler.
    While `interrupting` is True, the first one raises `StopRequested` instead.
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
        if self.interrupting:
            raise StopRequested(number)
        self.inbox.put(number)
