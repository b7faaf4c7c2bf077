"""filter: the elements that satisfy a predicate."""

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
    bounded,
    emitted,
    fail_on,
    noted,
    numbers,
    odd,
    refused,
    send,
    ways,
)

from rapidz import Stream
from rapidz.testing import run


@given(numbers, ways)
def test_filter_is_the_builtin_filter(xs: list[int], way: Way) -> None:
    assert emitted(lambda s: s.filter(odd), xs, way) == [x for x in xs if odd(x)]


@given(numbers, ways)
def test_filter_without_a_predicate_asks_for_truth(xs: list[int], way: Way) -> None:
    assert emitted(lambda s: s.filter(None), xs, way) == [x for x in xs if x]


def test_filter_hands_its_further_arguments_to_the_predicate() -> None:
    def between(x: int, low: int, high: int = 10) -> bool:
        return low <= x <= high

    assert emitted(lambda s: s.filter(between, 2, high=4), range(9)) == [2, 3, 4]


def test_filter_passes_the_element_not_the_answer() -> None:
    assert emitted(lambda s: s.filter(lambda x: x or "yes"), [0, 5]) == [0, 5]


@pytest.mark.parametrize("form", async_forms)
def test_filter_awaits_an_async_predicate(form: AsyncForm) -> None:
    """Ruling 7: a coroutine object is always true, so not awaiting passes everything."""
    assert emitted(lambda s: s.filter(form(odd)), range(6), "await") == [1, 3, 5]
    assert bounded(lambda: emitted(lambda s: s.filter(form(odd)), range(6))) == [1, 3, 5]


def test_filter_applies_back_pressure_only_for_what_passes() -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            source.filter(odd).sink(slow)
            for x in range(6):
                await send(source, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 3.0


def test_filter_names_itself_in_an_error() -> None:
    with Stream[int]() as source:
        node = source.filter(fail_on(2), stream_name="careful")
        seen = node.sink_to_list()
        with pytest.raises(Boom) as caught:
            source.emit(2)
        source.emit(1)
    assert noted(caught.value, "filter", "careful", "check", "2")
    assert seen == [1]


def test_filter_follows_a_new_predicate_and_new_arguments() -> None:
    """Ruling 20 (docs/rulings.md)."""

    def above(x: int, low: int, margin: int = 0) -> bool:
        return x > low + margin

    with Stream[int]() as source:
        node: Any = source.filter(above, 5)
        seen: list[int] = node.sink_to_list()
        source.emit(4)
        node.args = (3,)
        source.emit(4)
        node.kwargs["margin"] = 1
        source.emit(4)
        node.predicate = lambda x, low, margin: x < 0
        source.emit(-4)
    assert seen == [4, -4]


@pytest.mark.parametrize("predicate", [3, "odd"])
def test_filter_refuses_what_cannot_be_called(predicate: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.filter(predicate), "filter", "predicate", predicate)
