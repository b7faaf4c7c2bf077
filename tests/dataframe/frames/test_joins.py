"""Joins: with a frame that does not change, and of two streaming frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.helpers import emitted, streaming
from tests.dataframe.incremental.model import same

from rapidz.dataframe import DataFrame, merge

NAMES = pd.DataFrame({"k": [1, 2, 2, 5], "name": ["one", "two", "zwei", "five"], "n": [1, 2, 3, 4]})
ROWS = pd.DataFrame({"k": [1, 2, 3], "n": [10, 20, 30]})

MERGES: dict[str, dict[str, Any]] = {
    "by a column": {"on": "k"},
    "by columns of other names": {"left_on": "n", "right_on": "k"},
    "by the index of the other": {"left_on": "k", "right_index": True},
    "by both indexes": {"left_index": True, "right_index": True},
    "with other suffixes": {"on": "k", "suffixes": ("", "_named")},
}

#: Before pandas 3.1 an inner merge may swap the partners of one row.
STABLE = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)

keys = st.lists(st.lists(st.integers(0, 6), max_size=4), min_size=1, max_size=4)


@pytest.mark.parametrize("how", ["inner", "left"])
@pytest.mark.parametrize("by", MERGES)
@settings(max_examples=15, deadline=None)
@given(parts=keys)
def test_merged_elements_add_up_to_what_pandas_merges(
    by: str, how: str, parts: list[list[int]]
) -> None:
    whole = pd.DataFrame({"k": [k for part in parts for k in part]}, dtype="int64")
    whole["n"] = whole.k * 10
    ends = [sum(map(len, parts[: i + 1])) for i in range(len(parts))]
    batches = [whole.iloc[end - len(part) : end] for end, part in zip(ends, parts, strict=True)]
    options: dict[str, Any] = {"how": how, **MERGES[by]}
    got = emitted(lambda s: s.merge(NAMES, **options), batches)
    if not len(whole):
        return
    expected = whole.merge(NAMES, **options)
    together = pd.concat([one for one, part in zip(got, parts, strict=True) if part])
    if "left_index" not in MERGES[by] and "right_index" not in MERGES[by]:
        together = together.reset_index(drop=True)
        if how == "inner" and not STABLE:
            columns = list(expected.columns)
            together, expected = (
                rows.sort_values(columns, ignore_index=True) for rows in (together, expected)
            )
    pd.testing.assert_frame_equal(together, expected, check_dtype=how == "inner")


def test_dtypes_do_not_depend_on_which_rows_find_a_partner() -> None:
    found, lost = ROWS[ROWS.k < 3], ROWS[ROWS.k == 3]
    got = emitted(lambda s: s.merge(NAMES, on="k", how="left").n_y, [found, lost])
    assert [str(one.dtype) for one in got] == ["float64", "float64"]
    total = emitted(lambda s: s.merge(NAMES, on="k", how="left").n_y.sum(), [found, lost])
    assert total == [6.0, 6.0]


def test_the_frame_that_does_not_change_may_be_the_left_one() -> None:
    same(
        emitted(lambda s: merge(NAMES, s, on="k", how="right"), [ROWS])[0],
        NAMES.merge(ROWS, on="k", how="right").astype({"n_x": "float64"}),
    )
    same(emitted(lambda s: merge(NAMES, s, on="k"), [ROWS])[0], NAMES.merge(ROWS, on="k"))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda s: s.merge(NAMES, on="k", how="outer"), "how must be 'inner' or 'left'"),
        (lambda s: s.merge(NAMES, on="k", how="right"), "unknown before the end"),
        (lambda s: merge(NAMES, s, on="k", how="left"), "how must be 'inner' or 'right'"),
        (lambda s: s.merge(s, on="k"), "use join for streams"),
        (lambda _: merge(NAMES, NAMES, on="k"), "left or right must be a streaming frame, got"),
        (lambda s: s.merge([1], on="k"), r"right must be a data frame .*, got \[1\]"),
        (lambda s: s.merge(NAMES, on="k", indicator=True), "options must be among"),
        (lambda s: s.join(NAMES, on="k", within=3), "use merge"),
        (lambda s: s.join(s, on="k"), "within must be a number of rows or a length of time"),
        (lambda s: s.join(s, on="k", within=0), "n must be a whole number above 0, got 0"),
        (lambda s: s.join(s, within=1), "on must name the columns"),
        (lambda s: s.join(s, on="z", within=1), "on the left, got 'z'"),
        (lambda s: s.join(s.k, on="k", within=1), "other must be a streaming data frame"),
        (lambda s: s.join(s, on="k", within=1, how="left"), "how must be 'inner'"),
    ],
)
def test_what_cannot_be_joined_is_refused_when_built(
    build: Callable[[Any], Any], words: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        build(streaming(ROWS))


# --- two streaming frames -----------------------------------------------------------------------

admission = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=0, max_size=4),
    ),
    min_size=1,
    max_size=8,
)


def rows_of(side: int, times: list[int], keys: list[int], begin: int) -> Any:
    columns = {"k": keys, "id": range(begin, begin + len(keys)), "lr"[side]: 0}
    return pd.DataFrame(columns, index=pd.Index(times, dtype="int64"))


def both() -> tuple[Any, Any]:
    return (
        DataFrame(example=rows_of(0, [0], [0], 0)),
        DataFrame(example=rows_of(1, [0], [0], 0)),
    )


def joined(elements: list[tuple[int, Any]], within: Any) -> list[tuple[int, int]]:
    left, right = both()
    seen = left.join(right, on="k", within=within).stream.sink_to_list()
    for side, rows in elements:
        (left, right)[side].emit(rows)
    return [pair for rows in seen for pair in zip(rows.id_x, rows.id_y, strict=True)]


@settings(max_examples=60, deadline=None)
@given(admission=admission)
def test_rows_close_in_time_are_paired_once(admission: list[Any]) -> None:
    """By hand: row by row, with those before that are not too old then."""
    clock, elements, expected = 0, [], set[tuple[int, int]]()
    before: list[list[tuple[int, int, int]]] = [[], []]
    newest, begin = -99, 0
    for side, cells in admission:
        times = []
        for step, _ in cells:
            clock += step
            times.append(clock)
        keys = [key for _, key in cells]
        times = [time - 5 * (begin % 3 == 2) for time in times]  # now and then a batch is late
        elements.append((side, rows_of(side, times, keys, begin)))
        for number, (time, key) in enumerate(zip(times, keys, strict=True), begin):
            if time <= newest - 4:
                continue
            for its_time, its_key, its_number in before[1 - side]:
                if its_key == key and its_time > max(newest, time) - 4:
                    expected.add((number, its_number) if side == 0 else (its_number, number))
            before[side].append((time, key, number))
        newest = max([newest, *times])
        begin += len(keys)
    got = joined(elements, 4.0)
    assert len(got) == len(set(got))
    assert set(got) == expected


@settings(max_examples=40, deadline=None)
@given(admission=admission, n=st.integers(1, 4))
def test_a_row_is_paired_with_the_last_rows_of_the_other_side(admission: list[Any], n: int) -> None:
    elements, expected, begin = [], list[tuple[int, int]](), 0
    before: list[list[tuple[int, int]]] = [[], []]
    for side, cells in admission:
        keys = [key for _, key in cells]
        elements.append((side, rows_of(side, [0] * len(keys), keys, begin)))
        for number, key in enumerate(keys, begin):
            for its_key, its_number in before[1 - side][-n:]:
                if its_key == key:
                    expected.append((number, its_number) if side == 0 else (its_number, number))
        before[side] += zip(keys, range(begin, begin + len(keys)), strict=True)
        begin += len(keys)
    assert joined(elements, n) == expected


def test_pairs_look_as_pandas_merges_them() -> None:
    left, right = both()
    made = left.join(right, on="k", within="1h", suffixes=("", "_r"))
    assert type(made) is DataFrame
    assert list(made.columns) == ["k", "id", "l", "id_r", "r"]
    seen = made.stream.sink_to_list()
    times = pd.date_range("2020-01-01", periods=3, freq="40min")
    ours = rows_of(0, [0, 0], [7, 8], 1).set_axis(times[:2])
    theirs = rows_of(1, [0], [8], 5).set_axis(times[2:])
    left.emit(ours)
    right.emit(theirs)
    assert len(seen) == 1
    expected = ours.merge(theirs, on="k", suffixes=("", "_r"))
    same(seen[0], expected.set_axis(times[2:]))


def test_a_self_join_pairs_each_row_with_earlier_rows_too() -> None:
    got = emitted(lambda s: s.join(s, on="k", within=10), [ROWS])
    assert len(got) == 1
    assert list(got[0].n_x) == list(got[0].n_y)


def test_rows_that_can_have_no_partner_any_more_are_forgotten() -> None:
    from rapidz.dataframe.incremental.interval_join import IntervalJoin

    for within in (5, 5.0):
        pairs = IntervalJoin(["k"], within, ("_x", "_y"))
        for number in range(50):
            for side in (0, 1):
                pairs.update(side, rows_of(side, [number], [number % 3], number))
        assert [len(held) for held in pairs.held] == [5, 5]


def test_a_bad_element_changes_nothing_in_a_join() -> None:
    left, right = both()
    seen = left.join(right, on="k", within=3).stream.sink_to_list()
    left.emit(rows_of(0, [0], [1], 0))
    with pytest.raises(TypeError, match="column 'k' must stay int64"):
        left.emit(rows_of(0, [0], [1], 1).astype({"k": "str"}))
    right.emit(rows_of(1, [0], [1], 9))
    assert [list(one.id_x) for one in seen] == [[0]]
