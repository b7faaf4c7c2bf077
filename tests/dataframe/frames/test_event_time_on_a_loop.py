"""Event time of frames on a loop: queues, idleness and back pressure, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pandas as pd
import pytest
from tests.dataframe.frames.test_event_time import EXAMPLE, rows, total

from rapidz import Stream
from rapidz.testing import record


async def slow(x: Any) -> Any:
    await asyncio.sleep(1)
    return x


BETWEEN: dict[str, Any] = {
    "nothing": lambda s: s,
    "buffer": lambda s: s.buffer(10),
    "async map": lambda s: s.map(slow),
    "map_async": lambda s: s.map_async(slow, parallelism=4),
    "buffers": lambda s: s.buffer(2).map(slow).buffer(2),
    "delay": lambda s: s.delay("1s", spaced=False),
    "threads": lambda s: s.scatter("thread").map(same).gather(),
}


def same(x: Any) -> Any:
    return x


def batches() -> list[pd.DataFrame]:
    made = [
        rows((start, "a", 1.0), (start + 20, "b", 2.0), (start + 5, "a", 4.0))
        for start in range(0, 300, 25)
    ]
    return [*made, rows((100, "a", 8.0))]


def sums_of(source: Any, between: Any) -> tuple[list[Any], list[Any]]:
    with_time = source.to_dataframe(EXAMPLE).event_time("ts", lag="10 min")
    sums = between(with_time.stream).to_dataframe(EXAMPLE).tumbling("1h").groupby("k").x.sum()
    return sums.stream.map(total).flatten().sink_to_list(), sums.late.stream.map(len).sink_to_list()


@pytest.mark.parametrize("between", BETWEEN)
async def test_final_rows_are_those_of_a_pipeline_without_a_loop(between: str) -> None:
    plain: Stream[Any] = Stream(asynchronous=True)
    expected = sums_of(plain, same)
    source: Stream[Any] = Stream(asynchronous=True)
    got = sums_of(source, BETWEEN[between])
    for batch in batches():
        await plain.emit(batch)
        await source.emit(batch)
    await plain.close()
    await source.close()
    assert got == expected
    assert sum(row[3] for row in got[0]) == 12 * 7
    assert got[1] == [1]


@pytest.mark.parametrize("between", ["nothing", "buffer", "map_async", "buffers"])
async def test_a_window_closes_without_further_rows(between: str) -> None:
    source: Stream[Any] = Stream(asynchronous=True)
    with_time = source.to_dataframe(EXAMPLE).event_time("ts")
    queued = BETWEEN[between](with_time.stream).to_dataframe(EXAMPLE)
    seen = queued.tumbling("1h").x.sum().stream.sink_to_list()
    await source.emit(rows((10, "a", 1.0), (70, "a", 2.0)))
    await source.join()
    await asyncio.sleep(5)
    assert [total(one) for one in seen] == [[(0, 60, 1.0)]]
    await source.close()


async def test_an_idle_frame_closes_its_windows_by_the_clock() -> None:
    source: Stream[Any] = Stream(asynchronous=True)
    with_time = source.to_dataframe(EXAMPLE).event_time("ts", idle="1 min")
    seen = record(with_time.tumbling("1h").x.sum().stream.map(total))
    await source.emit(rows((59, "a", 1.0)))
    await asyncio.sleep(300)
    assert seen == [(60.0, [(0, 60, 1.0)])]
    await source.close()


async def test_emitters_wait_until_final_rows_are_taken() -> None:
    source: Stream[Any] = Stream(asynchronous=True)
    sums = source.to_dataframe(EXAMPLE).event_time("ts").tumbling("1h").x.sum()
    seen: list[Any] = []

    async def take(one: pd.Series[Any]) -> None:
        await asyncio.sleep(10)
        seen.append(total(one))

    sums.stream.sink(take)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await source.emit(rows((0, "a", 1.0)))
    assert loop.time() == begin
    await source.emit(rows((60, "a", 2.0)))
    assert loop.time() == begin + 10
    assert seen == [[(0, 60, 1.0)]]
    await source.close()
    assert seen[1:] == [[(60, 120, 2.0)]]
