"""starsink: the items of an element are the arguments of the function."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    AsyncForm,
    Boom,
    Way,
    async_forms,
    bounded,
    noted,
    refused,
    send,
    through,
    ways,
)

from rapidz import Stream
from rapidz.testing import run

pairs = st.lists(st.tuples(st.integers(), st.integers()), max_size=20)


@given(pairs, ways)
def test_starsink_calls_its_function_with_the_items(xs: list[tuple[int, int]], way: Way) -> None:
    seen: list[tuple[int, int]] = []

    def build(s: Stream[tuple[int, int]]) -> Stream[tuple[int, int]]:
        s.starsink(lambda a, b: seen.append((a, b)))
        return s

    through(build, xs, way)
    assert seen == xs


def test_starsink_takes_any_iterable_and_further_arguments() -> None:
    """Defect D30 (docs/rulings.md): `starmap` on a list element."""
    seen: list[Any] = []

    def write(a: int, b: int, c: int, d: int = 0) -> None:
        seen.append((a, b, c, d))

    with Stream[list[int]]() as source:
        source.starsink(write, 3, d=4)
        source.emit([1, 2])
    assert seen == [(1, 2, 3, 4)]


@pytest.mark.parametrize("form", async_forms)
def test_starsink_awaits_an_async_function(form: AsyncForm) -> None:
    """Ruling 7 (docs/rulings.md)."""
    seen: list[Any] = []

    def write(a: int, b: int) -> None:
        seen.append((a, b))

    async def inside() -> None:
        async with Stream[tuple[int, int]](asynchronous=True) as source:
            source.starsink(form(write))
            await send(source, (1, 2))
            assert seen == [(1, 2)]

    def outside() -> None:
        with Stream[tuple[int, int]]() as source:
            source.starsink(form(write))
            source.emit((3, 4))
            assert seen == [(1, 2), (3, 4)]

    run(inside())
    bounded(outside)


def test_starsink_applies_back_pressure_while_its_function_runs() -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[tuple[int]](asynchronous=True) as source:
            source.starsink(slow)
            for x in range(3):
                await send(source, (x,))
            return asyncio.get_running_loop().time()

    assert run(go()) == 3.0


def test_starsink_names_itself_in_an_error() -> None:
    def fail(a: int, b: int) -> None:
        raise Boom((a, b))

    with Stream[tuple[int, int]]() as source:
        source.starsink(fail, stream_name="careful")
        with pytest.raises(Boom) as caught:
            source.emit((1, 2))
    assert noted(caught.value, "starsink", "careful", "fail", "(1, 2)")


def test_starsink_follows_a_new_function_and_new_arguments() -> None:
    """Ruling 20 (docs/rulings.md)."""
    seen: list[Any] = []

    def write(a: int, b: int, c: int = 0) -> None:
        seen.append((a, b, c))

    with Stream[tuple[int]]() as source:
        node: Any = source.starsink(write, 2)
        source.emit((1,))
        node.args = (3,)
        node.kwargs["c"] = 4
        source.emit((1,))
        node.func = lambda a, b, c: seen.append(a)
        source.emit((1,))
    assert seen == [(1, 2, 0), (1, 3, 4), 1]


@pytest.mark.parametrize("func", [3, None])
def test_starsink_refuses_what_cannot_be_called(func: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.starsink(func), "starsink", "func", func)
