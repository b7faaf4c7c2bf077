"""Rolling, exponentially weighted and cumulative states against pandas on all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.incremental.model import same

from rapidz.dataframe.incremental import CumulativeState, EwmState, RollingState

VALUES = st.one_of(st.none(), st.integers(-5, 5))
BATCHES = st.lists(st.lists(VALUES, max_size=5), min_size=1, max_size=6)
ROUNDS = settings(max_examples=40, deadline=None)


def frames(cells: list[list[int | None]], dtype: str) -> list[pd.DataFrame]:
    """Frames of two columns whose index counts on, in seconds of which some repeat."""
    made, number = [], 0
    for batch in cells:
        stamps = [pd.Timestamp(2020, 1, 1, 0, 0, (number + i) // 2) for i in range(len(batch))]
        number += len(batch)
        if dtype.startswith("float") or dtype == "Int64":
            x = pd.Series(batch, dtype=dtype)
        else:
            x = pd.Series([cell or 0 for cell in batch]).astype(np.dtype(dtype))
        index = pd.DatetimeIndex(stamps).as_unit("us")
        columns = {"x": x.array, "y": np.arange(len(batch)) * 0.5}
        made.append(pd.DataFrame(columns, index=index))
    return made


def results(state: Any, batches: list[Any]) -> Any:
    return pd.concat([state.update(batch) for batch in batches])


@ROUNDS
@given(
    cells=BATCHES,
    window=st.sampled_from([1, 2, 4, "2s", "3s"]),
    least=st.sampled_from([None, 0, 1]),
    dtype=st.sampled_from(["int64", "float64", "bool", "Int64"]),
)
def test_rolling_rows_equal_pandas(
    cells: list[list[int | None]], window: Any, least: int | None, dtype: str
) -> None:
    every = frames(cells, dtype)
    for label in ("x", ["x", "y"]):
        batches = [batch[label] for batch in every]
        rolling = pd.concat(batches).rolling(window, min_periods=least)
        for how in ("sum", "mean", "min", "max", "median", "var", "std", "count"):
            state = RollingState(batches[0].iloc[:0], window, how, least)
            same(results(state, batches), getattr(rolling, how)())


def test_rolling_has_the_least_number_of_values_that_pandas_has_by_default() -> None:
    state = RollingState(pd.Series([], dtype="int64"), 2, "sum")
    same(state.update(pd.Series([1, 2, 3])), pd.Series([np.nan, 3.0, 5.0]))
    state = RollingState(pd.Series([], dtype="int64"), 3, "sum", min_periods=2)
    same(state.update(pd.Series([1, 2, 3])), pd.Series([np.nan, 3.0, 6.0]))


def test_rolling_takes_options_and_functions() -> None:
    rows = pd.Series([1.0, 5.0, 2.0])
    got = RollingState(rows, 2, "quantile", q=0.25).update(rows)
    same(got, rows.rolling(2).quantile(0.25))
    got = RollingState(rows, 2, "aggregate", func="sum").update(rows)
    same(got, rows.rolling(2).sum())


def test_rolling_leaves_text_columns_out() -> None:
    rows = pd.DataFrame({"x": [1, 2], "name": ["a", "b"]})
    same(RollingState(rows, 2, "sum").update(rows), pd.DataFrame({"x": [np.nan, 3.0]}))


def test_rolling_in_time_refuses_an_index_that_goes_back_and_lives_on() -> None:
    first, second = pd.to_datetime(["2020-01-02", "2020-01-01"])
    state = RollingState(pd.Series([1.0]), "2D", "sum")
    state.update(pd.Series([1.0], index=[first]))
    with pytest.raises(ValueError, match=r"index must be in order .* 2020-01-01 .* after"):
        state.update(pd.Series([9.0], index=[second]))
    with pytest.raises(ValueError, match=r"index must be in order .* 2020-01-01 .* after"):
        state.update(pd.Series([9.0, 9.0], index=[first, second]))
    assert state.update(pd.Series([2.0], index=[first])).tolist() == [3.0]


@pytest.mark.parametrize(
    ("window", "options", "words"),
    [
        (0, {}, "window must be a number above 0, got 0"),
        ("soon", {}, "window must be a number of rows or a length of time, got 'soon'"),
        (2.5, {}, "window must be a number of rows or a length of time, got 2.5"),
        (2, {"min_periods": 3}, "min_periods must be between 0 and the window, got 3"),
        (2, {"how": "total"}, "how must be one of sum, .*, got 'total'"),
    ],
)
def test_rolling_refuses_bad_arguments(window: Any, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RollingState(pd.Series([1.0]), window, **({"how": "sum"} | options))


PARAMETERS = st.sampled_from([{"com": 1}, {"span": 4}, {"halflife": 0.5}, {"alpha": 1.0}])


@ROUNDS
@given(cells=BATCHES, parameters=PARAMETERS)
def test_ewm_equals_pandas(cells: list[list[int | None]], parameters: dict[str, Any]) -> None:
    batches = [batch.replace({5: np.inf, -5: -np.inf}) for batch in frames(cells, "float64")]
    for label in ("x", ["x", "y"]):
        state = EwmState(batches[0][label].iloc[:0], **parameters)
        for number, batch in enumerate(batches):
            got = state.update(batch[label])
            rows = pd.concat(batches[: number + 1])
            if len(rows):
                same(got, rows[label].ewm(**parameters).mean().iloc[-1])


@ROUNDS
@given(cells=BATCHES, data=st.data())
def test_ewm_by_group_equals_pandas(cells: list[list[int | None]], data: st.DataObject) -> None:
    batches = frames(cells, "float64")
    keys = [
        data.draw(st.lists(st.sampled_from("ab"), min_size=len(b), max_size=len(b))) for b in cells
    ]
    batches = [b.assign(k=pd.array(k, dtype="str")) for b, k in zip(batches, keys, strict=True)]
    state = EwmState(batches[0].iloc[:0], com=2, by="k")
    for number, batch in enumerate(batches):
        got = state.update(batch)
        rows = pd.concat(batches[: number + 1])
        if len(rows):
            # Carried on by pandas over missing values, so the last row of a group has it.
            groups = {key: part[["x", "y"]] for key, part in rows.groupby("k")}
            want = {key: part.ewm(com=2).mean().iloc[-1] for key, part in groups.items()}
            same(got, pd.DataFrame(want).T.astype({"x": float}).set_axis(got.index))
            assert list(got.index) == sorted(map(str, groups))


def test_ewm_survives_a_missing_value() -> None:
    state = EwmState(pd.Series([0.0]), com=1)
    got = [state.update(pd.Series([x])) for x in (1.0, np.nan, 3.0)]
    assert got == [1.0, 1.0, 2.6]


def test_ewm_survives_a_long_silence() -> None:
    state = EwmState(pd.Series([0.0]), com=1)
    state.update(pd.Series([1.0]))
    assert state.update(pd.Series([np.nan] * 5000)) == 1.0
    assert state.update(pd.Series([2.0])) == 2.0


def test_ewm_refuses_bad_parameters() -> None:
    bad: Any
    for bad in ({}, {"com": 1, "span": 2}, {"com": -1}, {"alpha": 0}, {"alpha": 2}, {"span": 0.5}):
        with pytest.raises(ValueError, match=r"^ewm: "):
            EwmState(pd.Series([0.0]), **bad)


@ROUNDS
@given(cells=BATCHES, dtype=st.sampled_from(["int64", "int32", "bool", "float64", "Int64"]))
def test_cumulative_rows_equal_pandas(cells: list[list[int | None]], dtype: str) -> None:
    every = frames(cells, dtype)
    for label in ("x", ["x", "y"]):
        batches = [batch[label] for batch in every if len(batch)] or [every[0][label]]
        rows = pd.concat(batches)
        for how in ("cumsum", "cumprod", "cummin", "cummax"):
            state = CumulativeState(rows.iloc[:0], how)
            same(results(state, batches), getattr(rows, how)())


def test_a_cumulative_sum_goes_on_after_a_missing_value() -> None:
    state = CumulativeState(pd.Series([], dtype="float64"), "cumsum")
    state.update(pd.Series([1.0, np.nan]))
    assert state.update(pd.Series([3.0])).tolist() == [4.0]


def test_a_cumulative_sum_that_is_no_number_stays_none() -> None:
    batches = [pd.Series([np.inf]), pd.Series([-np.inf, 1.0]), pd.Series([2.0])]
    with np.errstate(invalid="ignore"):
        got = results(CumulativeState(batches[0], "cumsum"), batches)
        same(got, pd.concat(batches).cumsum())
