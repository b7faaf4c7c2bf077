"""PeriodicDataFrame and Random: frames that ask for their rows again and again."""

from __future__ import annotations

import asyncio
import gc
import importlib
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from rapidz.dataframe.frames import periodic
from rapidz.dataframe.frames.dataframe import DataFrame
from rapidz.dataframe.frames.periodic import (
    PeriodicDataFrame,
    Random,
    random_datablock,
    random_datapoint,
)
from rapidz.sources import from_periodic
from rapidz.testing import VirtualBackground, record

BEGIN = pd.Timestamp("2030-01-01")


def seconds(n: float) -> pd.Timestamp:
    return BEGIN + pd.Timedelta(seconds=n)


@pytest.fixture(autouse=True)
def _time_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are dated with the time of the loop that runs, which is 0 without one."""

    def now() -> pd.Timestamp:
        try:
            return seconds(asyncio.get_running_loop().time())
        except RuntimeError:
            return BEGIN

    monkeypatch.setattr(periodic, "wall_clock", now)


@pytest.fixture
def calls() -> list[tuple[Any, ...]]:
    return []


@pytest.fixture
def ask(calls: list[tuple[Any, ...]]) -> Any:
    def rows(last: Any, now: Any, **kwargs: Any) -> pd.DataFrame:
        calls.append((last, now, kwargs))
        return pd.DataFrame({"a": [len(calls)]}, index=[now])

    return rows


async def test_a_periodic_frame_asks_for_the_rows_of_each_interval(
    ask: Any, calls: list[Any]
) -> None:
    sdf: Any = PeriodicDataFrame(ask, "500ms", extra=3)
    seen = record(sdf.a.stream.map(list))
    await asyncio.sleep(1.75)
    sdf.stop()
    assert seen == [(0.5, [2]), (1.0, [3]), (1.5, [4])]
    assert calls == [
        (BEGIN, BEGIN, {"extra": 3}),
        (BEGIN, seconds(0.5), {"extra": 3}),
        (seconds(0.5), seconds(1), {"extra": 3}),
        (seconds(1), seconds(1.5), {"extra": 3}),
    ]


async def test_a_periodic_frame_may_be_stopped_and_started_again(
    ask: Any, calls: list[Any]
) -> None:
    sdf = PeriodicDataFrame(ask, 1, start=False)
    seen = record(sdf.stream.map(len))
    await asyncio.sleep(5)
    assert (seen, sdf.source.state) == ([], "new")
    sdf.start()
    sdf.start()
    await asyncio.sleep(1.5)
    sdf.stop()
    sdf.stop()
    await asyncio.sleep(3.5)
    sdf.start()
    await asyncio.sleep(1.5)
    sdf.stop()
    assert seen == [(6, 1), (11, 1)]
    assert [call[:2] for call in calls[1:]] == [
        (seconds(5), seconds(6)),
        (seconds(10), seconds(11)),  # nothing is asked about the time in between
    ]


def test_a_periodic_frame_runs_in_the_background(
    ask: Any, virtual_background: VirtualBackground
) -> None:
    sdf: Any = PeriodicDataFrame(ask, "1s")
    seen = sdf.a.stream.map(list).sink_to_list()
    virtual_background.let_pass(3.5)
    sdf.stop()
    sdf.stream.join()
    assert len(seen) in (3, 4)


async def test_a_periodic_frame_that_fails_says_so_and_starts_again() -> None:
    results: Any = iter([[1], None, [3]])

    def rows(last: Any, now: Any) -> pd.DataFrame:
        return pd.DataFrame({"a": next(results) or [][0]}, index=[now])

    sdf = PeriodicDataFrame(rows, 1)
    seen = record(sdf.stream.map(len))
    await asyncio.sleep(5)
    assert sdf.source.state == "failed"
    with pytest.raises(IndexError):
        await sdf.stream.join()
    sdf.start()
    await asyncio.sleep(1.5)
    sdf.stop()
    assert seen == [(6, 1)]


async def test_the_rows_of_a_periodic_frame_are_verified() -> None:
    columns = iter(["a", "b"])

    def rows(last: Any, now: Any) -> pd.DataFrame:
        return pd.DataFrame({next(columns): [1]}, index=[now])

    sdf = PeriodicDataFrame(rows, 1)
    kept = sdf.stream.sink_to_list()
    await asyncio.sleep(2)
    with pytest.raises(ValueError, match="'a' is missing"):
        await sdf.stream.join()
    assert kept == []


async def test_a_periodic_frame_stops_when_nothing_is_left_of_it(
    ask: Any, calls: list[Any]
) -> None:
    sdf = PeriodicDataFrame(ask, 1)
    node = sdf.stream.sink(len)
    source = weakref.ref(sdf.source)
    del sdf
    await asyncio.sleep(1.5)
    assert len(calls) == 2  # somebody listens
    node.destroy()
    del node
    gc.collect()
    await asyncio.sleep(5)
    gc.collect()
    assert len(calls) == 2
    assert source() is None


async def test_random_rows_come_at_their_frequency() -> None:
    sdf = Random(freq="100ms", interval="500ms")
    seen = sdf.stream.sink_to_list()
    await asyncio.sleep(1.25)
    sdf.stop()
    index = pd.concat(seen).index
    assert list(index) == [seconds(n / 10) for n in range(1, 11)]
    assert [len(rows) for rows in seen] == [5, 5]


async def test_a_periodic_frame_may_call_its_function_on_workers(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scatter = importlib.import_module("rapidz.parallel").scatter
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(from_periodic, "scatter", lambda node: scatter(node, pool), False)
        sdf: Any = PeriodicDataFrame(ask, 1, dask=True)
        seen = (sdf.a * 10).stream.gather().sink_to_list()
        await asyncio.sleep(2.5)
        sdf.stop()
        await sdf.stream.join()
    assert [list(part) for part in seen] == [[20], [30]]


async def test_frames_have_methods_to_make_periodic_ones(ask: Any) -> None:
    made = DataFrame.from_periodic(ask, "1s", start=False, extra=1)
    assert (type(made), made.interval, made.kwargs) == (PeriodicDataFrame, 1.0, {"extra": 1})
    made = DataFrame.random("50ms", "1s", start=False)
    assert (type(made), made.kwargs) == (Random, {"freq": pd.Timedelta("50ms")})


def test_what_is_no_function_and_no_time_is_refused() -> None:
    bad: Any = 3
    with pytest.raises(TypeError, match="PeriodicDataFrame: datafn must be callable, got 3"):
        PeriodicDataFrame(bad, start=False)
    with pytest.raises(ValueError, match=r"Random: interval must be .+, got 0"):
        Random(interval=0, start=False)
    with pytest.raises(ValueError, match="Random: freq must be a time > 0, got"):
        Random(freq="0s", start=False)
    with pytest.raises(TypeError, match="PeriodicDataFrame: example must be a data frame, got 5"):
        PeriodicDataFrame(lambda last, now: 5, start=False)


def test_random_datablock_has_rows_from_last_to_now() -> None:
    rows = random_datablock(BEGIN, seconds(1), freq="250ms", other=1)
    assert list(rows.index) == [seconds(n / 4) for n in (1, 2, 3, 4)]
    assert rows.dtypes.astype(str).to_dict() == {"x": "float64", "y": "int64", "z": "float64"}
    assert len(random_datablock(BEGIN, BEGIN)) == 0


def test_random_rows_follow_the_seed() -> None:
    made = []
    for _ in range(2):
        np.random.seed(3)
        made.append(random_datablock(BEGIN, seconds(1)))
    assert_frame_equal(made[0], made[1])


def test_random_datapoint_is_one_row() -> None:
    rows = random_datapoint(BEGIN, last=BEGIN)
    assert (list(rows.columns), list(rows.index)) == (["a"], [BEGIN])
    assert len(random_datapoint()) == 1
