"""Worker processes that die over an element."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any
from unittest.mock import ANY

import pytest
from tests.parallel.backends.functions import add, double, fatal, slow
from tests.parallel.backends.streams import check_that_the_fatal_element_fails_alone

from rapidz import Stream
from rapidz.parallel import WorkersGone
from rapidz.parallel.backends.pools import new_processes

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]


def test_an_element_that_ends_its_process_fails_alone() -> None:
    check_that_the_fatal_element_fails_alone("process")


def test_a_state_survives_the_death_of_a_process() -> None:
    source = Stream()
    mapped = source.scatter("process", batch=20).map(fatal)
    failures = mapped.errors.sink_to_list()
    totals = mapped.accumulate(add).buffer(50).gather().sink_to_list()
    source.emit_many(range(100))
    source.close(100)
    assert [(failure.element, failure.exception) for failure in failures] == [(77, ANY)]
    kept = [2 * x for x in range(100) if x != 77]
    assert totals == [sum(kept[: count + 1]) for count in range(len(kept))]


def test_a_pool_whose_processes_are_killed_is_made_anew() -> None:
    source = Stream()
    scattered = source.scatter("process", batch=10)
    results: list[int] = []

    def keep(x: int) -> None:
        results.append(x)
        if len(results) == 100:
            os.kill(next(iter(scattered.default_client()._processes)), signal.SIGKILL)

    node = scattered.map(double).buffer(200).gather().sink(keep)
    source.emit_many(range(1000))
    source.close(100)
    assert results == [2 * x for x in range(1000)]
    node.destroy()


def test_an_executor_of_the_user_that_breaks_is_gone() -> None:
    with new_processes() as executor:
        assert isinstance(executor, ProcessPoolExecutor)
        source = Stream()
        results = source.scatter(executor, batch=1).map(fatal).buffer(9).gather().sink_to_list()
        source.emit_many([1, 2, 77])
        with pytest.raises((WorkersGone, ExceptionGroup)) as raised:
            source.join(60)
        errors: Any = getattr(raised.value, "exceptions", (raised.value,))
        lost = [element for error in errors for element in error.elements]
        assert sorted([*(x // 2 for x in results), *lost]) == [1, 2, 77]
        source.emit(3)
        with pytest.raises(WorkersGone):
            source.join(60)


def test_an_executor_that_was_shut_down_is_an_error_at_once() -> None:
    executor = ThreadPoolExecutor(1)
    source = Stream()
    results = source.scatter(executor).map(slow).gather().sink_to_list()
    source.emit(1)
    executor.shutdown()
    with pytest.raises(WorkersGone) as raised:
        source.emit(2)
    assert raised.value.element == 2
    assert results == [1]
