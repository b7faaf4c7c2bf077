"""zip_latest: every element of one stream, with the newest of the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, begin, bounded, fail_on, send, turns

import rapidz
from rapidz import Stream
from rapidz.testing import run

tagged = st.lists(st.tuples(st.integers(0, 2), st.integers()), max_size=20)


def zip_latest_of(*streams: Any, **options: Any) -> Any:
    return rapidz.zip_latest(*streams, **options)


@given(tagged)
def test_zip_latest_loses_nothing_of_its_first_input(xs: list[tuple[int, int]]) -> None:
    sources = [Stream[int]() for _ in range(3)]
    seen: list[Any] = zip_latest_of(*sources).sink_to_list()
    last: dict[int, int] = {}
    held: list[int] = []
    wanted: list[tuple[int, ...]] = []
    for port, x in xs:
        sources[port].emit(x)
        if port == 0:
            held.append(x)
        else:
            last[port] = x
        if len(last) == 2:
            wanted += [(y, last[1], last[2]) for y in held]
            held = []
    assert seen == wanted
    for source in sources:
        source.close()


def test_zip_latest_works_on_a_stream_with_a_loop() -> None:
    """Defect D16: TypeError: unhashable type 'list' from `emit`: unusable there."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as a, Stream[str](asynchronous=True) as b:
            seen: list[Any] = zip_latest_of(a, b).sink_to_list()
            await send(a, 1)
            await send(b, "x")
            await send(a, 2)
            await send(b, "y")
            await send(a, 3)
        return seen

    assert run(go()) == [(1, "x"), (2, "x"), (3, "y")]


def test_zip_latest_works_on_the_background_loop() -> None:
    """The same row, with the loop in its own thread."""

    def go() -> list[Any]:
        with Stream[int](asynchronous=False) as a, Stream[str](asynchronous=False) as b:
            seen: list[Any] = zip_latest_of(a, b).sink_to_list()
            a.emit(1)
            b.emit("x")
            a.emit(2)
        return seen

    assert bounded(go) == [(1, "x"), (2, "x")]


def test_zip_latest_takes_none_for_a_value() -> None:
    with Stream[int]() as a, Stream[Any]() as b:
        seen: list[Any] = zip_latest_of(a, b).sink_to_list()
        b.emit(None)
        a.emit(1)
    assert seen == [(1, None)]


def test_zip_latest_of_a_stream_with_itself() -> None:
    """An element that enters at two ports counts once, at both: no mixture of old and new."""
    with Stream[int]() as source:
        seen: list[Any] = source.zip_latest(source).sink_to_list()
        for x in range(3):
            source.emit(x)
    assert seen == [(0, 0), (1, 1), (2, 2)]


def test_zip_latest_applies_back_pressure_to_the_lossless_side() -> None:
    """Ruling 12 (docs/rulings.md): bounded."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as a, Stream[str](asynchronous=True) as b:
            seen: list[Any] = zip_latest_of(a, b, maxsize=2).sink_to_list()
            waits = [begin(a, x) for x in range(3)]
            await turns()
            assert [wait.done() for wait in waits] == [True, True, False]
            await send(b, "x")
            await waits[2]
        return seen

    assert run(go()) == [(0, "x"), (1, "x"), (2, "x")]


def test_zip_latest_never_applies_back_pressure_to_other_sides() -> None:
    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as a, Stream[int](asynchronous=True) as b:
            seen: list[Any] = zip_latest_of(a, b, maxsize=1).sink_to_list()
            for x in range(10):
                await send(b, x)
            await send(a, 0)
        return seen

    assert run(go()) == [(0, 9)]


def test_zip_latest_passes_on_back_pressure_of_its_sink() -> None:
    async def slow(_: object) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as a, Stream[int](asynchronous=True) as b:
            zip_latest_of(a, b).sink(slow)
            await send(b, 0)
            for x in range(3):
                await send(a, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 3.0


def test_zip_latest_emits_what_is_possible_when_an_input_is_removed() -> None:
    """Ruling 12 (docs/rulings.md): an input can be removed at any time."""
    a, b, c = Stream[int](), Stream[int](), Stream[int]()
    node = zip_latest_of(a, b, c)
    seen: list[Any] = node.sink_to_list()
    a.emit(1)
    b.emit(2)
    assert seen == []
    c.disconnect(node)
    assert seen == [(1, 2)]
    a.emit(3)
    assert seen[1:] == [(3, 2)]
    for source in (a, b, c):
        source.close()


def test_zip_latest_goes_on_after_a_failure_downstream() -> None:
    """Every buffered element is tried, and nothing is emitted twice; rulings 2 and 3."""
    with Stream[int]() as a, Stream[int]() as b:
        seen: list[Any] = zip_latest_of(a, b).map(fail_on((1, 9))).sink_to_list()
        for x in range(3):
            a.emit(x)
        with pytest.raises(Boom):
            b.emit(9)
        a.emit(3)
    assert seen == [(0, 9), (2, 9), (3, 9)]


def test_zip_latest_may_be_emptied_while_it_runs() -> None:
    """Ruling 20; ruling 21 (docs/rulings.md): `zip_latest_node.lossless_buffer.clear()`."""
    with Stream[int]() as a, Stream[int]() as b:
        node = zip_latest_of(a, b)
        seen: list[Any] = node.sink_to_list()
        a.emit(1)
        node.lossless_buffer.clear()
        a.emit(2)
        b.emit(9)
    assert seen == [(2, 9)]


def test_zip_latest_may_forget_an_input_while_it_runs() -> None:
    """Ruling 21 (docs/rulings.md): `last` and `missing`."""
    with Stream[int]() as a, Stream[int]() as b:
        node = zip_latest_of(a, b)
        seen: list[Any] = node.sink_to_list()
        b.emit(9)
        a.emit(1)
        node.last[1] = None
        node.missing.add(b)
        a.emit(2)
        b.emit(8)
    assert seen == [(1, 9), (2, 8)]


@pytest.mark.parametrize("maxsize", [0, -1, 1.5, "2", None])
def test_zip_latest_refuses_a_maxsize_that_is_no_positive_integer(maxsize: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    with pytest.raises((TypeError, ValueError), match=r"^zip_latest: maxsize must be .+, got "):
        zip_latest_of(Stream(), Stream(), maxsize=maxsize)


@pytest.mark.parametrize("other", [3, None])
def test_zip_latest_refuses_what_is_no_stream(other: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^zip_latest: .+ must be .+, got "):
        zip_latest_of(Stream(), other)
