"""Backends that tests of event time share."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    """One pool of two processes for all tests."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(abs, range(4)))
        yield pool


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """The client of one cluster in this process, for all tests; the current one."""
    distributed = pytest.importorskip("distributed")
    with distributed.Client(
        processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as made:
        yield made
