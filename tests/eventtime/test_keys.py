"""Keys go as far as elements are passed on as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rapidz import Count, Stream


def same(x: Any) -> bool:
    return True


KEEP: dict[str, Callable[[Any], Any]] = {
    "filter": lambda s: s.filter(same),
    "remove": lambda s: s.remove(lambda x: False),
    "unique": lambda s: s.unique(),
    "slice": lambda s: s.slice(0, 100),
    "buffer": lambda s: s.buffer(10),
    "delay": lambda s: s.delay("1ms", spaced=False),
    "rate_limit": lambda s: s.rate_limit("1ms"),
    "union": lambda s: s.filter(same).union(s.filter(lambda x: False)),
    "event_time": lambda s: s.event_time(1),
    "timestamps": lambda s: s.timestamps(1),
    "keyed unique": lambda s: s.unique(),
}


@pytest.mark.parametrize("name", KEEP)
async def test_windows_have_the_keys_of_the_nearest_key_by(name: str) -> None:
    source = Stream[Any](asynchronous=True)
    timed = KEEP[name](source.event_time(1).key_by(0))
    results = timed.tumbling(10).aggregate(n=Count()).sink_to_list()
    for x in [("a", 1), ("b", 2), ("a", 3)]:
        await source.emit(x)
    await source.close()
    assert {r.key for r in results} == {"a", "b"}


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.map(lambda x: x),
        lambda s: s.accumulate(lambda n, x: x[1], start=0).timestamps(1),
        lambda s: s.partition(2).flatten(),
    ],
    ids=["map", "keyed accumulate", "partition"],
)
def test_new_elements_have_no_keys(change: Any) -> None:
    source = Stream[Any]()
    timed = change(source.event_time(1).key_by(0))
    results = timed.tumbling(10).aggregate(n=Count()).sink_to_list()
    source.emit_many([("a", 1), ("b", 2)])
    source.close()
    assert [(r.key, r.value) for r in results] == [(None, {"n": 2})]


def test_joins_find_the_keys_behind_a_filter() -> None:
    left, right = Stream[Any](), Stream[Any]()
    node = (
        left.event_time(1)
        .key_by(0)
        .filter(same)
        .interval_join(right.event_time(1).key_by(0), within=10)
    )
    pairs = node.sink_to_list()
    left.emit(("a", 1))
    right.emit_many([("b", 1), ("a", 2)])
    assert pairs == [(("a", 1), ("a", 2))]
    left.close()
    right.close()


def test_keys_are_found_though_elements_come_back_by_a_cycle() -> None:
    source, back = Stream[Any](), Stream[Any]()
    both = source.event_time(1).key_by(0).union(back)
    both.filter(lambda x: False).connect(back)
    results = both.tumbling(10).aggregate(n=Count()).sink_to_list()
    source.emit_many([("a", 1), ("b", 2), ("a", 3)])
    source.close()
    assert {r.key: r.value["n"] for r in results} == {"a": 2, "b": 1}
