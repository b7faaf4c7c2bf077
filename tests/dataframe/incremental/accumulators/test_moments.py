"""The variance of a window: right after values have left that were very much larger."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidz.dataframe.incremental import LastRows, Span, create_aggregate
from rapidz.dataframe.incremental.accumulators.moments import SlidingMoments


def frame(values: Any, start: Any = 0, k: Any = None) -> Any:
    index = range(start, start + len(values))
    return pd.DataFrame({"k": k or ["a"] * len(values), "x": values}, index=index)


def last(how: Any, n: Any, batches: Any, by: Any = None) -> Any:
    rows, state, result = pd.concat(batches), None, None
    for batch in batches:
        state = state or create_aggregate(batch.iloc[:0], {"x": how}, LastRows(n), by=by)
        result = state.update(batch)
    return result, rows.iloc[-n:]


@pytest.mark.parametrize("how", ["std", "var"])
@pytest.mark.parametrize("n", [2, 3, 50])
@pytest.mark.parametrize("first", [1e15, -1e17, 1e200, 1893456000 * 10**9])
def test_a_first_value_that_was_very_large_leaves_no_trace(how: Any, n: Any, first: Any) -> None:
    batches = [frame([float(first), 0.2, 0.3]), frame([0.5, 0.9])]
    batches += [frame([0.1 * (i % 7)]) for i in range(60)]
    result, rows = last(how, n, batches)
    assert result["x"] == pytest.approx(getattr(rows.x, how)(), rel=1e-9)


def test_nanoseconds_as_integers_leave_no_trace() -> None:
    batches = [frame([value]) for value in (1893456000 * 10**9, 5, 6, 9, 12)]
    assert last("std", 3, batches)[0]["x"] == 3.0


def test_neither_do_they_by_group_or_in_time() -> None:
    batches = [
        frame([1e15, 0.2, 0.3], k=["a", "a", "b"]),
        frame([0.5, 0.9, 0.7], 3, ["a", "b", "a"]),
    ]
    result, rows = last("std", 4, batches, by="k")
    pd.testing.assert_frame_equal(result, rows.groupby("k").agg({"x": "std"}))
    state = create_aggregate(batches[0].x.iloc[:0], "std", Span(3))
    for batch in batches:
        result = state.update(batch.x)
    assert result == pytest.approx(pd.Series([0.5, 0.9, 0.7]).std())


@pytest.mark.parametrize("values", [[0.1], [2], [1e15, 0.1], [0.3, 0.1], [1e300]])
def test_the_variance_of_equal_values_is_exactly_zero(values: Any) -> None:
    batches = [frame(values), *[frame([values[-1]] * 2) for _ in range(4)]]
    assert last("var", 5, batches)[0]["x"] == 0.0


def test_adjacent_values_stay_distinct_far_from_the_centre() -> None:
    batches = [frame([0.0]), *[frame([1.0, 1.0 + 2**-52]) for _ in range(3)]]
    result, rows = last("var", 4, batches)
    assert result["x"] == pytest.approx(rows.x.var(), rel=1e-9)
    assert result["x"] > 0


def test_equal_values_do_not_make_a_window_be_added_anew(monkeypatch: Any) -> None:
    added: list[Any] = []
    recompute = SlidingMoments.recompute

    def watched(*args: Any) -> None:
        added.append(1)
        recompute(*args)

    monkeypatch.setattr(SlidingMoments, "recompute", watched)
    # Prices of few levels in small groups: by chance some groups hold equal values only.
    batches = [frame([i % 3 + 0.99, 9.99], k=[i % 5, 7]) for i in range(60)]
    last("var", 30, batches, by="k")
    assert not added
    last("var", 3, [frame([1e15]), *[frame([0.1]) for _ in range(60)]])
    assert not added
    last("var", 3, [frame([1e15]), *[frame([0.1 + i % 2]) for i in range(60)]])
    assert len(added) == 1


def test_rows_that_come_late_into_a_window_do_not_confuse_it() -> None:
    state = create_aggregate(pd.Series([0.0]).iloc[:0], "var", Span(10))
    rows = pd.Series(dtype=float)
    for stamp, value in [(1, 5e15), (9, 0.7), (10, 0.5), (2, 0.7), (8, 0.7), (12, 0.7), (19, 0.7)]:
        new = pd.Series([value], index=[stamp])
        result = state.update(new)
        rows = pd.concat([rows, new]) if len(rows) else new
        rows = rows[rows.index > rows.index.max() - 10]
        assert result == pytest.approx(rows.var(), rel=1e-9, nan_ok=True)


VALUES = st.sampled_from([1e15, -1e12, 1e8, 0.1, 0.2, 0.3, 0.1, 0.2, 7.0, 7.0 + 2**-50, -0.0, 0.0])


@given(st.lists(st.lists(st.tuples(st.integers(0, 2), VALUES), max_size=4)), st.integers(2, 6))
def test_values_of_all_sizes_come_and_go(batches: Any, n: Any) -> None:
    state = create_aggregate(frame([0.1], k=[0]).iloc[:0], {"x": "var"}, LastRows(n), by="k")
    rows = frame([0.1], k=[0]).iloc[:0]
    for pairs in batches:
        new = frame([value for _, value in pairs], k=[key for key, _ in pairs] or None)
        if not len(new):
            continue
        result = state.update(new)
        rows = pd.concat([rows, new]).iloc[-n:] if len(rows) else new.iloc[-n:]
        expected = rows.groupby("k").agg({"x": "var"})
        # The two steps of pandas lose what is beside very large values: for them by parts.
        assert list(result.index) == list(expected.index)
        for key, group in rows.groupby("k").x:
            if len(group) > 1:
                exact = _exact(list(group))
                assert result.x[key] == pytest.approx(exact, rel=1e-9, abs=0.0)


def _exact(values: Any) -> Any:
    numbers = [Fraction(value) for value in values]
    mean = sum(numbers) / len(numbers)
    return float(sum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1))
