"""collect: buffer everything until a flush."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from tests.support import Boom, Way, bounded, numbers, send, settle, through, turns, ways

from rapidz import RefCounter, Stream
from rapidz.testing import run


@given(numbers, ways)
def test_collect_emits_everything_at_the_end(xs: list[int], way: Way) -> None:
    before, in_all = through(lambda s: s.collect(), xs, way)
    assert before == []
    assert in_all == ([tuple(xs)] if xs else [])


@given(numbers, numbers)
def test_collect_emits_a_tuple_at_its_own_flush_and_clears(xs: list[int], more: list[int]) -> None:
    with Stream[int]() as source:
        node: Any = source.collect()
        seen: list[Any] = node.sink_to_list()
        source.emit_many(xs)
        node.flush()
        source.emit_many(more)
        node.flush()
        assert seen == [tuple(xs), tuple(more)]


def test_collect_emits_at_a_flush_from_upstream() -> None:
    with Stream[int]() as source:
        seen = source.collect().sink_to_list()
        source.emit(1)
        source.flush()
        source.flush()
    assert seen == [(1,)], "a signal that finds nothing brings nothing"


def test_collect_flush_serves_as_a_sink() -> None:
    """Ruling 21 (docs/rulings.md): `flush(_=None)`."""
    with Stream[int]() as source, Stream[str]() as button:
        node: Any = source.collect()
        seen: list[Any] = node.sink_to_list()
        button.sink(node.flush)
        source.emit(1)
        source.emit(2)
        button.emit("now")
        assert seen == [(1, 2)]


def test_collect_uses_the_cache_it_was_given() -> None:
    cache: deque[int] = deque(maxlen=2)
    with Stream[int]() as source:
        node: Any = source.collect(cache)
        seen: list[Any] = node.sink_to_list()
        source.emit_many(range(4))
        assert list(node.cache) == [2, 3]
        node.flush()
        assert seen == [(2, 3)]
        assert not cache


def test_collect_keeps_what_a_sink_emits_during_a_flush() -> None:
    """Defect D15 (docs/rulings.md): the re-entrant element was lost: `[(1,), ()]`."""
    with Stream[int]() as source:
        node: Any = source.collect()
        seen: list[Any] = []

        def again(batch: tuple[int, ...]) -> None:
            seen.append(batch)
            if batch == (1,):
                source.emit(2)

        node.sink(again)
        source.emit(1)
        node.flush()
        node.flush()
    assert seen == [(1,), (2,)]


def test_collect_does_not_send_a_failed_batch_again() -> None:
    """Defect D15: swap the cache before emitting; ruling 3 (docs/rulings.md)."""
    with Stream[int]() as source:
        node: Any = source.collect()
        seen: list[Any] = []

        def fails_first(batch: tuple[int, ...]) -> None:
            seen.append(batch)
            if len(seen) == 1:
                raise Boom(batch)

        node.sink(fails_first)
        source.emit(1)
        with pytest.raises(Boom):
            node.flush()
        source.emit(2)
        node.flush()
    assert seen == [(1,), (2,)]


def test_collect_waits_for_an_async_sink_inside_a_loop() -> None:
    """Defect D14: "`collect().sink(async fn)`, then `flush()`": nothing arrived."""
    seen: list[Any] = []

    async def slow(batch: tuple[int, ...]) -> None:
        await asyncio.sleep(1)
        seen.append(batch)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.collect()
            node.sink(slow)
            await send(source, 1)
            await settle(node.flush())
            assert seen == [(1,)]
            return asyncio.get_running_loop().time()

    assert run(go()) == 1.0


def test_collect_waits_for_an_async_sink_without_a_loop() -> None:
    """The same row on a plain stream: flush blocks until the sink is done."""
    seen: list[Any] = []

    async def slow(batch: tuple[int, ...]) -> None:
        await asyncio.sleep(0.01)
        seen.append(batch)

    def go() -> None:
        with Stream[int]() as source:
            node: Any = source.collect()
            node.sink(slow)
            source.emit(1)
            node.flush()
            assert seen == [(1,)]

    bounded(go)


def test_collect_releases_a_counter_after_the_flush() -> None:
    """Ruling 13 (docs/rulings.md)."""
    fired: list[str] = []

    async def go() -> None:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.collect()
            node.sink(lambda batch: fired.append("sink"))
            counter = RefCounter(cb=lambda: fired.append("counter"))
            await settle(source.emit(1, metadata=[{"ref": counter}]))
            await turns()
            assert fired == []
            await settle(node.flush())
            await turns()
            assert fired == ["sink", "counter"]

    run(go())


def test_collect_reads_a_cache_that_was_changed_in_place() -> None:
    """Ruling 20; ruling 21 (docs/rulings.md) names `cache`."""
    with Stream[int]() as source:
        node: Any = source.collect()
        seen: list[Any] = node.sink_to_list()
        source.emit(1)
        node.cache.clear()
        source.emit(2)
        node.flush()
    assert seen == [(2,)]
