"""Dispatcher: submits tasks to the backend, collects their results, and recovers lost ones."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable
from concurrent.futures import BrokenExecutor, CancelledError
from typing import Any

from rapidz.kernel.protocol.short_repr import cut
from rapidz.kernel.runtime.pipeline import Pipeline
from rapidz.parallel.backends.protocol import Backend, TaskRejected
from rapidz.parallel.scheduling.dependencies import build_payload, futures_in, is_ready
from rapidz.parallel.scheduling.errors import WorkerDied, WorkersGone, error_for_element
from rapidz.parallel.scheduling.handles import (
    RemoteHandle,
    find_origin,
    iter_handles,
    outcome_of,
    wait_all,
)
from rapidz.parallel.scheduling.quarantine import Quarantine
from rapidz.parallel.scheduling.task import Task, TaskEvent, TaskOwner, TaskStatus
from rapidz.parallel.wire.outcomes import (
    DROPPED,
    PENDING,
    REMOTE,
    SPECIAL,
    UNKNOWN_ELEMENT,
    Expanded,
    FailedElement,
    SetState,
    TaskResult,
    map_values,
)
from rapidz.parallel.wire.payload import TaskPayload

#: How often a task is submitted again after it, or its result, was lost by accident.
MAX_ATTEMPTS = 10
#: The pause, in seconds, before a rejected task is submitted again: it doubles up to a maximum.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
#: How many characters of another library's error message are quoted.
MAX_QUOTED_CHARACTERS = 500
#: A state of more bytes stays on the workers, and is fetched only at checkpoints.
SMALL_STATE_BYTES = 1 << 16
#: After how many tasks a large state is fetched, so that it can be rebuilt from there.
CHECKPOINT_TASKS = 16


class Dispatcher:
    """Dispatcher that the nodes of one scattered stream share."""

    def __init__(
        self, backend: Backend, *, batch: int | str = "auto", ordered: bool = True
    ) -> None:
        self.backend = backend
        self.batch = batch
        self.ordered = ordered
        self.batchers: weakref.WeakSet[TaskOwner] = weakref.WeakSet()
        self.pipeline: Pipeline | None = None
        self.in_flight: set[Task] = set()
        self.quarantine = Quarantine(backend.retries_worker_death)
        self._ended = False
        self._close_after: Any = None
        """What must be done before the backend can be closed."""
        self._unavailable: WorkersGone | None = None
        """The last error of a backend that is gone."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the pipeline."""
        assert self.pipeline is not None
        return self.pipeline.running_on

    def task_limit(self, stateful: bool) -> int:
        """Return how many tasks of a batcher may be in flight: one running, one queued a worker."""
        if stateful:
            return 3 if self.backend.supports_dependencies else 1
        return 2 * self.backend.slots()

    def close_when_idle(self) -> None:
        """Close the backend once nothing is in flight: the stream has ended."""
        self._ended = True
        pipeline = self.pipeline
        if pipeline is not None and pipeline.is_alive():
            self.loop.call_soon_threadsafe(self._close_if_idle)  # the end signal travels meanwhile
        else:
            self.backend.close()

    def _close_if_idle(self, done: object = None) -> None:
        if not self._ended or done is not self._close_after:
            return
        self._close_after = None
        if self.in_flight or any(batcher.has_queued() for batcher in self.batchers):
            return
        assert self.pipeline is not None
        self._close_after = next(iter(self.pipeline.active.copy()), None)  # other threads add
        if self._close_after is None:
            self.backend.close()
        else:  # it may be resolving, buffering or retrying an element that is then submitted
            self._close_after.add_done_callback(self._close_if_idle)

    def wait_progress(self, x: Any) -> Awaitable[object]:
        """Return what to wait for before *x*, which is not ready, may be."""
        backend = self.backend
        handle = next((part for part in iter_handles(x) if not is_ready(part, backend)), None)
        if handle is None:
            return wait_all(futures_in(x, backend))
        remote = handle.root()
        if backend.supports_dependencies:
            return remote.batch.wait_sent()  # type: ignore[no-any-return]
        if remote.outcome() is REMOTE:
            return self.fetch(remote)
        return remote.batch.wait_known(remote.index)  # type: ignore[no-any-return]

    # --- submission --------------------------------------------------------------------------

    def submit_in_turn(self, task: Task) -> None:
        """Submit *task*; behind the tasks in quarantine, if there are any."""
        if not self.quarantine:
            self.submit(task)
        elif task.status is TaskStatus.READY:
            self.quarantine.add(task)

    def submit(self, task: Task) -> None:
        """Submit *task* to the backend."""
        task.apply(TaskEvent.SUBMIT)
        token, task.ref = self._expect_report(task), None
        try:
            payload, dependencies = build_payload(task, self.backend)
            refs = [self._ref_of(dependency) for dependency in dependencies]
            task.ref = self._submit(payload, refs, task.status is TaskStatus.ISOLATED)
        except Exception as error:
            rejected = self.backend.classify_failure(None, error) == "retry"
            pause = min(FIRST_PAUSE * 2**task.attempts, LONGEST_PAUSE) if rejected else 0
            self.loop.call_later(pause, self._on_report, task, token, None, error)
        else:
            self._report_when_done(task, token)

    def _submit(self, payload: TaskPayload, refs: list[Any], isolated: bool) -> Any:
        try:
            return self.backend.submit(payload, refs, isolated=isolated)
        except TaskRejected:
            raise
        except Exception:
            if not (self.backend.crosses_process and payload.replace_unpicklable()):
                raise
            return self.backend.submit(payload, refs, isolated=isolated)

    def _ref_of(self, dependency: Any) -> Any:
        """Return the backend's reference for *dependency*, whose result is remade if it is lost."""
        if not isinstance(dependency, Task):
            return dependency
        if dependency.ref is None or self.backend.is_lost(dependency.ref):
            payload, dependencies = build_payload(dependency, self.backend)
            refs = [self._ref_of(other) for other in dependencies]
            dependency.ref = self.backend.submit(payload, refs)
        return dependency.ref

    async def fetch(self, remote: RemoteHandle) -> None:
        """Fetch the value of an element that has stayed on the workers."""
        task = remote.task()
        assert task is not None
        if task.status in (TaskStatus.DONE, TaskStatus.FAILED):
            is_kept = task.ref is not None
            task.apply(TaskEvent.FETCH if is_kept else TaskEvent.RERUN)
            task.values, task.batch = True, remote.batch
            if not is_kept:
                self.submit_in_turn(task)
            else:
                self._report_when_done(task, self._expect_report(task))
        await remote.batch.wait_known(remote.index)

    # --- reports -----------------------------------------------------------------------------

    def _expect_report(self, task: Task) -> object:
        """Return a token: from now on only the report that has it counts."""
        self.in_flight.add(task)
        task.report_token = object()
        return task.report_token

    def _report_when_done(self, task: Task, token: object) -> None:
        limit: float | None = None
        if task.chain.stateful:
            limit = float("inf") if _is_checkpoint(task) else SMALL_STATE_BYTES
        loop = self.loop

        def report(future: Any) -> None:
            error = CancelledError() if future.cancelled() else future.exception()
            result = None if error is not None else future.result()
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._on_report, task, token, result, error)

        self.backend.fetch(task.ref, task.values, limit).add_done_callback(report)

    def _on_report(
        self, task: Task, token: object, result: Any, error: BaseException | None
    ) -> None:
        if task.report_token is not token:
            return
        quarantined = bool(self.quarantine)
        self._accept_report(task, result, error)
        if isinstance(error, BrokenExecutor):  # other futures of it may never be completed
            is_orphaned = self.backend.is_orphaned
            for other in [x for x in self.in_flight if x.ref is not None and is_orphaned(x.ref)]:
                self._accept_report(other, None, error)
        if self.quarantine:
            if not self.in_flight:
                self.submit(self.quarantine.next())
        elif quarantined:
            for batcher in list(self.batchers):
                batcher.dispatch()
        self._close_if_idle()

    def _accept_report(self, task: Task, result: Any, error: BaseException | None) -> None:
        task.report_token = None
        self.in_flight.discard(task)
        try:
            known = None if error is not None else self.backend.decode_result(result)
        except Exception as decoding:
            known, error = None, decoding
        if known is not None:
            task.apply(TaskEvent.SUCCEED)
            self._complete(task, known, known.seconds)
        else:
            self._on_failure(task, error or CancelledError())

    def _complete(self, task: Task, result: TaskResult, seconds: float | None) -> None:
        """Pass the outcomes of *task* on, and free what it does not need any longer."""
        if result.has_state:
            task.state, task.previous = result.state, None
        batch, task.batch = task.batch, None
        if result.special:
            _fill_in_elements(task, result)
        task.all_values = not result.special
        if batch is not None:
            batch.receive(task, result)
        if task.values and not (task.chain.stateful and task.state is PENDING):
            if not result.special:
                task.inputs = []
            if not task.owner.has_dependents:
                task.ref = None
        self.quarantine.release(task)
        task.owner.on_completion(task, seconds)

    # --- failures ----------------------------------------------------------------------------

    def _on_failure(self, task: Task, error: BaseException) -> None:
        """Recover from the failure of *task* as a whole, or fail its elements."""
        kind = self.backend.classify_failure(task.ref, error)
        task.attempts += 1
        if kind == "retry" and task.attempts > MAX_ATTEMPTS:
            kind = "unavailable" if isinstance(error, TaskRejected) else "fail"
        if kind == "retry":
            task.apply(TaskEvent.LOSE)
            self.submit_in_turn(task)
        elif kind == "isolate":
            self._on_worker_death(task, error)
        elif kind == "unavailable":
            self._fail(task, self._unavailable_error(error))
        elif task.is_divisible():
            self.quarantine.split(task)
        else:
            self._fail(task, error)

    def _on_worker_death(self, task: Task, error: BaseException) -> None:
        action = self.quarantine.on_worker_death(task)
        if action == "resubmit":
            self.submit_in_turn(task)
        elif action == "fail":
            cause = cut(self.backend.describe_failure(error), MAX_QUOTED_CHARACTERS)
            died = WorkerDied(f"its worker died, whenever it was given to one; {cause}")
            died.__cause__ = error.with_traceback(None)
            self._fail(task, died)

    def _unavailable_error(self, error: BaseException) -> WorkersGone:
        """Return the error for a backend that is gone; the same for all tasks of one reason."""
        text = cut(self.backend.describe_failure(error), MAX_QUOTED_CHARACTERS)
        if self._unavailable is None or self._unavailable.args != (text,):
            self._unavailable = WorkersGone(text)
            self._unavailable.__cause__ = error.with_traceback(None)  # frames refer to the task
        return self._unavailable

    def _fail(self, task: Task, error: BaseException) -> None:
        """Fail every element of *task*, each with a copy of *error*: notes differ."""
        task.apply(TaskEvent.FAIL)
        outcomes = [_failed_outcome(task, x, error) for x in task.inputs]
        self._complete(task, TaskResult(outcomes, True, 0.0), None)


def _failed_outcome(task: Task, x: Any, error: BaseException) -> Any:
    """Return the outcome of *x*, an input of *task*, which has failed with *error*."""

    def fail(values: list[Any]) -> tuple[list[Any], bool]:
        return [_failure(task, value, error) for value in values], True

    known = x if task.raw else outcome_of(x)
    if type(known) not in SPECIAL:
        return _failure(task, known, error)
    if known is PENDING or known is REMOTE:
        return _failure(task, find_origin(x), error)
    if type(known) is Expanded:
        return map_values(fail, [known])[0][0]
    return DROPPED if type(known) is SetState else known


def _failure(task: Task, element: Any, error: BaseException) -> FailedElement:
    own = error_for_element(error, element, task.size)
    return FailedElement(task.chain.uid, 0, element, own)


def _fill_in_elements(task: Task, result: TaskResult) -> None:
    """Fill in the elements of failures that were found after the element could not be known."""
    for x, outcome in zip(task.inputs, result.outcomes, strict=False):
        if type(outcome) is FailedElement and outcome.element is UNKNOWN_ELEMENT:
            outcome.element = x if task.raw else find_origin(x)


def _is_checkpoint(task: Task) -> bool:
    """Return whether the state was not fetched for so long that it would take long to rebuild."""
    count, at = 0, task.previous
    while at is not None and at.state is PENDING:
        count, at = count + 1, at.previous
    return count >= CHECKPOINT_TASKS
