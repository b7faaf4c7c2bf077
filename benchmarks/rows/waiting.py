"""Worst wait of another thread while the background loop is never idle.

The thread naps for a millisecond again and again; what counts is the longest nap.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable

from benchmarks.background import loop_thread
from benchmarks.model import Reach, Row, Sample, Side
from benchmarks.sides import new_stream

NAP, SECONDS = 0.001, 0.5


def worst_nap(n: int) -> Sample:
    worst, end = 0, time.monotonic() + SECONDS
    for _ in range(n):
        start = time.perf_counter_ns()
        time.sleep(NAP)
        worst = max(worst, time.perf_counter_ns() - start)
        if time.monotonic() > end:
            break
    return Sample(worst * n, None)  # the table divides by n


def by_hand(n: int) -> Sample:
    stopped: list[bool] = []

    async def work() -> None:
        out = list[int]()
        elements = itertools.count()
        while not stopped:
            for x in itertools.islice(elements, 1_000):
                out.append(x)
            out.clear()
            await asyncio.sleep(0)

    with loop_thread() as loop:
        working = asyncio.run_coroutine_threadsafe(work(), loop)
        time.sleep(0.01)
        sample = worst_nap(n)
        stopped.append(True)
        working.result()
    return sample


def sourced(library: str) -> Callable[[int], Sample]:
    def run(n: int) -> Sample:
        stream = type(new_stream(library))
        source = stream.from_iterable(itertools.count())
        sink = source.sink(id)
        source.start()
        time.sleep(0.01)
        sample = worst_nap(n)
        source.stop()
        sink.destroy()
        return sample

    return run


ROW = Row(
    name="waiting",
    what="worst wait of a thread that sleeps for 1 ms while `from_iterable` never pauses; "
    "against an asyncio loop that does the same",
    n=200,
    reach=Reach("ns", 15_000_000),
    baseline=Side("by hand", by_hand),
    rapidz=Side("rapidz", sourced("rapidz"), needs="rapidz"),
)
