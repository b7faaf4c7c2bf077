"""Backends that many tests share: a cluster, a pool of processes, and the library's threads."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from rapidz.kernel.runtime import loop as loops

NAMES = ("thread", "process", "dask")

#: Threads of the library and of Dask, which are kept for the next pipeline.
KEPT = ("rapidz", "Dask", "IO loop", "Profile", "TCP-Executor", "Offload", "QueueManager")
SECONDS = 10.0  # for threads that wind down; only a leak costs the whole time


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """Tasks on the library's loop, and threads that are not kept on purpose, fail the test."""
    before = _there()
    yield
    end = time.monotonic() + SECONDS
    while (left := _there() - before) and time.monotonic() < end:
        del left
        time.sleep(0.001)
    if left:
        del left
        gc.collect()
        left = _there() - before
    if left:
        pytest.fail(f"left behind: {'; '.join(map(repr, left))}")


def _there() -> set[Any]:
    found = {t for t in threading.enumerate() if not any(name in t.name for name in KEPT)}
    for _ in range(100):
        try:  # another thread may add one meanwhile
            return found | asyncio.all_tasks(loops.background_loop())
        except RuntimeError:
            continue
    return found


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


@pytest.fixture(scope="session", params=NAMES)
def backend(request: pytest.FixtureRequest) -> Any:
    """What `scatter` takes: one backend after the other."""
    if request.param == "process":
        return request.getfixturevalue("processes")
    if request.param == "dask":
        return request.getfixturevalue("client")
    return request.param
