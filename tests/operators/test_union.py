"""union: elements of several streams, as they come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, Way, double, emitted, fail_on, numbers, odd, refused, send, ways

import rapidz
from rapidz import Stream
from rapidz.testing import run

tagged = st.lists(st.tuples(st.integers(0, 2), st.integers()), max_size=20)


@given(tagged)
def test_union_is_everything_in_the_order_of_arrival(xs: list[tuple[int, int]]) -> None:
    sources = [Stream[int]() for _ in range(3)]
    seen = sources[0].union(*sources[1:]).sink_to_list()
    for port, x in xs:
        sources[port].emit(x)
    for source in sources:
        source.close()
    assert seen == [x for _, x in xs]


@given(numbers, ways)
def test_union_of_branches_follows_the_order_of_connection(xs: list[int], way: Way) -> None:
    """Ruling 2 (docs/rulings.md)."""
    got = emitted(lambda s: s.map(double).union(s.map(abs)), xs, way)
    assert got == [y for x in xs for y in (double(x), abs(x))]


def test_union_is_also_a_constructor_of_the_module() -> None:
    """Ruling 21 (docs/rulings.md): `rapidz.union(a, b)`."""
    with Stream[int]() as a, Stream[int]() as b:
        seen: list[Any] = rapidz.union(a, b).sink_to_list()
        a.emit(1)
        b.emit(2)
    assert seen == [1, 2]


def test_union_of_a_stream_with_itself_emits_once() -> None:
    """As in the old libraries: there is one way from a node to another."""
    assert emitted(lambda s: s.union(s), [1, 2]) == [1, 2]


def test_union_passes_the_end_on_when_all_inputs_have_ended() -> None:
    """Engine rule 4: a node with several inputs acts once all have delivered the signal."""
    a, b = Stream[int](), Stream[int]()
    seen = a.union(b).partition(3).sink_to_list()
    a.emit(1)
    a.flush()
    assert seen == []
    b.emit(2)
    b.flush()
    assert seen == [(1, 2)]
    a.close()
    b.close()


def test_union_tries_every_branch_when_one_failed_upstream() -> None:
    """Ruling 2; defect D17 (docs/rulings.md): siblings never saw the element."""
    with Stream[int]() as source:
        seen = source.map(fail_on(1)).union(source.map(double)).sink_to_list()
        with pytest.raises(Boom):
            source.emit(1)
        source.emit(2)
    assert seen == [2, 2, 4]


def test_union_passes_on_back_pressure_of_its_sink() -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            source.filter(odd).union(source.remove(odd)).sink(slow)
            for x in range(3):
                await send(source, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 3.0


def test_union_takes_another_input_while_it_runs() -> None:
    with Stream[int]() as a, Stream[int]() as b:
        node: Any = a.union()
        seen: list[int] = node.sink_to_list()
        a.emit(1)
        b.connect(node)
        b.emit(2)
        b.disconnect(node)
        b.emit(3)
        a.emit(4)
    assert seen == [1, 2, 4]


@pytest.mark.parametrize("other", [3, None, "stream"])
def test_union_refuses_what_is_no_stream(other: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.union(other), "union", "upstreams", other)
