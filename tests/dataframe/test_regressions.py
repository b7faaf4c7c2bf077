"""Regressions: streams that gave wrong numbers in older libraries."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.dataframe.helpers import emitted, floats, streaming, timed, with_groups
from tests.dataframe.incremental.model import same

from rapidz import Stream
from rapidz.dataframe import DataFrame


def lists(results: list[Any]) -> list[list[float]]:
    return [list(one) for one in results]


def test_rolling_is_missing_until_so_many_rows_have_come() -> None:
    got = emitted(lambda s: s.rolling(3).sum(), floats([1, 2], [3, 4]))
    same(pd.concat(got, ignore_index=True), pd.Series([np.nan, np.nan, 6, 9], name="x"))
    rows = [timed(1, 0), timed(2, 1)]
    got = emitted(lambda s: s.x.rolling("2h").sum(), rows)
    assert lists(got) == [[1], [3]]


def test_rolling_honours_min_periods() -> None:
    got = emitted(lambda s: s.rolling(2, min_periods=1).sum(), floats([1, 2, 3]))
    assert lists(got) == [[1, 3, 5]]
    (got,) = emitted(lambda s: s.rolling(3, min_periods=2).sum(), floats([1, 2, 3]))
    same(got, pd.Series([np.nan, 3, 6], name="x"))
    got = pd.concat(emitted(lambda s: s.rolling(3, min_periods=3).sum(), floats([1, 2], [3])))
    same(got.reset_index(drop=True), pd.Series([np.nan, np.nan, 6], name="x"))


@pytest.mark.parametrize("first", [[], [np.nan]])
def test_a_mean_does_not_count_a_first_frame_without_values(first: list[float]) -> None:
    assert emitted(lambda s: s.mean(), floats(first, [2, 4]))[1] == 3.0


def test_a_window_with_a_missing_value_only_has_no_mean() -> None:
    got = emitted(lambda s: s.window(n=1).mean(), floats([2], [np.nan], [4]))
    assert np.isnan(got.pop(1))
    assert got == [2, 4]


def test_a_missing_value_does_not_end_a_cumulative_sum() -> None:
    assert lists(emitted(lambda s: s.cumsum(), floats([1, np.nan], [3])))[1] == [4]


def test_a_late_row_enters_no_window() -> None:
    rows = [timed(1, 0), timed(1, 2), timed(100, 0.5), timed(1, 2.5)]
    got = emitted(lambda s: s.window(value="1h").x.sum(), rows)
    assert got == [1, 1, 1, 2]


def test_unsorted_rows_are_sorted_within_an_element() -> None:
    rows = pd.concat([timed(1, 3), timed(2, 0), timed(4, 2.5)])
    assert emitted(lambda s: s.window(value="1h").x.sum(), [rows]) == [5]


@pytest.mark.parametrize("gone", [np.inf, 1e17])
def test_what_has_left_a_window_leaves_no_trace(gone: float) -> None:
    got = emitted(lambda s: s.window(n=1).sum(), floats([gone], [2], [3]))
    assert got == [gone, 2, 3]
    got = emitted(lambda s: s.window(n=2).sum(), floats([gone], [1], [0]))
    assert got[2] == 1.0


def test_a_variance_keeps_its_digits_on_a_large_offset() -> None:
    batches = [pd.Series([1e9 + i], name="x") for i in range(3)]
    assert emitted(lambda s: s.window(n=3).var(), batches)[2] == 1.0
    rows = [with_groups([1e9 + i], "a") for i in range(3)]
    assert emitted(lambda s: s.groupby("k").x.var(), rows)[2]["a"] == 1.0


def test_a_sum_of_large_whole_numbers_by_group_is_exact() -> None:
    (got,) = emitted(lambda s: s.groupby("k").x.sum(), [with_groups([2**53, 1], "aa")])
    assert got.dtype == "int64"
    assert int(got["a"]) == 2**53 + 1


def test_a_missing_value_does_not_end_a_weighted_mean() -> None:
    got = emitted(lambda s: s.ewm(com=1).mean(), floats([1], [np.nan], [3]))
    assert got == pytest.approx([1, 1, 2.6])


@pytest.mark.parametrize("how", ["sum", "mean"])
def test_a_text_column_is_left_out_of_numbers(how: str) -> None:
    rows = with_groups([1, 2], "ab")
    same(emitted(lambda s: getattr(s, how)(), [rows])[0], getattr(rows[["x"]], how)())


@pytest.mark.parametrize(("how", "of_all", "of_two"), [("max", 3, 3), ("min", 1, 2)])
def test_largest_and_smallest_are_there_everywhere(how: str, of_all: int, of_two: int) -> None:
    rows = with_groups([1, 3, 2], "aab")
    assert emitted(lambda s: getattr(s.x, how)(), [rows]) == [of_all]
    assert emitted(lambda s: getattr(s.window(n=2).x, how)(), [rows]) == [of_two]
    builds: list[Callable[[Any], Any]] = [
        lambda f: getattr(f.groupby("k").x, how)(),
        lambda f: f.groupby("k").agg(how),
    ]
    for build in builds:
        same(emitted(build, [rows])[0], build(rows))


def test_missing_keys_are_a_group_if_asked_for() -> None:
    rows = with_groups([1, 2, 4], ["a", None, None])
    got = emitted(lambda s: s.groupby("k", dropna=False).x.sum(), [rows, rows])
    same(got[1], pd.concat([rows, rows]).groupby("k", dropna=False).x.sum())


def test_expanding_keeps_no_rows() -> None:
    sdf = streaming(pd.Series([0.0], name="x"))
    pairs = sdf.expanding(with_state=True).sum().stream.sink_to_list()
    sizes = []
    for _ in range(200):
        sdf.emit(pd.Series(np.arange(100.0), name="x"))
        sizes.append(len(pickle.dumps(pairs[-1][0])))
    assert sizes[-1] < sizes[0] + 100


def test_columns_may_come_in_another_order() -> None:
    rows = pd.DataFrame({"x": [1, 2], "y": [3, 4]})
    got = emitted(lambda s: s.sum(), [rows, rows[["y", "x"]]])
    assert got[1].to_dict() == {"x": 6, "y": 14}


def test_emit_can_be_awaited() -> None:
    async def main() -> list[Any]:
        sdf: Any = DataFrame(Stream(asynchronous=True), example=pd.DataFrame({"x": [0]}))
        seen: list[Any] = sdf.x.sum().stream.sink_to_list()
        await sdf.emit(pd.DataFrame({"x": [1, 2]}))
        return seen

    assert asyncio.run(main()) == [3]


def test_values_that_have_left_a_window_are_not_counted() -> None:
    batches = [pd.Series([1, 1, 2]), pd.Series([3])]
    got = emitted(lambda s: s.window(n=2).value_counts(), batches)
    assert [one.to_dict() for one in got] == [{1: 1, 2: 1}, {2: 1, 3: 1}]


def test_a_window_is_no_dearer_for_having_seen_many_elements() -> None:
    sdf = streaming(with_groups([1.0], "a"))
    pairs = sdf.window(n=10, with_state=True).groupby("k").x.sum().stream.sink_to_list()
    for number in range(300):
        sdf.emit(with_groups([float(number)], f"{number % 7}"))
    sizes = [len(pickle.dumps(state)) for state, _ in pairs]
    assert sizes[-1] < 3 * sizes[20]
