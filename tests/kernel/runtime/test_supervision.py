"""Supervision of background nodes: they survive failures downstream, and report them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from tests.support import bounded, send, settle

from rapidz import Stream, TimedNode


class Stop(BaseException):
    """Something that is no `Exception`."""


Raising = Callable[[Any], Any]
stops = [asyncio.CancelledError, GeneratorExit, Stop, SystemExit, KeyboardInterrupt]


def first_of(x: Any) -> Any:
    return x[0] if isinstance(x, (list, tuple)) else x


def plain(stop: type[BaseException]) -> Raising:
    def function(x: Any) -> Any:
        if first_of(x) == 1:
            raise stop
        return first_of(x)

    return function


def awaited(stop: type[BaseException]) -> Raising:
    async def function(x: Any) -> Any:
        await asyncio.sleep(0.001)
        if first_of(x) == 1:
            raise stop
        return first_of(x)

    return function


def two_branches(node: Stream[Any], function: Raising) -> Stream[Any]:
    node.sink(lambda x: None)
    return node.map(function)


class later(TimedNode[Any]):
    """Emits by a timer, or from a task."""

    def __init__(self, upstream: Any, by: str) -> None:
        self.by = by
        super().__init__(upstream)

    def on_element(self, x: Any) -> None:
        if self.by == "timer":
            self.set_timer(0.001, name=x)
        else:
            self.start_task(self.emit_later(x))

    def on_timer(self, name: Any) -> Any:
        return self.push(name)

    async def emit_later(self, x: Any) -> None:
        await asyncio.sleep(0.001)
        if (wait := self.push(x)) is not None:
            await wait


nodes: dict[str, Callable[[Stream[Any], Raising], Stream[Any]]] = {
    "buffer": lambda s, f: s.buffer(9).map(f),
    "buffer and a fork": lambda s, f: two_branches(s.buffer(9), f),
    "delay": lambda s, f: s.delay(0.001).map(f),
    "latest": lambda s, f: s.latest().map(f),
    "timed_window": lambda s, f: s.timed_window(0.01, emit_empty=False).map(f),
    "timed_window and a fork": lambda s, f: two_branches(s.timed_window(0.01, emit_empty=False), f),
    "timed_window with empties": lambda s, f: s.timed_window(0.01).filter(None).map(f),
    "timed_window_unique": lambda s, f: s.timed_window_unique(0.01, emit_empty=False).map(f),
    "partition, timed": lambda s, f: s.partition(3, timeout=0.01).map(f),
    "map_async": lambda s, f: s.map_async(f),
    "map_async, below": lambda s, f: s.map_async(itself).map(f),
    "timer of a node of one's own": lambda s, f: later(s, "timer").map(f),
    "task of a node of one's own": lambda s, f: later(s, "task").map(f),
    "buffer on threads": lambda s, f: s.scatter("thread").buffer(9).gather().map(f),
}


async def itself(x: Any) -> Any:
    return x


def causes(failure: BaseException) -> list[type[BaseException | None]]:
    if isinstance(failure, ExceptionGroup):
        return [cause for part in failure.exceptions for cause in causes(part)]
    return [type(failure.__cause__)]


@pytest.mark.parametrize("make", [plain, awaited])
@pytest.mark.parametrize("stop", stops)
@pytest.mark.parametrize("node", nodes)
def test_in_the_background_the_node_lives_on_and_reports_the_element(
    node: str, stop: type[BaseException], make: Callable[[type[BaseException]], Raising]
) -> None:
    source = Stream[Any](asynchronous=False)
    seen = nodes[node](source, make(stop)).sink_to_list()

    def go() -> None:
        for x in range(3):
            source.emit(x)
            with pytest.raises(RuntimeError) if x == 1 else nullcontext() as caught:
                source.join(5)
            assert caught is None or causes(caught.value) == [stop]
        source.close(5)

    bounded(go)
    assert seen == [0, 2]


@pytest.mark.parametrize("make", [plain, awaited])
@pytest.mark.parametrize("stop", stops[:3])
@pytest.mark.parametrize("node", [name for name in nodes if "threads" not in name])
async def test_on_a_loop_the_node_lives_on_and_reports_the_element(
    node: str, stop: type[BaseException], make: Callable[[type[BaseException]], Raising]
) -> None:
    source = Stream[Any](asynchronous=True)
    seen = nodes[node](source, make(stop)).sink_to_list()
    for x in range(3):
        await send(source, x)
        with pytest.raises(RuntimeError) if x == 1 else nullcontext() as caught:
            await settle(source.join(5))
        assert caught is None or causes(caught.value) == [stop]
    await settle(source.close(5))
    assert seen == [0, 2]


@pytest.mark.parametrize("make", [plain, awaited])
@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("node", [name for name in nodes if "threads" not in name])
def test_a_function_may_end_the_users_loop_and_the_pipeline_goes_on(
    node: str, stop: type[BaseException], make: Callable[[type[BaseException]], Raising]
) -> None:
    loop = asyncio.new_event_loop()
    source = Stream[Any](asynchronous=True, loop=loop)
    seen = nodes[node](source, make(stop)).sink_to_list()

    async def go() -> None:
        for x in range(3):
            source.emit(x)
            await asyncio.sleep(0.02)

    async def end() -> None:
        await settle(source.close(5))

    task = loop.create_task(go())
    with pytest.raises(stop):
        loop.run_until_complete(task)
    loop.run_until_complete(task)
    with pytest.raises(RuntimeError) as caught:
        loop.run_until_complete(end())
    assert causes(caught.value) == [stop]
    assert seen == [0, 2]
    loop.close()


@pytest.mark.parametrize("stop", stops)
def test_a_source_fails_and_says_why(stop: type[BaseException]) -> None:
    source = Stream.from_iterable(range(3), asynchronous=False)
    seen = source.map(plain(stop)).sink_to_list()

    def go() -> None:
        source.start()
        with pytest.raises(RuntimeError) as caught:
            source.join(5)
        assert causes(caught.value) == [stop]
        assert source.state == "failed"
        source.start()
        source.join(5)

    bounded(go)
    assert seen == [0, 0] or seen == [0, 2]
    source.destroy()


@pytest.mark.parametrize("stop", stops)
def test_an_unawaited_emit_is_reported_by_join(stop: type[BaseException]) -> None:
    source = Stream[Any](asynchronous=False)
    source.sink(awaited(stop))

    def go() -> None:
        source.emit(1, asynchronous=True)
        with pytest.raises(RuntimeError, match=stop.__name__):
            source.join(5)

    bounded(go)


async def test_join_waits_for_what_is_fed_back_into_the_window_that_it_came_from() -> None:
    source = Stream[int](asynchronous=True)
    windows = source.timed_window(1, emit_empty=False)
    seen = windows.sink_to_list()
    windows.flatten().map(lambda x: x - 1).filter(lambda x: x > 0).connect(source)
    await send(source, 3)
    await settle(source.join())
    assert seen == [[3], [2], [1]]


async def test_a_flush_during_the_emit_of_a_window_delays_the_next_too() -> None:
    inside = most = 0

    async def slow(x: Any) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(2.5)
        inside -= 1

    source = Stream[int](asynchronous=True)
    source.timed_window(1, emit_empty=False).sink(slow)
    source.emit(1)
    await asyncio.sleep(1.25)
    source.emit(2)
    flushed: Any = source.flush()
    await asyncio.sleep(0.25)
    assert not flushed.done()
    await settle(source.close())
    assert (inside, most) == (0, 1)
