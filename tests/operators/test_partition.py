"""partition: tuples of n elements."""

from __future__ import annotations

import asyncio
import functools
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    Boom,
    Way,
    arrivals,
    emitted,
    fail_on,
    feed,
    gaps,
    noted,
    numbers,
    refused,
    send,
    settle,
    through,
    turns,
    ways,
)

from rapidz import RefCounter, Stream
from rapidz.testing import record, run


def chunks(xs: list[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(xs[i : i + n]) for i in range(0, len(xs), n)]


@given(numbers, st.integers(1, 5), ways)
def test_partition_is_chunks_of_n_and_the_rest_at_the_end(xs: list[int], n: int, way: Way) -> None:
    """Ruling 4; defect D12 (docs/rulings.md): `partition(4)`: 8 of 10 and no flush call."""
    before, in_all = through(lambda s: s.partition(n), xs, way)
    assert in_all == chunks(xs, n)
    assert before == [chunk for chunk in chunks(xs, n) if len(chunk) == n]


@given(numbers, st.integers(1, 4), ways)
def test_partition_by_key_fills_a_batch_for_every_key(xs: list[int], n: int, way: Way) -> None:
    before, in_all = through(lambda s: s.partition(n, key=abs), xs, way)
    batches: dict[int, list[int]] = {}
    full: list[tuple[int, ...]] = []
    for x in xs:
        batches.setdefault(abs(x), []).append(x)
        if len(batches[abs(x)]) == n:
            full.append(tuple(batches.pop(abs(x))))
    assert before == full
    assert in_all == full + [tuple(batch) for batch in batches.values()]


def test_partition_takes_a_key_to_pluck() -> None:
    xs = [{"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 3}]
    before, _ = through(lambda s: s.partition(2, key="a"), xs)
    assert before == [(xs[0], xs[2])]


def test_partition_emits_its_partial_at_a_flush_and_starts_anew() -> None:
    with Stream[int]() as source:
        seen = source.partition(3).sink_to_list()
        source.emit(1)
        source.flush()
        source.flush()
        assert seen == [(1,)], "an empty partition has nothing to give up"
        for x in (2, 3, 4):
            source.emit(x)
    assert seen == [(1,), (2, 3, 4)]


def test_partition_needs_no_loop_without_a_timeout() -> None:
    """Defect D37 (docs/rulings.md): any `partition` made emit 25 times dearer."""
    with Stream[int]() as source:
        seen = source.partition(2).sink_to_list()
        assert source.emit(1) is None
        assert source.emit(2) is None
        assert seen == [(1, 2)]


@given(gaps, st.integers(1, 4))
def test_partition_emits_what_it_has_when_the_timeout_is_over(
    distances: list[float], n: int
) -> None:
    """The contract: the timeout counts from the first element of the batch."""
    timeout = 1.125

    async def go() -> list[tuple[float, tuple[int, ...]]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.partition(n, timeout=timeout))
            await feed(source, arrivals(distances))
            await asyncio.sleep(10)
        return seen

    wanted: list[tuple[float, tuple[int, ...]]] = []
    batch: list[tuple[float, int]] = []
    for instant, x in [*arrivals(distances), (1e9, -1)]:
        if batch and instant > batch[0][0] + timeout:
            wanted.append((batch[0][0] + timeout, tuple(y for _, y in batch)))
            batch = []
        batch.append((instant, x))
        if len(batch) == n:
            wanted.append((instant, tuple(y for _, y in batch)))
            batch = []
    assert run(go()) == [window for window in wanted if -1 not in window[1]]


def test_partition_by_key_times_every_batch_by_itself() -> None:
    async def go() -> list[tuple[float, tuple[int, ...]]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.partition(2, timeout="1s", key=lambda x: x % 2))
            await feed(source, [(0.0, 0), (0.5, 1), (0.75, 2), (2.0, 3)])
            await asyncio.sleep(5)
        return seen

    assert run(go()) == [(0.75, (0, 2)), (1.5, (1,)), (3.0, (3,))]


def test_partition_keeps_the_failure_of_a_batch_that_the_timeout_sent() -> None:
    """Defect D3: "`partition(timeout=)` flush raises"; ruling 1: kept, raised later."""

    async def go() -> tuple[list[object], Boom]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.partition(3, timeout=1).map(fail_on((1, 2))).sink_to_list()
            await send(source, 1)
            await send(source, 2)
            await asyncio.sleep(2)
            with pytest.raises(Boom) as caught:
                await send(source, 3)
            await send(source, 4)
            await asyncio.sleep(2)
        return list(seen), caught.value

    seen, failure = run(go())
    assert failure.subject == (1, 2)
    assert seen == [(4,)], "the element whose emit raised a kept failure was not taken"


def test_partition_drops_a_failed_batch_and_starts_anew() -> None:
    """Ruling 3: the batch was emitted; what comes next belongs to the next one."""
    with Stream[int]() as source:
        seen = source.partition(2).map(fail_on((0, 1))).sink_to_list()
        source.emit(0)
        with pytest.raises(Boom):
            source.emit(1)
        source.emit(2)
        source.emit(3)
    assert seen == [(2, 3)]


def test_partition_leaves_out_an_element_whose_key_failed() -> None:
    """Ruling 3 (docs/rulings.md)."""
    with Stream[int]() as source:
        node = source.partition(2, key=lambda x: fail_on(2)(x) and 1, stream_name="careful")
        seen = node.sink_to_list()
        source.emit(1)
        with pytest.raises(Boom) as caught:
            source.emit(2)
        source.emit(3)
    assert noted(caught.value, "partition", "careful", "2")
    assert seen == [(1, 3)]


def test_partition_forgets_a_key_whose_batch_is_gone() -> None:
    """Defect D34: `partition(2, key=)` with 2,000 keys kept 2,000 empty buffers."""

    class Key:
        pass

    with Stream[tuple[Key, int]]() as source:
        node = source.partition(2, key=0)
        key = Key()
        dead = weakref.ref(key)
        source.emit((key, 1))
        source.emit((key, 2))
        del key
        gc.collect()
        assert dead() is None
        del node


def test_partition_passes_on_back_pressure_of_its_sink() -> None:
    async def slow(_: tuple[int, ...]) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            source.partition(2).sink(slow)
            for x in range(6):
                await send(source, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 3.0


def test_partition_releases_a_counter_once_its_batch_is_done() -> None:
    """Ruling 13 (docs/rulings.md)."""

    async def go() -> list[str]:
        fired: list[str] = []
        async with Stream[int](asynchronous=True) as source:
            source.partition(2).sink(lambda batch: fired.append("sink"))
            for name in ("first", "second"):
                counter = RefCounter(cb=functools.partial(fired.append, name))
                await settle(source.emit(1, metadata=[{"ref": counter}]))
            await turns()
        return fired

    fired = run(go())
    assert fired[0] == "sink"
    assert sorted(fired[1:]) == ["first", "second"]


def test_partition_follows_a_new_n() -> None:
    """Ruling 20; ruling 21 (docs/rulings.md) names `n`."""
    with Stream[int]() as source:
        node: Any = source.partition(3)
        seen: list[Any] = node.sink_to_list()
        source.emit(0)
        node.n = 2
        source.emit(1)
        node.n = 1
        source.emit(2)
    assert seen == [(0, 1), (2,)]


def test_partition_keeps_its_batch_through_an_edit() -> None:
    """Engine rule 1 (docs/rulings.md)."""
    with Stream[int]() as source:
        node = source.partition(2)
        source.emit(0)
        seen = node.sink_to_list()
        source.emit(1)
    assert seen == [(0, 1)]


def test_partition_stops_its_timer_with_the_pipeline() -> None:
    async def go() -> list[tuple[float, tuple[int, ...]]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.partition(2, timeout=5))
            await send(source, 1)
            await settle(source.close())
            await asyncio.sleep(10)
        return seen

    assert run(go()) == [(0.0, (1,))]


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None, True])
def test_partition_refuses_an_n_that_is_no_positive_integer(n: object) -> None:
    """Defect D33: `partition(0)` was accepted; ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.partition(n), "partition", "n", n)


@pytest.mark.parametrize("timeout", [0, -1, "soon", [1]])
def test_partition_refuses_a_timeout_that_is_no_positive_interval(timeout: object) -> None:
    refused(lambda s: s.partition(2, timeout=timeout), "partition", "timeout", timeout)


def test_partition_emits_nothing_for_nothing() -> None:
    assert emitted(lambda s: s.partition(2), []) == []
