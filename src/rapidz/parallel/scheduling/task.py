"""Task: a run of elements that is submitted at once, as a finite state machine."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, Protocol

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.runtime.failures import Retry
from rapidz.parallel.wire.chain import Chain
from rapidz.parallel.wire.outcomes import PENDING, TaskResult

#: How often a task, with all its parts, may be split while the cause of a failure is searched.
MAX_SPLITS = 64


class TaskStatus(Enum):
    """States of a task."""

    READY = "ready"
    """To be submitted, for the first time or again."""
    IN_FLIGHT = "in flight"
    """Submitted, together with other tasks."""
    QUARANTINED = "quarantined"
    """Suspected to end its worker: to be submitted in isolation."""
    ISOLATED = "isolated"
    """Submitted, with no other task in flight."""
    DONE = "done"
    """The outcomes are known; values may have stayed on the workers."""
    FETCHING = "fetching"
    """Done, and values that have stayed on the workers are being fetched."""
    FAILED = "failed"
    """Every element failed, for the same cause."""
    SPLIT = "split"
    """Replaced by its parts."""


class TaskEvent(Enum):
    """Events that change the status of a task."""

    SUBMIT = "submit"
    SUSPECT = "suspect"
    SUCCEED = "succeed"
    LOSE = "lose"
    """The task, or its result, was lost: it must run again."""
    FETCH = "fetch"
    RERUN = "rerun"
    """Values are wanted of a result that exists no longer."""
    SPLIT = "split"
    FAIL = "fail"


_ENDS: Final = {
    TaskEvent.SUCCEED: TaskStatus.DONE,
    TaskEvent.SPLIT: TaskStatus.SPLIT,
    TaskEvent.FAIL: TaskStatus.FAILED,
}
#: The state machine: by status, which event leads to which status.
TRANSITIONS: Final[Mapping[TaskStatus, Mapping[TaskEvent, TaskStatus]]] = {
    TaskStatus.READY: {
        TaskEvent.SUBMIT: TaskStatus.IN_FLIGHT,
        TaskEvent.SUSPECT: TaskStatus.QUARANTINED,
    },
    TaskStatus.IN_FLIGHT: {**_ENDS, TaskEvent.LOSE: TaskStatus.READY},
    TaskStatus.QUARANTINED: {TaskEvent.SUBMIT: TaskStatus.ISOLATED},
    TaskStatus.ISOLATED: {**_ENDS, TaskEvent.LOSE: TaskStatus.QUARANTINED},
    TaskStatus.DONE: {TaskEvent.FETCH: TaskStatus.FETCHING, TaskEvent.RERUN: TaskStatus.READY},
    TaskStatus.FETCHING: {**_ENDS, TaskEvent.LOSE: TaskStatus.READY},
    TaskStatus.FAILED: {},
    TaskStatus.SPLIT: {},
}


class IllegalTransition(RuntimeError):
    """Event that the status of a task does not allow: a defect of the scheduler."""


class TaskOwner(Protocol):
    """Protocol of batchers: what tasks, batches and the dispatcher know of them."""

    nodes: Sequence[weakref.ref[Stream[Any]]]
    """The operators of the chain, for the attribution of failures."""
    raw: bool
    """Whether elements are values, and not handles."""
    values: bool
    """Whether values are fetched when a task is done, or only what is special."""
    has_dependents: bool
    """Whether tasks of other owners take the results of this one."""
    retry: Retry | None
    """The policy by which an accumulation is retried within its task."""

    def on_split(self, task: Task) -> None:
        """Keep the parts of *task* in its place."""

    def on_completion(self, task: Task, seconds: float | None) -> None:
        """Go on after *task*, which took so many *seconds*; None if it failed."""

    def dispatch(self) -> None:
        """Submit as many of the queued elements as the workers can take."""

    def has_queued(self) -> bool:
        """Return whether elements wait to be submitted."""
        ...

    async def rerun(self, chain: Chain, at: int, x: Any, *, raw: bool) -> Any:
        """Send *x* through the operators of *chain* from *at* on; return its outcome."""


class OutcomeReceiver(Protocol):
    """Protocol of what waits for the outcomes of tasks."""

    def receive(self, task: Task, result: TaskResult) -> None:
        """Record the outcomes of *task*."""

    def on_split(self, task: Task) -> None:
        """Expect the outcomes of *task* from its parts."""


class Task:
    """Run of elements of one batch, submitted together."""

    def __init__(
        self,
        owner: TaskOwner,
        chain: Chain,
        inputs: list[Any],
        *,
        batch: OutcomeReceiver | None = None,
        start: int = 0,
        raw: bool = False,
        values: bool = True,
    ) -> None:
        self.owner = owner
        self.chain = chain
        self.batch = batch
        """What waits for the outcomes; None once they are known."""
        self.raw = raw
        """Whether the inputs are values, and not handles."""
        self.start = start
        self.size = len(inputs)
        self.inputs = inputs
        """Kept until the task cannot have to run again."""
        self.values = values
        """Whether the values are to be fetched, and not only what is special."""
        self.status = TaskStatus.READY
        self.all_values = False
        """Whether every outcome is known here and is a value."""
        self.ref: Any = None
        """The reference of the backend to the result."""
        self.report_token: object = None
        """Identifies the report that counts: that of the last submission."""
        self.attempts = self.deaths = self.isolated_deaths = 0
        self.splits_left = [MAX_SPLITS]
        """How often the task may be split; shared with its parts."""
        self.previous: Task | None = None
        """The task after whose state this one begins."""
        self.state: Any = PENDING
        """The state of an accumulation after this task, once it is known here."""
        self.parts: list[Task] = []

    def apply(self, event: TaskEvent) -> None:
        """Change the status as *event* requires; raise IllegalTransition if it is not allowed."""
        status = TRANSITIONS[self.status].get(event)
        if status is None:
            allowed = ", ".join(event.value for event in TRANSITIONS[self.status]) or "none"
            raise IllegalTransition(
                f"task {self.chain.label}: event must be one of those allowed when "
                f"{self.status.value} ({allowed}), got {event.value}"
            )
        self.status = status

    def state_source(self) -> Task:
        """Return the task that makes the state after this one."""
        task = self
        while True:
            if task.status is TaskStatus.SPLIT:
                task = task.parts[-1]
            elif task.status is TaskStatus.FAILED and task.previous is not None:
                task = task.previous
            else:
                return task

    def is_divisible(self) -> bool:
        """Return whether the task can be split."""
        return self.size > 1 and self.batch is not None and self.splits_left[0] > 0

    def split(self, most: int) -> Sequence[Task]:
        """Replace the task by at most *most* parts, each of which follows the one before."""
        assert self.batch is not None
        self.apply(TaskEvent.SPLIT)
        length = math.ceil(self.size / most)
        previous = self.previous
        for at in range(0, self.size, length):
            part = Task(
                self.owner,
                self.chain,
                self.inputs[at : at + length],
                batch=self.batch,
                start=self.start + at,
                raw=self.raw,
                values=self.values,
            )
            part.splits_left = self.splits_left
            part.previous = previous
            previous = part
            self.parts.append(part)
        self.splits_left[0] -= 1
        self.batch.on_split(self)
        self.owner.on_split(self)
        self.batch = None
        return self.parts
