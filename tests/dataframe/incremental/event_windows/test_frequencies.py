"""Bins of frequencies are those of pandas' resample."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.incremental.event_windows.timed_rows import SECOND, run, same

from rapidz.dataframe.incremental.event_windows.aligned import AlignedAggregate
from rapidz.dataframe.incremental.event_windows.base import Spec
from rapidz.dataframe.incremental.event_windows.frequencies import bins_of_frequency
from rapidz.dataframe.incremental.event_windows.layout import Layout, Level
from rapidz.dataframe.incremental.event_windows.stamps import Stamps

DAY = 86_400
FREQS = ["1h", "15min", "6h", "20s", "D", "W", "W-WED", "MS", "ME", "QS", "QE", "YS", "YE"]


def state_of(rows: pd.DataFrame, freq: Any, **options: Any) -> AlignedAggregate:
    names = ("closed", "label")
    sides = [options.get(name) for name in names]
    origin, offset = options.get("origin", "start_day"), options.get("offset")
    bins, side = bins_of_frequency("resample", freq, sides[0], sides[1], origin, offset)
    level: Level = "start" if side == "left" else "end"
    spec = Spec("sum", Layout((level,), ("ts",), fills=True), omit=["ts"])
    return AlignedAggregate(rows.iloc[:0], spec, Stamps("t"), bins)


def rows_of(seconds: list[int], zone: str | None, unit: Any = "us") -> pd.DataFrame:
    times: Any = pd.to_datetime(seconds, unit="s").as_unit(unit)
    if zone is not None:
        times = times.tz_localize("UTC").tz_convert(zone)
    return pd.DataFrame({"ts": times, "x": range(len(seconds))})


@pytest.mark.parametrize("freq", FREQS)
@settings(max_examples=25)
@given(data=st.data(), start=st.integers(0, 1_800_000_000), zone=st.sampled_from([None, "UTC", "Asia/Kolkata"]))  # fmt: skip  # noqa: E501
def test_bins_are_those_of_resample(freq: str, data: Any, start: int, zone: str | None) -> None:
    fine = freq in ("20s", "15min")
    span = 3 * 3600 if fine else 10 * DAY if freq in ("1h", "6h") else 800 * DAY
    seconds = data.draw(st.lists(st.integers(start, start + span), min_size=1, max_size=6))
    rows = rows_of(seconds, zone)
    cut = data.draw(st.integers(0, len(seconds)))
    batches = [rows.iloc[:cut], rows.iloc[cut:]]
    got, kept = run(state_of(rows, freq), batches, span, keyed=False)
    same(got, kept.resample(freq, on="ts").sum())


@pytest.mark.parametrize("freq", ["D", "W", "MS", "ME"])
def test_days_follow_the_clocks_of_a_zone(freq: str) -> None:
    seconds = list(range(1_710_000_000, 1_735_000_000, 5 * 3600 + 1))
    rows = rows_of(seconds, "Europe/Berlin")
    batches = [rows.iloc[i : i + 50] for i in range(0, len(rows), 50)]
    got, kept = run(state_of(rows, freq), batches, 0, keyed=False)
    same(got, kept.resample(freq, on="ts").sum())


@pytest.mark.parametrize(
    "options",
    [
        {"closed": "right"},
        {"label": "right"},
        {"closed": "right", "label": "right"},
        {"offset": "7min"},
        {"origin": "epoch"},
        {"origin": pd.Timestamp("2020-01-01 00:11")},
    ],
    ids=str,
)
@settings(max_examples=20)
@given(seconds=st.lists(st.integers(0, 90).map(lambda n: n * 600), min_size=1, max_size=6))
def test_options_are_those_of_resample(options: dict[str, Any], seconds: list[int]) -> None:
    rows = rows_of([1_700_000_400 + second for second in seconds], None)
    batches = [rows.iloc[:2], rows.iloc[2:]]
    got, kept = run(state_of(rows, "1h", **options), batches, 90 * 600, keyed=False)
    same(got, kept.resample("1h", on="ts", **options).sum())


def test_a_row_at_the_border_is_in_the_window_that_includes_it() -> None:
    rows = rows_of([3600, 3601], None)
    state = state_of(rows, "1h", closed="right", label="right")
    state.take(rows, rows["ts"], None, -1)
    assert state.close(3600 * SECOND) is None
    assert state.close(3600 * SECOND + 1)["x"].tolist() == [0]


@pytest.mark.parametrize("freq", ["7h", "B", "3D", "2MS", "BME", "no", "-1h"])
def test_bins_that_depend_on_the_first_row_are_refused(freq: str) -> None:
    with pytest.raises(ValueError, match=r"^resample: (freq|origin) must "):
        bins_of_frequency("resample", freq, None, None, "start_day", None)


def test_sides_and_origins_are_checked() -> None:
    for arguments in [("up", None, "start_day"), (None, "up", "start_day"), (None, None, "start")]:
        with pytest.raises(ValueError, match=r"^resample: (closed|label|origin) must be "):
            bins_of_frequency("resample", "1h", *arguments, None)
    with pytest.raises(ValueError, match="closed must be 'right' for freq='ME', got 'left'"):
        bins_of_frequency("resample", "ME", "left", None, "start_day", None)
    with pytest.raises(ValueError, match="origin and offset must be left out"):
        bins_of_frequency("resample", "MS", None, None, "start_day", "1h")
