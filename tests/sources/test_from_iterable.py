"""from_iterable: what an iterable yields, in bulk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, fail_on, numbers, settle, turns

from rapidz import RefCounter, Stream
from rapidz.sources import from_iterable
from rapidz.testing import VirtualBackground, record, run


@given(numbers, st.integers(1, 4))
def test_from_iterable_is_the_list_and_its_end(xs: list[int], n: int) -> None:
    async def main() -> list[Any]:
        source = from_iterable(xs)
        seen = source.partition(n).sink_to_list()
        source.start()
        await settle(source.join())
        assert source.state == "done"
        return seen

    assert run(main()) == [tuple(xs[i : i + n]) for i in range(0, len(xs), n)]


def test_from_iterable_from_a_plain_thread(virtual_background: VirtualBackground) -> None:
    source = from_iterable(range(10_000))
    seen = source.map(lambda x: x + 1).sink_to_list()
    source.start()
    source.join()
    assert seen == list(range(1, 10_001))


async def test_from_iterable_lets_others_have_the_loop() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    source = from_iterable(endless())
    total = source.accumulate(lambda total, x: total + x).sink_to_list()
    source.start()
    await turns(40)
    source.stop()
    await settle(source.join())
    assert 0 < len(total) < 1_000_000


async def test_from_iterable_accepts_back_pressure_and_stops_between_elements() -> None:
    async def slow(x: int) -> int:
        await asyncio.sleep(1)
        return x

    asked: list[int] = []

    def asks() -> Iterator[int]:
        for n in range(5):
            asked.append(n)
            yield n

    source = from_iterable(asks())
    seen = record(source.map(slow))
    source.start()
    await asyncio.sleep(1.5)
    assert asked == [0, 1]
    source.stop()
    await settle(source.join())
    assert seen == [(1.0, 0), (2.0, 1)]
    source.start()
    await settle(source.join())
    assert seen[2:] == [(3.0, 2), (4.0, 3), (5.0, 4)]
    assert source.state == "done"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_from_iterable_stops_at_the_element_where_a_sink_says_so(asynchronous: bool) -> None:
    source = from_iterable(range(10_000))
    seen: list[int] = []

    def take(x: int) -> None:
        seen.append(x)
        if x == 5:
            source.stop()

    async def take_later(x: int) -> None:
        take(x)

    source.sink(take_later if asynchronous else take)
    source.start()
    await settle(source.join())
    assert seen == list(range(6))
    source.start()
    await settle(source.join())
    assert seen == list(range(10_000))


async def test_from_iterable_begins_anew_after_the_end() -> None:
    source = from_iterable([1, 2])
    seen = source.sink_to_list()
    for _ in range(3):
        source.start()
        await settle(source.join())
    assert seen == [1, 2] * 3


async def test_from_iterable_goes_on_behind_the_element_that_failed() -> None:
    source = from_iterable(range(5))
    seen = source.map(fail_on(2)).sink_to_list()
    source.start()
    with pytest.raises(Boom):
        await source.join()
    assert (seen, source.state) == ([0, 1], "failed")
    source.start()
    await settle(source.join())
    assert (seen, source.state) == ([0, 1, 3, 4], "done")


async def test_from_iterable_reports_that_the_iterable_failed() -> None:
    def breaks() -> Iterator[int]:
        yield 1
        raise Boom("unplugged")

    source = from_iterable(breaks())
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(1)
    assert (seen, source.state) == ([1], "failed")
    assert isinstance(source.exception, Boom)
    with pytest.raises(Boom):
        await source.close()


async def test_from_iterable_pushes_through_an_overridden__emit() -> None:
    class watched(from_iterable[int]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.left: list[int] = []
            super().__init__(*args, **kwargs)

        def _emit(self, x: int, metadata: Any = None) -> list[Any]:
            self.left.append(x)
            return super()._emit(x, metadata)

    source = watched(range(5))
    seen = source.sink_to_list()
    source.start()
    await settle(source.join())
    assert source.left == seen == [0, 1, 2, 3, 4]


async def test_from_iterable_keeps_up_with_an_edit_of_the_graph() -> None:
    source = from_iterable(range(6))
    late: list[int] = []

    def take(x: int) -> None:
        if x == 2:
            source.sink(late.append)

    source.sink(take)
    source.start()
    await settle(source.join())
    assert late == [3, 4, 5]


async def test_from_iterable_in_a_pipeline_that_tracks_its_elements() -> None:
    source = from_iterable([1, 2])
    other: Stream[int] = Stream()
    seen = source.union(other).sink_to_list()
    counter = RefCounter()
    await settle(other.emit(0, metadata=[{"ref": counter}]))
    source.start()
    await settle(source.join())
    assert (seen, counter.told) == ([0, 1, 2], True)


async def test_from_iterable_closed_while_it_runs() -> None:
    source = from_iterable(iter(int, 1))
    seen = source.partition(1_000_000_000).sink_to_list()
    source.start()
    await turns()
    source.stop()  # its data never end, and a close would wait for that
    await settle(source.close())
    assert (len(seen), source.state) == (1, "stopped")


def test_from_iterable_refuses_what_is_none() -> None:
    for wrong in (3, None):
        with pytest.raises(TypeError, match="from_iterable: iterable must be an iterable, got"):
            from_iterable(wrong)  # type: ignore[arg-type]
