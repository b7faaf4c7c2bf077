"""Tasks as a state machine: the table of transitions, and what tasks do with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidz.kernel.runtime.failures import Retry
from rapidz.parallel.scheduling.quarantine import MAX_ISOLATED_DEATHS, Quarantine
from rapidz.parallel.scheduling.task import (
    MAX_SPLITS,
    TRANSITIONS,
    IllegalTransition,
    Task,
    TaskEvent,
    TaskStatus,
)
from rapidz.parallel.wire.chain import Chain

TERMINAL = {TaskStatus.FAILED, TaskStatus.SPLIT}
IN_FLIGHT = {TaskStatus.IN_FLIGHT, TaskStatus.ISOLATED, TaskStatus.FETCHING}


class Owner:
    """A batcher and a batch that only note what they are notified about."""

    nodes: Sequence[Any] = ()
    retry: Retry | None = None
    has_dependents = raw = False
    values = True

    def __init__(self) -> None:
        self.splits: list[Task] = []

    def on_completion(self, task: Task, seconds: float | None) -> None: ...
    def dispatch(self) -> None: ...
    def receive(self, task: Task, result: Any) -> None: ...

    def has_queued(self) -> bool:
        return False

    async def rerun(self, chain: Chain, at: int, x: Any, *, raw: bool) -> Any: ...

    def on_split(self, task: Task) -> None:
        self.splits.append(task)


def new(size: int = 1) -> Task:
    owner = Owner()
    return Task(owner, Chain([], "test"), list(range(size)), batch=owner)


def reachable(start: TaskStatus) -> set[TaskStatus]:
    found, ahead = {start}, [start]
    while ahead:
        for status in TRANSITIONS[ahead.pop()].values():
            if status not in found:
                found.add(status)
                ahead.append(status)
    return found


def test_the_table_has_every_status_and_every_event() -> None:
    assert set(TRANSITIONS) == set(TaskStatus)
    assert {event for row in TRANSITIONS.values() for event in row} == set(TaskEvent)


def test_every_status_can_be_reached() -> None:
    assert reachable(new().status) == set(TaskStatus)


def test_no_event_is_allowed_in_a_terminal_status() -> None:
    assert {status for status, row in TRANSITIONS.items() if not row} == TERMINAL


@pytest.mark.parametrize("status", [s for s in TaskStatus if s not in TERMINAL])
def test_a_task_can_fail_and_can_succeed_wherever_it_is(status: TaskStatus) -> None:
    assert {TaskStatus.DONE, TaskStatus.FAILED} <= reachable(status)


def test_what_is_in_flight_can_succeed_be_lost_be_split_and_fail() -> None:
    every = {TaskEvent.SUCCEED, TaskEvent.LOSE, TaskEvent.SPLIT, TaskEvent.FAIL}
    for status in TaskStatus:
        allowed = set(TRANSITIONS[status])
        assert allowed == every if status in IN_FLIGHT else allowed.isdisjoint(every)


def test_an_event_that_is_not_allowed_is_refused_and_changes_nothing() -> None:
    task = new()
    with pytest.raises(IllegalTransition, match=r"ready \(submit, suspect\), got succeed"):
        task.apply(TaskEvent.SUCCEED)
    assert task.status is TaskStatus.READY


@given(st.lists(st.sampled_from(TaskEvent)))
def test_any_sequence_of_events_goes_by_the_table(events: list[TaskEvent]) -> None:
    task = new()
    for event in events:
        before = task.status
        if event in TRANSITIONS[before]:
            task.apply(event)
            assert task.status is TRANSITIONS[before][event]
        else:
            with pytest.raises(IllegalTransition):
                task.apply(event)
            assert task.status is before


@given(st.data(), st.integers(1, 40), st.booleans(), st.sets(st.integers(0, 39)))
def test_the_quarantine_finds_the_elements_that_end_their_worker(
    data: st.DataObject, size: int, retried: bool, deadly: set[int]
) -> None:
    """Whatever dies by accident beside them, and however often a task is lost."""
    quarantine = Quarantine(retried)
    ready, failed, done = [new(size)], [], []
    while ready or quarantine:
        task = ready.pop() if ready else quarantine.next()
        task.apply(TaskEvent.SUBMIT)
        assert (task.status is TaskStatus.ISOLATED) == (not ready and bool(quarantine))
        if task.status is TaskStatus.ISOLATED and data.draw(st.integers(0, 9)) == 0:
            task.apply(TaskEvent.LOSE)
        elif deadly.isdisjoint(task.inputs):
            task.apply(TaskEvent.SUCCEED)
            quarantine.release(task)
            done += task.inputs
        else:
            action = quarantine.on_worker_death(task)
            if action == "resubmit":
                ready.append(task)
            elif action == "fail":
                task.apply(TaskEvent.FAIL)
                quarantine.release(task)
                failed += task.inputs
                assert task.size == 1
                assert retried or task.isolated_deaths == MAX_ISOLATED_DEATHS
    assert sorted(failed) == sorted(x for x in range(size) if x in deadly)
    assert sorted(done + failed) == list(range(size))


@given(st.integers(2, 50), st.integers(2, 60))
def test_the_parts_of_a_task_have_its_elements_in_order(size: int, most: int) -> None:
    task = new(size)
    task.previous = before = new()
    task.apply(TaskEvent.SUBMIT)
    parts = task.split(most)
    assert [x for part in parts for x in part.inputs] == list(range(size))
    assert [part.previous for part in parts] == [before, *parts[:-1]]
    assert 1 < len(parts) <= most
    assert task.state_source() is parts[-1]
    assert {part.splits_left[0] for part in parts} == {MAX_SPLITS - 1}
    assert not task.is_divisible()


def test_the_state_after_a_task_that_failed_is_that_before_it() -> None:
    task = new()
    task.previous = before = new()
    task.apply(TaskEvent.SUBMIT)
    assert task.state_source() is task
    task.apply(TaskEvent.FAIL)
    assert task.state_source() is before
