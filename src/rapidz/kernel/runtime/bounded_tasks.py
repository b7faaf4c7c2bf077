"""Bounded, ordered tasks: a concurrency limit, with results in the order of submission."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.queue import Carry, QueueDrainer
from rapidz.kernel.runtime.supervision import being_ended
from rapidz.kernel.runtime.tracked_element import TrackedElement

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext

Consume: TypeAlias = Callable[[Any, "asyncio.Task[Any]"], Coroutine[Any, Any, None]]
"""Awaits the task of an element, and delivers its result."""


class BoundedTasks:
    """Tasks of a node, at most *limit* in flight, consumed in the order of their elements.

    An element is in flight from the start of its task until its result is
    delivered.  At capacity, elements wait at the gate of the node.
    """

    __slots__ = ("_delivering", "_drainer", "_gate", "_in_flight", "_tasks", "limit")

    def __init__(self, limit: int, drainer: QueueDrainer, gate: Gate) -> None:
        self.limit = limit
        self._drainer, self._gate = drainer, gate
        self._tasks: set[asyncio.Task[Any]] = set()
        self._in_flight = 0
        self._delivering = 0
        """How many of these have their result already, and wait for downstream."""
        gate.capacity_owners = lambda: (  # in order: each may block
            *drainer.capacity_owners(),
            *self._tasks,
        )

    def pending(self) -> int:
        """Return how many elements have no result yet."""
        return self._in_flight - self._delivering

    def at_capacity(self) -> bool:
        """Return whether no further task may start."""
        return self._in_flight >= self.limit

    def submit(
        self,
        x: Any,
        call: Callable[[Any], Coroutine[Any, Any, Any]],
        carry: Carry,
        pipeline: RuntimeContext,
    ) -> Pending:
        """Start the task of an element; ``carry`` consumes it when its turn comes."""
        task = pipeline.running_on.create_task(call(x))  # there may be no loop: then no call
        self._in_flight += 1
        self._tasks.add(task)
        return self._drainer.put((x, task), carry, pipeline)

    def carrier(self, consume: Consume, pipeline: RuntimeContext) -> Carry:
        """Return the function that takes a task off the queue, and frees its slot at the end."""

        async def carry(entry: tuple[Any, asyncio.Task[Any]]) -> None:
            x, task = entry
            loop_ends = False
            try:
                await consume(x, task)
            except asyncio.CancelledError as error:
                loop_ends = being_ended(error, asyncio.current_task())
                raise
            finally:
                self._tasks.discard(task)
                if type(x) is TrackedElement:
                    x.release()
                self._in_flight -= 1
                self._delivering = 0
                if not loop_ends:  # else the next loop admits the elements that wait
                    self.admit_waiting(pipeline)

        return carry

    async def deliver(self, wait: Awaitable[object]) -> None:
        """Wait until downstream has taken a result."""
        self._delivering = 1
        await wait

    def admit_waiting(self, pipeline: RuntimeContext) -> None:
        """Admit elements from the gate, as far as the limit allows."""
        while self._gate.line and self._in_flight < self.limit:
            self._gate.open(pipeline)

    def clear(self) -> None:
        """Forget all tasks: their loop has ended."""
        self._drainer.entries.clear()
        self._in_flight = self._delivering = 0
