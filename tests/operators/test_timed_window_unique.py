"""timed_window_unique: what has come since the last tick, one element for a key."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, fail_on, feed, noted, refused, send, settle, turns

from rapidz import RefCounter, Stream
from rapidz.testing import record, run

windows = st.lists(st.lists(st.integers(-3, 3), max_size=5), max_size=5)


def kept(xs: list[int], keep: str) -> list[int]:
    batch: dict[int, int] = {}
    for x in xs:
        if keep == "last":
            batch.pop(abs(x), None)
        batch.setdefault(abs(x), x)
    return list(batch.values())


@given(windows, st.sampled_from(["first", "last"]), st.booleans())
def test_timed_window_unique_keeps_one_element_for_a_key(
    later: list[list[int]], keep: Any, emit_empty: bool
) -> None:
    contents = [[0], *later]
    instants = [
        (tick + (0.25 if place or tick else 0.0), x)
        for tick, xs in enumerate(contents)
        for place, x in enumerate(xs)
    ]

    async def go() -> list[tuple[float, Any]]:
        async with Stream[int](asynchronous=True) as source:
            node = source.timed_window_unique(1, key=abs, keep=keep, emit_empty=emit_empty)
            seen: list[tuple[float, Any]] = record(node)
            await feed(source, instants)
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(len(contents) + 0.5 - now)
        return seen

    wanted = [(tick + 1.0, kept(xs, keep)) for tick, xs in enumerate(contents)]
    got = [(instant, list(window)) for instant, window in run(go())]
    assert got == [window for window in wanted if window[1] or emit_empty]


def test_timed_window_unique_emits_tuples() -> None:
    """Ruling 10 (docs/rulings.md), as timed_window."""

    async def go() -> list[Any]:
        async with Stream[Any](asynchronous=True) as source:
            seen: list[Any] = source.timed_window_unique(1, key=0).sink_to_list()
            await feed(source, [(0.0, ("a", 1)), (0.0, ("a", 2)), (0.5, ("b", 3))])
            await asyncio.sleep(0.75)
        return seen

    assert run(go()) == [(("a", 1), ("b", 3))]


def test_timed_window_unique_emits_its_window_at_a_flush_and_the_end() -> None:
    async def go() -> list[tuple[float, Any]]:
        async with Stream[int](asynchronous=True) as source:
            seen: list[tuple[float, Any]] = record(source.timed_window_unique(10, emit_empty=False))
            await feed(source, [(0.0, 0), (1.0, 0)])
            await settle(source.flush())
            await feed(source, [(2.0, 0)])
        await asyncio.sleep(100)
        return seen

    assert run(go()) == [(1.0, (0,)), (2.0, (0,))]


def test_timed_window_unique_lives_on_after_a_failure_downstream() -> None:
    """Defect D2; ruling 1 (docs/rulings.md): kept, raised by the next emit."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            node = source.timed_window_unique(1, emit_empty=False)
            seen: list[Any] = node.map(fail_on((1,))).sink_to_list()
            await send(source, 1)
            await asyncio.sleep(1.5)
            with pytest.raises(Boom):
                await send(source, 2)
            await send(source, 3)
            await asyncio.sleep(1)
        return seen

    assert run(go()) == [(3,)]


def test_timed_window_unique_leaves_out_an_element_whose_key_failed() -> None:
    """Ruling 3 (docs/rulings.md)."""

    async def emit_and_join(source: Stream[int], x: int) -> None:
        await send(source, x)
        await settle(source.join())

    async def go() -> tuple[list[Any], Boom]:
        async with Stream[int](asynchronous=True) as source:
            node = source.timed_window_unique(1, key=fail_on(2), stream_name="careful")
            seen: list[Any] = node.sink_to_list()
            await send(source, 1)
            with pytest.raises(Boom) as caught:
                await emit_and_join(source, 2)
            await send(source, 3)
            await asyncio.sleep(1.5)
        return seen, caught.value

    seen, failure = run(go())
    assert seen == [(1, 3)]
    assert noted(failure, "timed_window_unique", "careful", "check", "2")


def test_timed_window_unique_releases_every_counter_exactly_once() -> None:
    """Defect D35: `RefCounter`; ruling 13 (docs/rulings.md)."""
    fired: list[int] = []

    async def go() -> list[int]:
        async with Stream[int](asynchronous=True) as source:
            source.timed_window_unique(1, key=abs).sink(lambda window: None)
            for x in (1, -1):
                counter = RefCounter(cb=functools.partial(fired.append, x))
                await settle(source.emit(x, metadata=[{"ref": counter}]))
            await turns()
            dropped = list(fired)
            await asyncio.sleep(1.5)
        return dropped

    assert run(go()) == [-1], "the first is kept, so the second is done with at once"
    assert sorted(fired) == [-1, 1]


def test_timed_window_unique_follows_a_new_interval() -> None:
    """Ruling 20 (docs/rulings.md)."""

    async def go() -> list[float]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.timed_window_unique(1)
            seen: list[tuple[float, Any]] = record(node)
            await send(source, 0)
            await asyncio.sleep(2.5)
            node.interval = 4
            await asyncio.sleep(10)
            return [instant for instant, _ in seen]

    instants = run(go())
    assert instants[:2] == [1.0, 2.0]
    assert instants[-1] - instants[-2] == 4.0


@pytest.mark.parametrize("interval", [0, -1, "soon", None])
def test_timed_window_unique_refuses_what_is_no_positive_interval(interval: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.timed_window_unique(interval), "timed_window_unique", "interval", interval)


@pytest.mark.parametrize("keep", ["middle", None])
def test_timed_window_unique_refuses_to_keep_anything_else(keep: object) -> None:
    refused(lambda s: s.timed_window_unique(1, keep=keep), "timed_window_unique", "keep", keep)


class Vague:
    """Neither true nor false, as arrays and frames are."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


@pytest.mark.parametrize("keep", ["first", "last"])
def test_timed_window_unique_takes_elements_without_a_truth_value(keep: Any) -> None:
    elements = [Vague(), Vague()]
    source = Stream[Any]()
    seen = source.timed_window_unique(0.01, key=id, keep=keep).sink_to_list()
    source.emit_many(elements)
    source.close()
    assert [x for row in seen for x in row] == elements
