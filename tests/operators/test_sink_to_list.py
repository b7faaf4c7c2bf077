"""sink_to_list: everything that comes, in a list."""

from __future__ import annotations

import gc

from hypothesis import given
from tests.support import Way, numbers, send, through, ways

from rapidz import Stream
from rapidz.testing import run


@given(numbers, ways)
def test_sink_to_list_fills_the_list_it_returned(xs: list[int], way: Way) -> None:
    before, in_all = through(lambda s: s, xs, way)
    assert before == in_all == xs


def test_sink_to_list_returns_a_plain_list_at_once() -> None:
    with Stream[int]() as source:
        seen = source.sink_to_list()
        assert type(seen) is list
        assert seen == []


def test_sink_to_list_needs_no_reference() -> None:
    """Ruling 8 (docs/rulings.md)."""
    with Stream[int]() as source:
        seen = source.map(abs).sink_to_list()
        gc.collect()
        source.emit(-1)
    assert seen == [1]


def test_sink_to_list_may_be_cleared_between_elements() -> None:
    with Stream[int]() as source:
        seen = source.sink_to_list()
        source.emit(1)
        seen.clear()
        source.emit(2)
    assert seen == [2]


def test_sink_to_list_has_the_element_when_emit_is_done() -> None:
    async def go() -> list[int]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.sink_to_list()
            await send(source, 1)
            assert seen == [1]
        return seen

    assert run(go()) == [1]
