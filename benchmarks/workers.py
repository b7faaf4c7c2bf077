"""Clusters, pools, functions and pipelines for rows about scattered streams."""

from __future__ import annotations

import atexit
import functools
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib import import_module
from typing import Any

from benchmarks.model import Sample, Watch
from benchmarks.sides import new_stream

#: The number of elements in flight in a pipeline.
ROOM = 100_000


def increment(x: int) -> int:
    return x + 1


def double(x: int) -> int:
    return 2 * x


def decrement(x: int) -> int:
    return x - 1


def laborious(x: int) -> int:
    """Do about 50 microseconds of work."""
    total = 0
    for i in range(1000):
        total += i
    return total + x


class Opaque:
    """Opaque batch, which Dask does not traverse."""

    def __init__(self, elements: list[int]) -> None:
        self.elements = elements


def all_three(batch: Opaque) -> Opaque:
    return Opaque([decrement(double(increment(x))) for x in batch.elements])


@functools.cache
def client(workers: int) -> Any:
    """Yield a client of a local cluster of worker processes with one thread each."""
    distributed = import_module("distributed")
    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=":0"
    )
    made = distributed.Client(cluster, set_as_default=workers == 2)
    made.wait_for_workers(workers)
    atexit.register(_close, made, cluster)
    return made


def _close(made: Any, cluster: Any) -> None:
    made.close()
    cluster.close()


@functools.cache
def processes(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(workers, mp_context=context)
    list(pool.map(increment, range(100)))
    return pool


@functools.cache
def threads(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers)


def gathered(n: int, remote: Callable[[Any], Any]) -> Sample:
    """Send *n* numbers through the scattered nodes that *remote* builds, and gather them."""
    data, out = list(range(n)), list[int]()
    source = new_stream("rapidz")
    sink = remote(source).buffer(ROOM).gather().sink(out.append)
    with Watch() as watch:
        source.emit_many(data)
        source.join()
    source.close()
    sink.destroy()
    return Sample(watch.ns, out)
