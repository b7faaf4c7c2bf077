"""Awaitables of functions that are not `async def`: refused, or awaited."""

from __future__ import annotations

import asyncio
import operator
from typing import Any

import pytest
from tests.support import send

from rapidz import Stream
from rapidz.kernel.runtime.awaitables import may_return_coroutine
from rapidz.testing import run


async def later(x: Any, *more: Any) -> Any:
    return x


HOWS: list[dict[str, Any]] = [{}, {"asynchronous": True}]
RULE = "must be `async def` to be awaited, got a function that is not and returned a coroutine"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("name", "args", "x"),
    [
        ("filter", (lambda x: later(x),), 1),
        ("remove", (lambda x: later(x),), 1),
        ("map", (lambda x: later(x),), 1),
        ("starmap", (lambda x: later(x),), (1,)),
        ("accumulate", (lambda total, x: later(x), 0), 1),
    ],
)
def test_a_coroutine_that_nothing_awaits_is_refused_with_what_to_do(
    how: dict[str, Any], name: str, args: tuple[Any, ...], x: Any
) -> None:
    async def go() -> None:
        source = Stream[Any](**how)
        node = getattr(source, name)(*args)
        seen = node.sink_to_list()
        for _ in range(2):
            with pytest.raises(TypeError) as caught:
                await send(source, x)
            assert str(caught.value).startswith(f"{name}: ")
            assert RULE in str(caught.value)
            kind = "filter" if name == "remove" else name
            assert f"raised in <{kind}" in caught.value.__notes__[0]
        assert seen == []
        node.on_error("skip")
        await send(source, x)
        assert node.skipped == 1

    run(go())


@pytest.mark.parametrize("how", HOWS)
def test_a_predicate_is_looked_at_with_every_element(how: dict[str, Any]) -> None:
    async def go() -> None:
        source = Stream[int](**how)
        seen = source.filter(lambda x: later(x) if x == 3 else x % 2 == 0).sink_to_list()
        for x in (0, 1, 2):
            await send(source, x)
        with pytest.raises(TypeError, match="filter: predicate must be"):
            await send(source, 3)
        assert seen == [0, 2]

    run(go())


def test_a_predicate_may_return_anything_else() -> None:
    source = Stream[Any]()
    seen = source.filter(lambda x: list(x)).sink_to_list()
    source.emit_many(["", "a", (), (0,)])
    assert seen == ["a", (0,)]


def test_futures_are_elements_for_map_and_not_for_filter() -> None:
    async def go() -> None:
        source = Stream[int](asynchronous=True)
        seen = source.map(lambda x: asyncio.ensure_future(later(x))).map_async(later).sink_to_list()
        await source.emit(1)
        await source.join()
        assert [await future for future in seen] == [1]
        other = Stream[int](asynchronous=True)
        other.filter(lambda x: asyncio.ensure_future(later(x))).sink(print)
        with pytest.raises(TypeError, match="returned a Task"):
            await other.emit(1)

    run(go())


def test_a_function_that_is_assigned_later_is_looked_at_too() -> None:
    source = Stream[int]()
    node = source.map(lambda x: str(x))
    seen = node.sink_to_list()
    source.emit(1)
    node.func = lambda x: later(x)
    with pytest.raises(TypeError, match="map: func must be"):
        source.emit(2)
    assert seen == ["1"]


def synchronous(x: Any) -> Any:
    return abs(int(x)) + 1


def forwarding(x: Any) -> Any:
    return later(x)


def test_what_cannot_return_a_coroutine_is_not_looked_at() -> None:
    cannot = [lambda x: x + 1, operator.add, int, str.upper, max, synchronous]
    cannot.append(lambda x: synchronous(x))
    could = [lambda x: later(x), lambda x: forwarding(x), lambda x: x.method(), later]
    assert [may_return_coroutine(func) for func in cannot] == [False] * 7
    assert [may_return_coroutine(func) for func in could] == [True] * 4


def test_a_function_that_calls_itself_is_looked_through_as_far_as_it_goes() -> None:
    def again(x: int) -> Any:
        return again(x - 1) if x else x

    source = Stream[int]()
    seen = source.map(again).filter(lambda x: again(x) == 0).sink_to_list()
    source.emit(3)
    assert seen == [0]
