"""Eager tasks: coroutines in flight, run by what awaits them first, and their serial queue."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol

from rapidz.kernel.protocol.push import Pending, Push, being_ended
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.futures import as_coroutine, resolve
from rapidz.kernel.runtime.wait_for_graph import task_code_ids, waits_for_caller

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.protocol.node import Node


class TaskLine(Protocol):
    """The side of a serial queue that its tasks see."""

    front: EagerTask | None
    last: EagerTask | None
    cut_off: int


class EagerTask:
    """A coroutine in flight in a pipeline.

    Whoever awaits it in the same turn of the loop runs it, in their own task
    and at the cost of a plain ``await``; otherwise the loop does, in a task of
    its own.  So to drop it is to lose the back pressure and not the element.
    The pipeline keeps a failure that was not retrieved.
    """

    _callbacks: list[Callable[[EagerTask], object]] | None = None
    _driven: Coroutine[Any, Any, object] | None = None
    _ahead: EagerTask | None = None
    _next: EagerTask | None = None
    _own = _claimed = _done = _left = False
    begun = False
    """Whether it is in somebody's hands, or will never be."""
    withdrawn = False
    """Whether it was cancelled from outside, and did not fail by itself."""
    _error: BaseException | None = None
    _unclaimed: Unclaimed | None = None
    _task: asyncio.Task[None] | None = None

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, object],
        pipeline: RuntimeContext,
        line: TaskLine | None = None,
    ) -> None:
        self._coroutine: Coroutine[Any, Any, object] | None = coroutine
        self._pipeline = pipeline
        self._serial_queue = line
        if line is not None:  # before anything runs: an eager task ends at once
            ahead, line.last = line.last, self
            if ahead is None:
                line.front = self
            else:
                self._ahead, ahead._next = ahead, self
                self._coroutine = _after(self, coroutine)
        pipeline.active.add(self)
        if pipeline.tracked:  # what is tracked travels in the context of its own task
            self.adopt()
        else:
            pipeline.run_unless_awaited(self)

    is_signal = False
    """Whether it carries no element."""
    awaits = False
    """Whether it is a signal that has emitted something, and waits for that."""
    on_loss: Callable[[], None] | None = None
    """Called if it is withdrawn before it has begun, once what is ahead of it has ended."""
    _loss_callbacks: list[Callable[[], None]] | None = None
    """Callbacks of that kind to be called when this one has ended."""

    def done(self) -> bool:
        """Return whether it has ended, with or without a failure."""
        return self._done

    def cancelled(self) -> bool:
        return isinstance(self._error, asyncio.CancelledError)

    def exception(self) -> BaseException | None:
        """Return what it failed with; None as long as it has not."""
        self._claim()
        return self._error

    def result(self) -> None:
        """Raise what it failed with, or InvalidStateError while it is in flight."""
        if not self._done:
            raise asyncio.InvalidStateError("the element is still in flight")
        if (error := self.exception()) is not None:
            raise error

    def add_done_callback(self, callback: Callable[[EagerTask], object]) -> None:
        """Call *callback* with this, in the loop, once it has ended."""
        if self._done:
            self._pipeline.running_on.call_soon(callback, self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def __await__(self) -> Generator[Any, Any, None]:
        if self._ahead is not None and self._is_circular():
            return self.adopt()
        if self.begun:
            return (yield from self._watch())
        coroutine = self._driven = self._begin()
        self._claimed = True
        try:
            yield from coroutine.__await__()
        except BaseException as error:
            self._on_end(error)
            raise
        self._on_end()

    def _begin(self) -> Coroutine[Any, Any, object]:
        """Return what is to be run: it is the caller's from now on."""
        coroutine, self._coroutine = self._coroutine, None
        assert coroutine is not None
        self.begun = True
        return coroutine

    def about(self) -> tuple[Node | None, Any]:
        """Return the node whose function this is, and the element, if it knows."""
        return None, None

    def _is_circular(self) -> bool:
        """Return whether the caller would wait here for its own end."""
        return self._serial_queue is not None and waits_for_caller(self._serial_queue.front)

    def _watch(self) -> Generator[Any, Any, None]:
        """Wait for what another task runs."""
        if not self._done:
            wait_done = self._pipeline.running_on.create_future()

            def wake(_: EagerTask) -> None:
                resolve(wait_done)

            self.add_done_callback(wake)
            try:
                yield from wait_done
            except BaseException:
                self._unwatched(wake)
                raise
        self._claim()  # not before: who is cancelled meanwhile takes no failure
        if self._error is not None:
            raise self._error

    def _unwatched(self, wake: Callable[[EagerTask], object]) -> None:
        """Note that a waiter was cancelled: without another one, a failure is kept.

        Not only when it is collected, for the traceback of that cancellation refers to it.
        """
        if self._callbacks is not None and wake in self._callbacks:
            self._callbacks.remove(wake)
        if self._done:  # it ended in the same turn
            self._keep_unclaimed()
        else:
            self._left = True

    def _keep_unclaimed(self) -> None:
        error = self._error
        if isinstance(error, Exception) and not self._claimed and not self.withdrawn:
            self._claim()
            self._pipeline.record_failure(error)

    def adopt(self) -> None:
        """Run it as a task, unless it was awaited already."""
        if not self.begun:
            coroutine = self._driven = self._begin()
            self._task = task = self._pipeline.running_on.create_task(self._run(coroutine))
            task.add_done_callback(self._never_begun)

    def _never_begun(self, _: object) -> None:
        """Close the coroutine: the task was cancelled before it could begin."""
        if not self._done and self._driven is not None:
            _close_unstarted(self._driven)
            self._note_end(True)
            self.note_loss()
            self._on_end(asyncio.CancelledError())

    def _note_end(self, ended: bool) -> None:
        """Note whether its task was *ended*, by `withdraw` or with the loop."""
        if ended and not self.withdrawn and self._serial_queue is not None and not self.is_signal:
            self._serial_queue.cut_off += 1
        self.withdrawn |= ended

    def is_node_work(self) -> bool:
        """Return whether it is the work of a node on one element."""
        return self._serial_queue is not None

    def run_at_once(self) -> None:
        """Run it where no loop is running: it must not have to wait for anything."""
        coroutine = self._begin()
        failure: Exception | None = None
        try:
            coroutine.send(None)
        except StopIteration:
            return self._on_end()
        except Exception as error:
            failure = error
        coroutine.close()
        if failure is None or str(failure) == "no running event loop":
            self._claimed = True
            self._on_end(asyncio.CancelledError())
            self._pipeline.check_loop()
        self._on_end(failure)

    def abandon(self) -> None:
        """Its loop has gone before it could begin."""
        if not self.begun:
            _close_unstarted(self._begin())

    def note_loss(self) -> None:
        """Note that its element is lost: nothing was done about it yet."""
        if self.on_loss is not None:
            self._loss_callbacks = [self.on_loss, *(self._loss_callbacks or ())]
            self.on_loss = None

    def detach(self) -> None:
        """Detach the task from its awaiters: cancelling them does not cancel it."""
        self._own = True
        self.adopt()

    def withdraw(self) -> None:
        """Cancel it, unless it is the pipeline's own or in the hands of another task."""
        if self._done or self._own:
            return
        self.withdrawn = True
        if not self.begun:
            self.abandon()
            self.note_loss()
            self._on_end(asyncio.CancelledError())
        elif self._task is not None:
            self._task.cancel()

    async def _run(self, coroutine: Coroutine[Any, Any, object]) -> None:
        outcome: BaseException | None = None
        task = asyncio.current_task()
        try:
            await coroutine
        except BaseException as error:
            outcome = error
        if outcome is not None and not isinstance(outcome, Exception):
            self._note_end(being_ended(outcome, task))
        self._on_end(outcome)
        if self.withdrawn and outcome is not None:
            raise outcome
        if isinstance(outcome, (KeyboardInterrupt, SystemExit)) and not loops.in_background():
            self._claim()
            if not getattr(outcome, "_rapidz_told", False):  # else who watched it tells it again
                outcome._rapidz_told = True  # type: ignore[union-attr]
                raise outcome  # the loop is the user's, and is to end
        # The traceback refers to this frame: drop the references, so that a failure which
        # nothing retrieves is noticed at once and not by the collector.
        del self, coroutine, outcome, task

    def _on_end(self, error: BaseException | None = None) -> None:
        self._done, self._error = True, error
        self._pipeline.active.discard(self)
        self._driven = None
        if error is not None:
            self._failed(error)
        line = self._serial_queue
        if line is not None:  # the next one waits now for the one ahead of this one
            ahead, behind = self._ahead, self._next
            if behind is None:
                line.last = ahead
            else:
                behind._ahead, self._next = ahead, None
            if ahead is None:
                line.front = behind
            else:
                ahead._next, self._ahead = behind, None
            if self._loss_callbacks is not None:
                losses, self._loss_callbacks = self._loss_callbacks, None
                if ahead is None:
                    for lost in losses:
                        lost()
                else:
                    ahead._loss_callbacks = [*(ahead._loss_callbacks or ()), *losses]
        if self._callbacks is not None:
            callbacks, self._callbacks = self._callbacks, None
            for callback in callbacks:
                callback(self)
            if self._left and callbacks:  # who watches too takes it in the next turn
                if not (loop := self._pipeline.running_on).is_closed():
                    loop.call_soon(self._keep_unclaimed)
                return
        if self._left:
            self._keep_unclaimed()

    def _failed(self, error: BaseException) -> None:
        if beside := getattr(error, "_rapidz_beside", None):
            self._pipeline.record_failure(beside)
            error._rapidz_beside = None  # type: ignore[attr-defined]
        if not self._claimed and not self.withdrawn:
            self._unclaimed = Unclaimed(self._pipeline, error)

    def _claim(self) -> None:
        """Note that its failure will be retrieved."""
        self._claimed = True
        if self._unclaimed is not None:
            self._unclaimed.error = None
            self._unclaimed = None


class Unclaimed:
    """Failure that was not retrieved: collected with its task, it is kept by the pipeline.

    What did not fail needs no finalizer, which costs as much as a call.
    """

    __slots__ = ("error", "pipeline")

    def __init__(self, pipeline: RuntimeContext, error: BaseException) -> None:
        self.pipeline = pipeline
        self.error: BaseException | None = error

    def __del__(self) -> None:
        error = self.error
        if isinstance(error, Exception):
            self.pipeline.record_failure(error)
        elif error is not None:
            self.pipeline.record_interruption(error)


task_code_ids.update({id(EagerTask.__await__.__code__), id(EagerTask._run.__code__)})


async def _after(running: EagerTask, coroutine: Coroutine[Any, Any, object]) -> None:
    """Run *coroutine* once nothing is ahead of *running* in its line.

    Whoever is ahead may be withdrawn: then those ahead of that one remain.
    """
    try:
        while (ahead := running._ahead) is not None:
            await wait_done(ahead)
    except BaseException:
        _close_unstarted(coroutine)
        running.note_loss()
        raise
    del running, ahead  # a traceback would keep them, and what is behind them in the line
    await coroutine


def _close_unstarted(coroutine: Coroutine[Any, Any, object]) -> None:
    """Close *coroutine*, which has not begun, and the one that it would have run."""
    frame = getattr(coroutine, "cr_frame", None)
    inner = None if frame is None else frame.f_locals.get("coroutine")
    coroutine.close()
    if inspect.iscoroutine(inner):
        _close_unstarted(inner)


def detach(pipeline: RuntimeContext, wait: Pending) -> Pending:
    """Detach *wait*: cancelling a task that awaits it ends that wait alone.

    For what carries more than the element that set it off: a batch, a window, a
    pair, a flush.
    """
    if wait is None:
        return None
    running = wait if isinstance(wait, EagerTask) else EagerTask(as_coroutine(wait), pipeline)
    running.detach()
    return running


def detached_push(pipeline: RuntimeContext, push: Push[Any]) -> Push[Any]:
    """Make of *push* one for what carries more than the element that set it off."""

    def step(x: Any) -> Pending:
        wait = push(x)
        return None if wait is None else detach(pipeline, wait)

    return step


async def wait_done(running: EagerTask) -> None:
    """Wait until *running* has ended; its failure is for others to retrieve."""
    if not running.done():
        future = asyncio.get_running_loop().create_future()
        running.add_done_callback(lambda _: resolve(future))
        await future


def exception_of(wait: Any) -> BaseException | None:
    """Return what *wait*, which has ended, failed with; others may still retrieve it."""
    if isinstance(wait, EagerTask):
        return wait._error
    if wait.cancelled():
        return asyncio.CancelledError()
    error: BaseException | None = getattr(wait, "_exception", None)
    return error
