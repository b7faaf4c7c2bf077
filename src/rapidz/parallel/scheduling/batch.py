"""Element batch: elements that arrive soon after each other, and the outcome of each."""

from __future__ import annotations

import asyncio
import itertools
from bisect import bisect_right
from typing import Any

from rapidz.kernel.runtime.futures import child_future, resolve
from rapidz.parallel.scheduling.task import Task, TaskOwner
from rapidz.parallel.wire.chain import Chain
from rapidz.parallel.wire.outcomes import PENDING, REMOTE, Expanded, TaskResult


class ElementBatch:
    """Batch of elements for one chain."""

    def __init__(self, owner: TaskOwner, chain: Chain) -> None:
        self.owner = owner
        self.chain = chain
        self.nodes = owner.nodes
        self.raw = owner.raw
        self.inputs: list[Any] = []
        """The elements; None in the place of those that were cut into tasks."""
        self.outcomes: list[Any] = []
        self.sent = 0
        """How many elements were cut into tasks."""
        self.tasks: list[Task] = []
        self.starts: list[int] = []
        self.amended: set[int] = set()
        """Elements whose outcome is not that of their task, as after a retry."""
        self.resolving: dict[tuple[int, ...], asyncio.Future[None]] = {}
        """Failures to which a policy is being applied."""
        self._waiters: dict[int, asyncio.Future[None]] = {}
        self._sent_waiters: list[asyncio.Future[None]] = []

    def task_at(self, index: int) -> Task | None:
        """Return the task of the element *index*; None if it is in none yet."""
        at = bisect_right(self.starts, index) - 1
        if at < 0 or index >= self.starts[at] + self.tasks[at].size:
            return None
        return self.tasks[at]

    def cut(self, stop: int) -> Task:
        """Cut the next elements, up to *stop*, into one task."""
        start, self.sent = self.sent, stop
        inputs = self.inputs[start:stop]
        self.inputs[start:stop] = [None] * len(inputs)
        owner = self.owner
        task = Task(
            owner,
            self.chain,
            inputs,
            batch=self,
            start=start,
            raw=self.raw,
            values=owner.values,
        )
        self._add(task)
        waiting, self._sent_waiters = self._sent_waiters, []
        for future in waiting:
            resolve(future)
        return task

    def _add(self, task: Task) -> None:
        at = bisect_right(self.starts, task.start)
        self.starts.insert(at, task.start)
        self.tasks.insert(at, task)

    def on_split(self, task: Task) -> None:
        """Put the parts of *task* in its place."""
        at = self.tasks.index(task)
        del self.tasks[at], self.starts[at]
        for part in task.parts:
            self._add(part)

    def receive(self, task: Task, result: TaskResult) -> None:
        """Record the outcomes of *task*, and wake what waits for them."""
        start, stop = task.start, task.start + task.size
        outcomes = result.outcomes
        for index in self.amended.intersection(range(start, stop)) if self.amended else ():
            outcomes[index - start] = _fill(self.outcomes[index], outcomes[index - start])
        self.outcomes[start:stop] = outcomes
        if self._waiters:
            for index in range(start, stop):
                if (future := self._waiters.pop(index, None)) is not None:
                    resolve(future)

    def wait_known(self, index: int) -> asyncio.Future[None]:
        """Return a future that is done once something is known of the element *index*."""
        future = self._waiters.get(index)
        if future is None:
            future = self._waiters[index] = asyncio.get_running_loop().create_future()
        return child_future(future)

    def wait_sent(self) -> asyncio.Future[None]:
        """Return a future that is done once more elements were cut into tasks."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sent_waiters.append(future)
        return future


def _fill(known: Any, fetched: Any) -> Any:
    """Return the outcome *known*, completed by what was *fetched* where nothing was known."""
    if type(known) is Expanded:
        expanded = type(fetched) is Expanded
        items = fetched.outcomes if expanded else itertools.repeat(fetched)
        return Expanded(list(map(_fill, known.outcomes, items)))
    return fetched if known is PENDING or known is REMOTE else known
