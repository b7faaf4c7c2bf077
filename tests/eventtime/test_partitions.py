"""Watermarks of inputs with partitions: the least of theirs."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from rapidz import Count, Stream


def test_partitions_that_are_not_in_step_lose_nothing() -> None:
    rng = random.Random(1)
    waiting = [[(p, t) for t in range(0, 200, 3)] for p in range(3)]
    arrivals = []
    while any(waiting):
        left = rng.choice([each for each in waiting if each])
        arrivals += [left.pop(0) for _ in range(min(len(left), rng.randrange(1, 20)))]
    source = Stream[Any]()
    timed = source.event_time(1, partition=0, partitions=3)
    node = timed.tumbling(10).aggregate(n=Count())
    results = node.sink_to_list()
    source.emit_many(arrivals)
    source.close()
    assert node.late_count == 0
    assert [r.value["n"] for r in results] == [
        3 * sum(start <= t < start + 10 for t in range(0, 200, 3)) for start in range(0, 200, 10)
    ]


def test_windows_wait_for_the_slowest_partition() -> None:
    source = Stream[Any]()
    timed = source.event_time(1, partition=0, partitions=2)
    results = timed.tumbling(10).aggregate(n=Count()).sink_to_list()
    source.emit_many([("a", 5), ("a", 50)])
    assert results == []
    source.emit(("b", 9))
    assert results == []
    source.emit(("b", 10))
    assert [(r.start, r.value["n"]) for r in results] == [(0, 2)]
    source.close()


async def test_a_partition_that_is_idle_is_left_out() -> None:
    source = Stream[Any](asynchronous=True)
    timed = source.event_time(1, partition=0, idle="10s")
    results = timed.tumbling(10).aggregate(n=Count()).sink_to_list()
    await source.emit(("a", 1))
    await source.emit(("b", 1))
    await asyncio.sleep(6)
    await source.emit(("a", 12))
    assert results == []
    await asyncio.sleep(6)
    await source.emit(("a", 13))
    assert [(r.start, r.value["n"]) for r in results] == [(0, 2)]
    await source.close()
