"""What docs/migrating.md says of the differences that are not an operator's own."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.support import Boom, send, settle

import rapidz
from rapidz import RefCounter, Stream, StreamClosed
from rapidz.core import sync
from rapidz.kernel.runtime.loop import background_loop
from rapidz.testing import run


def boom_at(bad: int) -> Any:
    def check(x: int) -> int:
        if x == bad:
            raise Boom(x)
        return x

    return check


def test_an_unawaited_emit_enters_despite_a_pending_failure() -> None:
    async def go() -> list[int]:
        source = Stream[int](asynchronous=True)
        seen = source.buffer(9).map(boom_at(0)).sink_to_list()
        await send(source, 0)
        await asyncio.sleep(1)
        source.emit(1)
        await asyncio.sleep(1)
        with pytest.raises(Boom):
            await settle(source.join())
        return seen

    assert run(go()) == [1]


def test_a_kept_failure_is_not_logged_while_somebody_may_take_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.delay(1).map(boom_at(0)).sink(lambda _: None)
        await send(source, 0)
        await asyncio.sleep(2)
        assert caplog.records == []
        with pytest.raises(Boom):
            await settle(source.close())

    with caplog.at_level(logging.DEBUG, "rapidz"):
        run(go())
    assert caplog.records == []


async def test_emit_on_a_source_after_the_end_of_its_data_raises() -> None:
    source: Any = Stream.from_iterable([1], asynchronous=True)
    seen = source.sink_to_list()
    source.start()
    await settle(source.join())
    assert seen == [1]
    with pytest.raises(StreamClosed):
        await source.emit(2)


def test_elements_fed_back_are_taken_up_one_after_the_other() -> None:
    source = Stream[int]()
    source.filter(lambda x: x < 3).map(lambda x: x + 1).connect(source)
    seen = source.sink_to_list()
    source.emit(0)
    assert sorted(seen) == [0, 1, 2, 3]
    assert seen[:3] == [1, 2, 3]


def test_a_feedback_edge_has_no_back_pressure() -> None:
    async def go() -> tuple[float, list[int]]:
        source = Stream[int](asynchronous=True)

        async def less(x: int) -> int:
            await asyncio.sleep(1)
            return x - 1

        again = source.map(less).filter(lambda x: x > 0)
        seen = again.sink_to_list()
        again.connect(source)
        await send(source, 3)
        after = asyncio.get_running_loop().time()
        await settle(source.join())
        return after, seen

    assert run(go()) == (1.0, [2, 1])


def test_a_stream_of_several_says_that_it_takes_one() -> None:
    a, b = Stream[int](), Stream[int]()
    two: Any = [a, b]
    with pytest.raises(TypeError):
        Stream(two)
    other: Any = b
    with pytest.raises(TypeError):
        Stream(a, other)
    assert list(Stream(upstreams=two).upstreams) == two


def test_a_class_with_an_update_may_use_names_of_the_engine() -> None:
    class old(Stream[Any]):
        def __init__(self, upstream: Any) -> None:
            own: Any = []
            self.errors = own
            super().__init__(upstream)

        def compile(self, x: Any) -> Any:  # type: ignore[override]  # pyright: ignore
            return x + 1

        def update(self, x: Any, who: Any = None) -> Any:
            return self._emit(self.compile(x))

    source = Stream[int]()
    node = old(source)
    seen = node.sink_to_list()
    source.emit(1)
    assert seen == [2]
    own: Any = node.errors
    assert own == []


def test_sync_has_no_callback_timeout() -> None:
    def told(**keywords: Any) -> dict[str, Any]:
        return keywords

    assert sync(background_loop(), told, callback_timeout=1) == {"callback_timeout": 1}


def test_the_queue_of_a_buffer_is_a_deque() -> None:
    node: Any = rapidz.buffer(Stream[int](), 3)
    assert node.queue.qsize() == len(node.queue) == 0
    assert node.queue.empty()


def counters(told: list[int], n: int) -> list[Any]:
    return [RefCounter(cb=lambda x=x: told.append(x)) for x in range(n)]  # type: ignore[misc]


def test_every_item_of_flatten_carries_the_metadata() -> None:
    class noting(Stream[Any]):
        def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            seen.append((x, metadata))

    seen: list[Any] = []
    source = Stream[list[int]]()
    node = noting(source.flatten())
    source.emit([1, 2], metadata=[{"k": 0}])
    assert seen == [(1, [{"k": 0}]), (2, [{"k": 0}])]
    assert node.upstreams


def test_partition_unique_and_its_like_release_early() -> None:
    async def go() -> list[int]:
        told: list[int] = []
        refs = counters(told, 3)
        source = Stream[int](asynchronous=True)
        source.partition_unique(2).sink(lambda _: None)
        for x, ref in zip((1, 1, 2), refs, strict=True):
            await settle(source.emit(x, metadata=[{"ref": ref}]))
        await asyncio.sleep(1)
        return sorted(told)

    assert run(go()) == [0, 1, 2]


@pytest.mark.parametrize("operator", ["latest", "rate_limit"])
def test_latest_and_rate_limit_release_when_the_sink_is_done(operator: str) -> None:
    async def go() -> tuple[list[int], list[int]]:
        told: list[int] = []
        (ref,) = counters(told, 1)

        async def slow(_: int) -> None:
            await asyncio.sleep(2)

        source = Stream[int](asynchronous=True)
        node = source.latest() if operator == "latest" else source.rate_limit(1)
        node.sink(slow)
        source.emit(0, metadata=[{"ref": ref}])
        await asyncio.sleep(1)
        before = list(told)
        await settle(source.join())
        await asyncio.sleep(1)
        return before, told

    assert run(go()) == ([], [0])
