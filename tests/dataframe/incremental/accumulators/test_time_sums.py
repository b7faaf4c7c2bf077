"""Means of times are exact, wherever batches end and whatever leaves a window."""

from __future__ import annotations

import copy
from typing import Any, cast

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz.dataframe.incremental import AllRows, LastRows, create_aggregate

TICKS = st.one_of(st.none(), st.integers(-(2**62), 2**62), st.integers(-5, 5))
BATCHES = st.lists(
    st.lists(st.tuples(TICKS, st.sampled_from("abc")), max_size=6), min_size=1, max_size=6
)
DTYPES = ["M8[ns]", "m8[ns]", "datetime64[ns, Europe/Berlin]", "m8[us]"]


def exact(ticks: list[int | None]) -> int | None:
    present = [one for one in ticks if one is not None]
    if not present:
        return None
    total = sum(present)
    return total // len(present) if total >= 0 else -(-total // len(present))


def column(ticks: list[int | None], dtype: str) -> Any:
    naive = "M8[ns]" if "Berlin" in dtype else dtype
    values = pd.array(ticks, dtype="Int64").to_numpy("int64", na_value=pd.NaT.value)
    times = cast(Any, pd.Series(values.view(naive), name="t"))
    return times.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin") if naive != dtype else times


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [None, 1, 4])
@given(cells=BATCHES)
@settings(max_examples=25, deadline=None)
def test_means_of_times_are_those_of_whole_numbers(
    cells: list[list[tuple[int | None, str]]], n: int | None, dtype: str
) -> None:
    over = AllRows() if n is None else LastRows(n)
    empty = column([], dtype)
    alone = create_aggregate(empty, "mean", over)
    grouped = create_aggregate(
        pd.DataFrame({"k": pd.Series([], dtype="str"), "t": empty}), "mean", over, by="k"
    )
    rows: list[tuple[int | None, str]] = []
    for number, batch in enumerate(cells):
        times = column([one for one, _ in batch], dtype)
        keys = pd.Series([key for _, key in batch], dtype="str")
        if number == 2:
            alone = copy.deepcopy(alone)
        total = alone.update(times)
        by_key = grouped.update(pd.DataFrame({"k": keys, "t": times}))["t"]
        rows = (rows + batch)[-n if n else 0 :]
        assert by_key.dtype == empty.dtype
        expected: dict[str | None, int | None] = {None: exact([one for one, _ in rows])}
        for key in sorted({key for _, key in rows}):
            expected[key] = exact([one for one, its in rows if its == key])
        got = pd.concat([pd.Series([total], dtype=empty.dtype), by_key])
        assert list(by_key.index) == list(expected)[1:]
        pd.testing.assert_series_equal(
            got.reset_index(drop=True), column(list(expected.values()), dtype), check_names=False
        )


def test_the_mean_of_a_year_of_times_is_that_of_pandas() -> None:
    times = pd.Series(pd.date_range("2030-01-01", periods=500, freq="17h"))
    state = create_aggregate(times.iloc[:0], "mean")
    state.update(times.iloc[:333])
    assert state.update(times.iloc[333:]) == times.mean()


def test_times_in_finer_units_go_on_from_those_before() -> None:
    texts = pd.Index(["2030-01-01", "2030-01-02", None], dtype=object)
    days = pd.Series(pd.to_datetime(texts)).astype("M8[s]")
    finer = pd.Series(
        pd.to_datetime(["1930-01-03 00:00:00.000001", "2030-01-01 00:00:00.000000"]).as_unit("us")
    )
    for keys in (None, ["k"]):
        frames = [pd.DataFrame({"k": "a", "t": one}) for one in (days, finer)]
        state = (
            create_aggregate(frames[0].iloc[:0], "mean", by=keys)
            if keys
            else create_aggregate(days, "mean")
        )
        state.update(frames[0] if keys else days)
        got = state.update(frames[1] if keys else finer)
        got = got["t"].iloc[0] if keys else got
        assert got == pd.concat([days, finer]).mean()
