"""Whose turn it is: one element at a time in a pipeline that needs no loop.

A lock would cost half as much as a whole chain of simple nodes.  Under the
interpreter lock of CPython it is not needed: a thread is only ever switched at
a call, a jump backwards or the start of a function, so to look at `busy` and
then to set it, with none of these between, is atomic.  The compiled `emit`
does just that; everything rarer goes through `Turn` itself.  Without such a
lock there are no compiled entrances, and a real lock does the work.
"""

from __future__ import annotations

import sys
import threading
from threading import get_ident
from types import FrameType, TracebackType

#: Whether compiled entrances may use the flag alone.
ATOMIC = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()

#: How often a thread that waits for its turn looks whether anybody has it, in seconds.
PATIENCE = 0.2

#: How many lines of a compiled `emit` come before it has the turn, its first one not counted.
LINES_BEFORE = 2


class Turn:
    """The right to run the nodes of one pipeline, taken by one thread at a time.

    A thread that has it may take it again.
    """

    __slots__ = ("_changed", "_free", "_lock", "_owner", "busy", "inside", "waiters")

    def __init__(self) -> None:
        self.busy = False
        self.waiters = 0
        """How many threads wait for the turn."""
        self.inside = 0
        """The thread, once it is known to run nodes: what it emits comes from within."""
        self._owner = 0
        """The thread, if it came in by `take`; 0 if by a compiled entrance."""
        self._lock = threading.Lock()
        self._free = threading.Condition(self._lock)
        """For those who wait for the turn."""
        self._changed = threading.Condition(self._lock)
        """For those who have lent it to others, until something changes."""

    def take(self) -> bool:
        """Wait for the turn; whether it was not the caller's already."""
        me = get_ident()
        if self._try(me):
            return True
        if self.inside == me:
            return False
        if self._owner == me or (self._owner == 0 and self._is_on_stack(sys._getframe(1))):
            return False
        self._queue(me)
        return True

    def _queue(self, me: int) -> None:
        """Wait for the turn."""
        with self._lock:
            self.waiters += 1
            try:
                while not self._try(me):
                    if not self._free.wait(PATIENCE) and self._is_abandoned():
                        self._owner, self.busy = 0, False
            finally:
                self.waiters -= 1

    def _is_abandoned(self) -> bool:
        """Whether the thread that took the turn is not in the library any more.

        A KeyboardInterrupt may come between taking the turn and the block that
        would end it, or a thread may be killed.
        """
        owner = self._owner
        if owner == 0 or not self.busy:
            return False
        frame = sys._current_frames().get(owner)
        while frame is not None:
            if frame.f_globals.get("__name__", "").startswith("rapidz.kernel."):
                return False
            frame = frame.f_back
        return owner == self._owner

    def _try(self, me: int) -> bool:
        if ATOMIC:
            if self.busy:
                return False
            self.busy = True
        else:
            with _arbiter:
                if self.busy:
                    return False
                self.busy = True
        self._owner = me
        return True

    def give(self) -> None:
        """End the turn."""
        self._owner = 0
        self.busy = False
        if self.waiters:
            self.pass_on()

    def pass_on(self) -> None:
        """Tell one of those who wait for the turn that it is free."""
        with self._lock:
            self._free.notify()

    def wake(self) -> None:
        """Tell those who wait for it that something has changed."""
        with self._lock:
            self._changed.notify_all()

    def wait(self, timeout: float) -> bool:
        """Let others have the turn until something changes, or for *timeout* seconds.

        Whether something has changed.
        """
        owner, inside = self._owner, self.inside
        self.inside = 0
        with self._lock:
            self._owner = 0
            self.busy = False
            self._free.notify()
            changed = self._changed.wait(timeout)
        self._queue(get_ident())
        self._owner, self.inside = owner, inside
        return changed

    def _is_on_stack(self, frame: FrameType | None) -> bool:
        """Whether the calling thread is within a compiled entrance of this pipeline."""
        while frame is not None:
            code = frame.f_code
            if (
                code.co_name == "emit"
                and "turn" in code.co_freevars
                and frame.f_lineno > code.co_firstlineno + LINES_BEFORE
                and frame.f_locals.get("turn") is self
            ):
                return True
            frame = frame.f_back
        return False

    def __enter__(self) -> Turn:
        _depth.stack.append(self.take())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if _depth.stack.pop():
            self.give()


class _Depth(threading.local):
    """For every nested `with`, whether it is the one that ends the turn."""

    def __init__(self) -> None:
        self.stack: list[bool] = []


_depth = _Depth()
_arbiter = threading.Lock()
