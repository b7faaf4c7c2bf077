"""Quarantine: tasks that may end their worker run in isolation, in ever smaller parts."""

from __future__ import annotations

from collections import deque
from typing import Literal

from rapidz.parallel.scheduling.task import Task, TaskEvent, TaskStatus

#: How many isolated workers one element must end before it is identified as the cause.
MAX_ISOLATED_DEATHS = 2
#: Into how many parts a task is split to find the element that ends its worker.
PARTS = 8
#: The same for a backend that has retried the task itself, and so takes long to fail.
PARTS_IF_RETRIED = 1024


class Quarantine:
    """Queue of suspects: tasks that are submitted one at a time, with no other task in flight.

    Parameters
    ----------
    retries_worker_death : bool
        Whether the backend has retried a task before it reports that its worker died.
    """

    def __init__(self, retries_worker_death: bool) -> None:
        self._retried = retries_worker_death
        self._tasks: deque[Task] = deque()

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def add(self, task: Task) -> None:
        """Let *task* wait to be submitted in isolation."""
        task.apply(TaskEvent.SUSPECT)
        self._tasks.append(task)

    def next(self) -> Task:
        """Return the task to submit next; it stays in quarantine until it is released."""
        return self._tasks[0]

    def release(self, task: Task) -> None:
        """Remove *task*, whose outcome is known, if it is a suspect."""
        if task in self._tasks:
            self._tasks.remove(task)

    def split(self, task: Task) -> None:
        """Put the parts of *task* in its place, in front of the other suspects."""
        self.release(task)
        parts = task.split(PARTS_IF_RETRIED if self._retried else PARTS)
        for part in reversed(parts):
            part.apply(TaskEvent.SUSPECT)
            self._tasks.appendleft(part)

    def on_worker_death(self, task: Task) -> Literal["resubmit", "fail", "quarantined"]:
        """Return what to do about *task*, whose worker died over it or over another task."""
        isolated = task.status is TaskStatus.ISOLATED
        task.deaths += 1
        task.isolated_deaths += isolated
        if (isolated or self._retried) and task.is_divisible():
            self.split(task)
        elif isolated and (self._retried or task.isolated_deaths >= MAX_ISOLATED_DEATHS):
            return "fail"
        else:
            task.apply(TaskEvent.LOSE)
            if task.deaths == 1 and not (isolated or self._retried):
                return "resubmit"  # another task of the same worker may have been the cause
            if not isolated:
                self.add(task)
        return "quarantined"
