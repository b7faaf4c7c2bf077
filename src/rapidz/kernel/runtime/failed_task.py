"""Failed task: an element that is emitted while a failure is pending."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any

from rapidz.kernel.runtime.tasks import EagerTask

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.runtime.pending_failures import PendingFailure


class FailedTask(EagerTask):
    """An element that comes while a failure is kept: who awaits it gets that instead.

    If it is not awaited, the element enters, and the failure stays for others.
    """

    _looked = False

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, object],
        pipeline: RuntimeContext,
        failure: PendingFailure,
    ) -> None:
        self._failure = failure
        super().__init__(coroutine, pipeline)

    def __await__(self) -> Generator[Any, Any, None]:
        if self.take_effect():
            raise self._failure.error
        return (yield from super().__await__())

    def take_effect(self) -> bool:
        """Fail with what was kept, unless that was taken already; whether it did."""
        if self.begun or self._failure not in self._pipeline.pending_failures:
            return False
        self.abandon()
        self._claimed = True
        self._pipeline.pending_failures.remove(self._failure)
        self._on_end(self._failure.raised(late=True))
        return True

    def adopt(self) -> None:
        if self._looked:
            super().adopt()
        else:  # a task that was made to await it comes only after this
            self._looked = True
            self._pipeline.running_on.call_soon(self.adopt)
