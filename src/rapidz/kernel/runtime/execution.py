"""Pipeline execution: how calls from any thread, loop or interrupt run the nodes of a pipeline."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from rapidz.kernel.protocol.push import DONE, Done, Failed, Pending
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.attribution import mark_raised
from rapidz.kernel.runtime.binding import LoopBinding, NoLoop
from rapidz.kernel.runtime.failed_task import FailedTask
from rapidz.kernel.runtime.failures import LoopEnded, interrupted
from rapidz.kernel.runtime.futures import as_coroutine
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.loop_call import BlockedLoop, LoopCall
from rapidz.kernel.runtime.pending_failures import PendingFailures
from rapidz.kernel.runtime.pipeline_lock import PipelineLock, called_by_interrupt
from rapidz.kernel.runtime.tasks import EagerTask
from rapidz.kernel.runtime.thread_deadlock import LOOK_INTERVAL, BlockedThreads
from rapidz.kernel.runtime.trampoline import Trampoline

#: How long a call blocks before it asks whether an interrupt has made it, in seconds.
GLANCE = 0.002


class PipelineExecution(LoopBinding):
    """What runs in a pipeline: its lock, what is in flight, and what failed."""

    def __init__(self, loop: Any = None, asynchronous: bool | None = None) -> None:
        super().__init__(loop, asynchronous)
        self.lock = PipelineLock()
        self.active: set[Any] = set()
        """What is in flight, and will end by itself."""
        self.loop_calls: set[LoopCall] = set()
        """Calls that other threads and loops wait for."""
        self.gates: weakref.WeakSet[Gate] = weakref.WeakSet()
        self.pending_failures = PendingFailures()
        self.threads = BlockedThreads()
        self.records_emitters = self.compiled = False
        self.tracked = False
        """Whether elements carry metadata."""
        self.trampoline = Trampoline(self)
        """For edges that lead back, and very long pipelines."""
        self.reentry = Trampoline(self)
        """For what is emitted from within."""
        self._unawaited: list[EagerTask] = []

    def absorb_runs(self, other: PipelineExecution) -> None:
        """Take over what is in flight in a pipeline that becomes part of this one."""
        self.active |= other.active
        self.loop_calls |= other.loop_calls
        self.gates |= other.gates
        self.pending_failures.absorb(other.pending_failures)
        self.threads.absorb(other.threads)
        self.reentry.interrupted.extend(other.reentry.interrupted)
        self.trampoline.interrupted.extend(other.trampoline.interrupted)
        self._unawaited.extend(other._unawaited)

    def is_busy(self) -> bool:
        """Return whether something is in flight that will finish by itself."""
        return bool(self.active) and self.is_alive()

    # --- tasks -------------------------------------------------------------------------

    def start(self, awaitable: Awaitable[object]) -> Pending:
        """Start *awaitable*; return what to wait for."""
        if isinstance(awaitable, EagerTask):
            return awaitable
        if isinstance(awaitable, (Done, Failed)):
            awaitable.result()  # this needs no loop
            return None
        loop = self.running_on
        if loops.running_loop() is loop:
            if isinstance(awaitable, asyncio.Future):
                self.active.add(awaitable)
                awaitable.add_done_callback(self.active.discard)
                return awaitable
            if not inspect.iscoroutine(awaitable):
                awaitable = as_coroutine(awaitable)
            return EagerTask(awaitable, self)
        # A function that did not look asynchronous returned an awaitable, in a
        # thread without a loop: run it in the background, and wait here.
        self.require_loop()
        call = self.call_on_loop(lambda: EagerTask(as_coroutine(awaitable), self), blocks=True)
        call.add_done_callback(lambda _: self.lock.notify())
        with BlockedLoop(call), self.lock as lock:
            while not call.done():
                lock.wait(LOOK_INTERVAL)
        call.result()
        return None

    def run_unless_awaited(self, task: EagerTask) -> None:
        """Run *task* as one of the loop's, unless it is awaited in this turn of the loop."""
        if self.loop is None and task.is_node_work() and loops.running_loop() is None:
            return task.run_at_once()
        if not self._unawaited:
            (self.loop or self.running_on).call_soon(self._adopt_unawaited)
        self._unawaited.append(task)

    def _adopt_unawaited(self) -> None:
        tasks = self._unawaited
        for task in tasks:
            if not task.begun:
                task.adopt()
        tasks.clear()

    def _leave_loop(self) -> None:
        self._fail_loop_calls()
        self.active.clear()
        for task in self._unawaited:
            task.abandon()
        self._unawaited.clear()

    def _fail_loop_calls(self) -> None:
        """Report to those who wait in other threads and loops that the loop has ended."""
        for call in list(self.loop_calls):
            self.active.discard(call)
            call.set_exception(LoopEnded())

    # --- calls ---------------------------------------------------------------------------

    def run(self, action: Callable[[], Pending], *, asynchronous: bool = False) -> Any:
        """Run *action* where the nodes run, and wait as `emit` does.

        The general way; `rapidz.kernel.compile.emit` has the fast ones.
        """
        here = loops.running_loop()
        if not self.needs_loop:
            return self._run_here(action, asynchronous)
        if self.asynchronous and here is None and (self.loop is None or self.loop.is_closed()):
            return self._run_without_loop(action, asynchronous)
        loop = self.bind()
        if here is loop:
            if self.lock.busy and self.lock.defer(functools.partial(self._run_later, action)):
                return self.as_awaitable(None)
            try:
                return self.as_awaitable(action())
            except Exception as error:
                return self.failed_awaitable(error)
        self.threads.note_emitter()
        if asynchronous or not self.emit_blocks():
            return self.call_on_loop(action)
        self._block_unless_interrupt(action)
        return None if here is None else DONE

    def _run_here(self, action: Callable[[], Pending], asynchronous: bool) -> Any:
        """Run *action* in the calling thread, once it has the lock."""
        lock = self.lock
        if lock.is_taken() and lock.defer(functools.partial(self._run_later, action)):
            return self.as_awaitable(None) if asynchronous else None
        try:
            with lock:
                self.threads.note_emitter()
                self.resume_interrupted()
                wait = action()
        except Exception as error:
            mark_raised(error)
            if asynchronous:
                return self.failed_awaitable(error)
            raise
        return self.as_awaitable(wait) if asynchronous else wait

    def _run_without_loop(self, action: Callable[[], Pending], asynchronous: bool) -> Any:
        """Run *action* of an asynchronous pipeline where no loop is running.

        Only a node that needs a loop asks for one, and is refused.
        """
        try:
            wait = self._run_here(action, asynchronous)
        except NoLoop:
            self._leave_loop()  # such a node does not continue what it has begun
            self.invalidate_all()
            raise
        return wait if asynchronous else self.as_awaitable(wait)

    def _run_later(self, action: Callable[[], Pending]) -> None:
        """Run *action* for an interrupt that has left it; keep what fails."""
        try:
            action()
        except Exception as error:
            self.record_failure(error)

    def as_awaitable(self, wait: Pending) -> Awaitable[object]:
        """Return what an asynchronous `emit` returns for *wait*."""
        if wait is not None:
            return wait
        here = loops.running_loop()
        if here is None:
            return DONE
        future = here.create_future()
        future.set_result(None)
        return future

    def failed_awaitable(self, error: Exception) -> Awaitable[object]:
        """Return what an asynchronous `emit` returns when the element failed at once."""
        mark_raised(error)
        if loops.running_loop() is None:
            return Failed(error)

        async def fail() -> None:
            raise error

        return EagerTask(fail(), self)

    # --- calls from other threads and loops ----------------------------------------------

    def call_on_loop(
        self, action: Callable[[], Pending], *, blocks: bool = False, call: LoopCall | None = None
    ) -> LoopCall:
        """Run *action* on the loop; the returned future ends with its wait.

        *blocks*: a thread waits for it, and takes pending failures.
        """
        call = LoopCall(self) if call is None else call
        held = [call]

        def deliver() -> None:
            call = held.pop()  # dropped at the end: a traceback may keep this frame
            self.active.discard(call)
            try:
                wait: Any = action()
            except BaseException as error:  # a SystemExit, too, is the emitter's
                call.set_exception(error)
            else:
                if blocks and call.awaited and isinstance(wait, FailedTask):
                    wait.take_effect()
                if wait is None:
                    call.set_result(None)
                else:
                    if not hasattr(wait, "add_done_callback"):
                        wait = EagerTask(as_coroutine(wait), self)
                    call.waits_for = wait
                    wait.add_done_callback(call.take_outcome)
            del call

        loop = self.running_on
        self.active.add(call)
        self.loop_calls.add(call)
        call.add_done_callback(self.loop_calls.discard)
        loop.call_soon_threadsafe(deliver)
        return call

    def call(self, action: Callable[[], Pending], call: LoopCall | None = None) -> None:
        """Run *action* on the loop; block the calling thread until its wait has ended."""
        call = LoopCall(self) if call is None else call
        with BlockedLoop(call):  # from before it begins
            self.call_on_loop(action, blocks=True, call=call)
            self.block(call)

    def _block_unless_interrupt(self, action: Callable[[], Pending]) -> None:
        """Run *action* on the loop; block until its wait has ended, unless an interrupt calls.

        An interrupt may have left a lock taken that a function on the loop waits for.  It
        is looked for only where the wait is not short.
        """
        if self.threads.is_blocked():
            self.call_on_loop(action)
            return
        call = LoopCall(self)
        with BlockedLoop(call):
            self.call_on_loop(action, blocks=True, call=call)
            if not call.wait(GLANCE) and called_by_interrupt(sys._getframe(1)):
                call.awaited = False
                if not call.done():
                    return
            self.block(call)

    def block(self, call: LoopCall) -> None:
        """Block the calling thread until *call* is done."""
        looks = 0
        with self.threads.blocked(lambda: not call.done()):
            while not call.wait(LOOK_INTERVAL):
                looks += 1
                if self.loop is None or self.loop.is_closed():
                    call.set_exception(LoopEnded())
                elif self.gates and self.threads.is_deadlocked(looks):
                    self.running_on.call_soon_threadsafe(self.break_deadlock)
        call.result()

    def record_emitters(self) -> None:
        """Record which threads emit, from now on."""
        if not self.records_emitters:
            self.records_emitters = True
            self.invalidate_all()

    def break_deadlock(self) -> None:
        """Fail the waits for capacity that nothing can end any more."""
        waiting = [gate for gate in list(self.gates) if gate.waiting()]
        if len(self.active) <= sum(gate.waiting() for gate in waiting):
            for gate in waiting:
                gate.refuse()

    # --- what an interruption has left -------------------------------------------------

    def has_interrupted(self) -> bool:
        """Return whether an interruption has left elements in a trampoline."""
        return bool(self.trampoline.interrupted or self.reentry.interrupted)

    def resume_later(self, trampoline: Trampoline) -> None:
        """Resume what an interruption has left in *trampoline*, in a task or the next call."""
        if self.needs_loop and self.is_alive():

            async def resume() -> None:
                trampoline.resume()

            EagerTask(resume(), self)
        else:  # the next call does it, by the general way
            self.compiled = True
            self.invalidate_all()

    def resume_interrupted(self) -> None:
        """Resume what an interruption has left; the caller has the lock."""
        if self.has_interrupted():
            self.trampoline.resume()
            self.reentry.resume()
            self.compiled = True
            self.invalidate_all()

    # --- what failed -----------------------------------------------------------------

    def record_failure(self, error: Exception, *, log_at_once: bool = False) -> None:
        """Keep a failure that no emitter could take, for the next one."""
        loop = self.loop if self.is_alive() else None
        self.pending_failures.keep(error, loop, log_at_once)
        self._compile_emit_anew()

    def _compile_emit_anew(self) -> None:
        """Let `emit` look for pending failures from now on, or no longer.

        On a loop it always does; without one, results that leave by event time are all that
        can fail with no emitter.
        """
        if not self.needs_loop:
            self.compiled = True
            self.invalidate_all()

    def record_interruption(self, error: BaseException) -> None:
        """Keep what would have ended the background loop."""
        self.record_failure(interrupted(error))

    def raise_pending(self) -> None:
        """Raise the oldest pending failure, if any."""
        if self.pending_failures:
            error = self.pending_failures.take()
            self._compile_emit_anew()
            raise error

    def raise_all_pending(self) -> None:
        """Raise every pending failure: one as it is, several as a group."""
        if (error := self.pending_failures.take_all()) is not None:
            self._compile_emit_anew()
            raise error
