"""Rolling medians and quantiles: the same values, at a cost that follows the rows that come."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz.dataframe.incremental import RollingState
from rapidz.dataframe.incremental.rolling import rolling
from rapidz.dataframe.incremental.rolling.sorted_window import SortedWindow

HOWS: list[tuple[str, dict[str, Any]]] = [
    ("median", {}),
    ("quantile", {"q": 0.5}),
    ("quantile", {"q": 0.9}),
    ("quantile", {"q": 0.0}),
    ("quantile", {"q": 1.0}),
]
VALUES = st.lists(
    st.sampled_from([0.0, -0.0, 1.0, 2.5, 2.5, -7.0, 1e300, float("nan"), float("inf")]), max_size=6
)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep small windows in order too."""
    monkeypatch.setattr(rolling, "LARGE", 0)


def spread_over(rows: list[float], dtype: Any, timed: bool) -> Any:
    index: Any = pd.RangeIndex(len(rows))
    if timed:
        index = pd.Timestamp("2030-01-01") + pd.to_timedelta(np.arange(len(rows)) // 2, unit="s")
    values = pd.Series(rows, index=index, dtype="float64", name="x")
    return (
        values
        if dtype == "float64"
        else values.replace(np.inf, np.nan).round().clip(-9, 9).astype(dtype)
    )


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("timed", [False, True], ids=["rows", "time"])
@pytest.mark.parametrize(("how", "options"), HOWS)
@given(
    parts=st.lists(VALUES, min_size=1, max_size=6),
    window=st.integers(1, 8),
    periods=st.one_of(st.none(), st.integers(0, 3)),
    dtype=st.sampled_from(["float64", "Int64"]),
)
@settings(max_examples=30, deadline=None)
def test_medians_and_quantiles_of_sorted_windows_equal_pandas(
    how: str,
    options: dict[str, Any],
    timed: bool,
    parts: list[list[float]],
    window: int,
    periods: int | None,
    dtype: str,
) -> None:
    rows = spread_over([value for part in parts for value in part], dtype, timed)
    size: Any = pd.Timedelta(window, "s") if timed else window
    periods = periods if periods is None or timed else min(periods, window)
    state = RollingState(rows.iloc[:0], size, how, periods, **options)
    made, start = [], 0
    for part in parts:
        made.append(state.update(rows.iloc[start : start + len(part)]))
        start += len(part)
    expected = getattr(rows.rolling(size, min_periods=periods), how)(**options)
    got = pd.concat([one for one in made if len(one)] or made[:1])
    pd.testing.assert_series_equal(got, expected, check_index_type=len(rows) > 0, check_freq=False)


@pytest.mark.parametrize(("how", "options"), HOWS[:3])
def test_a_large_window_is_sorted_once_and_not_gone_through_again(
    how: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(size=20_200)
    rows = pd.DataFrame({"x": values, "y": -values})
    state = RollingState(rows.iloc[:0], 20_000, how, **options)
    state.update(rows.iloc[:20_000])
    state.update(rows.iloc[20_000:20_001])  # sorts the window
    expected = getattr(rows.rolling(20_000), how)(**options)
    made: list[int] = []
    monkeypatch.setattr(RollingState, "_by_pandas", None)
    monkeypatch.setattr(rolling, "SortedWindow", made.append)
    for start in range(20_001, 20_200):
        if start == 20_100:
            state = pickle.loads(pickle.dumps(copy.deepcopy(state)))
        result = state.update(rows.iloc[start : start + 1])
        pd.testing.assert_frame_equal(result, expected.iloc[start : start + 1])
    assert not made
    assert all(len(window.values) == 19_999 for window in state.sorted or [])


def test_a_large_batch_goes_to_pandas_and_the_window_is_sorted_anew() -> None:
    rows = pd.Series(np.random.default_rng(1).normal(size=5_000), name="x")
    state = RollingState(rows.iloc[:0], 1_000, "median")
    borders = [0, 1_000, 1_001, 1_002, 2_500, 2_501, 5_000]
    parts = [state.update(rows.iloc[a:b]) for a, b in pairwise(borders)]
    pd.testing.assert_series_equal(pd.concat(parts), rows.rolling(1_000).median())


def test_wider_rows_and_rows_that_are_refused_leave_the_window_right() -> None:
    rows = pd.Series(np.arange(400))
    state = RollingState(rows.iloc[:0], 100, "median")
    state.update(rows.iloc[:200])
    state.update(rows.iloc[200:201])
    with pytest.raises(TypeError):
        state.update(pd.Series(["text"]))
    half = pd.Series([0.5], index=[201])
    got = state.update(half)
    expected = pd.concat([rows.iloc[:201], half]).rolling(100).median().iloc[-1:]
    pd.testing.assert_series_equal(got, expected)


def test_without_sortedcontainers_pandas_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "available", lambda: False)
    rows = pd.Series(np.arange(200.0))
    state = RollingState(rows.iloc[:0], 100, "median")
    state.update(rows.iloc[:199])
    assert state.update(rows.iloc[199:]).tolist() == [149.5]
    assert state.sorted is None


def test_windows_without_a_finite_value_have_no_median() -> None:
    window = SortedWindow(np.array([np.inf, np.nan]))
    nothing = window.quantiles(np.array([np.nan]), np.empty(0), np.array([0]), 0.5, 0)
    assert np.isnan(nothing).all()
