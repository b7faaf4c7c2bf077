"""Windows by event time behind processes and a cluster, against the model."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.eventtime.runs import check, run_case
from tests.eventtime.strategies import Case, cases
from tests.support import same

#: Threads of Dask draw random numbers while Hypothesis draws its own.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module:Warning")

few = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
anything = given(case=cases(shapes=["object", "dict"]), buffer=st.integers(0, 12))


def scattered(backend: Any, buffer: int) -> Any:
    def between(s: Any) -> Any:
        handles = s.scatter(backend).map(same)
        return (handles.buffer(buffer) if buffer else handles).gather()

    return between


@few
@anything
def test_windows_behind_processes_equal_the_model(
    processes: ProcessPoolExecutor, case: Case, buffer: int
) -> None:
    check(case, run_case(case, "inline", scattered(processes, buffer)))


@few
@anything
def test_windows_behind_a_cluster_equal_the_model(client: Any, case: Case, buffer: int) -> None:
    check(case, run_case(case, "inline", scattered(client, buffer)))
