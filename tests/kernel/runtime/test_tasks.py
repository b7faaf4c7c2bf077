"""Tasks of elements: failures and cancellations leave other elements alone."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.support import Boom, begin, bounded, send, settle, turns

from rapidz import Stream
from rapidz.testing import run

Build = Callable[[Stream[Any]], Stream[Any]]


def fail(x: object) -> None:
    raise Boom(x)


def flat(seen: list[Any]) -> list[Any]:
    """All elements, whether they came alone or in lists and tuples."""
    return [x for part in seen for x in (part if isinstance(part, (list, tuple)) else [part])]


@pytest.mark.parametrize("asynchronous", [None, True])
@pytest.mark.parametrize("queue", [False, True])
async def test_a_failure_refuses_at_most_one_later_emit(
    asynchronous: bool | None, queue: bool
) -> None:
    seen: list[int] = []

    async def sink(x: int) -> None:
        if x == 1:
            raise Boom(x)
        seen.append(x)

    source = Stream[int](asynchronous=asynchronous)
    (source.buffer(10) if queue else source).sink(sink)
    for x in range(10):
        source.emit(x)
        await asyncio.sleep(0.01)
    with pytest.raises(Boom):
        await settle(source.join())
    assert seen in ([0, *range(2, 10)], [0, *range(3, 10)])
    await send(source, 10)
    await settle(source.join())
    assert seen[-1] == 10


queues: dict[str, Build] = {
    "buffer": lambda s: s.buffer(1),
    "delay": lambda s: s.delay(0.01),
    "delay, not spaced": lambda s: s.delay(0.01, spaced=False),
    "rate_limit": lambda s: s.rate_limit(0.01),
    "partition": lambda s: s.partition(1, timeout=0.01),
    "timed_window": lambda s: s.timed_window(0.03, emit_empty=False),
    "timed_window_unique": lambda s: s.timed_window_unique(0.03, emit_empty=False),
    "map": lambda s: s.map(str),
}


@pytest.mark.parametrize("queue", queues)
async def test_a_cancelled_emit_leaves_all_others_alone(queue: str) -> None:
    seen: list[Any] = []

    async def slow(x: Any) -> None:
        await asyncio.sleep(0.2)
        seen.append(x)

    source = Stream[Any](asynchronous=True)
    queues[queue](source).sink(slow)
    first = begin(source, "first")
    await asyncio.sleep(0.08)
    other = begin(source, "other")
    await turns(1)
    with suppress(TimeoutError):
        await asyncio.wait_for(send(source, "cancelled"), 0.02)
    await first
    await other
    for x in "abc":
        await send(source, x)
    await settle(source.close())
    assert [x for x in flat(seen) if x != "cancelled"] == ["first", "other", "a", "b", "c"]


async def itself(x: int) -> None:
    raise asyncio.CancelledError


async def by_awaiting(x: int) -> None:
    task = asyncio.ensure_future(asyncio.sleep(1))
    task.cancel()
    await task


async def failure_of(wait: object) -> Exception | None:
    try:
        await asyncio.wait_for(settle(wait), 10)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("end", ["join", "close"])
@pytest.mark.parametrize("cancel", [itself, by_awaiting])
@pytest.mark.parametrize("queue", ["buffer", "map_async", "delay"])
async def test_a_cancellation_after_a_queue_is_reported_and_the_node_lives_on(
    queue: str, cancel: Callable[[int], Awaitable[None]], end: str
) -> None:
    async def function(x: int) -> int:
        if x == 1:
            await cancel(x)
        return x

    builds: dict[str, Build] = {
        "buffer": lambda s: s.buffer(9).map(function),
        "map_async": lambda s: s.map_async(function, parallelism=9),
        "delay": lambda s: s.delay(0.01).map(function),
    }
    source = Stream[int](asynchronous=True)
    seen = builds[queue](source).sink_to_list()
    for x in range(5):
        source.emit(x)
    told = await failure_of(getattr(source, end)())
    assert told is not None
    assert "CancelledError" in f"{told!r} {told.__cause__!r}"
    assert seen == [0, 2, 3, 4]
    if end == "join":
        await send(source, 9)
        await settle(source.close())
        assert seen == [0, 2, 3, 4, 9]


async def test_an_awaitable_emit_of_a_plain_pipeline_raises_when_it_is_awaited() -> None:
    source = Stream[int]()
    source.map(fail).sink(print)
    wait: Any = source.emit(0, asynchronous=True)
    assert inspect.isawaitable(wait)
    with pytest.raises(Boom):
        await wait


def test_an_awaitable_emit_outside_a_loop_raises_when_it_is_awaited() -> None:
    async def waited(wait: Any) -> None:
        await wait

    node = Stream[int]()
    node.map(fail).sink(print)
    wait = node.emit(0, asynchronous=True)
    assert inspect.isawaitable(wait)
    with pytest.raises(Boom):
        run(waited(wait))


def test_an_awaitable_emit_into_the_background_raises_when_it_is_awaited() -> None:
    async def go() -> None:
        source = Stream[int](asynchronous=False)
        source.sink(fail)
        wait: Any = source.emit(0, asynchronous=True)
        assert inspect.isawaitable(wait)
        with pytest.raises(Boom):
            await wait

    bounded(lambda: asyncio.run(go()))


def test_a_failure_of_an_unawaited_emit_is_raised_by_join() -> None:
    def go() -> None:
        source = Stream[int](asynchronous=False)
        source.sink(fail)
        source.emit(0, asynchronous=True)
        with pytest.raises(Boom):
            source.join(5)

    bounded(go)


@pytest.mark.parametrize("start", [5, 500])
async def test_feedback_through_an_async_function_comes_to_its_end(start: int) -> None:
    async def less(x: int) -> int:
        await asyncio.sleep(0)
        return x - 1

    source = Stream[int](asynchronous=True)
    again = source.map(less).filter(lambda x: x > 0)
    seen = again.sink_to_list()
    again.connect(source)
    await send(source, start)
    await settle(source.join())
    assert seen == list(range(start - 1, 0, -1))
    await settle(source.close())


async def test_an_async_sink_may_await_an_emit_into_its_own_pipeline() -> None:
    seen: list[int] = []
    source = Stream[int](asynchronous=True)

    async def sink(x: int) -> None:
        seen.append(x)
        if x:
            await send(source, x - 1)

    source.sink(sink)
    await send(source, 3)
    await settle(source.join())
    assert seen == [3, 2, 1, 0]


@pytest.mark.parametrize("awaited", [True, False])
async def test_who_keeps_what_emit_returned_does_not_keep_the_element(awaited: bool) -> None:
    class Element:
        pass

    async def sink(x: Element) -> None:
        await asyncio.sleep(0)

    source = Stream[Element](asynchronous=True)
    source.sink(sink)
    element = Element()
    gone = weakref.ref(element)
    kept = source.emit(element)
    del element
    if not awaited:
        await turns(5)
    await kept
    assert gone() is None
    await settle(source.close())
