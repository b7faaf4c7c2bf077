"""Thread future: result of a loop, for threads, signal handlers and other loops to await.

`concurrent.futures.Future` guards its state by a lock.  A signal handler that
emits while its thread has this lock would wait for a loop that waits for the
lock.  Here no lock is ever kept: each waiter has one of its own, which the
outcome releases.
"""

from __future__ import annotations

import asyncio
import contextlib
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ThreadFuture(Generic[T]):
    """Future that may be set, waited for and awaited in any thread and any loop."""

    def __init__(self) -> None:
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: deque[Callable[[Any], object]] = deque()

    def done(self) -> bool:
        """Return whether there is an outcome."""
        return self._done

    def cancelled(self) -> bool:
        """Return False: to cancel a waiter does not cancel the work that it waits for."""
        return False

    def result(self, timeout: float | None = None) -> T:
        """Wait for the outcome, at most *timeout* seconds: return it, or raise it."""
        error = self.exception(timeout)
        if error is not None:
            try:
                raise error
            finally:
                del error, self  # the traceback refers to this frame
        value: T = self._value
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the outcome, at most *timeout* seconds: return what failed, or None."""
        if not self._done and not self.wait(timeout):
            raise TimeoutError
        return self._error

    def wait(self, timeout: float | None = None) -> bool:
        """Block the calling thread until there is an outcome; return whether there is."""
        lock = allocate_lock()
        lock.acquire()

        def wake(_: object) -> None:
            lock.release()

        self.add_done_callback(wake)
        if not lock.acquire(timeout=-1 if timeout is None else timeout):
            with contextlib.suppress(ValueError):
                self._callbacks.remove(wake)
        return self._done

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Call *callback* with this future when there is an outcome, where that is set."""
        self._callbacks.append(callback)
        if self._done:
            self._call_back()

    def set_result(self, value: T) -> None:
        """Set the outcome, unless there is one."""
        if not self._done:
            self._value, self._done = value, True
            self._call_back()

    def set_exception(self, error: BaseException) -> None:
        """Set what failed as the outcome, unless there is one."""
        if not self._done:
            self._error, self._done = error, True
            self._call_back()

    def _call_back(self) -> None:
        while self._callbacks:
            try:
                callback = self._callbacks.popleft()
            except IndexError:  # another thread, or an interrupt, was quicker
                return
            callback(self)

    def __await__(self) -> Generator[Any, Any, T]:
        if not self._done:
            over = asyncio.get_running_loop().create_future()
            self.add_done_callback(lambda _: resolve_threadsafe(over))
            yield from over
        return self.result()


def resolve_threadsafe(future: asyncio.Future[None]) -> None:
    """Set the result of *future*, of whatever loop, unless it is done."""

    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    loop = future.get_loop()
    if asyncio._get_running_loop() is loop:
        resolve()
    else:
        with contextlib.suppress(RuntimeError):  # that loop has been closed
            loop.call_soon_threadsafe(resolve)
