"""Rolling sums, means, variances, extremes and counts at a cost that follows the rows that come."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz.dataframe.incremental import RollingState
from rapidz.dataframe.incremental.rolling import rolling

HOWS: list[tuple[str, dict[str, Any]]] = [
    ("sum", {}),
    ("mean", {}),
    ("count", {}),
    ("min", {}),
    ("max", {}),
    ("var", {}),
    ("std", {"ddof": 0}),
    ("var", {"ddof": 2}),
]
CELLS = st.sampled_from([0.0, -0.0, 1.0, 2.5, 2.5, 2.5, -7.0, 1e9, math.nan, math.inf, -math.inf])
VALUES = st.lists(CELLS, max_size=7)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on with the sums of small windows too."""
    monkeypatch.setattr(rolling, "LARGE", 0)


def spread_over(rows: list[float], dtype: Any, timed: bool, unit: Any = "ns") -> Any:
    index: Any = pd.RangeIndex(len(rows))
    if timed:
        seconds = np.arange(len(rows)) // 2 + (np.arange(len(rows)) // 5) * 3
        index = (pd.Timestamp("2030-01-01") + pd.to_timedelta(seconds, unit="s")).as_unit(unit)
    values = pd.Series(rows, index=index, dtype="float64", name="x")
    if dtype == "float64":
        return values
    if dtype == "int64":
        return values.replace([np.inf, -np.inf], 0.0).fillna(5.0).round().astype(dtype)
    return values.replace([np.inf, -np.inf], np.nan).round().astype(dtype)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("timed", [False, True], ids=["rows", "time"])
@pytest.mark.parametrize(("how", "options"), HOWS)
@given(
    parts=st.lists(VALUES, min_size=1, max_size=8),
    window=st.integers(1, 9),
    periods=st.one_of(st.none(), st.integers(0, 3)),
    dtype=st.sampled_from(["float64", "int64", "Int64"]),
    unit=st.sampled_from(["s", "us", "ns"]),
)
@settings(max_examples=25, deadline=None)
def test_values_of_windows_whose_sums_go_on_are_those_of_pandas(
    how: str,
    options: dict[str, Any],
    timed: bool,
    parts: list[list[float]],
    window: int,
    periods: int | None,
    dtype: str,
    unit: str,
) -> None:
    rows = spread_over([value for part in parts for value in part], dtype, timed, unit)
    size: Any = pd.Timedelta(window * 500, "ms") if timed else window
    periods = periods if periods is None or timed else min(periods, window)
    both = pd.DataFrame({"x": rows, "y": rows[::-1].to_numpy()})
    for frame in (rows, both):
        state = RollingState(frame.iloc[:0], size, how, periods, **options)
        made, start = [], 0
        for part in parts:
            made.append(state.update(frame.iloc[start : start + len(part)]))
            start += len(part)
        expected = getattr(frame.rolling(size, min_periods=periods), how)(**options)
        got: Any = pd.concat([one for one in made if len(one)] or made[:1])
        alone: dict[str, Any] = {"check_freq": False, "check_index_type": len(frame) > 0}
        if frame is rows:
            pd.testing.assert_series_equal(got, expected, rtol=1e-6, atol=1e-6, **alone)
        else:
            pd.testing.assert_frame_equal(got, expected, rtol=1e-6, atol=1e-6, **alone)


@pytest.mark.usefixtures("always")
@given(
    values=st.lists(
        st.floats(-1e100, 1e100) | st.sampled_from([1e16, -1e16, 0.1, 0.3, 1e-300]), min_size=1
    ),
    window=st.integers(1, 12),
    step=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_each_sum_is_as_exact_as_one_of_its_window_alone(
    values: list[float], window: int, step: int
) -> None:
    rows = pd.Series(values)
    state = RollingState(rows.iloc[:0], window, "sum", 1)
    parts = [state.update(rows.iloc[at : at + step]) for at in range(0, len(rows), step)]
    for end, got in enumerate(pd.concat(parts).tolist(), 1):
        held = values[max(0, end - window) : end]
        error = max(map(abs, held)) * len(held) ** 2 * 2.0**-100
        assert abs(got - math.fsum(held)) <= error + abs(math.fsum(held)) * 2.0**-51


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([0.0, 2.0**65, 0.0, 0.0, 9999999999999996.0, 0.1, -9999999999988156.0], 1),
        ([0.0, 1e100, 0.0, 0.0, 1e16, 0.1, -1e16], 1),
        ([0.0, 0.0, 1e16, 0.1, -1e16, 1e100], 6),
        ([1e-9, 0.1, 3.0, 1e16, 0.1, -1e16, 1e40, 1e70, -1e70, -1e40], 10),
    ],
)
def test_a_huge_value_leaves_sums_of_windows_without_it_exact(
    values: list[float], step: int
) -> None:
    rows = pd.Series(values)
    state = RollingState(rows.iloc[:0], 5, "sum", 1)
    got = pd.concat([state.update(rows.iloc[at : at + step]) for at in range(0, len(rows), step)])
    held = [values[max(0, end - 5) : end] for end in range(1, len(values) + 1)]
    small = [at for at, window in enumerate(held) if max(map(abs, window)) < 1e17]
    assert [got.iloc[at] for at in small] == [math.fsum(held[at]) for at in small]


@pytest.mark.usefixtures("always")
def test_variances_far_from_zero_are_exact_and_forget_former_rows() -> None:
    random = np.random.default_rng(3)
    steps = np.repeat([0.0, 1e12, -5e6, 1e9, 0.0], 60)
    rows = pd.Series(steps + random.integers(0, 9, len(steps)))
    state = RollingState(rows.iloc[:0], 20, "var")
    got = pd.concat([state.update(rows.iloc[at : at + 3]) for at in range(0, len(rows), 3)])
    for end in range(20, len(rows) + 1):
        window = rows.iloc[end - 20 : end]
        expected = (window - window.iloc[0]).var() if window.max() - window.min() < 100 else None
        assert expected is None or got.iloc[end - 1] == pytest.approx(expected, rel=1e-9)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("how", ["var", "std"])
def test_equal_values_have_no_variance(how: str) -> None:
    rows = pd.Series([1e9, 0.3, *[0.1] * 9])
    state = RollingState(rows.iloc[:0], 5, how)
    got = pd.concat([state.update(rows.iloc[at : at + 1]) for at in range(len(rows))])
    assert got.tolist()[6:] == [0.0] * 5
    assert got.iloc[4] > 0


@pytest.mark.parametrize(("how", "options"), HOWS)
def test_a_large_window_is_not_gone_through_again(
    how: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    values[::7] = np.nan
    rows = pd.DataFrame({"x": values, "y": -values})
    state = RollingState(rows.iloc[:0], 5_000, how, 1, **options)
    state.update(rows.iloc[:5_000])
    seen = 0
    running = np.cumsum

    def counted(data: Any) -> Any:
        nonlocal seen
        seen += len(data)
        return running(data)

    monkeypatch.setattr(np, "cumsum", counted)
    monkeypatch.setattr(RollingState, "_by_pandas", None)
    made = []
    for start in range(5_000, 20_000, 50):
        if start == 9_000:
            state = pickle.loads(pickle.dumps(copy.deepcopy(state)))
        made.append(state.update(rows.iloc[start : start + 50]))
    monkeypatch.undo()
    expected = getattr(rows.rolling(5_000, min_periods=1), how)(**options).iloc[5_000:]
    pd.testing.assert_frame_equal(pd.concat(made), expected)
    # Each row is looked at twice; a variance adds up seven things of each, in two columns.
    assert seen <= 20_000 * 2 * 2 * 8
    assert state.rows.size == 4_999


def test_values_whose_squares_are_no_floats_leave_no_trace() -> None:
    rows = pd.Series([1e308, 1e308, *[1.0] * 400])
    for how in ("sum", "mean", "var"):
        state = RollingState(rows.iloc[:0], 100, how, 1)
        got = pd.concat([state.update(rows.iloc[at : at + 1]) for at in range(len(rows))])
        assert got.iloc[-1] == {"sum": 100.0, "mean": 1.0, "var": 0.0}[how]


def test_options_that_pandas_refuses_change_nothing() -> None:
    rows = pd.Series([1.0, 2.0, 3.0])
    state = RollingState(rows.iloc[:0], 2, "quantile", q=7.0)
    for _ in range(2):
        with pytest.raises(ValueError, match="quantile value 7"):
            state.update(rows)
        assert state.rows.size == 0


@pytest.mark.usefixtures("always")
def test_columns_that_turn_out_numeric_join_the_others() -> None:
    nothing = pd.DataFrame({"x": [1.0, 2.0], "y": pd.Series([None, None], dtype=object)})
    more = pd.DataFrame({"x": [3, 4], "y": [5.0, 6.0]})
    state = RollingState(nothing.iloc[:0], 3, "sum", 1)
    assert list(state.update(nothing).columns) == ["x"]
    got = state.update(more)
    assert got.to_dict("list") == {"x": [6.0, 9.0], "y": [5.0, 11.0]}
