"""Feedback by `emit` through queues is never waited for; an emit that closes no cycle is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import send, settle

from rapidz import Stream

Node = Stream[Any]
Queue = Callable[[Node], Node]
FeedBack = Callable[[Node, Node], object]


async def slow(x: Any) -> Any:
    await asyncio.sleep(0.25)
    return x


queues: dict[str, Queue] = {
    "buffer": lambda s: s.buffer(1),
    "two buffers": lambda s: s.buffer(1).map(lambda x: x).buffer(1),
    "delay": lambda s: s.delay(0.5),
    "rate_limit": lambda s: s.rate_limit(0.5),
    "latest": lambda s: s.union(s.latest().filter(lambda x: False)),
    "async map": lambda s: s.map(slow),
    "async map behind a buffer": lambda s: s.buffer(1).map(slow),
    "map_async": lambda s: s.map_async(slow, parallelism=1),
    "two map_async": lambda s: s.map_async(slow, parallelism=2).map_async(slow, parallelism=1),
    "timed_window": lambda s: s.timed_window(1, emit_empty=False).flatten(),
    "two timed_windows": lambda s: (
        s.timed_window(1, emit_empty=False).flatten().timed_window(1, emit_empty=False).flatten()
    ),
    "timed_window_unique": lambda s: s.timed_window_unique(
        1, key=lambda x: object(), emit_empty=False
    ).flatten(),
    "partition with a timeout": lambda s: s.partition(3, timeout=1).flatten(),
    "zip": lambda s: s.zip(s.buffer(1), maxsize=1).pluck(0),
    "zip_latest": lambda s: s.zip_latest(s.map(slow), maxsize=1).pluck(0),
    "union": lambda s: s.buffer(1).union(s.filter(lambda x: False)).buffer(1),
    "scatter": lambda s: s.scatter("thread").map(lambda x: x).gather(),
    "scatter and buffer": lambda s: s.scatter("thread").map(lambda x: x).buffer(1).gather(),
    "a policy": lambda s: s.buffer(1).map(slow).on_error("skip").buffer(1),
    "a node in the old manner": lambda s: Old(s.buffer(1)).buffer(1),
}


class Old(Stream[Any]):
    def update(self, x: Any, who: Any = None) -> Any:
        return self._emit(x)


def by_method(source: Node, back: Node) -> None:
    back.sink(source.emit)
    back.sink(source.emit)


def by_lambda(source: Node, back: Node) -> None:
    back.sink(lambda x: source.emit(x))
    back.sink(lambda x: source.emit(x))


def gathered(source: Node, back: Node) -> None:
    back.sink(lambda x: asyncio.gather(source.emit(x), source.emit(x)))


def by_emit_many(source: Node, back: Node) -> None:
    back.sink(lambda x: source.emit_many([x, x]))


def awaited(source: Node, back: Node) -> None:
    async def emits(x: Any) -> None:
        await send(source, x)
        await send(source, x)

    back.sink(emits)


def awaited_later(source: Node, back: Node) -> None:
    async def emits(x: Any) -> None:
        waits: list[Any] = [source.emit(x), source.emit(x)]
        await asyncio.sleep(3)
        for wait in waits:
            await wait

    back.sink(emits)


def returned(source: Node, back: Node) -> None:
    async def emits(x: Any) -> None:
        await send(source, x)
        await send(source, x)

    back.sink(lambda x: emits(x))


def from_a_map(source: Node, back: Node) -> None:
    async def emits(x: Any) -> Any:
        await send(source, x)
        return x

    back.map(emits).sink(source.emit)


def by_another_pipeline(source: Node, back: Node) -> None:
    other = Node(asynchronous=True)
    back.sink(other.emit)
    other.sink(source.emit)
    other.sink(source.emit)


def by_the_queue_of_another_pipeline(source: Node, back: Node) -> None:
    other = Node(asynchronous=True)
    back.sink(other.emit)
    node = other.buffer(1).map(slow).buffer(1)
    node.sink(source.emit)
    node.sink(source.emit)


def by_async_functions_of_two_pipelines(source: Node, back: Node) -> None:
    other = Node(asynchronous=True)

    async def there(x: Any) -> None:
        await send(other, x)

    async def here(x: Any) -> None:
        await send(source, x)
        await send(source, x)

    back.sink(there)
    other.buffer(1).sink(here)


ways: list[FeedBack] = [
    by_method,
    by_lambda,
    gathered,
    by_emit_many,
    awaited,
    awaited_later,
    returned,
    from_a_map,
    by_another_pipeline,
    by_the_queue_of_another_pipeline,
    by_async_functions_of_two_pipelines,
]


@pytest.mark.parametrize("feed_back", ways)
@pytest.mark.parametrize("queue", queues)
async def test_feedback_by_emit_through_any_queue_comes_to_its_end(
    queue: str, feed_back: FeedBack
) -> None:
    source = Node(asynchronous=True)
    node = queues[queue](source)
    seen = node.sink_to_list()
    feed_back(source, node.filter(lambda x: x > 0).map(lambda x: x - 1))
    async with asyncio.timeout(1000):
        for x in (3, 3, 3):
            await send(source, x)
        while len(seen) < 45:  # what is in another pipeline is not waited for
            await settle(source.join())
            await asyncio.sleep(1)
        await settle(source.join())
    assert sorted(seen) == sorted(3 * ([3] + 2 * [2] + 4 * [1] + 8 * [0]))


@pytest.mark.parametrize("queue", ["buffer", "delay", "async map", "map_async"])
async def test_feedback_in_the_background_comes_to_its_end(queue: str) -> None:
    def block() -> list[int]:
        source = Node(asynchronous=False)
        node = queues[queue](source)
        seen = node.sink_to_list()
        by_method(source, node.filter(lambda x: x > 0).map(lambda x: x - 1))
        source.emit(3)
        source.join(20)
        return seen

    seen = await asyncio.get_running_loop().run_in_executor(None, block)
    assert sorted(seen) == sorted([3] + 2 * [2] + 4 * [1] + 8 * [0])


def forwarding_by_method(a: Node, b: Node) -> None:
    a.sink(b.emit)


def forwarding_by_function(a: Node, b: Node) -> None:
    async def forward(x: Any) -> None:
        await send(b, x)

    a.sink(forward)


def forwarding_from_a_queue(a: Node, b: Node) -> None:
    a.rate_limit(0).sink(b.emit)


@pytest.mark.parametrize(
    "forward", [forwarding_by_method, forwarding_by_function, forwarding_from_a_queue]
)
@pytest.mark.parametrize("connected", [False, True])
async def test_an_emit_that_closes_no_cycle_is_waited_for(
    forward: FeedBack, connected: bool
) -> None:
    a, b = Node(asynchronous=True), Node(asynchronous=True)
    forward(a, b)
    b.buffer(1).sink(lambda x: asyncio.sleep(1))
    if connected:
        a.union(b).sink(lambda x: None)
    now = asyncio.get_running_loop().time
    begun = now()
    for x in range(5):
        await send(a, x)
    assert now() - begun == 3
    await settle(a.join())
    await settle(b.join())


async def test_a_cycle_closed_by_an_edit_is_seen() -> None:
    a, b = Node(asynchronous=True), Node(asynchronous=True)
    forwarding_by_method(a, b)
    node = b.buffer(1)
    node.sink(slow)
    async with asyncio.timeout(1000):
        for x in (3, 3, 3):
            await send(a, x)
        back = node.filter(lambda x: x > 0).map(lambda x: x - 1)
        seen = back.sink_to_list()
        back.sink(a.emit)
        back.sink(a.emit)
        await settle(a.join())
        await settle(b.join())
        seen.clear()
        await send(a, 3)
        while len(seen) < 7:
            await asyncio.sleep(1)
        await settle(b.join())
    assert sorted(seen) == [0] * 4 + [1] * 2 + [2]


async def test_a_function_may_emit_to_the_partner_of_its_own_element() -> None:
    a, b = Node(asynchronous=True), Node(asynchronous=True)

    async def emits(x: int) -> int:
        for y in range(4 if x == 0 else 0):
            await send(a, y)
        return x

    pairs = a.buffer(1).zip(b.map(emits), maxsize=1).sink_to_list()
    async with asyncio.timeout(1000):
        for x in range(4):
            await send(b, x)
        await settle(a.join())
    assert pairs == [(0, 0), (1, 1), (2, 2), (3, 3)]


async def test_a_function_may_emit_to_the_partner_of_a_sibling() -> None:
    a, b = Node(asynchronous=True), Node(asynchronous=True)

    async def emits(x: int) -> None:
        for y in range(4 if x == 0 else 0):
            await send(b, y)

    a.sink(emits)
    pairs = a.map(lambda x: x).zip(b, maxsize=2).sink_to_list()
    async with asyncio.timeout(1000):
        for x in range(4):
            await send(a, x)
    assert pairs == [(0, 0), (1, 1), (2, 2), (3, 3)]


async def test_a_failure_of_what_is_fed_back_is_for_the_next_call() -> None:
    source, seen = Node(asynchronous=True), list[int]()

    async def check(x: int) -> int:
        seen.append(x)
        return 10 // x

    source.map(check).sink(lambda _: None)
    source.buffer(1).filter(lambda x: x > 0).map(lambda x: x - 1).sink(source.emit)
    await send(source, 3)
    with pytest.raises(ZeroDivisionError):
        await settle(source.join())
    await settle(source.join())
    assert seen == [3, 2, 1, 0]


async def test_a_kept_failure_refuses_no_element_that_is_fed_back() -> None:
    source, seen = Node(asynchronous=True), list[int]()
    source.delay(1).map(lambda x: 1 // (x - 3)).sink(lambda _: None)
    source.delay(2).filter(lambda x: x > 0).map(lambda x: x - 1).sink(source.emit)
    source.sink(seen.append)
    await send(source, 3)
    with pytest.raises(ZeroDivisionError):
        await settle(source.join())
    assert seen == [3, 2, 1, 0]


async def test_a_source_that_emits_from_its_run_gets_back_pressure() -> None:
    class Numbers(Stream[int]):
        async def produce(self) -> None:
            for x in range(5):
                await settle(self.emit(x))

    source = Numbers(asynchronous=True)
    source.buffer(1).sink(lambda x: asyncio.sleep(1))
    now = asyncio.get_running_loop().time
    begun = now()
    await source.produce()
    assert now() - begun == 3
    await settle(source.join())


async def test_tasks_that_a_function_only_started_get_back_pressure() -> None:
    source, tasks = Node(asynchronous=True), list[Any]()
    now = asyncio.get_running_loop().time
    ended: list[float] = []

    async def produce() -> None:
        for x in range(1, 6):
            await send(source, x)
        ended.append(now() - begun)

    async def start(x: int) -> None:
        if x == 0:
            tasks.append(asyncio.create_task(produce()))
        await asyncio.sleep(1)

    source.buffer(1).sink(start)
    begun = now()
    await send(source, 0)
    await asyncio.sleep(10)
    await settle(source.join())
    assert ended == [4]
