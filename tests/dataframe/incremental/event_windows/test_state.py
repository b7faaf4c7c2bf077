"""Event-time windows equal pandas on the rows that were not late, at any batch borders."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz.dataframe.incremental.event_windows.bins import EvenBins
from rapidz.dataframe.incremental.event_windows.layout import Layout
from rapidz.dataframe.incremental.event_windows.stamps import UNITS, Stamps
from rapidz.dataframe.incremental.event_windows.state import WindowAggregate

END = 1 << 80
SECOND = 10**9
HOWS: list[Any] = [
    *("sum", "mean", "count", "size", "min", "max", "first", "last", "std", "var", "median"),
    *("nunique", ["min", "sum"], {"x": "max", "f": ["first", "median"]}),
    {"low": ("x", "min"), "names": ("t", "nunique"), "n": ("x", "size")},
    {"own": ("x", lambda xs: float(xs.max() - xs.min()) if len(xs) else -1.0)},
]
NUMERIC = {"sum", "mean", "std", "var", "median"}


def frames(zone: str | None, unit: Any) -> st.SearchStrategy[list[pd.DataFrame]]:
    """Batches of rows of some minutes, whose times may be missing and out of order."""
    row = st.tuples(
        st.one_of(st.none(), st.integers(0, 600)),
        st.sampled_from(["a", "b", None]),
        st.integers(-3, 3),
        st.sampled_from([0.5, -1.0, float("nan"), 2.25]),
        st.sampled_from(["u", "v", None]),
    )

    def made(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
        seconds = [
            None if s is None else pd.Timestamp(1_700_000_000 + s, unit="s") for s, *_ in rows
        ]
        times: Any = pd.DatetimeIndex(seconds).as_unit(unit)
        if zone is not None:
            times = times.tz_localize("UTC").tz_convert(zone)
        return pd.DataFrame(
            {
                "ts": times,
                "k": pd.Series([r[1] for r in rows], dtype="str"),
                "x": pd.Series([r[2] for r in rows], dtype="int64"),
                "f": pd.Series([r[3] for r in rows], dtype="float64"),
                "t": pd.Series([r[4] for r in rows], dtype="str"),
            }
        )

    return st.lists(st.lists(row, max_size=8).map(made), min_size=1, max_size=5)


def run(state: WindowAggregate, batches: list[pd.DataFrame], lag: int, keyed: bool) -> Any:
    """All final rows, and the rows that were not late."""
    watermark, closed, kept = -END, [], []
    for batch in batches:
        late = state.take(batch, batch["ts"], [batch["k"]] if keyed else None, watermark)
        kept.append(batch if late is None else batch[~late])
        newest = batch["ts"].max()
        if newest is not pd.NaT:
            watermark = max(watermark, int(newest.as_unit("ns").value) - lag * SECOND)
        due = state.due()
        if due is not None and due <= watermark:
            closed.append(state.close(watermark))
            assert closed[-1] is not None
    closed.append(state.close(END))
    assert state.due() is None
    rows = pd.concat(kept, ignore_index=True).sort_values("ts", kind="stable")
    final = [one for one in closed if one is not None]
    return pd.concat(final) if final else pd.DataFrame(), rows


def by_pandas(groups: Any, how: Any) -> Any:
    """The aggregates that pandas gives, of numbers only where text has none."""
    if isinstance(how, str) and how in NUMERIC:
        return getattr(groups, how)(numeric_only=True)
    if isinstance(how, list):
        return groups[["x", "f"]].agg(how)
    if isinstance(how, dict) and all(isinstance(one, tuple) for one in how.values()):
        return groups.agg(**how)
    return groups.agg(how) if not isinstance(how, str) else getattr(groups, how)()


def of_numbers(how: Any, got: Any) -> Any:
    return got[["x", "f"]] if isinstance(how, list) else got


def same(got: Any, want: Any) -> None:
    assert type(got) is type(want)
    compare: Any = pd.testing.assert_series_equal
    if isinstance(want, pd.DataFrame):
        compare = pd.testing.assert_frame_equal
    compare(got, want, check_freq=False, rtol=1e-9)


@pytest.mark.parametrize("how", HOWS, ids=str)
@settings(max_examples=15)
@given(data=st.data(), lag=st.integers(0, 300))
def test_tumbling_by_key_equals_a_grouper_with_keys(how: Any, data: Any, lag: int) -> None:
    zone = data.draw(st.sampled_from([None, "UTC", "Europe/Berlin", "Asia/Kolkata"]))
    unit = data.draw(st.sampled_from(["s", "ms", "us", "ns"]))
    batches = data.draw(frames(zone, unit))
    state = WindowAggregate(
        batches[0].iloc[:0], how, EvenBins(60 * SECOND, 60 * SECOND),
        Layout(("start", "key"), ("ts", "k")), Stamps("t"), keyed=True, omit=["ts", "k"],
    )  # fmt: skip
    got, rows = run(state, batches, lag, keyed=True)
    rows = rows[rows["k"].notna()]
    if not len(rows):
        assert not len(got)
        return
    want = by_pandas(rows.groupby([pd.Grouper(freq="1min", key="ts"), "k"]), how)
    same(of_numbers(how, got), want)


@pytest.mark.parametrize("how", HOWS, ids=str)
@settings(max_examples=15)
@given(data=st.data(), lag=st.integers(0, 300))
def test_resample_has_rows_for_bins_without_any(how: Any, data: Any, lag: int) -> None:
    batches = data.draw(frames(None, data.draw(st.sampled_from(["s", "us", "ns"]))))
    state = WindowAggregate(
        batches[0].drop(columns="k").iloc[:0], how, EvenBins(60 * SECOND, 60 * SECOND),
        Layout(("start",), ("ts",), fills=True), Stamps("t"), omit=["ts"],
    )  # fmt: skip
    got, rows = run(state, [batch.drop(columns="k") for batch in batches], lag, keyed=False)
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
    bins = EvenBins(size * SECOND, every * SECOND)
    state = WindowAggregate(
        batches[0][["ts", "k", "x"]].iloc[:0], how, bins,
        Layout(("start", "end", "key"), ("start", "end", "k")), Stamps("t"),
        keyed=True, omit=["ts", "k"],
    )  # fmt: skip
    batches = [batch[["ts", "k", "x"]] for batch in batches]
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
    frame = pd.DataFrame({"at": [1, 5, 12], "x": [1, 2, 3]})
    state = WindowAggregate(
        frame.iloc[:0], "sum", EvenBins(10 * factor, 10 * factor),
        Layout(("start", "end"), ("start", "end")), Stamps("t", unit), omit=["at"],
    )  # fmt: skip
    assert state.take(frame, frame["at"], None, -END) is None
    assert state.due() == 10 * factor
    assert state.close(10 * factor)["x"].to_dict() == {(0, 10): 3}
    late = state.take(frame, frame["at"], None, 10 * factor)
    assert late is not None
    assert late.tolist() == [True, True, False]
    assert state.close(END)["x"].to_dict() == {(10, 20): 6}


def test_floats_are_read_to_the_microsecond() -> None:
    stamps = Stamps("t")
    read, valid = stamps.read(pd.Series([0.1, 1700000000.123456, float("nan")]))
    assert read.tolist()[:2] == [100_000_000, 1_700_000_000_123_456_000]
    assert valid is not None
    assert valid.tolist() == [True, True, False]


def test_memory_is_freed_as_windows_close() -> None:
    bins = EvenBins(SECOND, SECOND)
    example = pd.DataFrame({"ts": [0], "k": ["a"], "x": [1.0]})
    state = WindowAggregate(
        example.iloc[:0], ["sum", "median", "nunique"], bins,
        Layout(("start", "end", "key"), ("start", "end", "k")), Stamps("t"),
        keyed=True, omit=["ts", "k"],
    )  # fmt: skip
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
    state = WindowAggregate(
        frame.iloc[:0], "sum", EvenBins(SECOND, SECOND),
        Layout(("start", "key"), ("ts", "k")), Stamps("t"), keyed=True, omit=["ts", "k"],
    )  # fmt: skip
    for _ in range(2):
        assert state.take(frame, frame["ts"], [frame["k"]], -END) is None
    assert state.close(END)["x"].to_dict() == {
        (pd.Timestamp(day), 1): 8,
        (pd.Timestamp("2200-01-01"), 2): 4,
    }
