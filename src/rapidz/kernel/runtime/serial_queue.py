"""Serial queue: the coroutines of one node, first come, first served, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.runtime.tasks import EagerTask

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext


class SerialQueue:
    """First come, first served: coroutines of one node, one at a time."""

    __slots__ = ("cut_off", "emitted", "front", "last")

    def __init__(self) -> None:
        self.front: EagerTask | None = None
        """What is at work."""
        self.last: EagerTask | None = None
        """What arrived last."""
        self.emitted = 0
        """How much of what is at work has emitted its element, and waits for downstream."""
        self.cut_off = 0
        """How many elements were in line when the loop ended, with no emitter that waited."""

    def busy(self) -> bool:
        """Return whether something is in line: what comes now must queue behind it."""
        return self.last is not None

    def count(self) -> int:
        """Return how many elements are in line and were not emitted."""
        count, running = 0, self.front
        while running is not None:
            count, running = count + (not running.is_signal), running._next
        return max(0, count - self.emitted)

    def enqueue(
        self,
        coroutine: Coroutine[Any, Any, object],
        pipeline: RuntimeContext,
        on_loss: Callable[[], None] | None = None,
    ) -> Pending:
        """Run *coroutine* after all that came before it; *on_loss*: see `EagerTask`.

        What itself is at work in this line, or is waited for by what is, does
        not wait when it awaits this: it would wait for its own end.
        """
        running = EagerTask(coroutine, pipeline, self)
        if on_loss is not None:
            running.on_loss = on_loss
        return running

    def enqueue_signal(self, action: Callable[[], Pending], pipeline: RuntimeContext) -> EagerTask:
        """Do *action*, which carries no element, after all that came before it."""

        async def act() -> None:
            if (wait := action()) is not None:
                running.awaits = not (isinstance(wait, EagerTask) and wait.is_signal)
                await wait

        running = EagerTask(act(), pipeline, self)
        running.is_signal = True
        return running

    def has_elements(self) -> bool:
        """Return whether anything but signals is in line, or what a signal has emitted."""
        running = self.front
        while running is not None:
            if running.awaits or not running.is_signal:
                return True
            running = running._next
        return False
