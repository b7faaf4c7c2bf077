"""sliding_window: the last n elements, at every element."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, Way, emitted, fail_on, numbers, refused, send, ways

from rapidz import Stream
from rapidz.testing import run


@given(numbers, st.integers(1, 5), st.booleans(), ways)
def test_sliding_window_is_the_last_n(xs: list[int], n: int, partial: bool, way: Way) -> None:
    windows = [tuple(xs[max(0, i + 1 - n) : i + 1]) for i in range(len(xs))]
    got = emitted(lambda s: s.sliding_window(n, return_partial=partial), xs, way)
    assert got == [window for window in windows if partial or len(window) == n]


def test_sliding_window_emits_only_full_windows_by_default() -> None:
    """Ruling 10; ruling 21 (docs/rulings.md), difference 2: rapidz' way."""
    assert emitted(lambda s: s.sliding_window(2), range(3)) == [(0, 1), (1, 2)]


def test_sliding_window_emits_nothing_at_a_flush_and_slides_on() -> None:
    """Its elements are a memory of what has passed, not buffered elements."""
    with Stream[int]() as source:
        seen = source.sliding_window(2).sink_to_list()
        source.emit(1)
        source.flush()
        source.emit(2)
        source.flush()
    assert seen == [(1, 2)]


def test_sliding_window_slides_over_an_element_that_failed() -> None:
    """Ruling 3 (docs/rulings.md)."""
    with Stream[int]() as source:
        seen = source.sliding_window(2).map(fail_on((0, 1))).sink_to_list()
        source.emit(0)
        with pytest.raises(Boom):
            source.emit(1)
        source.emit(2)
    assert seen == [(1, 2)]


def test_sliding_window_passes_on_back_pressure_of_its_sink() -> None:
    async def slow(_: tuple[int, ...]) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            source.sliding_window(3).sink(slow)
            for x in range(5):
                await send(source, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 3.0


def test_sliding_window_keeps_its_window_through_an_edit() -> None:
    """Engine rule 1 (docs/rulings.md)."""
    with Stream[int]() as source:
        node = source.sliding_window(3)
        first = node.sink_to_list()
        source.emit(0)
        source.emit(1)
        second = node.sink_to_list()
        source.emit(2)
    assert first == second == [(0, 1, 2)]


def test_sliding_window_follows_a_new_n() -> None:
    """Ruling 20 (docs/rulings.md): a smaller window from the next element on, state shared."""
    with Stream[int]() as source:
        node: Any = source.sliding_window(3)
        seen: list[Any] = node.sink_to_list()
        for x in range(3):
            source.emit(x)
        node.n = 2
        source.emit(3)
        node.n = 3
        source.emit(4)
        source.emit(5)
    assert seen == [(0, 1, 2), (2, 3), (3, 4, 5)], "a wider window fills up first"


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None, True])
def test_sliding_window_refuses_an_n_that_is_no_positive_integer(n: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.sliding_window(n), "sliding_window", "n", n)
