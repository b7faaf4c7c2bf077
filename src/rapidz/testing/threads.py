"""What the other threads are doing: may virtual time pass, could one still wake the loop?"""

from __future__ import annotations

import concurrent.futures.thread as pools
import contextlib
import enum
import functools
import selectors
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from rapidz.kernel.runtime.exclusion import PipelineLock
from rapidz.kernel.runtime.thread_future import ThreadFuture

__all__ = ["Doing", "Threads"]

_PATIENCE: Final = 0.25
"""Real seconds after which a thread that stands still inside one call is taken to wait."""

_CONDITION_WAIT: Final = threading.Condition.wait.__code__
_EVENT_WAIT: Final = threading.Event.wait.__code__
_THREAD_START: Final = threading.Thread.start.__code__
_FUTURE_WAITS: Final = {Future.result.__code__, Future.exception.__code__}
_THREAD_FUTURE_WAIT: Final = ThreadFuture.wait.__code__
_TURN_WAITS: Final = {getattr(PipelineLock, "_queue").__code__, PipelineLock.wait.__code__}  # noqa: B009
_JOINS: Final = {"_wait_for_tstate_lock", "join"}
_POOL_WORKER: Final = getattr(pools, "_worker").__code__  # noqa: B009  private, hence unknown to type checkers

_Place = tuple[int, ...]


class Doing(enum.IntEnum):
    """What a thread is doing, from the least to the most that can come of it."""

    WAITING = 0
    """Stands in a wait that only somebody else can end."""
    RESTING = 1
    """Stands in a wait that ends by itself or from outside: a time limit, a socket, a C call."""
    RUNNING = 2
    """Does something, or is about to."""


class Threads:
    """The threads beside one loop.

    A thread that was there before, never called in and has not moved since is none of our business:
    the harness of a debugger or a test runner.
    """

    def __init__(self) -> None:
        _record_submissions()
        self.callers: set[int] = set()
        """Identities of threads that have called into the loop, or may."""
        self._before = {thread: _place(frame) for thread, frame in sys._current_frames().items()}
        self._still: dict[object, tuple[object, float, float]] = {}

    def doing(self) -> Doing | None:
        """The most that any other thread is doing, None if there is none that counts."""
        if threading.active_count() == 1:
            return None
        found = [self._judge(thread, frame) for thread, frame in self._others()]
        return max(found, default=None)

    def futures_waited_for(self) -> list[Future[Any] | ThreadFuture[Any]]:
        """The futures in whose `result()` other threads stand."""
        ours = [frame for _, frame in self._others() if frame.f_code is _THREAD_FUTURE_WAIT]
        callers = [frame.f_back for _, frame in self._others() if frame.f_code is _CONDITION_WAIT]
        waits = [frame for frame in callers if frame and frame.f_code in _FUTURE_WAITS]
        return [frame.f_locals["self"] for frame in (*waits, *ours)]

    def _others(self) -> Iterator[tuple[int, FrameType]]:
        mine = threading.get_ident()
        for thread, frame in sys._current_frames().items():
            if thread != mine and not self._is_irrelevant(thread, frame):
                yield thread, frame

    def _is_irrelevant(self, thread: int, frame: FrameType) -> bool:
        if frame.f_code is _POOL_WORKER:
            return not _has_work(frame)
        return thread not in self.callers and self._before.get(thread) == _place(frame)

    def _judge(self, thread: int, frame: FrameType) -> Doing:
        if frame.f_code is _POOL_WORKER:
            return Doing.RUNNING  # it has work: see `_is_irrelevant`
        doing = _doing(frame)
        if doing is Doing.RUNNING and self.stands_still(thread, (*_place(frame), _used(thread))):
            doing = Doing.RESTING
        if doing is Doing.RESTING and thread in self._before and thread not in self.callers:
            doing = Doing.WAITING
        return doing

    def stands_still(self, who: object, state: object) -> bool:
        """Whether `state`, told at every look, has been the same for long enough to trust in it."""
        now = time.monotonic()
        seen, since, last = self._still.get(who, (None, now, now))
        if seen != state or now - last > _PATIENCE / 5:  # what happened between is not known
            since = now
        self._still[who] = state, since, now
        return now - since >= _PATIENCE


_submitted: Final[WeakKeyDictionary[ThreadPoolExecutor, deque[ref[Future[Any]]]]] = (
    WeakKeyDictionary()
)
"""The futures of what was submitted to each thread pool, from the first that is pending."""


@functools.cache
def _record_submissions() -> None:
    """Record from now on what is submitted to thread pools.

    Since CPython 3.13 the queue of a pool hands an item straight to a worker that waits for one.
    Until that worker gets the interpreter lock, the queue is empty and the worker's frame is still
    in `get()`: only the future, which is pending, tells that the worker has work.
    """
    submit: Callable[..., Future[Any]] = ThreadPoolExecutor.submit

    @functools.wraps(submit)
    def recorded(self: ThreadPoolExecutor, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = submit(self, *args, **kwargs)
        futures = _submitted.setdefault(self, deque())
        futures.append(ref(future))
        with contextlib.suppress(IndexError):  # another thread may be quicker
            while not _is_pending(futures[0]):
                futures.popleft()
        return future

    setattr(ThreadPoolExecutor, "submit", recorded)  # noqa: B010  type checkers forbid to assign it


def _is_pending(reference: ref[Future[Any]]) -> bool:
    future = reference()
    return future is not None and not future.running() and not future.done()


def _has_work(worker: FrameType) -> bool:
    """Return whether the worker of a thread pool has an item, or will have one by itself."""
    queue, item = worker.f_locals.get("work_queue"), worker.f_locals.get("work_item")
    if item is not None or (queue is not None and not queue.empty()):
        return True
    executor = worker.f_locals["executor_reference"]()
    futures = () if executor is None else _submitted.get(executor, ())
    return any(map(_is_pending, tuple(futures)))


def _place(frame: FrameType) -> _Place:
    return id(frame), frame.f_lasti


def _used(thread: int) -> int:
    """Milliseconds of processor time that a thread has used, where the system tells: a busy loop
    is always seen at the same place."""
    if sys.platform == "linux":
        return int(time.clock_gettime(time.pthread_getcpuclockid(thread)) * 1000)
    return 0


def _doing(frame: FrameType) -> Doing:
    code = frame.f_code
    if code is _CONDITION_WAIT:
        return _in_condition(frame)
    if code is _THREAD_FUTURE_WAIT or code in _TURN_WAITS:
        return _behind_a_lock(frame)
    if code.co_filename == threading.__file__ and code.co_name in _JOINS:
        return Doing.RESTING  # what it waits for may be a worker on its way out
    if code.co_filename == selectors.__file__:
        return Doing.RESTING
    return Doing.RUNNING


def _in_condition(frame: FrameType) -> Doing:
    """Tell a thread that waits from one that was notified and has not had its turn since."""
    waiter, caller = frame.f_locals.get("waiter"), frame.f_back
    if waiter is None or not waiter.locked() or frame.f_locals.get("gotit"):
        return Doing.RUNNING
    if caller and caller.f_code in _FUTURE_WAITS and caller.f_locals["self"].done():
        return Doing.RUNNING
    if caller and caller.f_code is _EVENT_WAIT:
        starts_a_thread = caller.f_back is not None and caller.f_back.f_code is _THREAD_START
        if starts_a_thread or caller.f_locals["self"].is_set():
            return Doing.RUNNING  # a thread on its way up has no frame yet
    return Doing.WAITING if frame.f_locals["timeout"] is None else Doing.RESTING


def _behind_a_lock(frame: FrameType) -> Doing:
    """Tell a thread that waits for a lock of its own from one that was woken."""
    lock = frame.f_locals.get("lock")
    if lock is None or not lock.locked():
        return Doing.RUNNING
    return Doing.WAITING if frame.f_locals.get("timeout", 0) is None else Doing.RESTING
