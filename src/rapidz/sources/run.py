"""Execution of a source: one task from `start` to `stop`, and awaitables that survive it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from time import monotonic
from typing import Any, Protocol, TypeVar

from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.futures import as_coroutine

V = TypeVar("V")

#: Seconds that a run may occupy the loop before it yields.
MAX_SLICE = 0.01

#: Runs that have not finished; they keep their sources alive.
active_runs: set[SourceRun] = set()

_run_numbers = itertools.count()

#: The run that executes now; None while one of its elements is processed downstream.
current_run: ContextVar[SourceRun | None] = ContextVar("current_run", default=None)


class RunOwner(Protocol):
    """Source, as far as its runs know it."""

    _pipeline: Any

    def stop(self) -> None: ...
    def _is_infinite(self) -> bool: ...
    def _supervise_run(self, run: SourceRun) -> Coroutine[Any, Any, None]: ...
    def _on_run_finished(self, run: SourceRun) -> None: ...


class SourceRun:
    """Task that executes a source, until it finishes or is retired.

    A retired run is cancelled and emits nothing more; where the cancellation is
    suppressed, the next `emit` ends it.  An element in flight is delivered first.
    """

    __slots__ = (
        "_number",
        "_task",
        "connected",
        "cooperative",
        "ending",
        "failed",
        "finished",
        "follows_failure",
        "last_yield",
        "loop",
        "raised",
        "reports",
        "retired",
        "serial",
        "source",
    )

    def __init__(self, source: RunOwner, loop: asyncio.AbstractEventLoop) -> None:
        self._number = next(_run_numbers)
        self.source = source
        self.loop = loop
        self.finished: asyncio.Future[None] = loop.create_future()
        self.retired = False
        self.connected = False
        """Whether the source has connected, or emitted, since it was last called."""
        self.failed = False
        """Whether an element failed that is to be acknowledged."""
        self.follows_failure = False
        """Whether the run before has failed, which whoever started this one has seen."""
        self.raised = False
        """Whether an emission has raised a failure: the source frees its resources now."""
        self.ending = False
        """Whether the source has seen that it must end: it frees its resources, uninterrupted."""
        self.reports: deque[Any] = deque()
        """Acknowledgements that are to be reported in the next turn of the loop."""
        self.cooperative = False
        """Polls `retired` itself, so it is not cancelled."""
        self.last_yield = monotonic()
        self.serial = attribution.last_serial
        """Serial number of the latest failure when the run began."""
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start the task at the next iteration of the loop."""
        active_runs.add(self)
        self.source._pipeline.active.add(self.finished)
        self.call_on_loop(self._begin)

    def call_on_loop(self, action: Callable[[], object]) -> None:
        """Schedule *action* on the loop, from any thread."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(action)

    def _begin(self) -> None:
        if self.retired:
            self.finish()
        else:
            self._task = self.loop.create_task(self.source._supervise_run(self))
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()
        self.source._on_run_finished(self)
        self.finish()

    def finish(self) -> None:
        """Mark the run as finished, and wake what waits for it."""
        active_runs.discard(self)
        self.source._pipeline.active.discard(self.finished)
        if not self.finished.done() and not self.loop.is_closed():
            self.finished.set_result(None)

    def retire_failed(self) -> None:
        """End the run after a failed element; if it is ending by itself, do not interrupt it."""
        self.failed = True
        if self.raised:
            self.retired = True
        else:
            self.retire()

    def retire(self) -> None:
        """End the run: cancel what it awaits, except the delivery of its elements."""
        if loops.running_loop() is self.loop:
            self._retire()
        elif self.loop.is_closed():
            self.retired = True
            self.finish()
        else:  # on its own loop, so never between taking an element and emitting it
            self.call_on_loop(self._retire)

    def _retire(self) -> None:
        self.retired = True
        if self._task is None or self.cooperative:
            return
        if asyncio.current_task() is self._task:  # a function downstream has stopped the source
            self.interrupt_later(self._task)
        else:
            self._interrupt(self._task)

    def interrupt_later(self, task: asyncio.Task[Any] | None) -> None:
        """Cancel what *task* awaits next, unless the run sees before that it must end."""
        if task is not None:
            self.loop.call_soon(self._interrupt, task)

    def _interrupt(self, task: asyncio.Task[Any]) -> None:
        if not self.ending:
            task.cancel()

    async def wait_for_earlier_runs(self) -> None:
        """Wait until every earlier run of the source has finished."""
        for run in list(active_runs):
            if run.source is self.source and run.loop is self.loop and run._number < self._number:
                await asyncio.wait([run.finished])

    def note_ending(self) -> None:
        """Note that the run sees that it must end, if it is its own task that asks."""
        with contextlib.suppress(RuntimeError):  # in a thread without a loop
            if asyncio.current_task() is self._task:
                self.ending = True

    def raise_if_retired(self) -> None:
        """Raise CancelledError if the run was retired."""
        if self.retired:
            raise asyncio.CancelledError

    def should_yield(self) -> bool:
        """Return whether the run has occupied the loop for `MAX_SLICE` seconds."""
        now = monotonic()
        if now - self.last_yield < MAX_SLICE:
            return False
        self.last_yield = now
        return True


class DeliveryWait:
    """Awaitable of the delivery of one element, not interrupted when its run is retired."""

    __slots__ = ("_run", "_wait")

    def __init__(self, wait: Awaitable[object], run: SourceRun) -> None:
        if not hasattr(wait, "add_done_callback"):
            pending = run.source._pipeline.start(as_coroutine(wait))
            assert pending is not None
            wait = pending
        self._wait: Any = wait
        self._run = run

    def __await__(self) -> Generator[Any, Any, None]:
        cancelled = False
        if self._wait.done() and self._run.should_yield():
            try:
                yield  # to the event loop
            except asyncio.CancelledError:
                if not self._run.retired:
                    raise
                cancelled = True
        while not self._wait.done():
            future = self._run.loop.create_future()
            self._wait.add_done_callback(lambda _, f=future: f.done() or f.set_result(None))
            try:
                yield from future
            except asyncio.CancelledError:
                if not self._run.retired:
                    raise
                cancelled = True
        try:
            self._wait.result()
        except BaseException:
            self._run.raised = True
            raise
        if cancelled:
            self._run.interrupt_later(asyncio.current_task())


class ResumableWait:
    """Pending read that survives its run; the next run awaits the same one."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[Any] | None = None

    def begin(self, begin: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        """Begin a read, unless one is pending; return its future."""
        if self._future is None or self._future.get_loop().is_closed():
            self._future = asyncio.ensure_future(begin())
            self._future.add_done_callback(lambda f: f.cancelled() or f.exception())
        return self._future

    async def discard(self) -> None:
        """Wait for the pending read, if any, and drop its result."""
        future, self._future = self._future, None
        if future is not None and not future.get_loop().is_closed():
            await asyncio.wait([future])

    async def result(self, begin: Callable[[], Awaitable[V]]) -> V:
        """Return the result of the pending read, or else of what *begin* returns."""
        future = self.begin(begin)
        await asyncio.wait([future])
        self._future = None
        value: V = future.result()
        return value

    @property
    def is_pending(self) -> bool:
        """Whether a read is in flight, or its result was not taken yet."""
        return self._future is not None

    def when_done(self, action: Callable[[], object]) -> None:
        """Call *action* once no read is pending."""
        future = self._future
        if future is None or future.done() or future.get_loop().is_closed():
            action()
        else:
            future.add_done_callback(lambda _: action())

    async def cancel(self) -> None:
        """Cancel the pending read, and wait until it has ended."""
        future, self._future = self._future, None
        if future is not None and not future.get_loop().is_closed():
            future.cancel()
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()
