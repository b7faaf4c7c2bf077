"""Which inputs are idle: those without data, whatever the rest of the pipeline does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from rapidz import Count, Stream
from rapidz.testing import record


def counted(stream: Any) -> Any:
    return stream.tumbling(10).aggregate(n=Count())


def ends(log: Any) -> list[tuple[float, Any]]:
    return [(instant, result.end) for instant, result in log]


async def test_a_source_that_runs_and_has_no_data_is_idle() -> None:
    async def readings() -> AsyncIterator[Any]:
        yield (1,)
        await asyncio.sleep(1000)
        yield (2000,)

    source: Any = Stream.from_async_iterable(readings(), asynchronous=True)
    log = record(counted(source.event_time(0, idle=30)))
    source.start()
    await asyncio.sleep(500)
    assert ends(log) == [(30.0, 10)]
    await source.close()


async def test_an_input_is_idle_while_another_one_is_never_quiet() -> None:
    silent, loud = Stream[Any](asynchronous=True), Stream[Any](asynchronous=True)
    first, second = silent.event_time(0, idle=30), loud.event_time(0, idle=30)
    log = record(counted(first.union(second)))

    async def slow(x: Any) -> None:
        await asyncio.sleep(1)

    second.sink(slow)
    await silent.emit((0,))
    for t in range(50):
        await loud.emit((t,))
    assert ends(log)[:2] == [(30.0, 10), (30.0, 20)]
    assert len(log) == 4
    await silent.close()
    await loud.close()


async def test_an_input_whose_elements_are_further_up_is_not_idle() -> None:
    slow, loud = Stream[Any](asynchronous=True), Stream[Any](asynchronous=True)
    late = slow.delay(60).event_time(0, idle=30)
    node = counted(late.union(loud.event_time(0, idle=30)))
    log, lost = record(node), record(node.late)
    await slow.emit((5,))
    for t in range(100):
        await loud.emit((t,))
        await asyncio.sleep(1)
    assert [instant for instant, _ in log[:2]] == [90.0, 90.0]
    assert log[0][1].value == {"n": 11}
    assert lost == []
    await slow.close()
    await loud.close()


async def test_an_input_that_another_branch_holds_up_is_not_idle() -> None:
    source = Stream[Any](asynchronous=True)
    log = record(counted(source.event_time(0, idle=30)))

    async def slow(x: Any) -> None:
        await asyncio.sleep(100)

    source.sink(slow)
    await source.emit((1,))
    await asyncio.sleep(29)
    assert log == []
    await asyncio.sleep(2)
    assert log == []
    await asyncio.sleep(100)
    assert [end for _, end in ends(log)] == [10]
    assert 130 <= log[0][0] < 132
    await source.close()


async def test_an_input_is_idle_though_others_fill_a_buffer_behind_both() -> None:
    silent, loud = Stream[Any](asynchronous=True), Stream[Any](asynchronous=True)
    first, second = silent.event_time(0, idle=30), loud.event_time(0, idle=30)
    both = first.union(second)
    log = record(counted(both))

    async def slow(x: Any) -> None:
        await asyncio.sleep(1)

    both.buffer(3).sink(slow)
    await silent.emit((0,))
    for t in range(100):
        await loud.emit((t,))
    assert log
    assert 30 <= log[0][0] < 40
    await silent.close()
    await loud.close()


async def test_a_partition_under_back_pressure_is_not_idle() -> None:
    source = Stream[Any](asynchronous=True)
    stream = source.event_time(0, partition=1, partitions=2, idle=30)
    node = counted(stream)
    log, late = record(node), record(node.late)

    async def slow(x: Any) -> None:
        await asyncio.sleep(100 if x[0] == 2 else 0)

    stream.sink(slow)
    for x in [(1, "a"), (2, "b"), (50, "a"), (9, "b"), (51, "b")]:
        await source.emit(x)
    assert late == []
    assert [(result.end, result.value["n"]) for _, result in log] == [(10, 3)]
    await source.close()


async def test_partitions_that_have_gone_are_forgotten() -> None:
    source = Stream[Any](asynchronous=True)
    timed: Any = source.event_time(0, partition=1, idle=5)
    log = record(counted(timed))
    for t in range(200):
        await source.emit((t, t))
        await asyncio.sleep(1)
    assert len(timed._origin._bars) < 10
    assert sum(result.value["n"] for _, result in log) >= 180
    await source.close()
