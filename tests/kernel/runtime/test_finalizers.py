"""Finalizers that emit into the pipeline: the state of nodes stays consistent."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support import send, settle

from rapidz import Stream


@pytest.fixture(autouse=True)
def _collect_all_the_time() -> Iterator[None]:
    """The collector runs whenever something that it tracks is made."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(1, 10_000, 10_000)
    yield
    gc.set_threshold(*before)


class Last:
    """Garbage in a cycle, so that it is the collector that finalizes it."""

    def __init__(self, emit: Callable[[], object]) -> None:
        self.emit, self.itself = emit, self

    def __del__(self) -> None:
        self.emit()


builds: dict[str, Callable[[Stream[int]], Stream[Any]]] = {
    "partition": lambda s: s.partition(3),
    "partition of one": lambda s: s.partition(1),
    "partition by key": lambda s: s.partition(3, key=lambda x: x % 2),
    "partition_unique": lambda s: s.partition_unique(3),
    "collect": lambda s: s.collect(),
    "zip": lambda s: s.zip(s.map(lambda x: x)).map(lambda pair: pair[:1]),
    "timed_window": lambda s: s.timed_window(1),
    "timed_window_unique": lambda s: s.timed_window_unique(1),
}


async def emitted(build: Callable[[Stream[int]], Stream[Any]], seen: list[Any]) -> int:
    numbers = itertools.count()
    source = Stream[int](asynchronous=True)
    node = build(source)
    node.sink(seen.append)
    for i in range(60):
        Last(lambda: source.emit(next(numbers)))
        await send(source, next(numbers))
        if i % 10 == 9:
            await settle(source.flush())
    gc.collect()  # from Python 3.12 on it runs between instructions only, and may be late
    await settle(source.close())
    return next(numbers)


@pytest.mark.parametrize("build", builds)
async def test_what_finalizers_emit_is_neither_lost_nor_doubled(build: str) -> None:
    seen: list[Any] = []
    count = await emitted(builds[build], seen)
    assert count > 60
    gc.set_threshold(0)
    assert sorted(x for batch in seen for x in batch) == list(range(count))
    if build == "partition":
        assert max(map(len, seen)) == 3


@pytest.mark.parametrize("time", [None, 100])
async def test_windows_contain_neighbours_when_finalizers_emit(time: float | None) -> None:
    seen: list[Any] = []
    count = await emitted(lambda s: s.sliding_window(3, time=time), seen)
    gc.set_threshold(0)
    order = [*seen[0][:2], *(window[-1] for window in seen)]
    assert sorted(order) == list(range(count))
    assert sorted(seen) == sorted(tuple(order[i : i + 3]) for i in range(len(order) - 2))


async def test_the_latest_of_all_has_the_element_that_it_is_emitted_for() -> None:
    seen: list[Any] = []
    count = await emitted(lambda s: s.combine_latest(s.map(lambda x: x), emit_on=0), seen)
    gc.set_threshold(0)
    firsts = [pair[0] for pair in seen]
    assert len(set(firsts)) == len(firsts) >= count - 1


@pytest.mark.parametrize("name", ["unique", "throttle", "debounce"])
async def test_spans_are_kept_when_finalizers_emit(name: str) -> None:
    builds: dict[str, Callable[[Stream[int]], Any]] = {
        "unique": lambda s: s.unique(within=100),
        "throttle": lambda s: s.throttle(100, "both"),
        "debounce": lambda s: s.debounce(100),
    }
    seen: list[Any] = []
    nodes: list[Any] = []

    def build(source: Stream[int]) -> Any:
        nodes.append(builds[name](source))
        return nodes[0]

    count = await emitted(build, seen)
    gc.set_threshold(0)
    if name == "unique":
        assert sorted(seen) == list(range(count))
    else:
        assert len(set(seen)) == len(seen) == count - nodes[0].dropped
