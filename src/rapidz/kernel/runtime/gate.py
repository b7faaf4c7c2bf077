"""Gate: back pressure for the fast side of a node, until its slow side has capacity."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.thread_deadlock import LOOK_INTERVAL
from rapidz.kernel.runtime.wait_for_graph import Waiting, waits_for_caller

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext

Admit: TypeAlias = Callable[[], Pending]
Refusal: TypeAlias = Callable[[], Exception]


class Waiter(asyncio.Future[Any]):
    """An element that waits outside: to cancel it is to withdraw the element."""

    admit: Admit
    refusal: Refusal
    gate: Gate | None = None
    pipeline: RuntimeContext

    def cancel(self, msg: Any = None) -> bool:
        gate, self.gate = self.gate, None
        if gate is not None:
            at = gate.line.index(self)
            gate.line.remove(self)
            self.admit = _nothing  # it refers to the element
            gate.withdrawn(at)
        return super().cancel(msg)

    def __del__(self) -> None:
        if self._log_traceback:  # it failed, and was not retrieved
            self._log_traceback = False
            if isinstance(error := self._exception, Exception):
                self.pipeline.record_failure(error)


class Gate:
    """Elements that wait outside until a node has capacity for them.

    On a loop each waits with a future, first come, first served, and one slot
    wakes one of them.  Without a loop the thread that emits waits, and lets
    others into the pipeline meanwhile.  A gate is *shared* if capacity is freed by
    other emitters only, and not by the node itself.
    """

    def __init__(self, shared: bool = True) -> None:
        self._shared = shared
        self._threads = 0
        self._refused = False
        self.hopeless: Callable[[], bool] = bool
        """Returns whether there will never be capacity again."""
        self.capacity_owners: Callable[[], Iterable[Waiting | None]] = tuple
        """Returns what frees capacity by its end, and so is not to wait for it."""
        self.withdrawn: Callable[[int], None] = _ignore
        """Called when the element at this place in the line was withdrawn."""
        self.line: deque[Waiter | None] = deque()
        """Who waits; None for a thread."""

    def waiting(self) -> int:
        """How many wait outside."""
        return len(self.line)

    def waiting_in_loop(self) -> int:
        """How many wait outside with a future; threads do not."""
        return sum(waiter is not None for waiter in self.line)

    def enter(
        self,
        pipeline: RuntimeContext,
        full: Callable[[], bool],
        admit: Admit,
        refusal: Refusal,
    ) -> Pending:
        """Call *admit* once there is capacity; return what to wait for till then.

        *refusal* makes the error for a thread whose wait only that thread itself could end.
        """
        if self.hopeless():
            raise refusal()
        if self._shared:
            pipeline.gates.add(self)
        if pipeline.needs_loop or (loops.running_loop() is not None and not loops.in_notebook()):
            waiter = self.queue(pipeline, admit, refusal)
            return None if waits_for_caller(*self.capacity_owners()) else waiter
        pipeline.record_emitters()
        self.line.append(None)
        self._threads += 1
        try:
            with pipeline.threads.blocked(full):
                quiet = 0
                while full():
                    if self._refused or self.hopeless() or pipeline.threads.is_deadlocked(quiet):
                        raise refusal()
                    quiet = 0 if pipeline.lock.wait(LOOK_INTERVAL) else quiet + 1
        finally:
            self._threads -= 1
            self.line.remove(None)
        return admit()

    def queue(
        self, pipeline: RuntimeContext, admit: Admit, refusal: Refusal
    ) -> asyncio.Future[Any]:
        """Call *admit* in turn."""
        waiter = Waiter(loop=pipeline.running_on)
        waiter.admit, waiter.refusal = admit, refusal
        waiter.gate, waiter.pipeline = self, pipeline
        self.line.append(waiter)
        return waiter

    def queue_at(self, pipeline: RuntimeContext, at: int, action: Admit) -> None:
        """Call *action* in the turn of place *at* in the line; no caller waits for it."""
        if at == 0:
            action()
            return
        self.queue(pipeline, action, _no_refusal).add_done_callback(_unwatched)
        waiter = self.line.pop()
        self.line.insert(at, waiter)

    def _leave(self, waiter: Waiter) -> None:
        """Take *waiter* out of the line: to cancel it from now on harms nothing but the wait."""
        self.line.remove(waiter)
        waiter.gate = None

    def open(self, pipeline: RuntimeContext) -> None:
        """Let the next one in: a slot is free."""
        if self._threads:
            pipeline.lock.notify()
        while (waiter := next((w for w in self.line if w is not None), None)) is not None:
            self._leave(waiter)
            admit, waiter.admit = waiter.admit, _nothing
            try:
                wait: Any = admit()
            except Exception as error:
                _settle(waiter, error)
                continue
            if wait is None:
                _settle(waiter, None)
            else:
                wait.add_done_callback(functools.partial(_pass_on, waiter))
            return

    def refuse(self) -> None:
        """Refuse all that wait: nothing can free capacity."""
        self._refused = True
        self.refuse_waiting()

    def refuse_waiting(self) -> None:
        """Refuse those who wait now."""
        for waiter in list(self.line):
            if waiter is not None:
                self._leave(waiter)
                _settle(waiter, waiter.refusal())

    def admit_all(self) -> None:
        """Let in, beyond capacity, all that waited in a loop that has ended."""
        while self.line:
            waiter = self.line.popleft()
            if waiter is not None:
                waiter.gate = None
                waiter.admit()


def _nothing() -> None:
    return None


def _no_refusal() -> Exception:
    return RuntimeError("no thread waits here")


def _ignore(_: int) -> None:
    """Do nothing: withdrawals are not watched."""


def _unwatched(future: asyncio.Future[Any]) -> None:
    """Retrieve the outcome of a place in the line that no caller waits for."""
    if not future.cancelled():
        future.exception()


def _pass_on(future: asyncio.Future[Any], wait: Any) -> None:
    if not future.cancelled():  # else no caller takes a failure
        _settle(future, wait.exception())


def _settle(future: asyncio.Future[Any], error: BaseException | None) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    loop = future.get_loop()
    if loops.running_loop() is loop:
        settle()
    elif not loop.is_closed():
        loop.call_soon_threadsafe(settle)
