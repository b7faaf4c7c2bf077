"""Aligned event-time windows equal pandas on the rows that were not late, at any batch borders."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.incremental.event_windows.timed_rows import (
    END,
    HOWS,
    KEYED_WINDOWS,
    SECOND,
    WINDOWS,
    aligned,
    by_pandas,
    frames,
    of_numbers,
    run,
    same,
)

from rapidz.dataframe.incremental.event_windows.aligned import AlignedAggregate
from rapidz.dataframe.incremental.event_windows.base import Spec
from rapidz.dataframe.incremental.event_windows.bins import EvenBins
from rapidz.dataframe.incremental.event_windows.layout import Layout
from rapidz.dataframe.incremental.event_windows.stamps import UNITS, Stamps


@pytest.mark.parametrize("how", HOWS.values(), ids=list(HOWS))
@settings(max_examples=15)
@given(data=st.data(), lag=st.integers(0, 300))
def test_tumbling_by_key_equals_a_grouper_with_keys(how: Any, data: Any, lag: int) -> None:
    zone = data.draw(st.sampled_from([None, "UTC", "Europe/Berlin", "Asia/Kolkata"]))
    unit = data.draw(st.sampled_from(["s", "ms", "us", "ns"]))
    batches = data.draw(frames(zone, unit))
    layout = Layout(("start", "key"), ("ts", "k"))
    state = aligned(batches[0], how, 60, 60, layout)
    got, rows = run(state, batches, lag, keyed=True)
    rows = rows[rows["k"].notna()]
    if not len(rows):
        assert not len(got)
        return
    want = by_pandas(rows.groupby([pd.Grouper(freq="1min", key="ts"), "k"]), how)
    same(of_numbers(how, got), want)


@pytest.mark.parametrize("how", HOWS.values(), ids=list(HOWS))
@settings(max_examples=15)
@given(data=st.data(), lag=st.integers(0, 300))
def test_resample_has_rows_for_bins_without_any(how: Any, data: Any, lag: int) -> None:
    batches = data.draw(frames(None, data.draw(st.sampled_from(["s", "us", "ns"]))))
    batches = [batch.drop(columns="k") for batch in batches]
    state = aligned(batches[0], how, 60, 60, Layout(("start",), ("ts",), fills=True))
    got, rows = run(state, batches, lag, keyed=False)
    if not len(rows):
        assert not len(got)
        return
    same(of_numbers(how, got), by_pandas(rows.resample("1min", on="ts"), how))


@pytest.mark.parametrize("how", ["size", "sum", "first", "nunique", "median"])
@pytest.mark.parametrize(("size", "every"), [(180, 60), (100, 30)])
@settings(max_examples=20)
@given(data=st.data(), lag=st.integers(0, 300))
def test_sliding_equals_a_loop_over_windows(
    how: str, size: int, every: int, data: Any, lag: int
) -> None:
    batches = data.draw(frames(None, "us"))
    batches = [batch[["ts", "k", "x"]] for batch in batches]
    state = aligned(batches[0], how, size, every, KEYED_WINDOWS)
    got, _ = run(state, batches, lag, keyed=True)
    expected = loop(batches, size, every, lag)
    want = {}
    for start, rows in sorted(expected.items()):
        chosen = pd.concat(rows).sort_values("ts", kind="stable")
        result: Any = getattr(chosen.groupby("k")["x"], how)()
        begin = pd.Timestamp(start, unit="s")
        for key, value in result.items():
            want[begin, begin + pd.Timedelta(seconds=size), key] = value
    column = got if how == "size" or not len(got) else got["x"]
    assert column.to_dict() == want if len(got) else not want


def loop(batches: list[pd.DataFrame], size: int, every: int, lag: int) -> dict[int, list[Any]]:
    """The rows of each window by a loop over rows, without those whose window had closed."""
    watermark: float = -float("inf")
    windows: dict[int, list[Any]] = {}
    for batch in batches:
        seconds = [None if t is pd.NaT else int(t.timestamp()) for t in batch["ts"]]
        for place, second in enumerate(seconds):
            if second is None:
                continue
            last = second // every * every
            for start in range(last, second - size, -every):
                if start + size > watermark:
                    windows.setdefault(start, []).append(batch.iloc[[place]])
        known = [second for second in seconds if second is not None]
        watermark = max([watermark, *(second - lag for second in known)])
    return windows


@pytest.mark.parametrize("unit", list(UNITS))
def test_numbers_are_timestamps_of_a_unit(unit: str) -> None:
    factor = UNITS[unit]
    frame = pd.DataFrame({"ts": [1, 5, 12], "x": [1, 2, 3]})
    spec, bins = Spec("sum", WINDOWS, omit=["ts"]), EvenBins(10 * factor, 10 * factor)
    state = AlignedAggregate(frame.iloc[:0], spec, Stamps("t", unit), bins)
    assert state.take(frame, frame["ts"], None, -END) is None
    assert state.due() == 10 * factor
    assert state.close(10 * factor)["x"].to_dict() == {(0, 10): 3}
    late = state.take(frame, frame["ts"], None, 10 * factor)
    assert late is not None
    assert late.tolist() == [True, True, False]
    assert state.close(END)["x"].to_dict() == {(10, 20): 6}


def test_floats_are_read_to_the_microsecond() -> None:
    stamps = Stamps("t")
    read, valid, _, bounds = stamps.read(pd.Series([0.1, 1700000000.123456, float("nan")]))
    assert bounds == (100_000_000, 1_700_000_000_123_456_000)
    assert read.tolist()[:2] == [100_000_000, 1_700_000_000_123_456_000]
    assert valid is not None
    assert valid.tolist() == [True, True, False]


def test_memory_is_freed_as_windows_close() -> None:
    example = pd.DataFrame({"ts": [0], "k": ["a"], "x": [1.0]})
    state = aligned(example, ["sum", "median", "nunique"], 1, 1, KEYED_WINDOWS)
    for second in range(200):
        keys = [f"{second}-{n}" for n in range(100)]
        batch = pd.DataFrame({"ts": second, "k": keys, "x": np.arange(100.0) + second})
        state.take(batch, batch["ts"], [batch["k"]], (second - 1) * SECOND)
        state.close((second - 1) * SECOND)
    store = state.store
    assert store is not None
    assert store.groups is not None
    assert len(store.codes) == 200
    assert len(store.groups) <= 600
    median = store.columns["x"].accumulators["sorted"]
    distinct = store.columns["x"].accumulators["different"]
    assert len(median.values) == 200  # type: ignore[attr-defined]
    assert len(distinct.pairs) == 200  # type: ignore[attr-defined]
    assert len(distinct.values) < 600  # type: ignore[attr-defined]


def test_rows_far_apart_need_no_table_of_the_time_between() -> None:
    day = dt.datetime(1970, 1, 1)
    times = pd.Series([day, dt.datetime(2200, 1, 1), day]).astype("datetime64[us]")
    frame = pd.DataFrame({"ts": times, "k": [1, 2, 1], "x": [1, 2, 3]})
    state = aligned(frame, "sum", 1, 1, Layout(("start", "key"), ("ts", "k")))
    for _ in range(2):
        assert state.take(frame, frame["ts"], [frame["k"]], -END) is None
    assert state.close(END)["x"].to_dict() == {
        (pd.Timestamp(day), 1): 8,
        (pd.Timestamp("2200-01-01"), 2): 4,
    }
