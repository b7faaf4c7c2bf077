"""Batcher: queues the elements for one chain, and cuts them into tasks."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.runtime.failures import Retry
from rapidz.parallel.scheduling.batch import ElementBatch
from rapidz.parallel.scheduling.batch_sizer import MAX_BATCH_ELEMENTS, BatchSizer, count_by_bytes
from rapidz.parallel.scheduling.dependencies import is_ready
from rapidz.parallel.scheduling.dispatcher import Dispatcher
from rapidz.parallel.scheduling.handles import HandleRange, RemoteHandle
from rapidz.parallel.scheduling.task import Task, TaskEvent
from rapidz.parallel.wire.chain import Chain
from rapidz.parallel.wire.outcomes import DROPPED, PENDING, FailedElement


class Batcher:
    """Chain of operators with the queue in front of it, and its tasks in flight."""

    def __init__(self, dispatcher: Dispatcher, chain: Chain, sizer: BatchSizer) -> None:
        self.dispatcher = dispatcher
        self.chain = chain
        self.sizer = sizer
        self.nodes: Sequence[weakref.ref[Stream[Any]]] = ()
        self.raw = False
        self.values = True
        self.has_dependents = False
        self.retry: Retry | None = None
        self.in_flight: set[Task] = set()
        self._queue: deque[ElementBatch] = deque()
        self._open: ElementBatch | None = None
        """The batch that takes the next element."""
        self._scheduled = False
        """Whether `dispatch` will be called by the loop, or by the completion of a task."""
        self.initial_state: Any = DROPPED
        self.last: Task | None = None
        """The task that makes the newest state."""
        dispatcher.batchers.add(self)

    def set_chain(self, chain: Chain, nodes: Sequence[weakref.ref[Stream[Any]]]) -> None:
        """Use *chain*, which consists of *nodes*, from the next element on."""
        self.chain, self.nodes = chain, nodes
        self._open = None

    # --- elements ----------------------------------------------------------------------------

    def add(self, x: Any) -> RemoteHandle:
        """Queue *x*; return the handle of its outcome."""
        batch = self._open_batch()
        inputs = batch.inputs
        index = len(inputs)
        inputs.append(x)
        batch.outcomes.append(PENDING)
        if not self._scheduled:
            self._schedule()
        return RemoteHandle(batch, index)

    def add_many(self, elements: Sequence[Any]) -> HandleRange:
        """Queue all of *elements*; return the range of their handles."""
        batch = self._open_batch()
        start = len(batch.inputs)
        batch.inputs.extend(elements)
        batch.outcomes.extend([PENDING] * len(elements))
        if not self._scheduled:
            self._schedule()
        return HandleRange(batch, start, start + len(elements))

    def _open_batch(self) -> ElementBatch:
        batch = self._open
        if batch is None or len(batch.inputs) >= MAX_BATCH_ELEMENTS:
            batch = self._open = ElementBatch(self, self.chain)
            self._queue.append(batch)
        return batch

    def _schedule(self) -> None:
        """Dispatch after the present turn of the loop, in which more elements may arrive."""
        self._scheduled = True
        self.dispatcher.loop.call_soon(self.dispatch)

    def dispatch(self) -> None:
        self._scheduled = False
        slots = self.dispatcher.task_limit(self.chain.stateful)
        while self._queue:
            batch = self._queue[0]
            if batch.sent == len(batch.inputs):
                self._queue.popleft()
                if batch is self._open:
                    self._open = None
                continue
            if self.dispatcher.quarantine or len(self.in_flight) >= slots:
                self._scheduled = True  # the next task that completes dispatches
                return
            stop = self._task_stop(batch, slots)
            if stop == batch.sent:
                self._scheduled = True
                progress = self.dispatcher.wait_progress(batch.inputs[batch.sent])
                asyncio.ensure_future(progress).add_done_callback(lambda _: self.dispatch())
                return
            if batch is self._open:
                self._open = None  # so that batches end, and are freed, under load too
            self._submit(batch.cut(stop))

    def _task_stop(self, batch: ElementBatch, slots: int) -> int:
        """Return up to where the next task goes: as far as elements are ready and not too large."""
        queued = sum(len(batch.inputs) - batch.sent for batch in self._queue)
        stop = min(batch.sent + self.sizer.task_size(queued, slots), len(batch.inputs))
        inputs = batch.inputs[batch.sent : stop]
        if batch.raw:
            return batch.sent + count_by_bytes(inputs)
        backend = self.dispatcher.backend
        count = next((at for at, x in enumerate(inputs) if not is_ready(x, backend)), len(inputs))
        return batch.sent + count

    async def rerun(self, chain: Chain, at: int, x: Any, *, raw: bool) -> Any:
        """Send *x* through the operators of *chain* from *at* on; return its outcome.

        `nodes.resolution.handle_failure` calls this for the policy Retry; an accumulation is
        retried in its task, by `wire.payload._fold_with_retry`.
        """
        batch = ElementBatch(self, chain.tail(at))
        batch.raw = raw
        batch.inputs, batch.outcomes = [x], [PENDING]
        task = batch.cut(1)
        task.values = True
        self.in_flight.add(task)
        self.dispatcher.submit_in_turn(task)
        await batch.wait_known(0)
        outcome = batch.outcomes[0]
        if type(outcome) is FailedElement and outcome.chain == chain.uid:
            outcome.at += at
        return outcome

    # --- tasks -------------------------------------------------------------------------------

    def _submit(self, task: Task) -> None:
        if task.chain.stateful:
            task.previous = self.last or self._initial_task(task.chain)
            self.last = task
        self.in_flight.add(task)
        self.dispatcher.submit(task)

    def _initial_task(self, chain: Chain) -> Task:
        """Return a task that is done from the start, and has the initial state."""
        task = Task(self, chain, [])
        for event in (TaskEvent.SUBMIT, TaskEvent.SUCCEED):
            task.apply(event)
        task.state = self.initial_state
        return task

    def on_split(self, task: Task) -> None:
        self.in_flight.discard(task)
        self.in_flight.update(task.parts)
        if self.last is task:
            self.last = task.parts[-1]

    def on_completion(self, task: Task, seconds: float | None) -> None:
        self.in_flight.discard(task)
        if seconds is not None:
            self.sizer.record(task.size, seconds)
        if self._scheduled or self._queue:
            self.dispatch()

    def known_state(self) -> Any:
        """Return the newest state that is known in this process."""
        task = self.last
        while task is not None:
            task = task.state_source()
            if task.state is not PENDING:
                return task.state
            task = task.previous
        return self.initial_state

    def has_queued(self) -> bool:
        return any(batch.sent < len(batch.inputs) for batch in self._queue)
