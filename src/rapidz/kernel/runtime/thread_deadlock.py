"""Deadlock detection for threads: which are blocked, and which could still free capacity."""

from __future__ import annotations

import concurrent.futures.thread
import sys
import threading
import weakref
from collections.abc import Callable

#: How often a blocked thread looks whether any other can still free capacity, in seconds.
LOOK_INTERVAL = 0.05

#: How often a blocked thread must have looked in vain before it disregards threads in doubt.
GRACE = 20

#: The code of threads that wait for another one to end or, in a pool, for work.
_IDLE = {
    method.__code__
    for method in (
        getattr(threading.Thread, "join", None),
        getattr(threading.Thread, "_wait_for_tstate_lock", None),
        getattr(concurrent.futures.thread, "_worker", None),
    )
    if method is not None
}


class BlockedThreads:
    """Threads that emit into one pipeline, and those of them that are blocked."""

    def __init__(self) -> None:
        self.emitters: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self.waiting: dict[threading.Thread, Callable[[], bool]] = {}
        """For each blocked thread, the condition that blocks it."""

    def absorb(self, other: BlockedThreads) -> None:
        """Take over the threads of a pipeline that becomes part of this one."""
        self.emitters |= other.emitters
        self.waiting |= other.waiting
        other.waiting = self.waiting  # who is blocked leaves by way of *other*

    def note_emitter(self) -> None:
        """Record that the calling thread emits."""
        self.emitters.add(threading.current_thread())

    def is_blocked(self) -> bool:
        """Return whether a call blocks the thread already, which then runs nothing else."""
        return threading.current_thread() in self.waiting

    def blocked(self, condition: Callable[[], bool]) -> BlockedThread:
        """Return a context manager for a block that waits while *condition* is true."""
        return BlockedThread(self, condition)

    def is_deadlocked(self, looks: int) -> bool:
        """Return whether no thread but the caller can free capacity.

        *looks*: how often the caller has looked in vain.  Blocked threads cannot.
        Some are in doubt, and count for a while only: those that wait for another
        thread to end or for work, and daemons that have not emitted yet, since
        some tools run such threads in every process.
        """
        me, frames = threading.current_thread(), sys._current_frames()
        others = [t for t in threading.enumerate() if t is not me and t.name != "rapidz-loop"]

        def may_emit(thread: threading.Thread) -> bool:
            condition = self.waiting.get(thread)
            if condition is not None and condition():
                return False
            frame = frames.get(thread.ident or 0)
            idle = frame is not None and frame.f_code in _IDLE
            idle |= type(thread).__name__ == "_ExecutorManagerThread"  # of a pool of processes
            return not idle and (not thread.daemon or thread in self.emitters)

        if any(may_emit(thread) for thread in others):
            return False
        return not others or looks > GRACE


class BlockedThread:
    """The block in which the calling thread waits."""

    def __init__(self, threads: BlockedThreads, condition: Callable[[], bool]) -> None:
        self._threads, self._condition = threads, condition
        self._thread = threading.current_thread()

    def __enter__(self) -> None:
        self._threads.waiting[self._thread] = self._condition

    def __exit__(self, *_: object) -> None:
        self._threads.waiting.pop(self._thread, None)
