"""The workers behind a scattered stream, and what is done when one of them is lost."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from concurrent.futures import BrokenExecutor, CancelledError
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.short_repr import cut
from rapidz.parallel.backends.protocol import TaskRejected
from rapidz.parallel.scheduling.dependencies import STAND_INS, Encoder, Needs
from rapidz.parallel.scheduling.exception_copies import duplicated
from rapidz.parallel.scheduling.handles import (
    HANDLES,
    Here,
    Remote,
    Task,
    is_here,
    origin_of,
    outcome_of,
    over_all,
    parts,
)
from rapidz.parallel.wire.containers import iter_leaves
from rapidz.parallel.wire.outcomes import (
    DROPPED,
    PENDING,
    REMOTE,
    SPECIAL,
    UNKNOWN_ELEMENT,
    FailedElement,
    SetState,
    TaskResult,
)
from rapidz.parallel.wire.payload import TaskPayload

if TYPE_CHECKING:
    from rapidz.kernel.runtime.pipeline import Pipeline
    from rapidz.parallel.backends.protocol import Backend
    from rapidz.parallel.scheduling.batcher import Stage

#: How often a task is sent again when its worker, or its result, was lost for no fault of its own.
MOST_ATTEMPTS = 10
#: How long to wait, in seconds, before it is tried again to send a task: twice as long every time.
PAUSE, LONGEST_PAUSE = 0.02, 1.0
#: How often an element that is all alone must end its worker to be blamed: one may die by chance.
MOST_TRIALS = 2
#: In how many parts a task is cut to find the element that ends its worker.
MOST_PARTS, MOST_PARTS_OF_PATIENT = 8, 1024
#: How many characters the message of a failure may have that is not the function's own.
LONGEST_TEXT = 500
#: How many elements are kept for those who ask what was not done because workers are gone.
MOST_ELEMENTS = 10_000
#: A state of more bytes stays on the workers, and is fetched only now and then.
SMALL_STATE = 1 << 16
#: After so many tasks a large state is fetched after all, so that it can be rebuild from there.
CHECKPOINT = 16


class WorkerDied(RuntimeError):
    """An element ended every worker that it was given to."""

    element: Any = None
    """The element."""


class WorkersGone(RuntimeError):
    """The cluster, or the pool, is not there any more, and will not come back."""

    element: Any = None
    """An element that it should have worked on."""
    elements: list[Any]
    """All of them, this one too, that failed for the same reason; 10,000 at most.

    They share a list, for they may be raised together: then only one exception is seen.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.elements = []


class Crew:
    """What the nodes of one scattered stream share."""

    def __init__(
        self, backend: Backend, *, batch: int | str = "auto", ordered: bool = True
    ) -> None:
        self.backend = backend
        self.batch = batch
        self.ordered = ordered
        self.stages: weakref.WeakSet[Stage] = weakref.WeakSet()
        self.pipeline: Pipeline | None = None
        self._ended = False
        self._awaited: Any = None
        """What must be over before the backend can be freed."""
        self._gone: WorkersGone | None = None
        """What was said last of a backend that is gone."""
        self.flying: set[Task] = set()
        self.suspects: deque[Task] = deque()
        """Tasks that may have ended their worker: sent again one at a time."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        assert self.pipeline is not None
        return self.pipeline.running_on

    def slots(self, stage: Stage) -> int:
        """How many tasks of *stage* may be under way: one at work and one at hand a worker."""
        if stage.chain.stateful:
            return 3 if self.backend.supports_dependencies else 1
        return 2 * self.backend.slots()

    def finish(self) -> None:
        """The stream has ended: free the backend once nothing is under way any more."""
        self._ended = True
        pipeline = self.pipeline
        if pipeline is not None and pipeline.is_alive():
            self.loop.call_soon_threadsafe(self._close_if_idle)  # the end goes down meanwhile
        else:
            self.backend.close()

    def _close_if_idle(self, over: object = None) -> None:
        if not self._ended or over is not self._awaited:
            return
        self._awaited = None
        if self.flying or any(stage.waits() for stage in self.stages):
            return
        assert self.pipeline is not None
        self._awaited = next(iter(self.pipeline.active), None)
        if self._awaited is None:
            self.backend.close()
        else:  # what is settled, held or tried again may have to be sent still
            self._awaited.add_done_callback(self._close_if_idle)

    # --- what a task needs -------------------------------------------------------------------

    def ready(self, x: Any) -> bool:
        """Whether a task with *x* among its elements can be sent."""
        if self.backend.supports_dependencies:
            return all(type(part) is Here or part.task() is not None for part in parts(x))
        return is_here(x) and all(future.done() for future in self.futures_in(x))

    def futures_in(self, x: Any) -> list[Any]:
        """The futures of the backend's own in what a node has emitted."""
        is_future = self.backend.is_future
        return [leaf for leaf in iter_leaves(x) if type(leaf) not in HANDLES and is_future(leaf)]

    def when_ready(self, x: Any) -> Any:
        """Something to wait for before it is worth to ask again whether *x* is ready."""
        part = next((part for part in parts(x) if not self.ready(part)), None)
        if part is None:
            return over_all(self.futures_in(x))
        remote = part.root()
        if self.backend.supports_dependencies:
            return remote.batch.when_sent()
        if remote.outcome() is REMOTE:
            return self.bring(remote)
        return remote.batch.known(remote.index)

    def _work(self, task: Task) -> tuple[TaskPayload, list[Any]]:
        """Write down what *task* is to do, and which results it needs for that."""
        stage, chain = task.stage, task.chain
        if self.backend.crosses_process and not chain.is_picklable():
            task.splits = [0]  # it is the functions, and smaller tasks would fare no better
        needs = Needs()
        work = TaskPayload(chain, task.inputs)
        work.crosses_process = self.backend.crosses_process
        if not task.raw:
            encode = Encoder(self.backend, needs, chain.uid)
            work.inputs = [encode(x) for x in task.inputs]
            work.bare = STAND_INS.isdisjoint(map(type, work.inputs))
            work.special = work.bare and not SPECIAL.isdisjoint(map(type, work.inputs))
        if chain.stateful and task.previous is not None:
            work.retry = stage.retry
            maker = task.previous.maker()
            if maker.state is not PENDING:
                work.state = maker.state
            else:
                work.state_at = needs.place(maker)
        return work, needs.all

    def _at_hand(self, need: Any) -> Any:
        """What stands for the result of *need*, which is made again if it was lost."""
        if not isinstance(need, Task):
            return need
        if need.ref is None or self.backend.is_lost(need.ref):
            work, needs = self._work(need)
            need.ref = self.backend.submit(work, [self._at_hand(other) for other in needs])
        return need.ref

    # --- sending -----------------------------------------------------------------------------

    def send_in_turn(self, task: Task) -> None:
        """Send *task*, but not beside one that may end its worker."""
        if not self.suspects:
            self.send(task)
        elif task not in self.suspects:
            self.suspects.append(task)

    def send(self, task: Task) -> None:
        """Send *task*, and see what becomes of it."""
        watch, task.ref = self._under_way(task), None
        try:
            work, needs = self._work(task)
            needs = [self._at_hand(need) for need in needs]
            task.ref = self._submitted(work, needs, isolated=task in self.suspects)
        except Exception as error:
            again = self.backend.classify_failure(None, error) == "retry"
            pause = min(PAUSE * 2**task.attempts, LONGEST_PAUSE) if again else 0
            self.loop.call_later(pause, self._arrived, task, watch, None, error)
        else:
            self._watch(task, watch)

    def _under_way(self, task: Task) -> object:
        self.flying.add(task)
        task.watch = object()
        return task.watch

    def _submitted(self, work: TaskPayload, needs: list[Any], *, isolated: bool) -> Any:
        try:
            return self.backend.submit(work, needs, isolated=isolated)
        except TaskRejected:
            raise
        except Exception:
            if not (self.backend.crosses_process and work.replace_unpicklable()):
                raise
            return self.backend.submit(work, needs, isolated=isolated)

    def _watch(self, task: Task, watch: object) -> None:
        limit: float | None = None
        if task.chain.stateful:
            limit = float("inf") if self._due_for_checkpoint(task) else SMALL_STATE
        loop = self.loop

        def tell(future: Any) -> None:
            error = CancelledError() if future.cancelled() else future.exception()
            result = None if error is not None else future.result()
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._arrived, task, watch, result, error)

        self.backend.fetch(task.ref, task.values, limit).add_done_callback(tell)

    def _due_for_checkpoint(self, task: Task) -> bool:
        """Whether the state was not fetched for so long that it would be tedious to rebuild."""
        count, at = 0, task.previous
        while at is not None and at.state is PENDING:
            count, at = count + 1, at.previous
        return count >= CHECKPOINT

    async def bring(self, remote: Remote) -> None:
        """Fetch the value of an element that has stayed on the workers."""
        task = remote.task()
        assert task is not None
        if task.done:
            task.done, task.values, task.batch = False, True, remote.batch
            if task.ref is None:
                self.send_in_turn(task)
            else:
                self._watch(task, self._under_way(task))
        await remote.batch.known(remote.index)

    # --- what comes of it --------------------------------------------------------------------

    def _arrived(self, task: Task, watch: object, result: Any, error: BaseException | None) -> None:
        if task.watch is not watch:
            return
        on_trial = bool(self.suspects)
        self._take(task, result, error)
        if isinstance(error, BrokenExecutor):  # some of the others may never be told so
            for other in [other for other in self.flying if self._is_stranded(other)]:
                self._take(other, None, error)
        if self.suspects:
            self._next_suspect()
        elif on_trial:
            for stage in list(self.stages):
                stage.dispatch()
        self._close_if_idle()

    def _take(self, task: Task, result: Any, error: BaseException | None) -> None:
        """Take in what became of *task*."""
        task.watch = None
        self.flying.discard(task)
        try:
            known = None if error is not None else self.backend.decode_result(result)
        except Exception as unreadable:
            known, error = None, unreadable
        if known is not None:
            task.stage.pace.learn(task.size, known.seconds)
            self._on_end(task, known)
        else:
            self._failed(task, error or CancelledError())

    def _is_stranded(self, task: Task) -> bool:
        return task.ref is not None and self.backend.is_orphaned(task.ref)

    def _on_end(self, task: Task, result: TaskResult) -> None:
        """Tell what became of the elements of *task*."""
        if result.has_state:
            task.state, task.previous = result.state, None
        batch, task.batch, task.done = task.batch, None, True
        if result.special:
            _tell_elements(task, result)
        task.plain = not result.special
        if batch is not None:
            batch.learn(task, result)
        if task.values and not (task.chain.stateful and task.state is PENDING):
            if not result.special:
                task.inputs = []
            if not task.stage.feeds:
                task.ref = None
        self._clear(task)
        task.stage.over(task)

    def _failed(self, task: Task, error: BaseException) -> None:
        """*task* failed as a whole, and not one of its elements alone."""
        verdict = self.backend.classify_failure(task.ref, error)
        task.attempts += 1
        if verdict == "retry" and task.attempts > MOST_ATTEMPTS:
            verdict = "unavailable" if isinstance(error, TaskRejected) else "fail"
        if verdict == "retry":
            self.send_in_turn(task)
        elif verdict == "isolate":
            self._suspect(task, error)
        elif verdict == "unavailable":
            self._give_up(task, self._as_gone(error))
        elif _divisible(task):
            self._cut_up(task)
        else:
            self._give_up(task, error)

    def _as_gone(self, error: BaseException) -> WorkersGone:
        """Say that the backend is gone; what fails for the same reason shares one cause."""
        text = cut(self.backend.describe_failure(error), LONGEST_TEXT)
        if self._gone is None or self._gone.args != (text,):
            self._gone = WorkersGone(text)
            self._gone.__cause__ = error.with_traceback(None)  # its frames hold a whole task
        return self._gone

    def _suspect(self, task: Task, error: BaseException) -> None:
        """A worker died over *task*, or over another one: find out whose fault it was."""
        patient, on_trial = self.backend.retries_worker_death, task in self.suspects
        task.deaths += 1
        task.trials += on_trial
        if on_trial or (patient and _divisible(task)):
            if _divisible(task):
                self._cut_up(task)
            elif patient or task.trials >= MOST_TRIALS:
                died = WorkerDied(self._obituary(error))
                died.__cause__ = error.with_traceback(None)
                self._give_up(task, died)
        elif task.deaths == 1 and not patient:
            self.send_in_turn(task)  # perhaps it was in bad company
        else:
            self.suspects.append(task)

    def _cut_up(self, task: Task) -> None:
        """Go on with parts of *task*, one after the other."""
        self._clear(task)
        most = MOST_PARTS_OF_PATIENT if self.backend.retries_worker_death else MOST_PARTS
        parts = task.cut_up(most)
        task.stage.replaced(task, parts)
        self.suspects.extendleft(reversed(parts))

    def _clear(self, task: Task) -> None:
        """*task* is not suspected any more."""
        if task in self.suspects:
            self.suspects.remove(task)

    def _next_suspect(self) -> None:
        """Send the next suspect if nothing else is under way."""
        if not self.flying:
            self.send(self.suspects[0])

    def _obituary(self, error: BaseException) -> str:
        cause = cut(self.backend.describe_failure(error), LONGEST_TEXT)
        return f"its worker died, whenever it was given to one; {cause}"

    def _give_up(self, task: Task, error: BaseException) -> None:
        """Every element of *task* fails, with an error of its own: notes differ, the cause not."""
        task.given_up = True
        outcomes: list[Any] = []
        for x in task.inputs:
            known = x if task.raw else outcome_of(x)
            if type(known) in SPECIAL and known is not PENDING and known is not REMOTE:
                outcomes.append(DROPPED if type(known) is SetState else known)
                continue
            element = origin_of(x) if type(known) in SPECIAL else known
            outcomes.append(
                FailedElement(task.chain.uid, 0, element, _own(error, element, task.size))
            )
        self._on_end(task, TaskResult(outcomes, True, 0.0))


def _own(error: BaseException, element: Any, size: int) -> Exception:
    """The failure of one of *size* elements that *error* has ended together."""
    own = duplicated(error)
    if isinstance(own, (WorkerDied, WorkersGone)):
        own.element = element
        if isinstance(own, WorkersGone) and len(own.elements) < MOST_ELEMENTS:
            own.elements.append(element)
    elif size > 1 and own.__cause__ is None:
        own.__cause__ = error
    return own


def _tell_elements(task: Task, result: TaskResult) -> None:
    """Say of failures that were found out too late which element it was."""
    for x, outcome in zip(task.inputs, result.outcomes, strict=False):
        if type(outcome) is FailedElement and outcome.element is UNKNOWN_ELEMENT:
            outcome.element = x if task.raw else origin_of(x)


def _divisible(task: Task) -> bool:
    return task.size > 1 and task.batch is not None and task.splits[0] > 0
