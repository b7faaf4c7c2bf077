"""Aggregations as functions: those of the older libraries, and custom ones."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.helpers import emitted, floats, streaming
from tests.dataframe.incremental.model import same

from rapidz.dataframe import aggregations as old
from rapidz.dataframe.aggregations import (
    Aggregation,
    accumulator,
    diff_align,
    diff_expanding,
    diff_iloc,
    diff_loc,
    groupby_accumulator,
    window_accumulator,
    windowed_groupby_accumulator,
)

ROWS = pd.DataFrame({"x": [1, 2, 3], "y": [1, 1, 2]})
TWICE = pd.concat([ROWS, ROWS])

REDUCTIONS: dict[str, Any] = {
    "Sum": lambda rows: rows.sum(),
    "Count": lambda rows: rows.count(),
    "Size": lambda rows: rows.size,
    "Mean": lambda rows: rows.mean(),
    "Var": lambda rows: rows.var(),
    "Full": lambda rows: rows,
    "ValueCounts": lambda rows: rows.value_counts(),
}
GROUPED: dict[str, Any] = {
    "GroupbySum": lambda groups: groups.sum(),
    "GroupbyCount": lambda groups: groups.count(),
    "GroupbySize": lambda groups: groups.size(),
    "GroupbyMean": lambda groups: groups.mean(),
    "GroupbyVar": lambda groups: groups.var(),
}

parts = st.lists(st.lists(st.integers(-3, 3), max_size=4), min_size=1, max_size=5)


class Longest(Aggregation):
    """Cannot take rows out."""

    def initial(self, new: Any) -> Any:
        return 0

    def on_new(self, acc: Any, new: Any) -> tuple[Any, Any]:
        longest = max([acc, *new])
        return longest, longest


class Steps(Aggregation):
    """Calls of one, in order."""

    def initial(self, new: Any) -> Any:
        return ()

    def on_new(self, acc: Any, new: Any) -> tuple[Any, Any]:
        acc = (*acc, ("new", *map(int, new)))
        return acc, acc

    def on_old(self, acc: Any, old: Any) -> tuple[Any, Any]:
        acc = (*acc, ("old", *map(int, old)))
        return acc, acc


def aggregated(windowed: Any, made: Any, sdf: Any) -> Any:
    return windowed(sdf).aggregate(made)


def grouped(windowed: Any, made: Any, by: Any, sdf: Any) -> Any:
    return windowed(sdf).groupby(by(sdf)).x._accumulate(made)


def sorted_counts(result: Any) -> Any:
    return result.sort_index() if isinstance(result, pd.Series) else result


# --- through the stream -------------------------------------------------------------------------


@pytest.mark.parametrize("name", REDUCTIONS)
@settings(max_examples=15, deadline=None)
@given(parts=parts)
def test_the_old_classes_equal_pandas(name: str, parts: list[list[int]]) -> None:
    batches = [pd.Series(part, dtype="int64", name="x") for part in parts]
    for windowed, last in ((lambda s: s, 0), (lambda s: s.window(n=3), -3)):
        made = getattr(old, name)()
        got = emitted(functools.partial(aggregated, windowed, made), batches)
        for number, result in enumerate(got):
            rows = pd.concat(batches[: number + 1]).iloc[last:]
            if len(rows):
                same(sorted_counts(result), sorted_counts(REDUCTIONS[name](rows)))


def test_a_custom_aggregation_sees_the_rows_that_enter_and_leave() -> None:
    got = emitted(lambda s: s.window(n=2).aggregate(Steps()), [pd.Series([1]), pd.Series([2, 3])])
    assert got[-1] == (("new", 1), ("new", 2, 3), ("old", 1))
    assert emitted(lambda s: s.aggregate(Longest()), [pd.Series([2]), pd.Series([1])]) == [2, 2]


def test_one_that_cannot_take_rows_out_says_so_in_a_window() -> None:
    sdf = streaming(pd.Series([1]))
    seen = sdf.window(n=2).aggregate(Longest()).stream.sink_to_list()
    sdf.emit(pd.Series([1, 2]))
    with pytest.raises(NotImplementedError, match="Longest must define on_old, for a window"):
        sdf.emit(pd.Series([3]))
    assert seen == [2]


def test_a_custom_aggregation_of_groups_is_refused_when_built() -> None:
    with pytest.raises(TypeError, match="a name, a list or a dict, for groups"):
        streaming(ROWS).groupby("y").aggregate(Longest())


@pytest.mark.parametrize("name", GROUPED)
@settings(max_examples=10, deadline=None)
@given(parts=parts)
def test_the_old_classes_by_group_equal_pandas(name: str, parts: list[list[int]]) -> None:
    made = getattr(old, name)
    frames = [pd.DataFrame({"k": np.abs(p), "x": p}, dtype="int64") for p in parts]
    for windowed, last in ((lambda s: s, 0), (lambda s: s.window(n=3), -3)):
        for by in (lambda s: "k", lambda s: s.k + 0):
            got = emitted(functools.partial(grouped, windowed, made, by), frames)
            for number, result in enumerate(got):
                rows = pd.concat(frames[: number + 1]).iloc[last:]
                if len(rows):
                    expected = GROUPED[name](rows.groupby("k").x)
                    pd.testing.assert_series_equal(
                        result[expected.index], expected, check_dtype=False, check_names=False
                    )


def test_the_old_classes_lose_no_digits_when_rows_leave() -> None:
    window: dict[str, Any] = {"diff": diff_iloc, "window": 1}
    state = None
    results = []
    for batch in floats([1e17], [np.inf], [2], [3]):
        state, result = window_accumulator(state, batch, agg=old.Sum(), **window)
        results.append(result)
    assert results == [1e17, np.inf, 2, 3]


@pytest.mark.parametrize("module", ["mine", "rapidz.dataframe.mine"])
def test_a_custom_aggregation_sees_leaving_rows_wherever_it_is_defined(
    module: str,
) -> None:
    left: list[Any] = []

    class Mine(old.Sum):
        __module__ = module

        def on_old(self, acc: Any, old: Any) -> tuple[Any, Any]:
            left.extend(old)
            return super().on_old(acc, old)

    window: dict[str, Any] = {"diff": diff_iloc, "window": 2, "agg": Mine()}
    state, _ = window_accumulator(None, pd.Series([1, 2]), **window)
    state, total = window_accumulator(state, pd.Series([3]), **window)
    assert (left, total) == ([1], 5)


def test_the_weighted_mean_by_hand_is_that_of_the_menu() -> None:
    made = old.EWMean(com=1)
    acc = made.initial(pd.Series([0.0]))
    first, _ = made.on_new(acc, pd.Series([1.0]))
    _, result = made.on_new(first, pd.Series([np.nan, 3.0]))
    assert float(result) == pytest.approx(2.6)
    _, again = made.on_new(first, pd.Series([np.nan, 3.0]))
    assert again == result


def test_the_base_class_names_what_is_missing() -> None:
    calls: list[Callable[[Any], Any]] = [
        lambda a: a.initial(1),
        lambda a: a.on_new(0, 1),
        lambda a: a.on_old(0, 1),
    ]
    for call in calls:
        with pytest.raises(NotImplementedError, match="must define"):
            call(Aggregation())
        with pytest.raises(NotImplementedError, match="must define"):
            call(old.GroupbyAggregation("x"))


# --- folds by hand ------------------------------------------------------------------------------


def test_an_accumulator_begins_where_nothing_was() -> None:
    state, result = accumulator(None, ROWS.x, agg=old.Sum())
    assert (state, result) == (6, 6)
    assert accumulator(state, ROWS.x, agg=old.Sum())[1] == 12


def test_groups_fold_frames_and_pairs() -> None:
    for element in (ROWS, (ROWS, ROWS.y)):
        agg = old.GroupbySum("x", "y" if element is ROWS else None)
        state, _ = groupby_accumulator(None, element, agg=agg)
        _, result = groupby_accumulator(state, element, agg=agg)
        same(result, TWICE.groupby("y").x.sum())


def test_windows_fold_frames_and_pairs() -> None:
    for element in (ROWS, (ROWS, ROWS.y)):
        agg = old.GroupbySum("x", "y" if element is ROWS else None)
        options: dict[str, Any] = {"diff": diff_iloc, "window": 4, "agg": agg}
        state, _ = windowed_groupby_accumulator(None, element, **options)
        state, result = windowed_groupby_accumulator(state, element, with_state=True, **options)
        same(result, TWICE.iloc[-4:].groupby("y").x.sum())
        assert {"dfs", "state", "size-state"} <= set(state)


def test_what_leaves_a_number_of_rows() -> None:
    held, gone = diff_iloc(deque([ROWS.iloc[1:]]), ROWS, window=4)
    assert [len(one) for one in held] == [1, 3]
    same(gone[0], ROWS.iloc[1:2])
    held, gone = diff_iloc(held, ROWS, window=1)
    assert ([len(one) for one in held], [len(one) for one in gone]) == ([1], [1, 3, 2])


def test_what_leaves_a_span() -> None:
    times = pd.date_range("2020", periods=3, freq="30min")
    rows = pd.Series([1, 2, 3], index=times)
    for window in ("1h", pd.Timedelta("1h")):
        held, gone = diff_loc(deque(), rows, window=window)
        same(pd.concat(held), rows.iloc[1:])
        same(pd.concat(gone), rows.iloc[:1])
    late = pd.Series([9], index=times[:1])
    held, gone = diff_loc(held, late, window="1h")
    same(pd.concat(held), rows.iloc[1:])
    same(pd.concat(gone), late)


def test_expanding_windows_keep_and_remove_no_rows() -> None:
    assert diff_expanding(deque(), ROWS) == (deque(), [])


def test_groupers_are_cut_as_the_frames_were() -> None:
    gone, held = diff_align(deque([ROWS.iloc[1:], ROWS]), deque([ROWS.y, ROWS.y]))
    assert ([list(one) for one in gone], [list(one) for one in held]) == (
        [[1]],
        [[1, 2], [1, 1, 2]],
    )
