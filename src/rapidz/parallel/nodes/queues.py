"""Queues in front of a node and behind it, for elements whose outcome is not known yet."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from rapidz.kernel.protocol.context import RuntimeContext
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime.serial_queue import SerialQueue
from rapidz.kernel.runtime.tasks import EagerTask, wait_done


class UnorderedQueue(SerialQueue):
    """Queue whose members run concurrently; a signal waits for all of them."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        super().__init__()
        self._members: set[EagerTask] = set()

    def busy(self) -> bool:
        return bool(self._members)

    def count(self) -> int:
        elements = sum(not running.is_signal for running in self._members)
        return max(0, elements - self.emitted)

    def enter(self, coroutine: Coroutine[Any, Any, object], pipeline: RuntimeContext) -> EagerTask:
        """Run *coroutine* at once."""
        running = EagerTask(coroutine, pipeline)
        self._members.add(running)
        running.add_done_callback(self._members.discard)
        return running

    def enqueue(
        self,
        coroutine: Coroutine[Any, Any, object],
        pipeline: RuntimeContext,
        on_loss: Callable[[], None] | None = None,
    ) -> Pending:
        """Run *coroutine* after all present members."""
        return self.enter(self._after_all(list(self._members), coroutine), pipeline)

    def enqueue_signal(self, action: Callable[[], Pending], pipeline: RuntimeContext) -> EagerTask:
        """Do *action*, which carries no element, after all present members."""

        async def act() -> None:
            if (wait := action()) is not None:
                running.awaits = not (isinstance(wait, EagerTask) and wait.is_signal)
                await wait

        running = self.enter(self._after_all(list(self._members), act()), pipeline)
        running.is_signal = True
        return running

    def has_elements(self) -> bool:
        return any(running.awaits or not running.is_signal for running in self._members)

    async def _after_all(
        self, members: list[EagerTask], coroutine: Coroutine[Any, Any, object]
    ) -> None:
        for running in members:
            await wait_done(running)
        await coroutine


def new_queue(ordered: bool) -> SerialQueue:
    """Return a queue that keeps the order of elements, or one that does not."""
    return SerialQueue() if ordered else UnorderedQueue()


def enqueue_each(
    queue: SerialQueue, pipeline: RuntimeContext, begin: Callable[[Any], Any]
) -> Push[Any]:
    """Make the step that runs the coroutine ``begin(x)`` for every element in *queue*."""
    if isinstance(queue, UnorderedQueue):
        return lambda x: queue.enter(begin(x), pipeline)
    return lambda x: queue.enqueue(begin(x), pipeline)
