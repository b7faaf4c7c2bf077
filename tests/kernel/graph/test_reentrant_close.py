"""Reentrant close: a close during an element waits until the element is processed."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.support import bounded, printed_by, send, settle

from rapidz import Stream, StreamClosed
from rapidz.sources import Source
from rapidz.testing import run

Node = Stream[Any]


def closing_at(n: int, source: Node) -> Callable[[int], int]:
    def check(x: int) -> int:
        if x == n:
            source.close()
        return x

    return check


def by_sink(source: Node, stream: Node) -> Node:
    stream.sink(closing_at(2, source))
    return stream


def by_map(source: Node, stream: Node) -> Node:
    return stream.map(closing_at(2, source))


def by_old_node(source: Node, stream: Node) -> Node:
    class Old(Stream[Any]):
        def update(self, x: int, who: Any = None) -> Any:
            closing_at(2, source)(x)
            return self._emit(x)

    return Old(stream)


def by_another_pipeline(source: Node, stream: Node) -> Node:
    other = Node(asynchronous=source._pipeline.asynchronous)
    other.sink(closing_at(2, source))
    stream.sink(other.emit)
    return stream


ways = pytest.mark.parametrize("close", [by_sink, by_map, by_old_node, by_another_pipeline])
fronts = pytest.mark.parametrize("front", ["nothing", "async map", "buffer", "timed_window"])


async def later(x: int) -> int:
    await asyncio.sleep(0.01)
    return x


def fronted(source: Node, front: str) -> Node:
    if front == "async map":
        return source.map(later)
    if front == "buffer":
        return source.buffer(3)
    if front == "timed_window":
        return source.timed_window(0.01, emit_empty=False).flatten()
    return source


Close = Callable[[Node, Node], Node]


@ways
def test_the_element_in_flight_reaches_all_branches_before_the_end(close: Close) -> None:
    source = Node()
    below = close(source, source)
    pairs, others = below.partition(3).sink_to_list(), source.partition(3).sink_to_list()
    for x in range(3):
        source.emit(x)
    with pytest.raises(StreamClosed):
        source.emit(3)
    assert pairs == others == [(0, 1, 2)]


@ways
@fronts
def test_it_reaches_them_in_a_loop_too(close: Close, front: str) -> None:
    async def go() -> tuple[list[Any], list[Any]]:
        source = Node(asynchronous=True)
        stream = fronted(source, front)
        below = close(source, stream)
        seen, others = below.partition(9).sink_to_list(), stream.partition(9).sink_to_list()
        for x in range(3):
            await send(source, x)
        await settle(source.join())
        await asyncio.sleep(1)
        with pytest.raises(StreamClosed):
            await send(source, 3)
        return seen, others

    assert run(go()) == ([(0, 1, 2)], [(0, 1, 2)])


@ways
@fronts
def test_it_reaches_them_in_the_background_too(
    close: Close, front: str, virtual_background: Any
) -> None:
    def go() -> tuple[list[Any], list[Any]]:
        source = Node(asynchronous=False)
        stream = fronted(source, front)
        below = close(source, stream)
        seen, others = below.partition(9).sink_to_list(), stream.partition(9).sink_to_list()
        for x in range(3):
            source.emit(x)
        source.join()
        source.close()
        return seen, others

    assert bounded(go) == ([(0, 1, 2)], [(0, 1, 2)])


SIGNALLED = """
import asyncio, os, signal
from rapidz import Stream, StreamClosed
out = []
def slow(x):
    if x == 5:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000): pass
    return x
source = Stream({arguments})
source.map(slow).partition(4).sink(out.extend)
signal.signal(signal.SIGTERM, lambda *_: source.close())
{main}
print(out)
"""
PLAIN = """
try:
    for x in range(100):
        source.emit(x)
        last = x
except StreamClosed:
    print(last)
source.join()
"""
LOOP = """
async def main():
    try:
        for x in range(100):
            await source.emit(x)
            last = x
    except StreamClosed:
        print(last)
    await source.join()
asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
@pytest.mark.parametrize(
    ("arguments", "main"),
    [("", PLAIN), ("asynchronous=True", LOOP), ("asynchronous=False", PLAIN)],
    ids=["plain", "loop", "background"],
)
def test_a_signal_handler_that_closes_loses_no_element(arguments: str, main: str) -> None:
    last, out = printed_by(SIGNALLED.format(arguments=arguments, main=main))
    assert out == str(list(range(int(last) + 1)))
    assert int(last) >= 5


def test_a_failure_of_what_such_a_close_emits_is_kept() -> None:
    source = Node()
    source.sink(closing_at(1, source))
    source.partition(9).sink(lambda _: 1 / 0)
    source.emit(1)
    with pytest.raises(ZeroDivisionError):
        source.join()


def test_waiting_threads_get_an_error_when_the_pipeline_closes() -> None:
    inside, go_on = threading.Event(), threading.Event()
    source, told = Node(), list[str]()

    def close(x: int) -> None:
        inside.set()
        go_on.wait(5)
        source.close()

    source.sink(close)
    seen = source.partition(9).sink_to_list()

    def emit(x: int) -> None:
        try:
            source.emit(x)
        except StreamClosed:
            told.append("closed")

    first = threading.Thread(target=emit, args=(1,))
    first.start()
    inside.wait(5)
    second = threading.Thread(target=emit, args=(2,))
    second.start()
    time.sleep(0.05)
    go_on.set()
    first.join(5)
    second.join(5)
    assert (seen, told) == ([(1,)], ["closed"])


# --- sources ---------------------------------------------------------------------------


class slowly(Source[int]):
    """Emits 0 to 4, one every tenth of a second."""

    async def run(self) -> None:
        for x in range(5):
            await self.emit(x, asynchronous=True)
            await asyncio.sleep(0.1)


async def numbers() -> AsyncIterator[int]:
    for x in range(5):
        yield x


finite: list[Any] = [
    pytest.param(lambda **k: Stream.from_iterable(range(5), **k), id="from_iterable"),
    pytest.param(lambda **k: Stream.from_async_iterable(numbers(), **k), id="from_async_iterable"),
    pytest.param(slowly, id="a class"),
]


@pytest.mark.parametrize("build", finite)
@pytest.mark.parametrize("end", ["with", "close"])
def test_the_end_waits_for_a_source_whose_data_end(
    build: Any, end: str, virtual_background: object
) -> None:
    source = build()
    seen = source.partition(2).sink_to_list()
    if end == "with":
        with source:
            source.start()
    else:
        source.start()
        source.close()
    assert (seen, source.state) == ([(0, 1), (2, 3), (4,)], "done")


@pytest.mark.parametrize("build", finite)
async def test_the_end_waits_for_a_source_whose_data_end_in_a_loop(build: Any) -> None:
    async with build(asynchronous=True) as source:
        seen = source.partition(2).sink_to_list()
        source.start()
    assert (seen, source.state) == ([(0, 1), (2, 3), (4,)], "done")


@pytest.mark.parametrize("end", ["with", "close"])
async def test_the_end_blocks_until_the_data_end_where_asynchronous_is_false(end: str) -> None:
    source = Stream.from_iterable(range(5), asynchronous=False)
    seen = source.partition(2).sink_to_list()
    source.start()
    if end == "with":
        with source:
            pass
    else:
        source.close()
    assert (seen, source.state) == ([(0, 1), (2, 3), (4,)], "done")


async def test_a_thread_that_closes_a_source_of_a_loop_may_wait_for_a_while() -> None:
    source = slowly(asynchronous=True)
    seen = source.partition(2).sink_to_list()
    source.start()

    def close() -> None:
        source.close().result(20)

    await asyncio.to_thread(close)
    assert (seen, source.state) == ([(0, 1), (2, 3), (4,)], "done")


async def test_the_end_of_a_node_waits_for_a_source_upstream() -> None:
    source = slowly(asynchronous=True)
    async with source.map(str) as node:
        seen = node.partition(2).sink_to_list()
        node.start()
    assert (seen, source.state) == ([("0", "1"), ("2", "3"), ("4",)], "done")


async def test_the_timeout_bounds_the_wait_for_a_source() -> None:
    source = slowly(asynchronous=True)
    seen = source.partition(9).sink_to_list()
    source.start()
    with pytest.raises(TimeoutError, match="still running"):
        await source.close(timeout=0.25)
    assert (seen, source.state) == ([(0, 1, 2)], "stopped")


async def test_after_an_exception_a_source_is_stopped_at_once() -> None:
    source = slowly(asynchronous=True)
    seen = source.partition(9).sink_to_list()

    async def failing() -> None:
        async with source:
            source.start()
            await asyncio.sleep(0.15)
            raise KeyError

    with pytest.raises(KeyError):
        await failing()
    assert (seen, source.state) == ([(0, 1)], "stopped")


async def test_a_source_without_an_end_is_stopped() -> None:
    async with Stream.from_periodic(lambda: 1, 0.1, asynchronous=True) as source:
        seen = source.partition(9).sink_to_list()
        source.start()
        await asyncio.sleep(0.25)
    assert (seen, source.state) == ([(1, 1, 1)], "stopped")


@pytest.mark.parametrize("build", finite)
async def test_a_close_from_within_stops_the_source_and_drains(build: Any) -> None:
    source = build(asynchronous=True)
    source.sink(closing_at(2, source))
    seen = source.partition(9).sink_to_list()
    source.start()
    await asyncio.sleep(5)
    assert (seen, source.state) == ([(0, 1, 2)], "stopped")


def test_a_close_from_within_stops_a_source_in_the_background(virtual_background: Any) -> None:
    source = Stream.from_iterable(iter(range(10**9)))
    source.sink(closing_at(2, source))
    seen = source.partition(9).sink_to_list()
    source.start()
    source.join()
    assert seen == [(0, 1, 2)]


def test_the_run_of_a_source_may_close_it(virtual_background: object) -> None:
    class suicidal(Source[int]):
        async def run(self) -> None:
            await self.emit(1, asynchronous=True)
            self.close()

    source = suicidal()
    seen = source.partition(2).sink_to_list()
    source.start()
    bounded(source.join)
    assert seen == [(1,)]


@pytest.mark.parametrize("build", finite)
def test_a_source_that_was_never_started_warns(build: Any, virtual_background: object) -> None:
    with pytest.warns(RuntimeWarning, match="never started"), build() as source:
        source.sink(id)


def test_a_stream_is_no_source_that_could_be_started() -> None:
    with Node() as source:
        source.sink(id)
