"""Functions on pools of two processes or threads, and the gain of a second process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.workers import gathered, increment, laborious, processes, threads

CHUNKS = (10, 100, 1_000, 10_000)


def mapped(pool: Callable[[], Executor], func: Callable[[int], int]) -> Side:
    """Time the pool's own `map`, with the best of several chunk sizes."""

    def run(n: int) -> Sample:
        executor = pool()
        samples: list[Sample] = []
        for chunk in CHUNKS:
            with Watch() as watch:
                out = list(executor.map(func, range(n), chunksize=chunk))
            samples.append(Sample(watch.ns, out))
        return min(samples, key=lambda sample: sample.ns)

    return Side("by hand", run)


def scattered(pool: Callable[[], Executor], func: Callable[[int], int], name: str) -> Side:
    def run(n: int) -> Sample:
        return gathered(n, lambda source: source.scatter(pool()).map(func))

    return Side(name, run)


def two_processes() -> Executor:
    return processes(2)


def one_process() -> Executor:
    return processes(1)


def two_threads() -> Executor:
    return threads(2)


def row(name: str, pool: Callable[[], Executor], func: Callable[[int], int], n: int) -> Row:
    return Row(
        name=name,
        what=f"`scatter(pool).map({func.__name__})`, gathered; against the pool's own `map`",
        n=n,
        reach=Reach("ratio", 1.2),
        baseline=mapped(pool, func),
        rapidz=scattered(pool, func, "rapidz"),
    )


PROCESSES_ROW = row("processes", two_processes, laborious, 40_000)
TINY_ROW = row("processes-tiny", two_processes, increment, 400_000)
THREADS_ROW = row("threads", two_threads, laborious, 10_000)

SCALING_ROW = Row(
    name="scaling",
    what="work for the processor on two processes; against one",
    n=40_000,
    reach=Reach("faster", 1.8),
    baseline=scattered(one_process, laborious, "one process"),
    rapidz=scattered(two_processes, laborious, "rapidz"),
)
