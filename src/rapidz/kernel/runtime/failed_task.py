"""Failed task: an element that is emitted while a failure is pending."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.push import Pending, withdraw
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.tasks import EagerTask

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.runtime.pending_failures import PendingFailure


class DeferredPush:
    """Deferred push of one element, in the context of its emitter: done once, awaited later."""

    __slots__ = ("_context", "_error", "_push", "_wait")

    def __init__(self, push: Callable[[], Pending]) -> None:
        self._push: Callable[[], Pending] | None = push
        self._context = contextvars.copy_context()
        self._wait: Pending = None
        self._error: BaseException | None = None

    def enter(self) -> None:
        """Push the element, unless it was pushed before; what fails is raised by `wait`."""
        push, self._push = self._push, None
        if push is None:
            return
        try:
            self._wait = self._context.run(push)
        except BaseException as error:
            self._error = error

    async def wait(self) -> None:
        """Push the element, unless it was pushed before, and wait for it."""
        self.enter()
        wait, self._wait = self._wait, None
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # the traceback refers to this
        if wait is not None:
            await wait

    def withdraw(self) -> None:
        """Cancel what the pushed element waits for, which nothing has awaited yet."""
        wait, self._wait = self._wait, None
        if wait is not None:
            withdraw([wait])


class FailedTask(EagerTask):
    """Task of an element that is emitted while a failure is pending.

    Awaited at once, it raises that failure, and the element does not enter.
    Otherwise the element enters: if the task is not awaited, or if another
    emitter has retrieved the failure.  Elements enter in the order in which
    they were emitted: see `PendingFailure.release`.
    """

    _entered = _looked = False

    def __init__(
        self,
        push: Callable[[], Pending],
        pipeline: RuntimeContext,
        failure: PendingFailure,
    ) -> None:
        self._failure = failure
        self._deferred = DeferredPush(push)
        self._loop = pipeline.running_on
        failure.deferred.append(self)
        super().__init__(self._deferred.wait(), pipeline)

    def __await__(self) -> Generator[Any, Any, None]:
        if self.take_effect():
            raise self._failure.error
        self._failure.release(self)
        return (yield from super().__await__())

    def take_effect(self) -> bool:
        """Fail with the pending failure; return whether it was still pending."""
        pending = self._pipeline.pending_failures
        if self.has_entered() or self._failure not in pending:
            return False
        self.abandon()
        self._claimed = True
        pending.remove(self._failure)
        self._on_end(self._failure.raised(late=True))
        self._failure.release()
        return True

    def has_entered(self) -> bool:
        """Return whether the element has entered, or never will."""
        return self._entered or self.begun

    def enter(self) -> None:
        """Push the element on the loop, unless it has entered or never will."""
        if self.has_entered():
            return
        if loops.running_loop() is self._loop:
            self._entered = True
            self._deferred.enter()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.enter)

    def withdraw(self) -> None:
        super().withdraw()
        self._deferred.withdraw()

    def adopt(self) -> None:
        if self._looked:
            self._failure.release(self)
            super().adopt()
        else:  # a task that was made to await it comes only after this
            self._looked = True
            self._pipeline.running_on.call_soon(self.adopt)
