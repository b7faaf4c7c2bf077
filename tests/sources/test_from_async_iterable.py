"""from_async_iterable: what an asynchronous iterable yields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support import Boom, settle

from rapidz import Stream
from rapidz.sources import from_async_iterable
from rapidz.testing import record


async def every_second(n: int, closed: list[bool] | None = None) -> AsyncIterator[int]:
    try:
        for x in range(n):
            await asyncio.sleep(1)
            yield x
    finally:
        if closed is not None:
            closed.append(True)


async def test_from_async_iterable_emits_all_and_ends() -> None:
    source = Stream.from_async_iterable(every_second(3))
    seen = record(source.partition(2))
    source.start()
    await settle(source.join())
    assert seen == [(2.0, (0, 1)), (3.0, (2,))]
    assert isinstance(source, from_async_iterable)
    assert source.state == "done"


async def test_from_async_iterable_goes_on_after_a_stop_and_loses_nothing() -> None:
    source = from_async_iterable(every_second(4))
    seen = record(source)
    source.start()
    await asyncio.sleep(1.5)
    source.stop()
    await asyncio.sleep(10)
    assert seen == [(1.0, 0)]
    source.start()
    await settle(source.join())
    assert seen == [(1.0, 0), (11.5, 1), (12.5, 2), (13.5, 3)]


async def test_from_async_iterable_accepts_back_pressure() -> None:
    async def slow(x: int) -> int:
        await asyncio.sleep(3)
        return x

    source = from_async_iterable(every_second(3))
    seen = record(source.map(slow))
    source.start()
    await settle(source.join())
    assert seen == [(4.0, 0), (8.0, 1), (12.0, 2)]


async def test_from_async_iterable_closes_its_generator() -> None:
    closed: list[bool] = []
    source = from_async_iterable(every_second(5, closed))
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(1.5)
    source.stop()
    await settle(source.close())
    assert (seen, closed) == ([0], [True])


async def test_from_async_iterable_reports_a_failure() -> None:
    async def breaks() -> AsyncIterator[int]:
        yield 1
        raise Boom("unplugged")

    source = from_async_iterable(breaks())
    seen = source.sink_to_list()
    source.start()
    with pytest.raises(Boom):
        await source.join()
    assert (seen, source.state) == ([1], "failed")


async def test_from_async_iterable_begins_anew_where_the_iterable_does() -> None:
    class repeats:
        def __aiter__(self) -> Any:
            return every_second(2)

    source = from_async_iterable(repeats())
    seen = source.sink_to_list()
    for _ in range(2):
        source.start()
        await settle(source.join())
    assert seen == [0, 1, 0, 1]


def test_from_async_iterable_refuses_what_is_none() -> None:
    with pytest.raises(TypeError, match="aiterable must be an asynchronous iterable, got"):
        from_async_iterable([1])  # type: ignore[arg-type]
