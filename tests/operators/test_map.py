"""map: one function, once for every element."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from tests.support import (
    AsyncForm,
    Boom,
    Way,
    async_forms,
    begin,
    bounded,
    double,
    emitted,
    fail_on,
    noted,
    numbers,
    refused,
    send,
    settle,
    turns,
    ways,
)

from rapidz import SKIP, Stream
from rapidz.testing import record, run


@given(numbers, ways)
def test_map_is_the_builtin_map(xs: list[int], way: Way) -> None:
    assert emitted(lambda s: s.map(double), xs, way) == [double(x) for x in xs]


def test_map_hands_its_further_arguments_to_the_function() -> None:
    def scaled(x: int, factor: int, offset: int = 0) -> int:
        return factor * x + offset

    assert emitted(lambda s: s.map(scaled, 10, offset=1), [1, 2]) == [11, 21]


def test_map_may_skip_an_element() -> None:
    """Ruling 15; defect D49 (docs/rulings.md)."""

    def halves(x: int) -> Any:
        return SKIP if x % 2 else x // 2

    assert emitted(lambda s: s.map(halves), range(6)) == [0, 1, 2]


def test_map_passes_none_and_false_on() -> None:
    assert emitted(lambda s: s.map(lambda x: [None, False, 0][x]), range(3)) == [None, False, 0]


@pytest.mark.parametrize("form", async_forms)
def test_map_awaits_an_async_function_inside_a_loop(form: AsyncForm) -> None:
    """Ruling 7; defect D20 (docs/rulings.md): `map(async def)` passed coroutine objects on."""
    assert emitted(lambda s: s.map(form(double)), range(5), "await") == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("form", async_forms)
def test_map_awaits_an_async_function_without_a_loop(form: AsyncForm) -> None:
    """Ruling 7 (docs/rulings.md): on a plain `Stream()` the background loop runs it, emit waits."""
    assert bounded(lambda: emitted(lambda s: s.map(form(double)), range(5))) == [0, 2, 4, 6, 8]


def test_map_keeps_the_order_of_a_slow_async_function() -> None:
    async def slow(x: int) -> int:
        await asyncio.sleep(3 - x)
        return x

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.map(slow))
            for x in range(3):
                source.emit(x)
            await settle(source.join())
        return seen

    assert run(go()) == [(3.0, 0), (5.0, 1), (6.0, 2)]


def test_map_applies_back_pressure_while_function_and_sink_run() -> None:
    async def slow(x: int) -> int:
        await asyncio.sleep(1)
        return x

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            source.map(slow).sink(slow)
            for x in range(3):
                await send(source, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 6.0


def test_map_emits_without_waiting_without_back_pressure() -> None:
    async def go() -> bool:
        async with Stream[int](asynchronous=True) as source:
            source.map(double).sink(lambda _: None)
            wait = begin(source, 1)
            await turns()
            return wait.done()

    assert run(go())


def test_map_names_itself_in_an_error() -> None:
    """Ruling 1 (docs/rulings.md): a note names node, function and element."""
    with Stream[int]() as source:
        node = source.map(fail_on(2), stream_name="careful")
        seen = node.sink_to_list()
        source.emit(1)
        with pytest.raises(Boom) as caught:
            source.emit(2)
        source.emit(3)
    assert noted(caught.value, "map", "careful", "check", "2")
    assert seen == [1, 3]


def test_map_defers_a_synchronous_failure_to_the_awaitable() -> None:
    """Defect D19 (docs/rulings.md): "error channel": one channel, the awaitable."""

    async def go() -> None:
        async with Stream[int](asynchronous=True) as source:
            source.map(fail_on(2)).sink(lambda _: None)
            wait = begin(source, 2)
            with pytest.raises(Boom):
                await wait

    run(go())


def test_map_follows_a_new_function_and_new_arguments() -> None:
    """Ruling 20 (docs/rulings.md): assignment applies from the next element on."""

    def scaled(x: int, factor: int, offset: int = 0) -> int:
        return factor * x + offset

    with Stream[int]() as source:
        node: Any = source.map(scaled, 2)
        seen: list[int] = node.sink_to_list()
        source.emit(1)
        node.args = (3,)
        source.emit(1)
        node.kwargs["offset"] = 10
        source.emit(1)
        node.kwargs = {"offset": 100}
        source.emit(1)
        node.func = lambda x, factor, offset: -x
        source.emit(1)
    assert seen == [2, 3, 13, 103, -1]


def test_map_nodes_may_share_one_dict_of_arguments() -> None:
    """Ruling 21 (docs/rulings.md): `node.kwargs = other.kwargs`, then changed in place."""

    def shifted(x: int, by: int = 0) -> int:
        return x + by

    with Stream[int]() as source:
        first: Any = source.map(shifted, by=1)
        second: Any = source.map(shifted)
        seen: list[int] = first.union(second).sink_to_list()
        second.kwargs = first.kwargs
        source.emit(0)
        first.kwargs["by"] = 5
        source.emit(0)
    assert seen == [1, 1, 5, 5]


def test_map_follows_a_new_function_that_is_async() -> None:
    async def awaited(x: int) -> int:
        await asyncio.sleep(1)
        return -x

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.map(double)
            seen: list[tuple[float, int]] = record(node)
            await send(source, 1)
            node.func = awaited
            await send(source, 1)
        return seen

    assert run(go()) == [(0.0, 2), (1.0, -1)]


@pytest.mark.parametrize("func", [3, None, "abs"])
def test_map_refuses_what_cannot_be_called(func: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.map(func), "map", "func", func)
