"""Signals among elements that wait, and along edges that lead twice to the same node."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from tests.support import send, settle

from rapidz import RefCounter, Stream
from rapidz.testing import run


def test_a_flush_admits_what_waits_for_capacity_of_a_buffer() -> None:
    async def go() -> list[int]:
        source = Stream[int](asynchronous=True)
        seen = source.buffer(1).sink_to_list()
        for x in range(8):
            source.emit(x)
            if x == 4:
                source.flush()
        await settle(source.join())
        await settle(source.close())
        return seen

    assert run(go()) == list(range(8))


@pytest.mark.parametrize("join", ["zip", "combine_latest", "union"])
def test_the_end_passes_a_node_that_a_stream_enters_twice(join: str) -> None:
    source = Stream[int]()
    node: Any = getattr(source, join)(source)
    seen: list[Any] = node.partition(2).sink_to_list()
    source.emit(1)
    source.close()
    assert len(seen) == 1


def test_counters_of_map_async_report_which_elements_failed() -> None:
    async def go() -> tuple[list[int], list[int]]:
        done: list[int] = []
        failed: list[int] = []

        async def work(x: int) -> int:
            await asyncio.sleep(0.5)
            if x % 2:
                raise ValueError(x)
            return x

        async with Stream[int](asynchronous=True) as source:
            source.map_async(work).on_error("skip").sink(lambda _: None)
            for x in range(4):
                told = functools.partial(done.append, x)
                counter = RefCounter(cb=told, on_failure=lambda error: failed.append(error.args[0]))
                await settle(source.emit(x, metadata=[{"ref": counter}]))
            await settle(source.join())
            await asyncio.sleep(1)
        return done, failed

    assert run(go()) == ([0, 2], [1, 3])


def test_a_stream_goes_on_after_a_flush_between_waiting_emits() -> None:
    async def go() -> list[int]:
        source = Stream[int](asynchronous=True)
        seen: list[int] = []

        async def slow(x: int) -> None:
            await asyncio.sleep(1)
            seen.append(x)

        source.buffer(1).sink(slow)

        async def feed() -> None:
            for x in range(6):
                await send(source, x)

        feeder = asyncio.ensure_future(feed())
        for _ in range(3):
            await asyncio.sleep(0.75)
            source.flush()
        await feeder
        await settle(source.close())
        return seen

    assert run(go()) == list(range(6))
