"""Queue and its drainer: buffered elements are pushed in a task of their own, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.runtime.supervision import being_ended, record_outcome
from rapidz.kernel.runtime.tasks import EagerTask

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.runtime.gate import Gate


Carry: TypeAlias = "Callable[[Any], Pending | Coroutine[Any, Any, object]]"
"""Takes an entry further; returns what to await before the next one, if anything."""


class SignalMark:
    """Stands in a queue for something to be done in turn."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], Pending]) -> None:
        self.action = action


class QueueEntries(deque[Any]):
    """What waits on a conveyor, to be looked at as a queue."""

    def qsize(self) -> int:
        return len(self)

    def empty(self) -> bool:
        return not self


def elements_in(entries: Iterable[Any]) -> int:
    """Return how many elements are among *entries*, marks left out."""
    return sum(type(entry) is not SignalMark for entry in list(entries))


class QueueDrainer:
    """Drainer of a queue: a task that exists while the queue is not empty.

    The failure of an element becomes pending, and the drainer continues.
    """

    __slots__ = ("carrier", "cut_off", "entries", "gate", "running")

    def __init__(self) -> None:
        self.entries = QueueEntries()
        self.gate: Gate | None = None
        """Where elements wait while the queue is at capacity."""
        self.running = False
        self.cut_off = 0
        """How many elements were in flight from here when the loop ended."""
        self.carrier: EagerTask | None = None
        """The task, while `running`."""

    def capacity_owners(self) -> tuple[EagerTask | None]:
        """Return what frees capacity; a task that has not begun waits for nothing yet."""
        carrier = self.carrier if self.running else None
        return (carrier if carrier is not None and carrier.begun else None,)

    def put(self, entry: Any, carry: Carry, pipeline: RuntimeContext) -> Pending:
        """Append *entry*; ``carry(entry)`` is called, and awaited, when its turn comes."""
        if self.running:
            self.entries.append(entry)
            return None
        pipeline.check_loop()  # before anything is taken in
        self.entries.append(entry)
        self.running = True
        self.carrier = EagerTask(self._run(carry, pipeline), pipeline)
        return None

    def resume(self, carry: Carry, pipeline: RuntimeContext) -> None:
        """Continue with the elements that an earlier loop has left."""
        if self.entries and not self.running:
            self.running = True
            self.carrier = EagerTask(self._run(carry, pipeline), pipeline)

    async def _run(self, carry: Carry, pipeline: RuntimeContext) -> None:
        task, entries = asyncio.current_task(), self.entries
        try:
            while entries or self._lets_in(pipeline):
                entry = entries.popleft()
                try:
                    wait = entry.action() if type(entry) is SignalMark else carry(entry)
                    if wait is not None:
                        await wait
                except BaseException as error:
                    if being_ended(error, task):
                        kept = self.entries and self.entries[0] is entry
                        self.cut_off += type(entry) is not SignalMark and not kept
                        raise  # it is this queue that was cancelled, with its loop
                    record_outcome(pipeline, error)
        finally:
            self.running = False

    def _lets_in(self, pipeline: RuntimeContext) -> bool:
        """Admit elements that wait at the gate; return whether there is an entry."""
        if self.gate is not None and self.gate.line:
            self.gate.open(pipeline)
        return bool(self.entries)
