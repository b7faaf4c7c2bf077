"""Statements of `docs/migrating.md` and `docs/parallel.md` that no other test covers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from rapidz import Stream
from rapidz.parallel import ParallelStream


def increment(x: int) -> int:
    return x + 1


def is_odd(x: int) -> bool:
    return x % 2 == 1


def held_back(go: threading.Event) -> Callable[[Any], Any]:
    def wait(x: Any) -> Any:
        go.wait()
        return x

    return wait


def keys_of_tasks(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.tasks)


def test_the_client_is_looked_up_when_the_node_is_built(client: Any) -> None:
    """In streamz it was looked up for each element."""
    source = Stream[int]()
    scattered: Any = source.scatter()
    assert scattered.default_client() is client
    source.close()


def test_a_chain_is_one_task_that_is_named_after_it(client: Any) -> None:
    """In both old libraries every node made a task for every element."""
    source = Stream[int]()
    futures = source.scatter().map(increment).filter(is_odd).sink_to_list()
    source.emit_many([2, 3])
    source.join()
    kinds = {key.rpartition("-")[0] for key in client.run_on_scheduler(keys_of_tasks)}
    assert "map-increment-filter-is-odd" in kinds
    assert not any("is-odd" not in kind for kind in kinds if "increment" in kind)
    assert [future.result() for future in futures] == [3]  # type: ignore[attr-defined]
    source.close()


def test_a_counted_element_is_known_before_it_is_counted() -> None:
    """Decision 0008: what a worker filters out has no place in a tuple."""
    source = Stream[int]()
    odd = source.scatter("thread").filter(is_odd)
    seen = odd.partition(2).buffer(10).gather().sink_to_list()
    source.emit_many(range(8))
    source.close()
    assert seen == [(1, 3), (5, 7)]


@pytest.mark.parametrize("flattened", [False, True])
def test_a_buffer_counts_elements_and_one_that_is_flattened_as_one(flattened: bool) -> None:
    """So many, besides the one that `gather` waits for."""
    go = threading.Event()

    async def main() -> tuple[list[bool], list[Any]]:
        source = Stream[list[int]](asynchronous=True)
        node: Any = source.scatter("thread").map(held_back(go))
        node = node.flatten() if flattened else node
        seen = node.buffer(3).gather().sink_to_list()
        waits = [asyncio.ensure_future(source.emit([x, x])) for x in range(6)]
        for _ in range(20):
            await asyncio.sleep(0)
        taken = [wait.done() for wait in waits]
        go.set()
        await asyncio.gather(*waits)
        await source.close()
        return taken, seen

    taken, seen = asyncio.run(main())
    assert taken == [True] * 4 + [False] * 2
    if flattened:
        assert seen == [x for x in range(6) for _ in "ab"]
    else:
        assert seen == [[x, x] for x in range(6)]


def test_with_ordered_false_the_first_result_comes_first() -> None:
    source, go = Stream[int](), threading.Event()

    def zero_waits(x: int) -> int:
        if x == 0:
            go.wait()
        return x

    scattered = source.scatter("thread", batch=1, ordered=False)
    gathered = scattered.map(zero_waits).buffer(10).gather()
    seen = gathered.sink_to_list()
    gathered.sink(lambda x: go.set())
    source.emit_many(range(3))
    source.close()
    assert sorted(seen) == [0, 1, 2]
    assert seen[0] != 0


def test_a_custom_node_gets_futures_and_may_emit_them() -> None:
    class add_one(ParallelStream[int]):
        def update(self, x: Any, who: Any = None) -> Any:
            result = Future[int]()
            result.set_result(x.result() + 1)
            return self._emit(result)

    source = Stream[int]()
    seen = add_one(source.scatter("thread").map(abs)).gather().sink_to_list()
    source.emit(-5)
    source.close()
    assert seen == [6]


def test_the_state_of_accumulate_is_the_newest_that_is_known_here() -> None:
    source = Stream[int]()
    total: Any = source.scatter("thread").accumulate(lambda total, x: total + x, start=0)
    seen = total.buffer(10).gather().sink_to_list()
    source.emit_many([1, 2])
    source.join()
    assert total.state == 3
    total.state = 100
    source.emit(1)
    source.close()
    assert seen == [1, 3, 101]


@pytest.mark.parametrize("where", ["plain", "thread"])
def test_a_filter_before_zip_pairs_by_position_as_without_scatter(where: str) -> None:
    """In rapidz 0.2 pools paired by origin, and plain pipelines by position."""
    source: Any = Stream()
    top = source if where == "plain" else source.scatter(where)
    pairs = top.filter(is_odd).zip(top.map(increment))
    seen = pairs.gather().sink_to_list()
    source.emit_many(range(5))
    source.close()
    assert seen == [(1, 1), (3, 2)]


def test_with_ordered_false_a_flush_waits_for_what_is_in_flight() -> None:
    go = threading.Event()

    def waits(x: int) -> int:
        go.wait()
        return x

    async def main() -> list[Any]:
        source = Stream[int](asynchronous=True)
        gathered = source.scatter("thread", batch=1, ordered=False).map(waits).gather()
        rows = gathered.partition(3).sink_to_list()
        for x in range(2):
            source.emit(x)
        flushed = source.flush()
        go.set()
        await flushed
        await source.join()
        seen = list(rows)
        await source.close()
        return seen

    assert [sorted(row) for row in asyncio.run(main())] == [[0, 1]]
