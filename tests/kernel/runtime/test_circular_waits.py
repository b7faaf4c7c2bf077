"""Circular waits: a function that emits into its own pipeline never waits for its own end."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

import pytest
from tests.support import bounded, send, settle

from rapidz import BackPressureError, Stream


async def at_once(source: Stream[Any], elements: list[Any]) -> None:
    for x in elements:
        await send(source, x)


async def in_a_group(source: Stream[Any], elements: list[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for x in elements:
            group.create_task(send(source, x))


async def in_an_anyio_group(source: Stream[Any], elements: list[Any]) -> None:
    anyio: Any = importlib.import_module("anyio")
    async with anyio.create_task_group() as group:
        for x in elements:
            group.start_soon(send, source, x)


async def gathered(source: Stream[Any], elements: list[Any]) -> None:
    await asyncio.gather(*[send(source, x) for x in elements])


async def gathered_awaitables(source: Stream[Any], elements: list[Any]) -> None:
    await asyncio.gather(*[source.emit(x) for x in elements])


async def in_a_task(source: Stream[Any], elements: list[Any]) -> None:
    await asyncio.create_task(at_once(source, elements))


async def waited_for(source: Stream[Any], elements: list[Any]) -> None:
    await asyncio.wait([asyncio.create_task(send(source, x)) for x in elements])


async def with_a_time_limit(source: Stream[Any], elements: list[Any]) -> None:
    await asyncio.wait_for(at_once(source, elements), 1000)


async def shielded(source: Stream[Any], elements: list[Any]) -> None:
    await asyncio.shield(at_once(source, elements))


async def nested(source: Stream[Any], elements: list[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(gathered(source, elements))


async def in_one_call(source: Stream[Any], elements: list[Any]) -> None:
    await settle(source.emit_many(elements))


async def and_then_in_a_group(source: Stream[Any], elements: list[Any]) -> None:
    for x in elements:
        source.emit(x)
    await in_a_group(source, [])


ways: list[Callable[[Stream[Any], list[Any]], Awaitable[None]]] = [
    at_once,
    in_a_group,
    in_an_anyio_group,
    gathered,
    gathered_awaitables,
    in_a_task,
    waited_for,
    with_a_time_limit,
    shielded,
    nested,
    in_one_call,
    and_then_in_a_group,
]


async def same(x: Any) -> Any:
    return x


builds: dict[str, Callable[[Stream[Any], Any], Any]] = {
    "sink": lambda s, f: s.sink(f),
    "map": lambda s, f: s.map(f).sink(lambda x: None),
    "below map": lambda s, f: s.map(same).sink(f),
    "two branches": lambda s, f: (s.sink(same), s.sink(f)),
    "with a policy": lambda s, f: s.sink(f).on_error("skip"),
    "flatten": lambda s, f: s.map(lambda x: [x]).flatten().sink(f),
    "buffer": lambda s, f: s.buffer(1).sink(f),
    "buffer and map": lambda s, f: s.map(same).buffer(1).map(same).sink(f),
    "map_async": lambda s, f: s.map_async(f).sink(lambda x: None),
    "below map_async": lambda s, f: s.map_async(same).sink(f),
    "map_async, two at once": lambda s, f: s.map_async(f, parallelism=2).sink(lambda x: None),
    "delay": lambda s, f: s.delay(0.1).sink(f),
    "rate_limit": lambda s, f: s.rate_limit(0.1).sink(f),
    "timed_window": lambda s, f: s.timed_window(1, emit_empty=False).flatten().sink(f),
    "timed_window, two branches": lambda s, f: (
        (w := s.timed_window(1, emit_empty=False).flatten()).sink(same),
        w.sink(f),
    ),
    "partition": lambda s, f: s.partition(1).flatten().sink(f),
}


def installed(way: object) -> Any:
    missing = way is in_an_anyio_group and find_spec("anyio") is None
    return pytest.param(way, marks=pytest.mark.skipif(missing, reason="anyio is not installed"))


@pytest.mark.parametrize("way", [installed(way) for way in ways])
@pytest.mark.parametrize("build", builds)
async def test_a_function_may_emit_into_its_own_pipeline(
    build: str, way: Callable[[Stream[Any], list[Any]], Awaitable[None]]
) -> None:
    source = Stream[Any](asynchronous=True)
    seen: list[Any] = []

    async def function(x: str) -> None:
        await asyncio.sleep(0.25)
        seen.append(x)
        if len(x) == 1:
            await way(source, [x + "1", x + "2", x + "3"])

    _held = builds[build](source, function)
    async with asyncio.timeout(100):
        await asyncio.gather(send(source, "a"), send(source, "b"))
        await settle(source.join())
    assert sorted(seen) == sorted(["a", "b", *(x + y for x in "ab" for y in "123")])
    assert [x for x in seen if x[0] == "a"] == ["a", "a1", "a2", "a3"]


@pytest.mark.parametrize("asynchronous", [True, False])
def test_feedback_by_emit_through_a_full_buffer_comes_to_its_end(asynchronous: bool) -> None:
    seen: list[int] = []

    def feed(source: Stream[int]) -> None:
        node = source.buffer(1)
        node.sink(seen.append)
        smaller = node.map(lambda x: x - 1).filter(lambda x: x > 0)
        smaller.sink(source.emit)
        smaller.sink(source.emit)

    async def go() -> None:
        source = Stream[int](asynchronous=True)
        feed(source)
        await send(source, 4)
        await settle(source.join())

    def block() -> None:
        source = Stream[int](asynchronous=False)
        feed(source)
        source.emit(4)
        source.join(10)

    bounded(block if not asynchronous else lambda: asyncio.run(asyncio.wait_for(go(), 10)))
    assert sorted(seen) == sorted([4] + [3] * 2 + [2] * 4 + [1] * 8)


async def test_who_only_runs_at_the_same_time_waits_his_turn() -> None:
    """What emits beside an element in flight, from a group or not, gets back pressure."""
    source = Stream[int](asynchronous=True)
    seen: list[int] = []

    async def slow(x: int) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    source.sink(slow)
    now = asyncio.get_running_loop().time
    begun = now()
    ended: dict[int, float] = {}

    async def one(x: int) -> None:
        await send(source, x)
        ended[x] = now() - begun

    await send(source, 0)
    async with asyncio.TaskGroup() as group:
        for x in (2, 3):
            group.create_task(one(x))
        await one(1)
    assert ended == {1: 2, 2: 3, 3: 4}
    assert seen == [0, 1, 2, 3]


async def test_join_in_a_function_of_the_pipeline_says_what_it_would_wait_for() -> None:
    source = Stream[int](asynchronous=True)

    async def joins(x: int) -> None:
        await settle(source.join())

    source.sink(joins, stream_name="waits for itself")
    with pytest.raises(RuntimeError, match=r"join: .*waits for itself.* element 7"):
        await send(source, 7)
    await settle(source.close())


async def test_join_in_a_group_of_a_function_of_the_pipeline_says_so_too() -> None:
    source = Stream[int](asynchronous=True)

    async def joins(x: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(settle(source.join()))

    source.sink(joins)
    with pytest.raises(ExceptionGroup) as caught:
        await send(source, 7)
    assert "join" in str(caught.value.exceptions[0])


@pytest.mark.parametrize("queue", [False, True])
@pytest.mark.parametrize("group", [False, True])
async def test_close_in_a_function_of_the_pipeline_ends_it_and_does_not_wait(
    queue: bool, group: bool
) -> None:
    source = Stream[int](asynchronous=True)
    seen: list[Any] = []

    async def closes(x: Any) -> None:
        await asyncio.sleep(1)
        if x == 1 and group:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(settle(source.close()))
        elif x == 1:
            await settle(source.close())
        seen.append(x)

    (source.buffer(5) if queue else source).sink(closes)
    source.partition(5).sink(seen.append)
    async with asyncio.timeout(100):
        await asyncio.gather(*[send(source, x) for x in range(3)])
        await settle(source.close())
    assert [x for x in seen if isinstance(x, int)] == [0, 1, 2]
    assert (0, 1, 2) in seen


async def test_join_from_another_pipeline_waits() -> None:
    inner, outer = Stream[int](asynchronous=True), Stream[int](asynchronous=True)
    seen: list[int] = []
    inner.delay(1).sink(seen.append)

    async def through(x: int) -> None:
        await send(inner, x)
        await settle(inner.join())

    outer.sink(through)
    await send(outer, 1)
    assert seen == [1]


@pytest.mark.parametrize("operator", ["zip", "zip_latest"])
async def test_who_waits_for_a_partner_that_cannot_come_is_refused(operator: str) -> None:
    a, b = Stream[int](asynchronous=True), Stream[int](asynchronous=True)
    seen = getattr(a, operator)(b, maxsize=2).sink_to_list()
    tasks = [asyncio.create_task(send(a, x)) for x in range(4)]
    await asyncio.sleep(1)
    await settle(b.close())
    async with asyncio.timeout(100):
        done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in done] == [type(None)] * 2 + [BackPressureError] * 2
    assert "ended" in str(done[2])
    with pytest.raises(BackPressureError, match="ended"):
        await send(a, 5)
    assert seen == []
    await settle(a.close())


async def test_an_ended_input_emits_what_still_has_partners() -> None:
    a, b = Stream[int](asynchronous=True), Stream[str](asynchronous=True)
    seen = a.zip(b, maxsize=2).sink_to_list()
    for y in "xy":
        await send(b, y)
    await settle(b.close())
    for x in range(4):
        await send(a, x)
    with pytest.raises(BackPressureError):
        await send(a, 4)
    assert seen == [(0, "x"), (1, "y")]


def test_a_thread_that_waits_for_a_partner_that_cannot_come_is_refused() -> None:
    a, b = Stream[int](), Stream[int]()
    a.zip(b, maxsize=1).sink(print)
    a.emit(1)
    b.close()

    def go() -> None:
        with pytest.raises(BackPressureError, match="ended"):
            a.emit(2)

    bounded(go)
