"""debounce: the newest element, once no other has arrived for an interval."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import arrivals, feed, gaps, refused, send, settle

from rapidz import Stream
from rapidz.testing import check_operator, record, run

intervals = st.integers(1, 8).map(lambda quarters: quarters / 4)


def test_debounce_is_a_conforming_node() -> None:
    check_operator(lambda stream: stream.debounce(1), range(6), outputs=[5])


@given(gaps, intervals)
def test_debounce_emits_an_element_that_none_follows_in_time(
    distances: list[float], interval: float
) -> None:
    coming = arrivals(distances)

    async def go() -> tuple[list[tuple[float, int]], int]:
        async with Stream[int](asynchronous=True) as source:
            node = source.debounce(interval)
            seen = record(node)
            await feed(source, coming)
            await settle(source.join())
            return seen, node.dropped

    followed = [*pairwise(coming), (coming[-1], (float("inf"), 0))]
    wanted = [(at + interval, x) for (at, x), (after, _) in followed if after >= at + interval]
    assert run(go()) == (wanted, len(coming) - len(wanted))


def test_debounce_emits_each_element_that_arrives_alone() -> None:
    async def go() -> list[tuple[float, str]]:
        async with Stream[str](asynchronous=True) as source:
            seen = record(source.debounce("500ms"))
            await feed(source, [(0.0, "a"), (0.5, "b"), (0.75, "c"), (3.0, "d")])
            await settle(source.join())
        return seen

    assert run(go()) == [(0.5, "a"), (1.25, "c"), (3.5, "d")]


def test_debounce_follows_a_new_interval() -> None:
    """Ruling 20 (docs/rulings.md): from the next element on."""

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.debounce(1)
            seen: list[tuple[float, int]] = record(node)
            await send(source, 0)
            node.interval = "3s"
            await settle(source.join())
            await send(source, 1)
            await settle(source.join())
        return seen

    assert run(go()) == [(1.0, 0), (4.0, 1)]


@pytest.mark.parametrize("interval", [0, -1, "soon", None, [1]])
def test_debounce_refuses_what_is_no_positive_interval(interval: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.debounce(interval), "debounce", "interval", interval)
