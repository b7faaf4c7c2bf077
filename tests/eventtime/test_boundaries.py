"""The watermark passes nodes that keep elements in its place among them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from rapidz import Stream
from rapidz.eventtime.aggregators import Count

rng = random.Random(2)
#: Keys and milliseconds, up to 300 ms out of order.
ELEMENTS = [(rng.choice("abc"), i * 10 - rng.randrange(300)) for i in range(600)]


async def slow(x: Any) -> Any:
    await asyncio.sleep(rng.random() * 0.001)
    return x


def same(x: Any) -> Any:
    return x


BETWEEN: dict[str, Callable[[Any], Any]] = {
    "nothing": same,
    "buffer": lambda s: s.buffer(50),
    "async map": lambda s: s.map(slow),
    "map_async": lambda s: s.map_async(slow, parallelism=8),
    "queues": lambda s: s.buffer(5).map(slow).buffer(3),
    "partition": lambda s: s.partition(7).flatten(),
    "delay": lambda s: s.delay("1ms", spaced=False),
    "timed_window": lambda s: s.timed_window("10ms").flatten(),
    "zip": lambda s: s.zip(s.map(slow)).pluck(0),
    "union": lambda s: s.filter(lambda x: x[1] % 2).union(s.remove(lambda x: x[1] % 2)),
    "policy": lambda s: s.map(same).on_error("skip"),
    "threads": lambda s: s.scatter("thread").map(same).gather(),
    "unordered": lambda s: s.scatter("thread", ordered=False).map(same).gather(),
}


def counts(source: Any, between: Callable[[Any], Any]) -> tuple[Any, list[Any]]:
    timed = between(source.event_time(1, unit="ms", lag="300ms"))
    node = timed.key_by(0).tumbling("1s").aggregate(n=Count())
    return node, node.sink_to_list()


def expected() -> list[Any]:
    source = Stream[Any]()
    _, results = counts(source, same)
    source.emit_many(ELEMENTS)
    source.close()
    return results


@pytest.mark.parametrize("way", ["awaited", "at once", "bulk"])
@pytest.mark.parametrize("between", BETWEEN)
async def test_results_are_those_without_a_node_in_between(between: str, way: str) -> None:
    source = Stream[Any](asynchronous=True)
    node, results = counts(source, BETWEEN[between])
    if way == "bulk":
        await source.emit_many(ELEMENTS)
    for x in ELEMENTS if way != "bulk" else ():
        wait = source.emit(x)
        if way == "awaited":
            await wait
    await source.close()
    assert node.late_count == 0
    if between == "unordered":
        results.sort()
        assert results == sorted(expected())
    else:
        assert results == expected()


async def test_windows_close_though_a_filter_drops_the_elements_that_move_time() -> None:
    source = Stream[Any](asynchronous=True)
    timed = source.event_time(1, unit="ms").buffer(10).filter(lambda x: x[0] == "a")
    results = timed.tumbling("1s").aggregate(n=Count()).sink_to_list()
    await source.emit_many([("a", 5), ("b", 999), ("b", 1000)])
    await source.join()
    assert [(r.start, r.value) for r in results] == [(0, {"n": 1})]
    await source.close()


def test_the_watermark_waits_while_elements_are_kept_to_be_combined() -> None:
    source = Stream[Any]()
    timed = source.event_time(1, unit="ms").partition(3).flatten()
    node = timed.tumbling("1s").aggregate(n=Count())
    results = node.sink_to_list()
    source.emit_many([("a", 5), ("a", 6), ("a", 5000), ("a", 5001)])
    assert [(r.start, r.value) for r in results] == [(0, {"n": 2})]
    assert node.late_count == 0


async def test_a_node_that_is_inserted_later_gets_the_watermark_in_order() -> None:
    source = Stream[Any](asynchronous=True)
    timed = source.event_time(1, unit="ms", lag="300ms")
    node = timed.key_by(0).tumbling("1s").aggregate(n=Count())
    results = node.sink_to_list()
    await source.emit_many(ELEMENTS[:300])
    keyed = node.upstreams[0]
    timed.disconnect(keyed)
    timed.map(slow).buffer(4).connect(keyed)
    for x in ELEMENTS[300:]:
        source.emit(x)
    await source.close()
    assert node.late_count == 0
    assert results == expected()


def test_an_ended_input_holds_nothing_back() -> None:
    first, second = Stream[Any](), Stream[Any]()
    both = first.event_time(0).union(second.event_time(0))
    results = both.tumbling("10s").aggregate(n=Count()).sink_to_list()
    first.emit_many([(1,), (5,)])
    second.emit_many([(3,), (30,)])
    assert results == []
    first.close()
    assert [(r.start, r.value) for r in results] == [(0, {"n": 3})]
    second.close()
    assert len(results) == 2
