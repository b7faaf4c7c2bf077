"""Pipeline lock: mutual exclusion of the threads that run the nodes of one pipeline.

A lock would cost half as much as a whole chain of simple nodes.  Under the
interpreter lock of CPython it is not needed: a thread is only ever switched at
a call, a jump backwards or the start of a function, so to look at `busy` and
then to set it, with none of these between, is atomic.  The compiled `emit`
does just that; everything rarer goes through `PipelineLock` itself.  Without such a
lock there are no compiled entrances, and one atomic operation of a dict does
the work.

Signal handlers and finalizers may interrupt anything, this too, and may emit.  So
nothing in this module waits for a lock that its own thread may have: the thread that
waits has a lock of its own, which others release.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import signal
import sys
import weakref
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable
from inspect import CO_VARARGS
from threading import get_ident, local, main_thread
from types import CodeType, FrameType, TracebackType
from typing import Any

#: The newest version whose switches between threads CI has tested.
NEWEST_TESTED = (3, 13)

#: Whether compiled entrances may use the flag alone.
ATOMIC = (
    sys.implementation.name == "cpython"
    and sys.version_info[:2] <= NEWEST_TESTED
    and getattr(sys, "_is_gil_enabled", lambda: True)()
)

#: How often a thread that waits for the lock looks whether it was abandoned, in seconds.
PATIENCE = 0.2


class PipelineLock:
    """Reentrant lock: the right of one thread at a time to run the nodes of a pipeline."""

    __slots__ = ("_cell", "_frame", "_lent", "_owner", "_watchers", "busy", "inside", "waiters")

    def __init__(self) -> None:
        self.busy = False
        self.waiters: deque[LockType | Callable[[], object]] = deque()
        """Threads that wait, each with its own lock, and actions for the next owner."""
        self.inside = 0
        """The thread, once it is known to run nodes: what it emits comes from within."""
        self._owner = 0
        """The thread, if it called `acquire`; 0 if a compiled entry took the lock."""
        self._frame: FrameType | None = None
        """Where that thread took it."""
        self._cell: dict[int, tuple[int, FrameType]] = {}
        """One entry, which thread and where, while the lock is taken and the flag is no use."""
        self._lent: deque[int] = deque()
        """Threads that have lent it to others, until something changes."""
        self._watchers: deque[LockType] = deque()
        """Their locks."""

    # --- acquire and release ----------------------------------------------------------------

    def acquire(self) -> bool:
        """Take the lock; return whether the caller did not have it already."""
        return self._acquire(sys._getframe(1))

    def _acquire(self, frame: FrameType) -> bool:
        me = get_ident()
        if self._try(me, frame):
            return True
        if self.inside == me or self._is_inside(me, frame):
            return False
        self._queue(me, frame)
        return True

    def _try(self, me: int, frame: FrameType) -> bool:
        if not ATOMIC:
            mine = (me, frame)
            if self._cell.setdefault(0, mine) is not mine:
                return False
            self.busy = True
        elif self.busy:
            return False
        else:
            self.busy = True
        self._owner = me
        self._frame = frame
        return True

    def _queue(self, me: int, frame: FrameType) -> None:
        """Wait for the lock."""
        lock = allocate_lock()
        lock.acquire()
        self.waiters.append(lock)
        try:
            # To look comes after the entry in `waiters`, and whatever releases looks there
            # after that: so one of the two sees the other.
            while not self._try(me, frame):
                if lock.acquire(timeout=PATIENCE):
                    self.waiters.appendleft(lock)
                elif self._is_abandoned():
                    self._free()
        finally:
            with contextlib.suppress(ValueError):
                self.waiters.remove(lock)
            if self.waiters and not self.is_taken():  # an interrupt: it was woken, and leaves
                self.pass_on()

    def _is_abandoned(self) -> bool:
        """Return whether the thread that took the lock has left the place where it did.

        A KeyboardInterrupt may come between taking the lock and the block that
        would release it, or a thread may be killed.
        """
        owner, mark = self._taken_by()
        if mark is None or not self.is_taken():
            return False
        frame = sys._current_frames().get(owner)
        while frame is not None:
            if frame is mark:
                return False
            frame = frame.f_back
        return (owner, mark) == self._taken_by()

    def _taken_by(self) -> tuple[int, FrameType | None]:
        """Return the thread that called `acquire`, and where; 0 and None if a compiled entry did.

        An interruption may have left the flag behind the cell, so the cell decides.
        """
        owner, mark = self._owner, self._frame
        return self._cell.get(0) or (owner, mark if owner else None)

    def is_taken(self) -> bool:
        """Return whether a thread has the lock, or is about to have or to release it."""
        return self.busy or bool(self._cell)

    def _free(self) -> None:
        self._owner, self._frame = 0, None
        self.busy = False
        self._cell.pop(0, None)

    def release(self) -> None:
        """Release the lock."""
        self._free()
        if self.waiters:
            self.pass_on()

    def pass_on(self) -> None:
        """Run what interrupts have deferred, and wake one of the threads that wait."""
        me, frame = get_ident(), sys._getframe()
        # The thread that has the lock looks at `waiters` when it has released it.  That may be
        # the code that this interrupts: to wait for it here would be to wait forever.
        while self.waiters and not self.is_taken():
            try:
                first = self.waiters.popleft()
            except IndexError:  # another thread was quicker
                return
            if isinstance(first, LockType):
                with contextlib.suppress(RuntimeError):  # it has been woken already
                    first.release()
                return
            if not self._try(me, frame):
                self.waiters.appendleft(first)
                continue  # whichever thread has the lock does it, unless it has released it
            try:
                first()
            finally:
                self._free()

    # --- wait and notify --------------------------------------------------------------------

    def notify(self) -> None:
        """Wake those that `wait`: something has changed."""
        watchers = self._watchers
        for _ in range(len(watchers)):
            try:
                lock = watchers.popleft()
            except IndexError:
                return
            with contextlib.suppress(RuntimeError):
                lock.release()

    def wait(self, timeout: float) -> bool:
        """Lend the lock to others until `notify`, or for *timeout* seconds.

        Whether something has changed.
        """
        me, owner, frame, inside = get_ident(), self._owner, self._frame, self.inside
        lock = allocate_lock()
        lock.acquire()
        self._watchers.append(lock)
        self._owner = me  # for an interrupt between here and the release
        self._lent.append(me)
        self.inside = 0
        try:
            self.release()
            return lock.acquire(timeout=timeout)
        finally:
            with contextlib.suppress(ValueError):
                self._watchers.remove(lock)
            self._queue(me, sys._getframe() if frame is None else frame)
            self._lent.remove(me)
            self._owner, self._frame, self.inside = owner, frame, inside

    # --- who is inside ---------------------------------------------------------------------

    def defer(self, action: Callable[[], object]) -> bool:
        """Defer *action* to the release, if the caller is an interrupt; return whether it is.

        That is so if it has left a step of this pipeline in its own thread, or would
        have to wait for another thread, which may wait for what it has left.
        """
        if not (self.inside or self.is_taken()):
            return False
        holder = self._holder(sys._getframe(1))
        at: FrameType | None = sys._getframe(1)
        while at is not None and at is not holder:
            if is_interrupt(at):
                break
            at = at.f_back
        else:
            return False
        self.waiters.append(action)
        if not self.is_taken():
            self.pass_on()
        return True

    def is_taken_here(self) -> bool:
        """Return whether the calling thread is in a step of this pipeline."""
        me = get_ident()
        if self.inside == me:
            return True
        return self.is_taken() and self._is_inside(me, sys._getframe(1))

    def is_on_stack(self) -> bool:
        """Return whether the code that asks is called from a step of this pipeline.

        Unlike `is_taken_here` it goes by the stack alone: an interruption may leave flags behind.
        """
        return self._holder(sys._getframe(1)) is not None

    def _is_inside(self, me: int, frame: FrameType) -> bool:
        """Return whether the calling thread has the lock already."""
        if (taken := self._cell.get(0)) is not None:
            return taken[0] == me
        if self._owner:
            return self._owner == me
        return me not in self._lent and self._holder(frame) is not None

    def _holder(self, frame: FrameType | None) -> FrameType | None:
        """Return the frame of the calling thread in which the lock was taken."""
        me = get_ident()
        taken = self._cell.get(0)
        if (self._owner and self._owner != me) or (taken is not None and taken[0] != me):
            return None
        mark = self._frame if taken is None else taken[1]
        lent = not self._owner and me in self._lent
        while frame is not None:
            if frame is mark or (not lent and is_entry(frame) and has_lock(frame, self)):
                return frame
            frame = frame.f_back
        return None

    def __enter__(self) -> PipelineLock:
        acquired = self._acquire(sys._getframe(1))
        try:
            _depth.stack.append(acquired)
        except AttributeError:  # an interrupt here leaves its own list empty
            _depth.stack = [acquired]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if _depth.stack.pop():
            self.release()


def is_entry(frame: FrameType) -> bool:
    """Return whether *frame* is of an entry that takes a lock by its flag: it has `has_lock`."""
    return "has_lock" in frame.f_code.co_varnames


def has_lock(frame: FrameType, lock: PipelineLock | None = None) -> bool:
    """Return whether the entry *frame* has its lock now; only *lock*, if given, counts."""
    values = frame.f_locals
    return values.get("has_lock") is True and lock in (None, values.get("lock"))


_FINALIZE = weakref.finalize.__call__.__code__


def is_interrupt(frame: FrameType) -> bool:
    """Return whether *frame* was not called by the one before it, but interrupted it.

    That is a finalizer, the callback of a weak reference, or a signal handler:
    the interpreter gives it the frame that it interrupts.
    """
    code, back = frame.f_code, frame.f_back
    if code.co_name == "__del__" or code is _FINALIZE:
        return True
    positional = code.co_argcount
    names = code.co_varnames[:positional]
    if code.co_flags & CO_VARARGS:
        names += (code.co_varnames[positional + code.co_kwonlyargcount],)
    if not names or back is None:
        return False
    values = frame.f_locals
    for name in names:
        value = values.get(name)
        for argument in value if type(value) is tuple else (value,):
            if argument is back or (type(argument) is weakref.ref and argument() is None):
                return True
    return False


def called_by_interrupt(frame: FrameType | None) -> bool:
    """Return whether a signal handler or a finalizer is among the callers of *frame*.

    Frames are known by their code alone, unlike in `is_interrupt`: to look at the arguments
    of a frame would keep what its variables refer to.  So the callback of a weak
    reference is not found.
    """
    handlers = _handlers() if get_ident() == main_thread().ident else ()
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code is _FINALIZE or code in handlers:
            return True
        frame = frame.f_back
    return False


_SIGNALS = [int(number) for number in signal.valid_signals()]
_getsignal: Any = importlib.import_module("_signal").getsignal  # without enums, which are slow


def _handlers() -> set[CodeType]:
    """Return the code of all signal handlers that are installed."""
    codes: set[CodeType] = set()
    for number in _SIGNALS:
        handler: Any = _getsignal(number)
        while isinstance(handler, functools.partial):
            handler = handler.func
        for function in (handler, getattr(type(handler), "__call__", None)):  # noqa: B004
            code = getattr(function, "__code__", None)
            if isinstance(code, CodeType):
                codes.add(code)
    return codes


class _Depth(local):
    """For every nested `with`, whether it is the one that releases.

    There is no `__init__`: a finalizer could emit in the middle of it.
    """

    stack: list[bool]


_depth = _Depth()
