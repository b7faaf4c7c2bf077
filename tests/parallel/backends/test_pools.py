"""Infrastructure errors of executors: no element is lost, and none fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from tests.parallel import functions as f
from tests.parallel.backends.functions import fatal
from tests.support import bounded

from rapidz import Retry, Stream
from rapidz.parallel import WorkerDied, WorkersGone
from rapidz.parallel.backends.pools import new_processes
from rapidz.parallel.backends.processes import WorkerProcesses

Submit = Callable[["Scripted", Callable[..., Any]], "Future[Any]"]


class Scripted(ThreadPoolExecutor):
    """An executor that does with a submission what *turn* says for it."""

    _broken: Any = False

    def __init__(self, turn: Submit) -> None:
        super().__init__(2)
        self._turn = turn

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._turn(self, lambda: super(Scripted, self).submit(function, *args, **kwargs))


class Script:
    """Makes executors that fail in the ways *faults*, one for each submission, and then no more."""

    def __init__(self, *faults: Submit) -> None:
        self.faults = list(faults)
        self.made: list[Scripted] = []

    def __call__(self) -> Executor:
        self.made.append(Scripted(self._turn))
        return self.made[-1]

    def _turn(self, executor: Scripted, really: Callable[..., Any]) -> Future[Any]:
        fault = self.faults.pop(0) if self.faults else _works
        return fault(executor, really)


def _works(executor: Scripted, really: Callable[..., Any]) -> Future[Any]:
    return really()  # type: ignore[no-any-return]


def no_means(executor: Scripted, really: Callable[..., Any]) -> Future[Any]:
    raise BlockingIOError(11, "no process could be begun")


def no_answer(executor: Scripted, really: Callable[..., Any]) -> Future[Any]:
    raise EOFError


def breaks_meanwhile(executor: Scripted, really: Callable[..., Any]) -> Future[Any]:
    executor._broken = "a process died"
    return Future()


def is_broken(executor: Scripted, really: Callable[..., Any]) -> Future[Any]:
    executor._broken = "a process died"
    raise BrokenExecutor(executor._broken)


def was_about_to_break(executor: Scripted, really: Callable[..., Any]) -> Future[Any]:
    executor._broken = "a process died"
    raise RuntimeError("cannot schedule new futures after shutdown")


def says_nothing(executor: Scripted, really: Callable[..., Any]) -> Future[Any]:
    return Future()


def dies(executor: Scripted, really: Callable[..., Any]) -> Future[Any]:
    future: Future[Any] = Future()

    def die() -> None:
        executor._broken = "a process died"
        future.set_exception(BrokenExecutor(executor._broken))

    threading.Timer(0.02, die).start()
    return future


@pytest.fixture
def scripted() -> Iterator[Callable[..., Script]]:
    """Makes scripts, whose executors are shut down at the end."""
    scripts: list[Script] = []

    def make(*faults: Submit) -> Script:
        scripts.append(Script(*faults))
        return scripts[-1]

    yield make
    for script in scripts:
        for executor in script.made:
            executor.shutdown()


FAULTS = [no_means, no_answer, breaks_meanwhile, is_broken, was_about_to_break, dies]


def doubled(backend: Any, elements: Any = range(6)) -> list[Any]:
    source: Any = Stream()
    seen: list[Any] = (
        source.scatter(backend, batch=1).map(f.double).buffer(9).gather().sink_to_list()
    )
    source.emit_many(elements)
    bounded(lambda: source.close(20))
    return seen


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_task_that_could_not_be_sent_is_sent_again(
    scripted: Callable[..., Script], fault: Submit, at: int
) -> None:
    script = scripted(*[_works] * at, fault, fault)
    assert doubled(script) == [0, 2, 4, 6, 8, 10]
    assert not script.faults


def test_tasks_of_whom_a_broken_executor_says_nothing_are_sent_again(
    scripted: Callable[..., Script],
) -> None:
    script = scripted(says_nothing, says_nothing, dies)
    assert doubled(script) == [0, 2, 4, 6, 8, 10]
    assert len(script.made) == 2


@pytest.mark.parametrize("fault", [no_means, no_answer], ids=lambda fault: fault.__name__)
def test_a_custom_executor_may_lack_resources_for_a_moment(
    scripted: Callable[..., Script], fault: Submit
) -> None:
    script = scripted(_works, fault)
    assert doubled(script()) == [0, 2, 4, 6, 8, 10]


def test_an_executor_that_cannot_be_made_is_made_a_moment_later(
    scripted: Callable[..., Script],
) -> None:
    script, failures = scripted(dies), [OSError(24, "too many open files")] * 2

    def make() -> Executor:
        if script.made and failures:
            raise failures.pop()
        return script()

    assert doubled(make) == [0, 2, 4, 6, 8, 10]
    assert not failures


async def test_an_executor_without_means_for_long_is_gone(
    scripted: Callable[..., Script],
) -> None:
    source: Any = Stream(asynchronous=True)
    script = scripted(*[no_means] * 100)
    mapped = source.scatter(script, batch=9).map(f.double)
    failures = mapped.errors.sink_to_list()
    mapped.buffer(9).gather().sink(print)
    await source.emit_many(range(3))
    await source.close()
    assert [failure.element for failure in failures] == [0, 1, 2]
    for failure in failures:
        assert isinstance(failure.exception, WorkersGone)
        assert "no process could be begun" in str(failure.exception)


# --- processes -------------------------------------------------------------------------------


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[WorkerProcesses]:
    """The pools of processes that are made meanwhile."""
    made: list[WorkerProcesses] = []

    def make(workers: int | None = None) -> WorkerProcesses:
        made.append(new_processes(workers))
        return made[-1]

    monkeypatch.setattr("rapidz.parallel.backends.pools.new_processes", make)
    return made


@pytest.mark.server
def test_an_element_that_ends_the_first_process_fails_alone() -> None:
    source: Any = Stream()
    mapped = source.scatter("process", batch=1).map(fatal)
    failures = mapped.errors.sink_to_list()
    seen = mapped.buffer(9).gather().sink_to_list()
    source.emit_many([77, 1, 2, 3])
    source.close(50)
    assert [failure.element for failure in failures] == [77]
    assert isinstance(failures[0].exception, WorkerDied)
    assert seen == [2, 4, 6]


class Unreadable:
    """Can be sent, and not be received."""

    def __reduce__(self) -> Any:
        return f.raises, (1,)


def unreadable_or_not(x: int) -> Any:
    return Unreadable() if x % 4 == 0 else x


@pytest.mark.server
def test_a_result_that_cannot_be_received_fails_alone(pools: list[WorkerProcesses]) -> None:
    source: Any = Stream()
    mapped = source.scatter("process", batch=8).map(unreadable_or_not)
    failures = mapped.errors.sink_to_list()
    seen = mapped.buffer(30).gather().sink_to_list()
    source.emit_many(range(20))
    source.close(50)
    assert seen == [x for x in range(20) if x % 4]
    assert [failure.element for failure in failures] == [0, 4, 8, 12, 16]
    assert {type(failure.exception) for failure in failures} == {f.Bad}
    assert not any(pool._broken for pool in pools)


def test_every_element_that_cannot_be_sent_fails_and_no_other(processes: Any) -> None:
    source: Any = Stream()
    elements = [threading.Lock() if x % 2 else x for x in range(300)]
    mapped = source.scatter(processes, batch=300).map(f.passed)
    failures = mapped.errors.sink_to_list()
    seen = mapped.buffer(300).gather().sink_to_list()
    source.emit_many(elements)
    source.close(50)
    assert seen == elements[::2]
    assert [failure.element for failure in failures] == elements[1::2]
    assert "the element cannot be sent: cannot pickle" in str(failures[0].exception)


@pytest.mark.server
def test_the_pool_stays_until_all_is_through(pools: list[WorkerProcesses]) -> None:
    source: Any = Stream()
    retried = source.scatter("process").map(f.inc).map(f.raises)
    retried.on_error(Retry(times=2, wait=0.05, then="skip"))
    retried.gather().sink(print)
    totals = retried.upstreams[0].partition(4).map(f.number).gather().sink_to_list()
    source.emit_many(range(3))
    source.close(50)
    assert totals == [6]
    assert len(pools) == 1
    with pytest.raises(RuntimeError, match="shutdown"):
        pools[0].submit(f.inc, 1)
