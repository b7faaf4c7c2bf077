"""Failure policies on workers: a failing element reaches the policy of the node that failed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.parallel import functions as f
from tests.support import bounded, noted

from rapidz import Failure, Retry, Stream

MANY = range(1, 10_001)
GOOD = [x for x in MANY if x % 100]
BAD = [x for x in MANY if x % 100 == 0]


def scattered(source: Any, backend: Any, func: Callable[..., Any] = f.fails_on_hundredths) -> Any:
    return source.scatter(backend).map(abs).map(func)


def what_comes_out(source: Any, node: Any) -> list[Any]:
    """The results of *MANY*, which are emitted into *source*, behind *node*."""
    seen: list[Any] = node.buffer(1000).gather().sink_to_list()
    source.emit_many(MANY)
    source.close()
    return seen


def test_one_in_a_hundred_is_skipped(backend: Any) -> None:
    source: Any = Stream()
    node = scattered(source, backend).on_error("skip")
    assert what_comes_out(source, node.map(abs)) == GOOD


def test_one_in_a_hundred_is_sent(backend: Any) -> None:
    source: Any = Stream()
    node = scattered(source, backend).on_error("send")
    failures: list[Failure] = node.errors.sink_to_list()
    assert what_comes_out(source, node.map(abs)) == GOOD
    assert [failure.element for failure in failures] == BAD
    assert {type(failure.exception) for failure in failures} == {f.Bad}
    assert {failure.node for failure in failures} == {node}
    assert {failure.attempts for failure in failures} == {1}


def test_one_in_a_hundred_is_sent_to_a_dead_letter_stream(backend: Any) -> None:
    source: Any = Stream()
    apart: Any = Stream()
    failures = apart.sink_to_list()
    node = scattered(source, backend).on_error(apart)
    assert what_comes_out(source, node) == GOOD
    assert [failure.element for failure in failures] == BAD
    apart.close()


def test_one_in_a_hundred_is_tried_again_and_then_sent(backend: Any) -> None:
    source: Any = Stream()
    node = scattered(source, backend).on_error(Retry(times=2, wait=0, then="send"))
    failures: list[Failure] = node.errors.sink_to_list()
    assert what_comes_out(source, node.map(abs)) == GOOD
    assert [failure.element for failure in failures] == BAD
    assert {failure.attempts for failure in failures} == {3}


def test_one_in_a_hundred_is_raised_to_the_one_who_emits_it(backend: Any) -> None:
    source: Any = Stream()
    seen = scattered(source, backend).gather().sink_to_list()
    raised = []
    for x in range(90, 210):
        try:
            source.emit(x)
        except f.Bad as failure:
            raised.append((x, failure.args))
    source.close()
    assert raised == [(100, (100,)), (200, (200,))]
    assert seen == [x for x in range(90, 210) if x % 100]


def test_what_is_raised_names_node_function_and_element(backend: Any) -> None:
    """Ruling 1 (docs/rulings.md)."""
    source: Any = Stream()
    scattered(source, backend).map(abs).gather().sink(print)
    with pytest.raises(f.Bad) as caught:
        source.emit(100)
    assert noted(caught.value, "map", "fails_on_hundredths", "100"), caught.value.__notes__
    source.close()


def test_the_traceback_of_the_worker_is_shown(processes: ProcessPoolExecutor) -> None:
    import traceback

    source: Any = Stream()
    scattered(source, processes).gather().sink(print)
    with pytest.raises(f.Bad) as caught:
        source.emit(100)
    assert "raise Bad(x)" in "".join(traceback.format_exception(caught.value))
    source.close()


@pytest.mark.parametrize("ask", ["emit", "join", "close"])
def test_a_failure_kept_behind_a_buffer_is_raised_once(ask: str, backend: Any) -> None:
    source: Any = Stream()
    seen = scattered(source, backend).buffer(10).gather().sink_to_list()

    def go() -> None:
        source.emit_many([1, 100, 2])
        if ask == "emit":
            for x in range(1000):
                source.emit(x % 50 + 1)
        else:
            getattr(source, ask)()

    with pytest.raises(f.Bad) as caught:
        bounded(go)
    assert caught.value.args == (100,)
    source.close()
    assert seen[:2] == [1, 2]


def test_several_kept_failures_are_raised_together(backend: Any) -> None:
    source: Any = Stream()
    scattered(source, backend).buffer(10).gather().sink_to_list()
    raised: list[BaseException] = []
    try:
        source.emit_many([100, 1, 200])
    except (f.Bad, ExceptionGroup) as failure:
        raised.append(failure)
    try:
        source.close()
    except (f.Bad, ExceptionGroup) as failure:
        raised.append(failure)
    told = [
        failure.args[0]
        for error in raised
        for failure in (error.exceptions if isinstance(error, ExceptionGroup) else [error])
    ]
    assert set(told) <= {100, 200}
    assert 100 in told


def test_the_policy_of_the_node_that_fails_counts_and_no_other(backend: Any) -> None:
    source: Any = Stream()
    first = source.scatter(backend).map(f.fails_on_hundredths).on_error("send")
    second = first.map(f.fails_on_thirds).on_error("skip")
    failures = first.errors.sink_to_list()
    seen = second.buffer(10).gather().sink_to_list()
    source.emit_many([1, 2, 3, 100, 101])
    source.close()
    assert seen == [1, 2, 101]
    assert [(failure.element, failure.node) for failure in failures] == [(100, first)]


def test_the_policy_of_the_nearest_upstream_node_applies(backend: Any) -> None:
    source: Any = Stream()
    source.on_error("send")
    failures = source.errors.sink_to_list()
    node = source.scatter(backend).map(f.inc).map(f.fails_on_thirds)
    seen = node.buffer(10).gather().sink_to_list()
    source.emit_many(range(5))
    source.close()
    assert seen == [1, 2, 4, 5]
    assert [(failure.element, failure.node) for failure in failures] == [(3, node)]


def test_the_element_of_a_failure_is_what_the_function_got(backend: Any) -> None:
    source: Any = Stream()
    node = source.scatter(backend).map(f.twice).map(f.double).map(f.fails_on_hundredths)
    failures = node.on_error("send").errors.sink_to_list()
    node.buffer(10).gather().sink_to_list()
    source.emit_many([24, 25, 26])
    source.close()
    assert [failure.element for failure in failures] == [100]


FAILING: dict[str, tuple[Callable[[Any], Any], list[Any], list[Any], list[Any]]] = {
    "filter": (lambda s: s.filter(f.even_unless_third), [1, 2, 3, 4], [2, 4], [3]),
    "remove": (lambda s: s.remove(f.even_unless_third), [1, 2, 3, 4], [1], [3]),
    "map async": (lambda s: s.map(f.fails_later), [1, 2, 3, 4], [1, 2, 4], [3]),
    "starmap": (lambda s: s.starmap(f.fails_on_thirds), [(1,), (3,), (1, 2)], [1], [(3,), (1, 2)]),
    "pluck": (lambda s: s.pluck("n"), [{"n": 1}, {}, {"n": 2}], [1, 2], [{}]),
    "flatten": (lambda s: s.flatten(), [[1], 2, [3, 4]], [1, 3, 4], [2]),
    "map_async": (
        lambda s: s.map_async(f.fails_later, parallelism=2),
        [1, 2, 3, 4],
        [1, 2, 4],
        [3],
    ),
    "accumulate": (
        lambda s: s.accumulate(f.add_unless_third, start=0),
        [1, 2, 3, 4],
        [1, 3, 7],
        [3],
    ),
    "partition key": (
        lambda s: s.partition(2, key=f.fails_on_thirds),
        [1, 3, 1, 2],
        [(1, 1), (2,)],
        [3],
    ),
    "unique key": (lambda s: s.unique(key=f.fails_on_thirds), [1, 3, 1, 2], [1, 2], [3]),
    "partition_unique key": (
        lambda s: s.partition_unique(2, key=f.fails_on_thirds),
        [1, 3, 1, 2],
        [(1, 2)],
        [3],
    ),
}


@pytest.mark.parametrize("batch", [1, "auto"])
@pytest.mark.parametrize("name", FAILING)
def test_every_operator_sends_what_its_function_failed_on(
    name: str, batch: Any, backend: Any
) -> None:
    build, elements, wanted, failing = FAILING[name]
    source: Any = Stream()
    node = build(source.scatter(backend, batch=batch)).on_error("send")
    failures = node.errors.sink_to_list()
    seen = node.buffer(10).gather().sink_to_list()
    source.emit_many(elements)
    source.close()
    assert seen == wanted
    assert [failure.element for failure in failures] == failing


@pytest.mark.parametrize("name", FAILING)
def test_every_operator_tries_again_as_often_as_asked(name: str, backend: Any) -> None:
    build, elements, wanted, failing = FAILING[name]
    source: Any = Stream()
    node = build(source.scatter(backend)).on_error(Retry(times=2, wait=0, then="send"))
    failures = node.errors.sink_to_list()
    seen = node.buffer(10).gather().sink_to_list()
    source.emit_many(elements)
    bounded(source.close)
    assert seen == wanted
    assert [(failure.element, failure.attempts) for failure in failures] == [
        (x, 3) for x in failing
    ]


class Flaky:
    """Fails the first *times* on every odd number; counts in files, so in any process."""

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times = folder, times

    def __call__(self, x: int) -> int:
        if x % 2:
            log = self.folder / str(x)
            with log.open("a") as file:
                file.write("x")
            if log.stat().st_size <= self.times:
                raise f.Bad(x)
        return x


class FlakyFold(Flaky):
    def __call__(self, total: int, x: int) -> int:  # type: ignore[override]
        return total + super().__call__(x)


@pytest.mark.parametrize("batch", [1, 3, "auto"])
def test_what_comes_well_after_a_retry_keeps_its_place(
    batch: Any, backend: Any, tmp_path: Path
) -> None:
    source: Any = Stream()
    node = source.scatter(backend, batch=batch).map(f.inc).map(Flaky(tmp_path, 2))
    node.on_error(Retry(times=2, wait=0.001, then="raise"))
    seen = node.map(f.double).buffer(20).gather().sink_to_list()
    source.emit_many(range(20))
    source.close()
    assert seen == [2 * x for x in range(1, 21)]
    assert {file.read_text() for file in tmp_path.iterdir()} == {"xxx"}


@pytest.mark.parametrize("batch", [1, 3, "auto"])
def test_a_total_that_is_tried_again_counts_every_element_once(
    batch: Any, backend: Any, tmp_path: Path
) -> None:
    source: Any = Stream()
    node = source.scatter(backend, batch=batch).accumulate(FlakyFold(tmp_path, 1), start=0)
    node.on_error(Retry(times=1, wait=0, then="raise"))
    seen = node.buffer(20).gather().sink_to_list()
    source.emit_many(range(20))
    source.close()
    assert seen == list(itertools.accumulate(range(20)))


@pytest.mark.parametrize("batch", [1, 3, "auto"])
def test_a_total_downstream_of_a_retry_keeps_the_order(
    batch: Any, backend: Any, tmp_path: Path
) -> None:
    source: Any = Stream()
    node = source.scatter(backend, batch=batch).map(Flaky(tmp_path, 1))
    node.on_error(Retry(times=1, wait=0, then="raise"))
    seen = node.accumulate(f.add, start=0).buffer(20).gather().sink_to_list()
    source.emit_many(range(20))
    source.close()
    assert seen == list(itertools.accumulate(range(20)))


def test_a_failure_that_two_branches_share_is_reported_once(backend: Any) -> None:
    source: Any = Stream()
    node = source.scatter(backend).map(f.fails_on_thirds).on_error("send")
    failures = node.errors.sink_to_list()
    one, two = node.map(f.inc), node.map(f.double)
    seen = one.zip(two).buffer(10).gather().sink_to_list()
    source.emit_many([1, 2, 3, 4])
    source.close()
    assert seen == [(2, 2), (3, 4), (5, 8)]
    assert [failure.element for failure in failures] == [3]


def test_one_failing_branch_leaves_the_other_alone(backend: Any) -> None:
    source: Any = Stream()
    top = source.scatter(backend)
    top.map(f.fails_on_thirds).gather().sink(print)
    seen = top.map(f.inc).gather().sink_to_list()
    with pytest.raises(f.Bad):
        source.emit(3)
    source.close()
    assert seen == [4]


def test_a_sink_that_fails_after_gather_reaches_the_emitter(backend: Any) -> None:
    source: Any = Stream()
    source.scatter(backend).map(f.inc).gather().sink(f.raises)
    with pytest.raises(f.Bad):
        source.emit(1)
    source.close()


def test_emit_many_raises_and_goes_on_where_it_was(backend: Any) -> None:
    """As `emit` for each: a plain pipeline raises at the element, and so does this one."""
    plain: Any = Stream()
    source: Any = Stream()
    wanted = plain.map(f.fails_on_hundredths).sink_to_list()
    seen = source.scatter(backend).map(f.fails_on_hundredths).gather().sink_to_list()
    for stream in (plain, source):
        with pytest.raises(f.Bad):
            stream.emit_many([1, 100, 2])
        stream.close()
    assert seen[:1] == wanted[:1] == [1]


def test_a_failure_in_a_batch_leaves_nothing_behind_for_the_next(backend: Any) -> None:
    source: Any = Stream()
    seen = scattered(source, backend).gather().sink_to_list()
    for _ in range(3):
        with pytest.raises(f.Bad):
            source.emit(100)
        source.emit(1)
    source.join()
    source.close()
    assert seen == [1, 1, 1]


class Own(BaseException):
    pass


class Endless:
    """Items whose iteration asks the program to end."""

    def __iter__(self) -> Any:
        yield 1
        raise SystemExit(3)


def exits(x: Any) -> Any:
    if f.number(x) == 2:
        raise SystemExit(3)
    return x


def stops(x: Any) -> Any:
    if f.number(x) == 2:
        raise Own("stop")
    return x


async def exits_later(x: Any) -> Any:
    return exits(x)


def endless(x: Any) -> Any:
    return Endless() if x == 2 else [x]


ASKING: dict[str, Callable[[Any], Any]] = {
    "map": lambda s: s.map(exits),
    "map with an exception of ones own": lambda s: s.map(stops),
    "async map": lambda s: s.map(exits_later),
    "map_async": lambda s: s.map_async(exits_later),
    "filter": lambda s: s.filter(exits),
    "flatten": lambda s: s.map(endless).flatten(),
}


@pytest.mark.parametrize("name", ASKING)
def test_a_function_that_asks_the_program_to_end_fails_its_element(name: str, backend: Any) -> None:
    source: Any = Stream()
    node = ASKING[name](source.scatter(backend))
    failures = node.on_error("send").errors.sink_to_list()
    seen = node.buffer(9).gather().sink_to_list()
    source.emit_many([1, 2, 3])
    bounded(source.close)
    assert seen == ([1, 1, 3] if name == "flatten" else [1, 3])
    (failure,) = failures
    assert isinstance(failure.exception, RuntimeError)
    assert "stopped an element" in str(failure.exception)


def unhashable(x: Any) -> Any:
    return [x]


def test_a_node_that_fails_on_what_stands_for_an_element_names_the_element() -> None:
    source: Any = Stream()
    source.scatter("thread").map(f.inc).partition(2, key=unhashable).gather().sink(print)
    with pytest.raises(TypeError, match="unhashable") as caught:
        source.emit(4)
    assert noted(caught.value, "partition", "for element 5"), caught.value.__notes__
    source.close()
