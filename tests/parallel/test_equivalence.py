"""Equivalence of five execution modes, for generated pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from tests.parallel.pipelines import Plan, batches, buffers, build, inputs, plans
from tests.support import bounded

from rapidz.testing import assert_equivalent

#: Threads of Dask draw random numbers while Hypothesis draws its own.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module:Warning")

SECONDS = 8.0
"""A pipeline that takes longer hangs."""


def check(plan: Plan, elements: list[int], batch: Any, buffer: Any, on: Sequence[Any]) -> None:
    def run() -> None:
        assert_equivalent(lambda s: build(s, plan), elements, on=on, batch=batch, buffer=buffer)

    bounded(run, SECONDS)


@given(plans, inputs)
def test_a_pipeline_gives_the_same_in_plain_calls_and_in_loops(
    plan: Plan, elements: list[int]
) -> None:
    check(plan, elements, 1, None, ["inline", "loop", "background"])


#: Pipelines that went wrong once, and what they were fed with.
HARD: list[tuple[list[Any], list[int]]] = [
    (
        [
            ("join", "zip", [("each", "map")], []),
            ("each", "concat what may be a number"),
            ("join", "zip", [], [("fails", "map", "none")]),
        ],
        [-1, 2],
    ),
    (
        [
            ("join", "zip", [("each", "map")], []),
            ("each", "concat what may be a number"),
            ("join", "zip", [], [("fails", "map", "skip")]),
        ],
        [-1, 2],
    ),
    (
        [
            ("join", "zip", [("each", "map")], []),
            ("each", "concat what may be a number"),
            ("join", "zip", [], [("fails", "map", "retry")]),
        ],
        [-1, 2],
    ),
    ([("each", "flatten"), ("fails", "flatten", "retry")], [5]),
    ([("join", "combine_latest", [], [("keeps", "scan with state")])], [-4, 3]),
    ([("join", "combine_latest", [("fails", "accumulate", "none")], [])], [5, 7]),
    ([("join", "combine_latest on", [("fails", "filter", "skip")], [])], [-2, 3]),
    ([("join", "combine_latest on", [("keeps", "partition_unique last")], [])], [6, 8]),
    ([("join", "combine_latest on", [], [("keeps", "partition_unique last")])], [0, 1]),
    ([("join", "zip_latest", [], []), ("keeps", "partition_unique")], [8]),
    ([("join", "zip_latest", [("keeps", "frequencies")], [])], [-4, 7]),
    ([("join", "union", [("fails", "map", "send")], [("keeps", "accumulate")])], [5, 3, 5]),
    (
        [
            ("join", "union", [], [("fails", "pluck", "skip")]),
            ("join", "combine_latest", [], [("keeps", "scan with state")]),
        ],
        [7, -4, 3],
    ),
    (
        [
            ("join", "union", [], [("keeps", "scan state")]),
            ("join", "zip_latest", [("keeps", "scan state")], []),
        ],
        [8],
    ),
    (
        [
            ("keeps", "partition_unique last"),
            ("fails", "flatten", "skip"),
            ("fails", "map", "retry"),
            ("join", "zip", [], [("fails", "accumulate", "skip")]),
            ("each", "concat what may be a number"),
        ],
        [-3, -2],
    ),
    ([("keeps", "partition by key")], [3, 1, 4, 1, 5, 9, 2, 6]),
    (
        [("keeps", "partition by key"), ("join", "union", [], [("keeps", "partition_unique")])],
        [2, 7],
    ),
    ([("keeps", "partition_unique"), ("join", "zip", [("each", "map")], [])], [1]),
    ([("keeps", "collect"), ("join", "zip three", [], [("fails", "map", "retry")])], [-3]),
    ([("join", "zip", [], [("fails", "map", "skip")]), ("fails", "filter", "none")], [0, 1, 2]),
    ([("join", "zip", [], [("fails", "map", "send")]), ("fails", "map", "none")], [0, 1, 2]),
]


@pytest.mark.parametrize("buffer", [None, 100])
@pytest.mark.parametrize("plan", range(len(HARD)))
def test_what_went_wrong_once_gives_the_same_everywhere(
    plan: int, buffer: int | None, backend: Any
) -> None:
    check(*HARD[plan], 1, buffer, ["inline", backend])


@settings(max_examples=200)
@given(plans, inputs, batches, buffers)
def test_a_pipeline_gives_the_same_on_threads(
    plan: Plan, elements: list[int], batch: Any, buffer: Any
) -> None:
    check(plan, elements, batch, buffer, ["inline", "thread"])


@settings(max_examples=50)
@given(plan=plans, elements=inputs, batch=batches, buffer=buffers)
def test_a_pipeline_gives_the_same_in_processes(
    processes: ProcessPoolExecutor, plan: Plan, elements: list[int], batch: Any, buffer: Any
) -> None:
    check(plan, elements, batch, buffer, ["inline", processes])


@settings(max_examples=25)
@given(plan=plans, elements=inputs, batch=batches, buffer=buffers)
def test_a_pipeline_gives_the_same_on_dask(
    client: Any, plan: Plan, elements: list[int], batch: Any, buffer: Any
) -> None:
    check(plan, elements, batch, buffer, ["inline", client])
