"""Pipelines whose workers die, on any backend."""

from __future__ import annotations

from typing import Any

from tests.parallel.backends.functions import fatal

from rapidz import Stream
from rapidz.parallel import WorkerDied


def check_that_the_fatal_element_fails_alone(*backend: Any, **options: Any) -> None:
    source = Stream()
    mapped = source.scatter(*backend, batch=20, **options).map(fatal)
    failures = mapped.errors.sink_to_list()
    results = mapped.buffer(50).gather().sink_to_list()
    source.emit_many(range(100))
    source.close(100)
    assert [failure.element for failure in failures] == [77], failures
    assert isinstance(failures[0].exception, WorkerDied)
    assert failures[0].node is mapped
    assert results == [2 * x for x in range(100) if x != 77]
