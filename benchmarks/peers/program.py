"""Program of a peer: one workload, timed in this process; the results go to a file.

``python -m benchmarks.peers.with_NAME WORKLOAD N REPEATS FILE`` writes a pickled `Outcome`.
"""

from __future__ import annotations

import gc
import pickle
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.event_time.data import Element, elements

Program: TypeAlias = Callable[[list[Element], Callable[[Any], object]], int]
"""Read the elements, call the function with each result, and return how many were late."""

Convert: TypeAlias = Callable[[Any], tuple[Any, ...]]

WORKLOADS = ("tumbling", "sliding", "session", "sum")


@dataclass(frozen=True)
class Outcome:
    """Result of a program: CPU time in nanoseconds for an element, and what it emitted."""

    version: str
    python: str
    ns: list[float]
    late: int
    results: Counter[Any]


def main(release: str, programs: Mapping[str, Program], convert: Convert = tuple) -> None:
    """Run the program that the command line names; *convert* makes tuples of its results."""
    workload, n, repeats, file = sys.argv[1:]
    times, late, results = measure(programs[workload], int(n), int(repeats))
    plain = Counter(map(convert, results))
    outcome = Outcome(release, platform.python_version(), times, late, plain)
    Path(file).write_bytes(pickle.dumps(outcome))


def measure(program: Program, n: int, repeats: int) -> tuple[list[float], int, list[Any]]:
    """Time *program* on *n* elements.  CPU time includes all threads of the process."""
    data = elements(n)
    times = list[float]()
    late, results = 0, list[Any]()
    for _ in range(repeats):
        results = []
        gc.collect()
        began = time.process_time_ns()
        late = program(data, results.append)
        times.append((time.process_time_ns() - began) / n)
    return times, late, results
