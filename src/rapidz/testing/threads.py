"""Thread monitor: decides whether virtual time may pass, and whether a thread may wake the loop."""

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

from rapidz.kernel.runtime.pipeline_lock import PipelineLock
from rapidz.kernel.runtime.thread_future import ThreadFuture

__all__ = ["Activity", "ThreadMonitor"]

_STILL_TIME: Final = 0.25
"""Real seconds without progress in one call after which a thread counts as waiting."""

_CONDITION_WAIT: Final = threading.Condition.wait.__code__
_EVENT_WAIT: Final = threading.Event.wait.__code__
_THREAD_START: Final = threading.Thread.start.__code__
_FUTURE_WAITS: Final = {Future.result.__code__, Future.exception.__code__}
_THREAD_FUTURE_WAIT: Final = ThreadFuture.wait.__code__
_TURN_WAITS: Final = {getattr(PipelineLock, "_queue").__code__, PipelineLock.wait.__code__}  # noqa: B009
_JOINS: Final = {"_wait_for_tstate_lock", "join"}
_POOL_WORKER: Final = getattr(pools, "_worker").__code__  # noqa: B009  private, hence unknown to type checkers

_Place = tuple[int, ...]


class Activity(enum.IntEnum):
    """Activity of a thread, ordered by how soon it may wake the loop."""

    WAITING = 0
    """In a wait that only another thread or the loop can end."""
    RESTING = 1
    """In a wait that ends by itself or from outside: a time limit, a socket, a C call."""
    RUNNING = 2
    """Executing, or about to."""


class ThreadMonitor:
    """Monitor of all threads except that of one loop.

    It ignores a thread that existed before, never called into the loop and has made no progress
    since, such as that of a debugger or test runner.
    """

    def __init__(self) -> None:
        _record_submissions()
        self.callers: set[int] = set()
        """Identifiers of threads that have called into the loop, or may."""
        self._before = {thread: _place(frame) for thread, frame in sys._current_frames().items()}
        self._still: dict[object, tuple[object, float, float]] = {}

    def activity(self) -> Activity | None:
        """Return the highest activity of any other thread, None if no thread counts."""
        if threading.active_count() == 1:
            return None
        found = [self._judge(thread, frame) for thread, frame in self._others()]
        return max(found, default=None)

    def awaited_futures(self) -> list[Future[Any] | ThreadFuture[Any]]:
        """Return the futures whose `result()` other threads wait for."""
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
        if thread in self.callers or self._before.get(thread) != _place(frame):
            return False
        # A worker may still be at the end of a job of before when it is given the next one.
        worker = _worker_frame(frame)
        return worker is None or not _has_pending_work(worker)

    def _judge(self, thread: int, frame: FrameType) -> Activity:
        if frame.f_code is _POOL_WORKER:
            return Activity.RUNNING  # it has work: see `_is_irrelevant`
        doing = _doing(frame)
        if doing is Activity.RUNNING and self.is_still(thread, (*_place(frame), _used(thread))):
            doing = Activity.RESTING
        if doing is Activity.RESTING and thread in self._before and thread not in self.callers:
            doing = Activity.WAITING
        return doing

    def is_still(self, who: object, state: object) -> bool:
        """Return whether `state` has been the same at every call for a quarter of a second."""
        now = time.monotonic()
        seen, since, last = self._still.get(who, (None, now, now))
        if seen != state or now - last > _STILL_TIME / 5:  # what happened between is not known
            since = now
        self._still[who] = state, since, now
        return now - since >= _STILL_TIME


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


def _worker_frame(frame: FrameType | None) -> FrameType | None:
    """Return the frame of the worker of a thread pool that has called *frame*, if any has."""
    while frame is not None and frame.f_code is not _POOL_WORKER:
        frame = frame.f_back
    return frame


def _has_pending_work(worker: FrameType) -> bool:
    """Return whether a job of the worker's pool has not begun."""
    executor = worker.f_locals["executor_reference"]()
    futures = () if executor is None else _submitted.get(executor, ())
    return any(map(_is_pending, tuple(futures)))


def _has_work(worker: FrameType) -> bool:
    """Return whether the worker of a thread pool has an item, or will have one by itself."""
    if _has_pending_work(worker):
        return True
    # The item comes last: a worker has it before the future is no longer pending.
    queue, item = worker.f_locals.get("work_queue"), worker.f_locals.get("work_item")
    return item is not None or (queue is not None and not queue.empty())


def _place(frame: FrameType) -> _Place:
    return id(frame), frame.f_lasti


def _used(thread: int) -> int:
    """Return the processor time of a thread in milliseconds, where the system reports it.

    It tells a busy loop, which always is at the same place, from a thread that waits.
    """
    if sys.platform == "linux":
        return int(time.clock_gettime(time.pthread_getcpuclockid(thread)) * 1000)
    return 0


def _doing(frame: FrameType) -> Activity:
    code = frame.f_code
    if code is _CONDITION_WAIT:
        return _in_condition(frame)
    if code is _THREAD_FUTURE_WAIT or code in _TURN_WAITS:
        return _behind_a_lock(frame)
    if code.co_filename == threading.__file__ and code.co_name in _JOINS:
        return Activity.RESTING  # the other thread may be a worker that exits
    if code.co_filename == selectors.__file__:
        return Activity.RESTING
    return Activity.RUNNING


def _in_condition(frame: FrameType) -> Activity:
    """Return whether a thread waits, or was notified and has not run since."""
    waiter, caller = frame.f_locals.get("waiter"), frame.f_back
    if waiter is None or not waiter.locked() or frame.f_locals.get("gotit"):
        return Activity.RUNNING
    if caller and caller.f_code in _FUTURE_WAITS and caller.f_locals["self"].done():
        return Activity.RUNNING
    if caller and caller.f_code is _EVENT_WAIT:
        starts_a_thread = caller.f_back is not None and caller.f_back.f_code is _THREAD_START
        if starts_a_thread or caller.f_locals["self"].is_set():
            return Activity.RUNNING  # a thread that starts has no frame yet
    return Activity.WAITING if frame.f_locals["timeout"] is None else Activity.RESTING


def _behind_a_lock(frame: FrameType) -> Activity:
    """Return whether a thread waits for a lock of its own, or was woken."""
    lock = frame.f_locals.get("lock")
    if lock is None or not lock.locked():
        return Activity.RUNNING
    return Activity.WAITING if frame.f_locals.get("timeout", 0) is None else Activity.RESTING
