"""unique: elements whose key has not been seen lately."""

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
    bounded,
    emitted,
    fail_on,
    feed,
    noted,
    numbers,
    refused,
    send,
    ways,
)

from rapidz import Stream
from rapidz.testing import VirtualLoop, check_operator, record, run

histories = st.one_of(st.none(), st.integers(1, 4))


def model(xs: list[Any], history: int | None, key: Any = lambda x: x) -> list[Any]:
    seen: list[Any] = []
    kept: list[Any] = []
    for x in xs:
        if key(x) not in seen[-history if history else None :]:
            seen.append(key(x))
            kept.append(x)
    return kept


@given(numbers, histories, ways)
def test_unique_remembers_first_in_first_out(xs: list[int], history: int | None, way: Way) -> None:
    """Ruling 11 (docs/rulings.md): `history=` is first-in first-out."""
    assert emitted(lambda s: s.unique(history=history), xs, way) == model(xs, history)


@given(numbers, histories, ways)
def test_unique_works_on_unhashable_elements(xs: list[int], history: int | None, way: Way) -> None:
    """Ruling 11 (docs/rulings.md): unhashable elements work."""
    lists = [[x] for x in xs]
    assert emitted(lambda s: s.unique(history=history), lists, way) == model(lists, history)


@given(numbers, histories)
def test_unique_works_when_only_some_elements_are_hashable(
    xs: list[int], history: int | None
) -> None:
    mixed = [x if x % 2 else [x] for x in xs]
    assert emitted(lambda s: s.unique(history=history), mixed) == model(mixed, history)


def test_unique_forgets_by_first_appearance_not_by_last_use() -> None:
    """Defect D50: `[1,2,1,3,2,1]` with 2 gives [1,2,3,1]; streamz' way gives [1,2,3,2,1]."""
    assert emitted(lambda s: s.unique(history=2), [1, 2, 1, 3, 2, 1]) == [1, 2, 3, 1]


def test_unique_with_maxsize_forgets_by_last_use() -> None:
    """Promise 1 and ruling 11: the spelling of streamz keeps the meaning of streamz."""
    assert emitted(lambda s: s.unique(maxsize=2), [1, 2, 1, 3, 2, 1]) == [1, 2, 3, 2, 1]
    lists = [[x] for x in [1, 2, 1, 3, 2, 1]]
    assert emitted(lambda s: s.unique(maxsize=2), lists) == [[1], [2], [3], [2], [1]]


def test_unique_accepts_the_options_of_streamz() -> None:
    """Ruling 11 (docs/rulings.md): `maxsize=` and `hashable=` accepted."""
    assert emitted(lambda s: s.unique(maxsize=1, hashable=False), [[1], [1], [2], [1]]) == [
        [1],
        [2],
        [1],
    ]
    assert emitted(lambda s: s.unique(hashable=True), [1, 1, 2]) == [1, 2]


@given(numbers, histories, ways)
def test_unique_compares_keys(xs: list[int], history: int | None, way: Way) -> None:
    def magnitude(x: int) -> int:
        return abs(x)

    got = emitted(lambda s: s.unique(history=history, key=magnitude), xs, way)
    assert got == model(xs, history, abs)


def test_unique_does_not_remember_an_element_whose_key_failed() -> None:
    """Ruling 3 (docs/rulings.md)."""
    calls: list[int] = []

    def fails_first(x: int) -> int:
        calls.append(x)
        if len(calls) == 1:
            raise Boom(x)
        return x

    with Stream[int]() as source:
        node = source.unique(key=fails_first, stream_name="careful")
        seen = node.sink_to_list()
        with pytest.raises(Boom) as caught:
            source.emit(1)
        source.emit(1)
        source.emit(1)
    assert noted(caught.value, "unique", "careful", "fails_first", "1")
    assert seen == [1]


def test_unique_remembers_an_element_that_failed_downstream() -> None:
    """Ruling 3 (docs/rulings.md): its own function returned, so the state is committed."""
    with Stream[int]() as source:
        seen = source.unique().map(fail_on(1)).sink_to_list()
        with pytest.raises(Boom):
            source.emit(1)
        source.emit(1)
        source.emit(2)
    assert seen == [2]


def test_unique_follows_new_configuration() -> None:
    """Ruling 20; ruling 21 (docs/rulings.md) names `key` and `seen`."""
    with Stream[int]() as source:
        node: Any = source.unique()
        seen: list[int] = node.sink_to_list()
        source.emit(1)
        source.emit(1)
        node.seen.clear()
        source.emit(1)
        node.key = abs
        source.emit(-1)
        source.emit(-2)
        source.emit(2)
    assert seen == [1, 1, -2]


def test_unique_forgets_unhashable_keys_when_seen_is_cleared() -> None:
    """The same, once a key has come that cannot be hashed."""
    with Stream[Any]() as source:
        node: Any = source.unique()
        seen: list[Any] = node.sink_to_list()
        for x in (1, [2], 1, [2]):
            source.emit(x)
        node.seen.clear()
        for x in (1, [2]):
            source.emit(x)
    assert seen == [1, [2], 1, [2]]


@pytest.mark.parametrize("history", [0, -1, 1.5, "2", True])
def test_unique_refuses_a_history_that_is_no_positive_integer(history: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.unique(history=history), "unique", "history", history)
    refused(lambda s: s.unique(maxsize=history), "unique", "maxsize", history)


def test_unique_refuses_two_different_bounds() -> None:
    source: Stream[int] = Stream()
    with pytest.raises((TypeError, ValueError), match="unique: "):
        source.unique(history=2, maxsize=3)


def test_unique_within_a_span_is_a_conforming_node() -> None:
    check_operator(lambda s: s.unique(within="1h"), [1, 2, 1, 3, 2], outputs=[1, 2, 3])


keyed_gaps = st.lists(
    st.tuples(st.integers(0, 6).map(lambda quarters: quarters / 4), st.integers(0, 3)), max_size=20
)


def recent(
    coming: list[tuple[float, Any]], within: float, history: int | None = None
) -> list[tuple[float, Any]]:
    """What is emitted: an element whose key was not emitted within the span before it."""
    out: list[tuple[float, Any]] = []
    for at, x in coming:
        known = [key for instant, key in out if at - instant < within]
        if x not in (known if history is None else known[-history:]):
            out.append((at, x))
    return out


@given(keyed_gaps, st.integers(1, 8), histories, st.booleans())
def test_unique_remembers_what_it_emitted_within_the_span(
    coming: list[tuple[float, int]], quarters: int, history: int | None, hashable: bool
) -> None:
    """From the last one emitted: what is dropped prolongs nothing.  With `history`, both bounds."""
    instants = [sum(gap for gap, _ in coming[: i + 1]) for i in range(len(coming))]
    elements = [x if hashable else [x] for _, x in coming]
    arrivals: list[tuple[float, Any]] = list(zip(instants, elements, strict=True))

    async def go() -> tuple[list[tuple[float, Any]], int]:
        async with Stream[Any](asynchronous=True) as source:
            node: Any = source.unique(history, within=quarters / 4)
            seen: list[tuple[float, Any]] = record(node)
            await feed(source, arrivals)
            return seen, len(node.seen)

    seen, remembered = run(go())
    assert seen == recent(arrivals, quarters / 4, history)
    last = instants[-1] if instants else 0.0
    alive = [x for at, x in seen if last - at < quarters / 4]
    assert remembered <= (len(alive) if history is None else history)


async def test_unique_passes_a_key_exactly_one_span_after_it_was_emitted() -> None:
    async with Stream[str](asynchronous=True) as source:
        seen = record(source.unique(within="1h"))
        await feed(source, [(0, "a"), (1800, "a"), (3599.75, "a"), (3600, "a"), (5400, "a")])
    assert seen == [(0.0, "a"), (3600.0, "a")]


def test_unique_within_a_span_needs_no_loop() -> None:
    """Ruling 6 (docs/rulings.md): it runs in the thread that emits, by the monotonic clock."""

    def go() -> list[int]:
        with Stream[int]() as source:
            seen = source.unique(within=0.05).sink_to_list()
            assert source.emit(1) is None
            source.emit_many([1, 2, 1])
            time.sleep(0.06)
            source.emit_many([2, 3])
        return seen

    assert bounded(go) == [1, 2, 2, 3]


async def test_unique_keeps_its_memory_bounded_by_the_span() -> None:
    async with Stream[int](asynchronous=True) as source:
        node: Any = source.unique(within=10)
        for x in range(1_000):
            await send(source, x)
            await asyncio.sleep(1)
            assert len(node.seen) <= 10
        assert list(node.seen) == list(range(990, 1_000))


async def test_unique_follows_a_new_span_and_forgets_on_request() -> None:
    """Ruling 20; ruling 21 (docs/rulings.md) names `seen`."""
    async with Stream[int](asynchronous=True) as source:
        node: Any = source.unique(within=10)
        seen: list[tuple[float, int]] = record(node)
        await feed(source, [(0.0, 1), (5.0, 1)])
        node.within = "3s"
        await feed(source, [(5.0, 1), (6.0, 1)])
        assert 1 in node.seen
        node.seen.clear()
        await feed(source, [(6.0, 1)])
        with pytest.raises(ValueError, match="unique: within must be"):
            node.within = 0
        assert node.within == 3.0
    assert seen == [(0.0, 1), (5.0, 1), (6.0, 1)]


async def test_unique_counts_the_span_of_an_unhashable_key_too() -> None:
    async with Stream[Any](asynchronous=True) as source:
        node: Any = source.unique(within=2)
        seen: list[Any] = record(node)
        await feed(source, [(0.0, 1), (1.0, [2]), (1.5, 1), (2.0, 1), (2.5, [2]), (3.0, [2])])
        node.seen.clear()
        await feed(source, [(3.0, 1), (3.5, 1)])
    assert seen == [(0.0, 1), (1.0, [2]), (2.0, 1), (3.0, [2]), (3.0, 1)]


def test_unique_within_a_span_works_in_a_second_loop() -> None:
    """The clock of the second loop begins anew: no time has passed between them."""
    source = Stream[int](asynchronous=True)
    seen = source.unique(within=10).sink_to_list()

    async def sent(seconds: float, *xs: int) -> None:
        await asyncio.sleep(seconds)
        for x in xs:
            await send(source, x)

    for part in (sent(100, 1), sent(0, 1, 2), sent(50, 1)):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(part)
    assert seen == [1, 2, 1]


@pytest.mark.parametrize("within", [0, -1, "soon", [1]])
def test_unique_refuses_what_is_no_positive_span(within: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.unique(within=within), "unique", "within", within)


def test_unique_refuses_a_span_that_it_cannot_take_up() -> None:
    """Ruling 19 (docs/rulings.md)."""
    with pytest.raises(ValueError, match="unique: maxsize must not be given with within, got 3"):
        Stream[int]().unique(maxsize=3, within="1h")
    node: Any = Stream[int]().unique()
    with pytest.raises(ValueError, match="unique: within must be given when the node is built"):
        node.within = 3
