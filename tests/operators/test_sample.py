"""sample: the newest element at each interval, if there is a new one."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import arrivals, feed, gaps, refused, send, settle

from rapidz import Stream
from rapidz.testing import check_operator, record, run

intervals = st.integers(1, 8).map(lambda quarters: quarters / 4)


def test_sample_is_a_conforming_node() -> None:
    check_operator(lambda stream: stream.sample(1), range(6), outputs=[5])


@given(gaps, intervals)
def test_sample_emits_the_newest_element_of_each_interval(
    distances: list[float], interval: float
) -> None:
    coming = arrivals(distances)

    async def go() -> tuple[list[tuple[float, int]], int]:
        async with Stream[int](asynchronous=True) as source:
            node = source.sample(interval)
            seen = record(node)
            await feed(source, coming)
            await settle(source.join())
            return seen, node.dropped

    newest = {(math.floor(at / interval) + 1) * interval: x for at, x in coming}
    assert run(go()) == (list(newest.items()), len(coming) - len(newest))


def test_sample_counts_its_intervals_from_the_first_use() -> None:
    async def go() -> list[tuple[float, str]]:
        async with Stream[str](asynchronous=True) as source:
            seen = record(source.sample(1))
            await feed(source, [(0.25, "a"), (0.5, "b"), (1.5, "c")])
            await settle(source.join())
        return seen

    assert run(go()) == [(1.25, "b"), (2.25, "c")]


def test_sample_keeps_its_cadence_before_a_slow_sink() -> None:
    """An interval without capacity passes without an element."""
    seen: list[tuple[float, int]] = []

    async def slow(x: int) -> None:
        seen.append((asyncio.get_running_loop().time(), x))
        await asyncio.sleep(1.5)

    async def go() -> None:
        async with Stream[int](asynchronous=True) as source:
            source.sample(1).sink(slow)
            await feed(source, [(x / 4, x) for x in range(21)])
            await settle(source.join())

    run(go())
    assert seen == [(1.0, 3), (3.0, 11), (5.0, 19), (7.0, 20)]


def test_sample_follows_a_new_interval() -> None:
    """Ruling 20 (docs/rulings.md): its intervals are counted from the next element on."""

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.sample(1)
            seen: list[tuple[float, int]] = record(node)
            await send(source, 0)
            await asyncio.sleep(1.5)
            node.interval = 4
            await send(source, 1)
            await settle(source.join())
        return seen

    assert run(go()) == [(1.0, 0), (5.5, 1)]


@pytest.mark.parametrize("interval", [0, -1, "soon", None, [1]])
def test_sample_refuses_what_is_no_positive_interval(interval: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.sample(interval), "sample", "interval", interval)
