"""Regressions and promises: inputs that gave wrong numbers in older libraries."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.dataframe.incremental.model import same

from rapidz.dataframe.incremental import AllRows, Extent, LastRows, Span, create_aggregate

FLOATS: Any = pd.Series([], dtype="float64")
TIMES = pd.date_range("2020-01-01", periods=4, freq="30min")


def emitted(state: Any, *batches: list[Any]) -> list[Any]:
    return [state.update(pd.Series(batch, dtype="float64")) for batch in batches]


def timed(value: float, hour: float) -> Any:
    return pd.Series([value], index=[pd.Timestamp("2020-01-01") + pd.Timedelta(hours=hour)])


@pytest.mark.parametrize("first", [[], [np.nan]])
def test_a_mean_does_not_count_a_first_frame_without_values(first: list[float]) -> None:
    got = emitted(create_aggregate(FLOATS, "mean"), first, [2, 4])
    assert np.isnan(got[0])
    assert got[1] == 3.0


def test_a_window_of_one_missing_value_has_no_mean() -> None:
    got = emitted(create_aggregate(FLOATS, "mean", LastRows(1)), [2], [np.nan], [4])
    assert np.isnan(got.pop(1))
    assert got == [2, 4]


def test_a_late_row_enters_no_sum_and_is_shown() -> None:
    state = create_aggregate(timed(0, 0), "sum", Span("1h"))
    assert state.update(timed(1, 0)) == 1
    assert state.update(timed(1, 1.5)) == 1
    assert len(state.late) == 0
    assert state.update(timed(100, 0.25)) == 1
    assert state.late.tolist() == [100]
    assert state.update(timed(1, 2)) == 2
    assert len(state.late) == 0


def test_rows_of_a_batch_are_sorted_first() -> None:
    state = create_aggregate(timed(0, 0), "sum", Span("1h"))
    state.update(pd.concat([timed(1, 3), timed(2, 0), timed(4, 2.5)]))
    assert state.result() == 5
    assert len(state.late) == 0


def test_the_row_exactly_one_span_old_is_out() -> None:
    state = create_aggregate(timed(0, 0), "count", Span("2h"))
    assert [state.update(timed(1, hour)) for hour in (0, 1, 2, 3)] == [1, 2, 2, 2]


def test_late_is_judged_by_the_rows_before_the_batch() -> None:
    state = create_aggregate(pd.Series([0.0]), "sum", Span(2))
    state.update(pd.Series([1.0], index=[10]))
    state.update(pd.Series([1.0, 1.0, 1.0], index=[7, 9, 20]))
    assert state.late.index.tolist() == [7]  # 9 was in time, and left within its batch


@pytest.mark.parametrize("how", ["sum", "mean"])
@pytest.mark.parametrize("gone", [np.inf, -np.inf, 1e17, 1e300, 1.7e308])
def test_what_has_left_a_window_leaves_no_trace(how: str, gone: float) -> None:
    state = create_aggregate(FLOATS, how, LastRows(2))
    got = emitted(state, [gone], [1.0], [3.0], [0.1], [0.2])
    assert got[2:] == [pd.Series(p).agg(how) for p in ([1.0, 3.0], [3.0, 0.1], [0.1, 0.2])]


def test_what_has_left_a_group_leaves_no_trace() -> None:
    state = create_aggregate(FLOATS, "sum", LastRows(4), by="given")
    got: Any = None
    for x, key in [(1e17, "a"), (1.0, "a"), (1e300, "b"), (2.0, "b"), (3.0, "a"), (4.0, "b")]:
        got = state.update(pd.Series([x]), keys=pd.Series([key]))
    assert got.to_dict() == {"a": 3.0, "b": 1e300}
    got = state.update(pd.Series([0.5]), keys=pd.Series(["a"]))
    assert got.to_dict() == {"a": 3.5, "b": 6.0}


@pytest.mark.parametrize("over", [AllRows(), LastRows(3), Span(3)])
@pytest.mark.parametrize("by", [None, "given"])
@pytest.mark.parametrize("offset", [1e9, 1e12, 1e15])
def test_a_variance_keeps_its_digits_on_a_large_offset(
    over: Extent, by: Any, offset: float
) -> None:
    state = create_aggregate(FLOATS, "var", over, by)
    got: Any = None
    for number in range(9):
        frame = pd.Series([offset + number % 3], index=[number])
        got = state.update(frame, keys=pd.Series(["k"])) if by else state.update(frame)
        if number == 2:
            assert float(got if by is None else got["k"]) == 1.0
    if over != AllRows():
        assert float(got if by is None else got["k"]) == 1.0


def test_a_variance_in_a_window_follows_a_drift() -> None:
    state = create_aggregate(FLOATS, "std", LastRows(50))
    rng = np.random.default_rng(0)
    rows: Any = pd.Series(
        np.r_[rng.normal(size=100) + 1e13, rng.normal(size=200), np.full(80, 0.1)]
    )
    for start in range(0, len(rows), 7):
        got = state.update(rows[start : start + 7])
        held = rows[max(0, start - 43) : start + 7].iloc[-50:]
        want = (held - held.iloc[0]).std()  # about a near value: pandas too loses digits at 1e13
        assert got == pytest.approx(want, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("over", [AllRows(), LastRows(5), Span(5)])
@pytest.mark.parametrize("by", [None, "given"])
def test_large_integers_stay_exact(over: Extent, by: Any) -> None:
    state = create_aggregate(pd.Series([1]), "sum", over, by)
    got: Any = None
    for number, value in enumerate([2**53 - 1, 1, 1]):
        frame = pd.Series([value], index=[number])
        got = state.update(frame, keys=pd.Series([7])) if by else state.update(frame)
    if by:
        assert got.dtype == "int64"
    assert int(got if by is None else got[7]) == 2**53 + 1


@pytest.mark.parametrize("how", ["sum", "mean", "median", "var", "std", "quantile"])
@pytest.mark.parametrize("by", [None, "key"])
def test_a_text_column_does_not_break_a_numeric_aggregate(how: str, by: Any) -> None:
    rows = pd.DataFrame({"key": ["a", "a"], "x": [1.0, 3.0], "name": ["p", "q"]})
    got = create_aggregate(rows, how, by=by).update(rows)
    if by is None:
        same(got, getattr(rows[["x"]], how)())
    else:
        same(got, getattr(rows[["key", "x"]].groupby("key"), how)())


@pytest.mark.parametrize("how", ["min", "max", "first", "last"])
@pytest.mark.parametrize("over", [AllRows(), LastRows(2)])
def test_text_has_smallest_and_first_values(how: str, over: Extent) -> None:
    state = create_aggregate(pd.Series([], dtype="str"), how, over)
    state.update(pd.Series(["b", "c"]))
    assert state.update(pd.Series(["a"])) == {"min": "a", "max": "c"}.get(
        how, {"first": "b" if over == AllRows() else "c", "last": "a"}.get(how)
    )


def test_groups_that_have_left_a_window_vanish() -> None:
    state = create_aggregate(pd.DataFrame({"k": [1], "x": [1.0]}), "sum", LastRows(2), "k")
    got: Any = None
    for k in range(300):
        got = state.update(pd.DataFrame({"k": [k], "x": [1.0]}))
    assert got.x.to_dict() == {298: 1.0, 299: 1.0}
    assert len(pickle.dumps(state)) < 60_000  # they are forgotten altogether


def test_counted_values_that_have_left_a_window_vanish() -> None:
    state = create_aggregate(pd.Series([1]), "value_counts", LastRows(2))
    got: Any = None
    for value in (1, 2, 2):
        got = state.update(pd.Series([value]))
    assert got.to_dict() == {2: 2}


def test_missing_keys_make_a_group_if_asked_for() -> None:
    rows = pd.DataFrame({"k": [1.0, np.nan, np.nan], "x": [1, 2, 3]})
    assert create_aggregate(rows, "sum", by="k").update(rows).x.tolist() == [1]
    assert create_aggregate(rows, "sum", by="k", dropna=False).update(rows).x.tolist() == [1, 5]


def test_categories_without_rows_come_if_asked_for() -> None:
    keys = pd.Categorical(["a", "a"], categories=["a", "b"])
    rows = pd.DataFrame({"k": keys, "x": [1, 2]})
    for observed in (True, False):
        got = create_aggregate(rows, "sum", by="k", observed=observed).update(rows)
        same(got, rows.groupby("k", observed=observed).sum())


ROWS: Any = pd.DataFrame({"x": [1, 2, 3], "y": [1.5, np.nan, 2.5], "k": ["a", "b", "a"]})


@pytest.mark.parametrize("over", [AllRows(), LastRows(10)])
@pytest.mark.parametrize(
    "how",
    [
        {"x": "sum", "y": "mean"},
        {"x": ["sum", "mean"], "y": ["min"]},
        {"x": ["sum", "median"], "y": "max"},
    ],
)
def test_a_dict_aggregates_as_in_pandas(how: Any, over: Extent) -> None:
    for by in (None, "k"):
        state = create_aggregate(ROWS, how, over, by)
        state.update(ROWS.iloc[:1])
        got = state.update(ROWS.iloc[1:])
        same(got, ROWS.agg(how) if by is None else ROWS.groupby("k").agg(how))


def test_a_list_and_names_aggregate_as_in_pandas() -> None:
    rows: Any = ROWS.drop(columns="k")
    hows = ["sum", "mean", "max"]
    same(create_aggregate(rows, hows).update(rows), rows.agg(hows))
    same(create_aggregate(ROWS, hows, by="k").update(ROWS), ROWS.groupby("k").agg(hows))
    same(create_aggregate(ROWS.x, hows).update(ROWS.x), ROWS.x.agg(hows))
    got = create_aggregate(ROWS.x, hows, by="given").update(ROWS.x, keys=ROWS.k)
    same(got, ROWS.x.groupby(ROWS.k).agg(hows))
    named: dict[str, Any] = {"total": ("x", "sum"), "top": ("y", "max")}
    same(create_aggregate(ROWS, named).update(ROWS), ROWS.agg(**named))
    same(create_aggregate(ROWS, named, by="k").update(ROWS), ROWS.groupby("k").agg(**named))
    got = create_aggregate(ROWS.x, {"total": "sum"}, by="given").update(ROWS.x, keys=ROWS.k)
    same(got, ROWS.x.groupby(ROWS.k).agg(total="sum"))


def spread(column: Any) -> float:
    return float(column.max() - column.min())


def test_a_function_aggregates_as_in_pandas() -> None:
    rows: Any = ROWS.drop(columns="k")
    same(create_aggregate(rows, spread).update(rows), rows.agg(spread))
    got = create_aggregate(ROWS, {"x": spread}, by="k").update(ROWS)
    same(got, ROWS.groupby("k").agg({"x": spread}))


def test_options_go_to_the_aggregate() -> None:
    rows = pd.Series([1.0, 2.0, 4.0])
    assert create_aggregate(rows, "var", ddof=0).update(rows) == rows.var(ddof=0)
    assert create_aggregate(rows, "quantile", q=0.25).update(rows) == rows.quantile(0.25)
    assert np.isnan(create_aggregate(rows, "sum", min_count=5).update(rows))


class Total:
    def initial(self, new: Any) -> float:
        return 0.0

    def on_new(self, acc: float, new: Any) -> tuple[float, float]:
        return acc + new.sum(), acc + new.sum()

    def on_old(self, acc: float, old: Any) -> tuple[float, float]:
        return acc - old.sum(), acc - old.sum()


def test_an_aggregation_of_the_user_sees_rows_come_and_leave() -> None:
    assert emitted(create_aggregate(FLOATS, Total()), [1, 2], [], [3]) == [3, 3, 6]
    assert emitted(create_aggregate(FLOATS, Total(), LastRows(2)), [1, 2], [3], [4, 5, 6]) == [
        3,
        5,
        11,
    ]
    state = create_aggregate(timed(0, 0), Total(), Span("1h"))
    assert [state.update(timed(1, hour)) for hour in (0, 0.5, 1)] == [1, 2, 2]


def test_a_copy_goes_its_own_way() -> None:
    state = create_aggregate(ROWS, "sum", LastRows(3), "k")
    state.update(ROWS)
    for twin in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        same(
            twin.update(ROWS.iloc[:1]), pd.concat([ROWS.iloc[1:], ROWS.iloc[:1]]).groupby("k").sum()
        )
    same(state.result(), ROWS.groupby("k").sum())


def test_a_result_once_given_does_not_change() -> None:
    for over in (AllRows(), LastRows(9)):
        state = create_aggregate(ROWS, ["sum", "count", "last"], over, "k")
        first = state.update(ROWS)
        kept = first.copy(deep=True)
        state.update(ROWS)
        same(first, kept)


def test_rows_that_come_out_of_order_are_in_the_order_of_the_index() -> None:
    for how in ("first", "last", "min", "max", "sum", "var"):
        state = create_aggregate(FLOATS, how, Span(5))
        rows: Any = pd.Series([], dtype="float64")
        rng = np.random.default_rng(1)
        for top in range(3, 60, 2):
            batch = pd.Series(rng.normal(size=3), index=rng.integers(top - 4, top, 3))
            rows = pd.concat([rows, batch]) if len(rows) else batch
            got = state.update(batch)
            rows = rows.sort_index(kind="stable")
            held = rows[rows.index > rows.index.max() - 5]
            want = held.iloc[0 if how == "first" else -1] if how in ("first", "last") else None
            assert got == pytest.approx(held.agg(how) if want is None else want, rel=1e-12)


@pytest.mark.parametrize("sort", [True, False])
def test_many_groups_of_two_keys_come_and_go(sort: bool) -> None:
    rng = np.random.default_rng(2)
    size = 700
    rows = pd.DataFrame(
        {
            "a": np.arange(size) // 3 + rng.integers(0, 9, size),
            "b": np.array(["p", "q"])[rng.integers(0, 2, size)],
            "x": rng.integers(0, 9, size),
            "y": rng.normal(size=size),
        }
    )
    hows = ["sum", "mean", "var", "min", "max", "first", "last", "median", "nunique", "count"]
    state = create_aggregate(rows, hows, LastRows(100), ["a", "b"], sort=sort)
    start = 0
    while start < size:
        stop = start + int(rng.integers(1, 40))
        got = state.update(rows.iloc[start:stop])
        held = rows.iloc[max(0, stop - 100) : stop] if stop <= size else rows.iloc[-100:]
        same(got, held.groupby(["a", "b"], sort=sort).agg(hows))
        start = stop


def test_a_mean_of_single_floats_by_group_has_one_dtype() -> None:
    state = create_aggregate(pd.Series([], dtype="float32"), "mean", by="given")
    keys = pd.Series([0, 0])
    for values in ([np.nan, np.nan], [1.0, np.nan], [1.0, 2.0]):
        assert state.update(pd.Series(values, dtype="float32"), keys=keys).dtype == "float64"


def test_objects_are_not_open_once_rows_have_come() -> None:
    state = create_aggregate(pd.Series([], dtype=object), "nunique")
    assert state.update(pd.Series(["a", 1, (2, 3)], dtype=object)) == 3
    with pytest.raises(TypeError, match="series None must stay object, got int64"):
        state.update(pd.Series([1]))


def test_quantiles_and_distinct_values_follow_their_window() -> None:
    rng = np.random.default_rng(3)
    rows = pd.Series(rng.integers(0, 20, 400))
    for how in ("median", "nunique", "quantile"):
        state = create_aggregate(rows, how, LastRows(50))
        for start in range(0, 400, 7):
            got = state.update(rows[start : start + 7])
            assert got == getattr(rows[: start + 7].iloc[-50:], how)()
