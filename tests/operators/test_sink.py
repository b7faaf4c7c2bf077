"""sink: call a function with every element."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from tests.support import (
    AsyncForm,
    Boom,
    Way,
    async_forms,
    bounded,
    fail_on,
    noted,
    numbers,
    refused,
    send,
    settle,
    through,
    ways,
)

from rapidz import Stream
from rapidz.testing import run


@given(numbers, ways)
def test_sink_calls_its_function_with_every_element(xs: list[int], way: Way) -> None:
    seen: list[int] = []

    def build(s: Stream[int]) -> Stream[int]:
        s.sink(seen.append)
        return s

    through(build, xs, way)
    assert seen == xs


def test_sink_hands_its_further_arguments_to_the_function() -> None:
    seen: list[Any] = []

    def write(x: int, prefix: str, suffix: str = "") -> None:
        seen.append(f"{prefix}{x}{suffix}")

    with Stream[int]() as source:
        source.sink(write, "<", suffix=">")
        source.emit(1)
    assert seen == ["<1>"]


def test_sink_needs_no_reference() -> None:
    """Ruling 8 (docs/rulings.md): sinks stay until destroyed, and so does what is upstream."""
    seen: list[int] = []
    with Stream[int]() as source:
        source.map(abs).sink(seen.append)
        gc.collect()
        source.emit(-1)
    assert seen == [1]


@pytest.mark.parametrize("form", async_forms)
def test_sink_awaits_an_async_function_inside_a_loop(form: AsyncForm) -> None:
    """Ruling 7; defect D20 (docs/rulings.md): `async def` sink never ran."""
    seen: list[int] = []

    async def go() -> None:
        async with Stream[int](asynchronous=True) as source:
            source.sink(form(seen.append))
            for x in range(3):
                await send(source, x)
                assert seen == list(range(x + 1))

    run(go())


@pytest.mark.parametrize("form", async_forms)
def test_sink_awaits_an_async_function_without_a_loop(form: AsyncForm) -> None:
    """The same row on `Stream()`: emit blocks until the sink is done."""
    seen: list[int] = []

    def go() -> None:
        with Stream[int]() as source:
            source.sink(form(seen.append))
            for x in range(3):
                source.emit(x)
                assert seen == list(range(x + 1))

    bounded(go)


def test_sink_keeps_unawaited_emits_in_order() -> None:
    """Defect D19: "error channel": un-awaited emits finished out of order ([1,2,3,0])."""
    seen: list[int] = []

    async def slow(x: int) -> None:
        await asyncio.sleep(3 - x)
        seen.append(x)

    async def go() -> None:
        async with Stream[int](asynchronous=True) as source:
            source.sink(slow)
            for x in range(4):
                source.emit(x)

    run(go())
    assert seen == [0, 1, 2, 3]


def test_sink_gets_the_element_though_its_sibling_failed() -> None:
    """Defect D17: "first branch raises": siblings never saw it; ruling 2 (docs/rulings.md)."""
    seen: list[int] = []

    def fail(x: int) -> None:
        raise Boom(x)

    with Stream[int]() as source:
        source.sink(fail)
        source.sink(seen.append)
        with pytest.raises(Boom):
            source.emit(1)
        source.sink(fail)
        with pytest.raises(ExceptionGroup) as caught:
            source.emit(2)
    assert seen == [1, 2]
    assert len(caught.value.exceptions) == 2


def test_sink_names_itself_in_an_error() -> None:
    with Stream[int]() as source:
        source.sink(fail_on(2), stream_name="careful")
        with pytest.raises(Boom) as caught:
            source.emit(2)
    assert noted(caught.value, "sink", "careful", "check", "2")


def test_sink_names_itself_in_an_error_of_an_async_function() -> None:
    async def fail(x: int) -> None:
        await asyncio.sleep(1)
        raise Boom(x)

    async def go() -> Boom:
        async with Stream[int](asynchronous=True) as source:
            source.sink(fail, stream_name="careful")
            with pytest.raises(Boom) as caught:
                await send(source, 2)
        return caught.value

    assert noted(run(go()), "sink", "careful", "fail", "2")


def test_sink_may_be_destroyed_more_than_once() -> None:
    """Defect D33: `destroy()` twice: KeyError; ruling 8 (docs/rulings.md)."""
    seen: list[int] = []
    with Stream[int]() as source:
        node: Any = source.sink(seen.append)
        source.emit(1)
        node.destroy()
        node.destroy()
        source.emit(2)
    assert seen == [1]


def test_sink_is_collected_once_destroyed() -> None:
    """Defect D31: 1,000 dropped pipelines kept 1,000 sinks for ever; right: explicit owner."""
    source: Stream[int] = Stream()
    node: Any = source.sink(lambda _: None)
    dead = weakref.ref(node)
    node.destroy()
    del node
    gc.collect()
    assert dead() is None


def test_sink_is_collected_once_its_pipeline_is_closed() -> None:
    """The same row: `close()`."""
    source: Stream[int] = Stream()
    dead = weakref.ref(source.map(abs).sink(lambda _: None))
    source.close()
    del source
    gc.collect()
    assert dead() is None


def test_sink_runs_before_close_returns() -> None:
    seen: list[int] = []

    async def slow(x: int) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.sink(slow)
        source.emit(1)
        source.emit(2)
        await settle(source.close())
        assert seen == [1, 2]

    run(go())


def test_sink_follows_a_new_function_and_new_arguments() -> None:
    """Ruling 20 (docs/rulings.md)."""
    seen: list[Any] = []

    def write(x: int, prefix: str, suffix: str = "") -> None:
        seen.append(f"{prefix}{x}{suffix}")

    with Stream[int]() as source:
        node: Any = source.sink(write, "a")
        source.emit(1)
        node.args = ("b",)
        source.emit(1)
        node.kwargs["suffix"] = "!"
        source.emit(1)
        node.func = lambda x, prefix, suffix: seen.append(x)
        source.emit(1)
    assert seen == ["a1", "b1", "b1!", 1]


@pytest.mark.parametrize("func", [3, None])
def test_sink_refuses_what_cannot_be_called(func: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.sink(func), "sink", "func", func)


@pytest.mark.parametrize("starred", [False, True])
async def test_coroutines_that_a_plain_function_returns_run_one_after_the_other(
    starred: bool,
) -> None:
    source, told = Stream[Any](asynchronous=True), list[str]()

    async def work(x: int) -> None:
        told.append(f"begins {x}")
        await asyncio.sleep(3 - x)
        told.append(f"ends {x}")

    if starred:
        source.map(lambda x: (x,)).starsink(lambda x: work(x))
    else:
        source.sink(lambda x: work(x))
    for x in range(3):
        source.emit(x)
    await settle(source.join())
    assert told == [f"{what} {x}" for x in range(3) for what in ("begins", "ends")]


async def test_futures_that_a_plain_function_returns_are_waited_for_together() -> None:
    source = Stream[int](asynchronous=True)
    source.sink(lambda x: asyncio.ensure_future(asyncio.sleep(1)))
    now = asyncio.get_running_loop().time
    begun = now()
    for x in range(3):
        source.emit(x)
    await settle(source.join())
    assert now() - begun == 1


async def test_a_returned_coroutine_fails_for_its_element_alone() -> None:
    source, seen = Stream[int](asynchronous=True), list[int]()

    async def work(x: int) -> None:
        await asyncio.sleep(1)
        seen.append(10 // x)

    node = source.sink(lambda x: work(x))
    failures = node.errors.sink_to_list()
    for x in (1, 0, 2):
        source.emit(x)
    await settle(source.join())
    assert seen == [10, 5]
    assert [failure.element for failure in failures] == [0]


async def test_a_flush_comes_after_the_coroutines_that_a_plain_function_returned() -> None:
    source, told = Stream[int](asynchronous=True), list[Any]()

    async def work(x: int) -> None:
        await asyncio.sleep(1)
        told.append(x)

    source.sink(lambda x: work(x))
    waits: list[Any] = [source.emit(x) for x in range(3)]
    await settle(source.close())
    assert told == [0, 1, 2]
    for wait in waits:
        await wait


@pytest.mark.parametrize("instant", [0.0, 0.5, 1.5])
async def test_a_wait_for_a_coroutine_that_was_returned_may_be_cancelled(instant: float) -> None:
    source, seen = Stream[int](asynchronous=True), list[int]()

    async def work(x: int) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    source.sink(lambda x: work(x))
    tasks = [asyncio.create_task(send(source, x)) for x in range(4)]
    await asyncio.sleep(instant)
    tasks[2].cancel()
    await settle(source.join())
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in done].count(asyncio.CancelledError) == 1
    assert [x for x in seen if x != 2] == [0, 1, 3]
    gc.collect()  # a coroutine that was never closed would warn
