"""Values at the ends of the range of floats: what has left a window leaves no trace of them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz.dataframe.incremental import AllRows, EwmState, LastRows, create_aggregate

HUGE = [1.7e308, -1.7e308, 1e308, -1e308, 3.4e38, -3.4e38, 1e151, -3e151, 1e200, 1e17, -1e17]
SMALL = [0.0, 1.0, -1.0, 3.3, 0.1, 1e-9, -2.5, 1e-300, 5e-324]
VALUES = st.sampled_from([*HUGE, *SMALL, *SMALL, np.inf, -np.inf])
BATCHES = st.lists(st.lists(VALUES, max_size=5), min_size=1, max_size=10)
LIMIT = Fraction(np.finfo("float64").max)


def series(*values: float) -> Any:
    return pd.Series(values, dtype="float64")


def exact(values: list[float]) -> float:
    """The sum, rounded once; infinite only if it is too large itself, or a value is."""
    odd = {x for x in values if np.isinf(x)}
    if odd:
        return odd.pop() if len(odd) == 1 else np.nan
    total = sum(map(Fraction, values), Fraction(0))
    if abs(total) > LIMIT:
        return np.inf if total > 0 else -np.inf
    return float(total)


def check(got: float, values: list[float]) -> None:
    want = exact(values)
    if np.isfinite(want):
        want_, got_ = Fraction(want), Fraction(float(got))
        assert abs(want_ - got_) <= abs(want_) / 10**12 + Fraction(1, 10**320), (got, want, values)
    else:
        assert got == want or (np.isnan(got) and np.isnan(want)), (got, want, values)


@settings(max_examples=60, deadline=None)
@given(batches=BATCHES, rows=st.sampled_from([1, 3, 4]), by_group=st.booleans())
def test_a_sum_in_a_window_is_that_of_its_rows_alone(
    batches: list[list[float]], rows: int, by_group: bool
) -> None:
    over = LastRows(rows)
    state: Any = create_aggregate(series(), "sum", over, "given" if by_group else None)
    every: list[float] = []
    for batch in batches:
        keys = {"keys": pd.Series(np.zeros(len(batch), int))} if by_group else {}
        got = state.update(series(*batch), **keys)
        every += batch
        if every:
            check(got.iloc[0] if by_group else got, every[-rows:])


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.sampled_from([2e307, -2e307, 1.7e308, -1.7e308, 1.0]), max_size=12))
def test_a_sum_that_leaves_the_range_of_floats_comes_back(values: list[float]) -> None:
    state: Any = create_aggregate(series(), "sum", AllRows())
    seen: list[float] = []
    for x in values:
        got = state.update(series(x))
        seen.append(x)
        want = exact(seen)
        assert got == want or abs(got - want) <= 1e-12 * 1.7e308


@pytest.mark.parametrize("how", ["sum", "mean", "var", "std"])
@pytest.mark.parametrize("by", [None, "given"])
@pytest.mark.parametrize(
    "before",
    [
        [[-1.0, -3.4e38, 3.4e38]],
        [[1e308], [1e308]],
        [[1e308, 1e308, -1e308]],
        [[1e151, -3e151, 2e151]],
        [[1e300, -1e300, 2e-300]],
        [[1.7e308], [-1.7e308], [np.inf]],
    ],
)
def test_what_was_huge_leaves_no_trace(how: str, by: Any, before: list[list[float]]) -> None:
    state: Any = create_aggregate(series(), how, LastRows(3), by)
    got: Any = None
    for batch in [*before, [3.3], [4.4], [5.5]]:
        keys = {} if by is None else {"keys": pd.Series(["a"] * len(batch))}
        got = state.update(series(*batch), **keys)
    got = got if by is None else got.iloc[0]
    assert got == pytest.approx(series(3.3, 4.4, 5.5).agg(how), rel=1e-12)


def test_a_weighted_mean_of_huge_values_is_what_pandas_says() -> None:
    rows = series(1.7e308, -1.7e308, 1.0, 2.0)
    state = EwmState(series(), com=1)
    got = [state.update(rows.iloc[i : i + 1]) for i in range(len(rows))]
    assert got == pytest.approx(rows.ewm(com=1).mean().tolist(), rel=1e-9)
