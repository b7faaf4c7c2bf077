"""combine_latest: the newest elements of several streams, whenever one changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, fail_on, send

import rapidz
from rapidz import Stream
from rapidz.testing import run

tagged = st.lists(st.tuples(st.integers(0, 2), st.integers()), max_size=20)
ports = st.one_of(st.none(), st.sets(st.integers(0, 2), min_size=1))


def combine_latest_of(*streams: Any, **options: Any) -> Any:
    return rapidz.combine_latest(*streams, **options)


@given(tagged, ports, st.booleans())
def test_combine_latest_emits_whenever_one_changes(
    xs: list[tuple[int, int]], emit_on: set[int] | None, by_stream: bool
) -> None:
    """Ruling 12 (docs/rulings.md): `emit_on` takes indices and streams."""
    sources = [Stream[int]() for _ in range(3)]
    chosen: Any = emit_on if emit_on is None else sorted(emit_on)
    if chosen and by_stream:
        chosen = [sources[port] for port in chosen]
    seen: list[Any] = combine_latest_of(*sources, emit_on=chosen).sink_to_list()
    last: dict[int, int] = {}
    wanted: list[tuple[int, ...]] = []
    for port, x in xs:
        sources[port].emit(x)
        last[port] = x
        if len(last) == 3 and (emit_on is None or port in emit_on):
            wanted.append((last[0], last[1], last[2]))
    assert seen == wanted
    for source in sources:
        source.close()


@pytest.mark.parametrize("spelling", ["index", "stream", "list"])
def test_combine_latest_takes_one_input_to_emit_on(spelling: str) -> None:
    with Stream[int]() as a, Stream[int]() as b:
        emit_on: Any = {"index": 1, "stream": b, "list": [b]}[spelling]
        seen: list[Any] = a.combine_latest(b, emit_on=emit_on).sink_to_list()
        a.emit(1)
        b.emit(2)
        a.emit(3)
        b.emit(4)
    assert seen == [(1, 2), (3, 4)]


def test_combine_latest_of_a_stream_with_itself() -> None:
    """Defect D28 (docs/rulings.md): `s.combine_latest(s)`: TypeError; right: works.

    An element that enters at two ports counts once, at both: no mixture of old and new.
    """
    with Stream[int]() as source:
        seen: list[Any] = source.combine_latest(source).sink_to_list()
        source.emit(1)
        source.emit(2)
    assert seen == [(1, 1), (2, 2)]


def test_combine_latest_takes_none_for_a_value() -> None:
    with Stream[Any]() as a, Stream[Any]() as b:
        seen: list[Any] = a.combine_latest(b).sink_to_list()
        a.emit(None)
        b.emit(1)
    assert seen == [(None, 1)]


def test_combine_latest_goes_on_when_an_input_is_removed() -> None:
    """Defect D28: disconnect an input that has emitted: KeyError; right: works."""
    a, b, c = Stream[int](), Stream[int](), Stream[int]()
    node = combine_latest_of(a, b, c)
    seen: list[Any] = node.sink_to_list()
    for x, source in enumerate((a, b, c)):
        source.emit(x)
    b.disconnect(node)
    a.emit(5)
    assert seen == [(0, 1, 2), (5, 2)]
    for source in (a, b, c):
        source.close()


def test_combine_latest_waits_no_longer_for_an_input_that_is_removed() -> None:
    a, b, c = Stream[int](), Stream[int](), Stream[int]()
    node = combine_latest_of(a, b, c)
    seen: list[Any] = node.sink_to_list()
    a.emit(1)
    b.emit(2)
    c.disconnect(node)
    a.emit(3)
    assert seen == [(3, 2)]
    for source in (a, b, c):
        source.close()


def test_combine_latest_takes_another_input_while_it_runs() -> None:
    """Defect D51 (docs/rulings.md): in rapidz an IndexError."""
    a, b, c = Stream[int](), Stream[int](), Stream[int]()
    node = combine_latest_of(a, b)
    seen: list[Any] = node.sink_to_list()
    a.emit(1)
    b.emit(2)
    c.connect(node)
    a.emit(3)
    c.emit(4)
    assert seen == [(1, 2), (3, 2, 4)]
    for source in (a, b, c):
        source.close()


def test_combine_latest_keeps_emit_on_by_stream_when_inputs_move() -> None:
    """`emit_on=c` still means c after an input before it has gone."""
    a, b, c = Stream[int](), Stream[int](), Stream[int]()
    node = combine_latest_of(a, b, c, emit_on=c)
    seen: list[Any] = node.sink_to_list()
    for x, source in enumerate((a, b, c)):
        source.emit(x)
    a.disconnect(node)
    b.emit(5)
    c.emit(6)
    assert seen == [(0, 1, 2), (5, 6)]
    for source in (a, b, c):
        source.close()


def test_combine_latest_keeps_its_value_when_downstream_failed() -> None:
    """Ruling 3 (docs/rulings.md)."""
    with Stream[int]() as a, Stream[int]() as b:
        seen: list[Any] = a.combine_latest(b).map(fail_on((1, 2))).sink_to_list()
        a.emit(1)
        with pytest.raises(Boom):
            b.emit(2)
        a.emit(3)
    assert seen == [(3, 2)]


def test_combine_latest_passes_on_back_pressure_of_its_sink() -> None:
    async def slow(_: object) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as a, Stream[int](asynchronous=True) as b:
            a.combine_latest(b).sink(slow)
            await send(a, 0)
            await send(b, 0)
            await send(a, 1)
            return asyncio.get_running_loop().time()

    assert run(go()) == 2.0


def test_combine_latest_may_forget_an_input_while_it_runs() -> None:
    """Ruling 20; ruling 21: `last[p] = None` with `missing.add(node.upstreams[p])`."""
    with Stream[int]() as a, Stream[int]() as b:
        node: Any = a.combine_latest(b)
        seen: list[Any] = node.sink_to_list()
        a.emit(1)
        b.emit(2)
        node.last[0] = None
        node.missing.add(node.upstreams[0])
        b.emit(3)
        a.emit(4)
    assert seen == [(1, 2), (4, 3)]


def test_combine_latest_runs_the_first_input_before_its_siblings() -> None:
    """The contract: `first=`."""
    with Stream[int]() as a, Stream[int]() as b:
        order: list[Any] = []
        a.sink(lambda _: order.append("sibling"))
        node = combine_latest_of(a, b, first=a)
        node.sink(order.append)
        b.emit(2)
        a.emit(1)
    assert order == [(1, 2), "sibling"]


@pytest.mark.parametrize("emit_on", [2, -1, "a", 1.5, [0, 7]])
def test_combine_latest_refuses_an_emit_on_that_is_no_input(emit_on: Any) -> None:
    """Defect D28: foreign `emit_on`: accepted and never emits; right: ValueError at build."""
    with pytest.raises((TypeError, ValueError), match=r"^combine_latest: emit_on must be .+, got "):
        combine_latest_of(Stream(), Stream(), emit_on=emit_on)


def test_combine_latest_refuses_a_foreign_stream_to_emit_on() -> None:
    with pytest.raises(ValueError, match=r"^combine_latest: emit_on must be .+, got "):
        combine_latest_of(Stream(), Stream(), emit_on=Stream())
