"""Nodes of event time downstream of each other: no result of the first is late for the second."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Count, Stream
from rapidz.testing import run

elements = st.lists(st.integers(0, 400), max_size=40)


def chain(source: Any, first: str) -> tuple[Any, Any]:
    timed = source.event_time(lambda x: x, lag=1_000)
    windows = {
        "tumbling": lambda: timed.tumbling(20),
        "sliding": lambda: timed.sliding(40, 20),
        "session": lambda: timed.session(20),
    }[first]()
    counts = windows.aggregate(n=Count())
    return counts, counts.tumbling(60).aggregate(n=Count())


def hours(ends: list[int]) -> dict[int, int]:
    """Return how many of the results with these ends are in each window of the second node."""
    found: dict[int, int] = {}
    for end in ends:
        start = (end - 1) // 60 * 60
        found[start] = found.get(start, 0) + 1
    return found


@pytest.mark.parametrize("first", ["tumbling", "sliding", "session"])
@settings(max_examples=25)
@given(xs=elements, slow=st.booleans())
def test_each_result_is_in_a_window_of_the_next_node(first: str, xs: list[int], slow: bool) -> None:
    async def go() -> tuple[list[Any], list[Any], int]:
        firsts: list[Any] = []
        seconds: list[Any] = []

        async def sink(seen: list[Any], x: Any) -> None:
            if slow:
                await asyncio.sleep(0.25)
            seen.append(x)

        async with Stream[int](asynchronous=True) as source:
            counts, again = chain(source, first)
            counts.sink(lambda x: sink(firsts, x))
            again.sink(lambda x: sink(seconds, x))
            for x in [*xs, 5_000]:
                await source.emit(x)
        return firsts, seconds, again.late_count

    firsts, seconds, late = run(go())
    assert late == 0
    assert {w.start: w.value["n"] for w in seconds} == hours([w.end for w in firsts])
    assert [w.start for w in seconds] == sorted(w.start for w in seconds)


@pytest.mark.parametrize("first", ["tumbling", "sliding", "session"])
def test_the_next_node_closes_its_windows_while_elements_arrive(first: str) -> None:
    source = Stream[int]()
    _, again = chain(source, first)
    seen = again.sink_to_list()
    source.emit_many([0, 30, 70, 130, 2_000, 3_000])
    assert sum(w.value["n"] for w in seen) >= 4
    source.close()
