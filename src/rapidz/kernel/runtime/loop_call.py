"""Loop call: an element on its way to the loop of a pipeline from another thread or loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.failures import BackPressureError, LoopEnded
from rapidz.kernel.runtime.tasks import EagerTask
from rapidz.kernel.runtime.thread_future import ThreadFuture
from rapidz.kernel.runtime.wait_for_graph import waits_for_caller

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext


class LoopCall(ThreadFuture[None]):
    """Future of a call on the loop, for the thread or loop that made it.

    The pipeline keeps a failure that nothing retrieves.
    """

    def __init__(self, pipeline: RuntimeContext) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._claimed = self._recorded = False
        self.awaited = True
        """Whether the thread that made a blocking call still blocks."""
        self.waits_for: Any = None
        """What is in flight for it on the loop."""

    def __await__(self) -> Generator[Any, Any, None]:
        if not self._done:
            blocking = _blocking.get(self._pipeline.loop)
            if blocking is not None and waits_for_caller(blocking.waits_for):
                raise BackPressureError(
                    "emit: the event loop of the pipeline is blocked by a call that waits for the "
                    "one that awaits this; the element goes in when that call has returned"
                )
        try:
            return (yield from super().__await__())
        except BaseException:
            self.detach()  # unless it has retrieved the failure, the waiter was cancelled
            raise

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            return super().exception(timeout)
        finally:
            self._claimed = self.done()  # else the waiter was interrupted, or looks again
            if self._recorded:
                self._pipeline.pending_failures.withdraw(self._error)

    def detach(self) -> None:
        """Let the pipeline keep a failure as soon as the call is done, as its caller has left.

        Not only when the call is collected: a traceback, or another thread, may refer to it.
        """
        self.add_done_callback(LoopCall._record_unclaimed)

    def take_outcome(self, wait: Any) -> None:
        """Take over the outcome of *wait*, which has ended on the loop."""
        if wait.cancelled():
            task = wait._task if isinstance(wait, EagerTask) else wait
            if isinstance(wait, EagerTask):
                wait.exception()  # retrieved, by whatever waits for this call
            if isinstance(task, asyncio.Task) and task.cancelling():
                self.set_exception(LoopEnded())  # the function has not cancelled itself
            else:
                self.set_exception(concurrent.futures.CancelledError())
        elif (error := wait.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(None)

    def __del__(self) -> None:
        self._record_unclaimed()

    def _record_unclaimed(self) -> None:
        error = self._error
        if error is None or self._claimed or self._recorded:
            return
        self._recorded = True
        if isinstance(error, concurrent.futures.CancelledError) or not isinstance(error, Exception):
            self._pipeline.record_interruption(error)
        else:
            self._pipeline.record_failure(error)


_blocking: dict[asyncio.AbstractEventLoop | None, LoopCall] = {}
"""The call that each blocked loop waits for."""


class BlockedLoop:
    """Block in which the loop that runs in this thread, if any, waits for a call.

    A class: `contextlib.contextmanager` assigns to what is raised in it, which may be frozen.
    """

    def __init__(self, call: LoopCall) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._here = loops.running_loop()
        self._before = _blocking.get(self._here)
        if self._here is not None:
            _blocking[self._here] = self._call

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._call.detach()  # unless it has raised its failure, the wait was interrupted
        if self._before is not None:
            _blocking[self._here] = self._before
        elif self._here is not None:
            del _blocking[self._here]
