"""Keyed lanes whose workers are killed: exactly once for each result, in order for each key."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from typing import Any

import pytest

from rapidz import Count, Stream
from rapidz.parallel import WorkerDied

KEYS = "abcdefghij"


def slow_count(n: int, x: Any) -> int:
    time.sleep(0.0002)
    return n + 1


def kill_one(node: Any, rng: random.Random) -> bool:
    """Kill the process of one lane, at once; return whether there was one."""
    lanes = list(node._workers._open.values())
    processes = rng.choice(lanes)._executor.processes() if lanes else []
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    return bool(processes)


def run_and_kill(kills: int, seed: int) -> None:
    rng = random.Random(seed)
    source: Any = Stream()
    lanes = source.event_time(0, lag=20).key_by(1).scatter("process", partitions=2)
    counted, windows = lanes.accumulate(slow_count, start=0), lanes.tumbling(50)
    counts = counted.gather().sink_to_list()
    results = windows.aggregate(n=Count()).gather().sink_to_list()
    killed = sent = 0
    while killed < kills:
        source.emit_many([(at, KEYS[at * at % 10]) for at in range(sent, sent + 200)])
        sent += 200
        time.sleep(rng.random() * 0.1)
        killed += kill_one(lanes._scatter, rng)
    source.close()
    by_key: dict[str, list[int]] = defaultdict(list)
    for key, n in counts:
        by_key[key].append(n)
    expected: dict[str, int] = defaultdict(int)
    for at in range(sent):
        expected[KEYS[at * at % 10]] += 1
    assert by_key == {key: list(range(1, n + 1)) for key, n in expected.items()}
    ends = [(result.key, result.end) for result in results]
    assert len(ends) == len(set(ends))
    assert sum(result.value["n"] for result in results) == sent


def test_a_killed_worker_loses_nothing_and_repeats_nothing() -> None:
    run_and_kill(2, seed=1)


@pytest.mark.slow
def test_twenty_killed_workers_lose_nothing_and_repeat_nothing() -> None:
    run_and_kill(20, seed=2)


def end_the_process(total: int, x: Any) -> int:
    if x == ("a", 13):
        os._exit(3)
    return total + int(x[1])


@pytest.mark.slow
def test_an_element_that_ends_its_worker_fails_alone() -> None:
    source: Any = Stream()
    totals = source.key_by(0).scatter("process", partitions=1).accumulate(end_the_process, start=0)
    seen = totals.gather().sink_to_list()
    source.emit_many([("a", n) for n in range(20)])
    with pytest.raises(WorkerDied, match="3") as caught:
        source.close()
    assert caught.value.element == ("a", 13)
    assert [total for _, total in seen][-1] == sum(range(20)) - 13
    assert len(seen) == 19
