"""What the tests of message brokers have in common."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.connectors.helpers import wait_until

from rapidz import Stream
from rapidz.sources.base import Source


def is_connected(source: Any) -> bool:
    """Whether a source runs and has a connection."""
    run = source._source_run
    return run is not None and run.connected and source.state == "running"


def start_and_connect(source: Source[Any]) -> None:
    """Start a source, and wait until it is connected."""
    source.start()
    wait_until(lambda: is_connected(source), what=f"{source}: {source.state} {source.exception}")


def collect(source: Source[Any], func: Callable[[Any], Any] = lambda x: x) -> list[Any]:
    """Return the list that gets ``func`` of each element."""
    return source.map(func).sink_to_list()


def write(sink: Callable[[Stream[Any]], object], elements: Iterable[Any]) -> None:
    """Write elements to a sink, and close it."""
    with Stream[Any](asynchronous=False) as source:
        sink(source)
        source.emit_many(elements)


def numbers_in(file: Path) -> list[int]:
    """The numbers in a file, one a line; a line that is not complete does not count."""
    return [int(line) for line in file.read_text().split("\n")[:-1] if line]


def duplicates(found: Iterable[int]) -> int:
    """How many elements are there more than once."""
    return sum(count - 1 for count in Counter(found).values())


def peak_memory(work: Callable[[], object]) -> int:
    """Return the bytes that *work* needed at most, beyond what there was."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def median_ratio(bare: Callable[[], object], ours: Callable[[], object], rounds: int = 5) -> float:
    """Return how many times as fast *ours* is as *bare*: medians of alternate runs."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, found in zip((bare, ours), times, strict=True):
            begin = time.perf_counter()
            work()
            found.append(time.perf_counter() - begin)
    slow, fast = (sorted(found)[rounds // 2] for found in times)
    print(f"bare {slow:.3f} s, rapidz {fast:.3f} s, ratio {slow / fast:.2f}")
    return slow / fast
