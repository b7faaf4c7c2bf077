"""sliding_window: the last n elements, at every element."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    Boom,
    Way,
    arrivals,
    bounded,
    emitted,
    fail_on,
    feed,
    gaps,
    numbers,
    refused,
    send,
    ways,
)

from rapidz import RefCounter, Stream
from rapidz.testing import VirtualLoop, check_operator, record, run


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


def test_sliding_window_of_a_time_is_a_conforming_node() -> None:
    windows = [tuple(range(i + 1)) for i in range(4)]
    check_operator(lambda s: s.sliding_window(time="1h"), range(4), outputs=windows)
    check_operator(
        lambda s: s.sliding_window(3, time="1h"), range(4), outputs=[(0, 1, 2), (1, 2, 3)]
    )


@given(gaps, st.integers(1, 12), st.one_of(st.none(), st.integers(1, 4)), st.booleans())
def test_sliding_window_contains_the_elements_of_the_last_time(
    distances: list[float], quarters: int, n: int | None, partial: bool
) -> None:
    """An element that is exactly as old as the time is out; with *n* both are bounds."""
    coming, span = arrivals(distances), quarters / 4

    async def go() -> list[tuple[float, tuple[int, ...]]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.sliding_window(n, partial, time=span))
            await feed(source, coming)
        return seen

    wanted: list[tuple[float, tuple[int, ...]]] = []
    for at, x in coming:
        window = tuple(y for instant, y in coming[: x + 1] if at - instant < span)
        window = window if n is None else window[-n:]
        if n is None or partial or len(window) == n:
            wanted.append((at, window))
    assert run(go()) == wanted


async def test_sliding_window_of_n_and_a_time_tells_of_many_in_a_short_time() -> None:
    async with Stream[int](asynchronous=True) as source:
        seen = record(source.sliding_window(3, time="1 min"))
        await feed(source, [(0, 0), (50, 1), (70, 2), (109, 3), (111, 4), (112, 5)])
    assert seen == [(109.0, (1, 2, 3)), (111.0, (2, 3, 4)), (112.0, (3, 4, 5))]


def test_sliding_window_of_a_time_needs_no_loop() -> None:
    """Ruling 6 (docs/rulings.md): it runs in the thread that emits, by the monotonic clock."""

    def go() -> list[tuple[int, ...]]:
        with Stream[int]() as source:
            seen = source.sliding_window(time=0.05).sink_to_list()
            assert source.emit(0) is None
            source.emit_many([1, 2])
            time.sleep(0.06)
            source.emit_many([3, 4])
        return seen

    assert bounded(go) == [(0,), (0, 1), (0, 1, 2), (3,), (3, 4)]


async def test_sliding_window_follows_a_new_time() -> None:
    """Ruling 20 (docs/rulings.md): a longer time fills up first."""
    async with Stream[int](asynchronous=True) as source:
        node: Any = source.sliding_window(time=10)
        seen: list[tuple[float, Any]] = record(node)
        await feed(source, [(0, 0), (1, 1), (2, 2)])
        node.time = "1s"
        await feed(source, [(2.5, 3)])
        node.time = 10
        node.n = 2
        node.return_partial = True
        await feed(source, [(3, 4)])
        node.n = None
        await feed(source, [(4, 5)])
    assert [window for _, window in seen][3:] == [(2, 3), (3, 4), (4, 5)]


async def test_sliding_window_of_a_time_releases_the_counters_of_what_leaves_it() -> None:
    counters = [RefCounter() for _ in range(4)]
    async with Stream[int](asynchronous=True) as source:
        node = source.sliding_window(time=10)
        node.sink(lambda _: None)
        for x, counter in enumerate(counters):
            source.emit(x, metadata=[{"ref": counter}])
            await asyncio.sleep(5)
        assert [counter.count > 0 for counter in counters] == [False, False, True, True]


def test_sliding_window_of_a_time_works_in_a_second_loop() -> None:
    """The clock of the second loop begins anew: no time has passed between them."""
    source = Stream[int](asynchronous=True)
    seen = source.sliding_window(time=10).sink_to_list()

    async def sent(seconds: float, *xs: int) -> None:
        await asyncio.sleep(seconds)
        for x in xs:
            await send(source, x)

    for part in (sent(100, 1), sent(6, 2), sent(50, 3)):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(part)
    assert seen == [(1,), (1, 2), (3,)]


@pytest.mark.parametrize("time", [0, -1, "soon", [1]])
def test_sliding_window_refuses_what_is_no_positive_time(time: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.sliding_window(time=time), "sliding_window", "time", time)


def test_sliding_window_refuses_a_time_that_it_cannot_take_up() -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.sliding_window(0, time=1), "sliding_window", "n", 0)
    node: Any = Stream[int]().sliding_window(3)
    with pytest.raises(ValueError, match="sliding_window: time must be given when the node is"):
        node.time = 3
    with pytest.raises(TypeError, match="sliding_window: n must be an int >= 1, got None"):
        node.n = None
