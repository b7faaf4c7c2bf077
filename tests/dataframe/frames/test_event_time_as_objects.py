"""Windows of frames of one row give what windows of objects give; in is results and late."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Count, First, Last, Max, Stream, Sum
from rapidz.dataframe import DataFrame

ELEMENT = st.tuples(st.integers(0, 400), st.sampled_from("abc"), st.integers(-5, 5))
WINDOWS: dict[str, Any] = {
    "tumbling": lambda s: s.tumbling("1 min"),
    "tumbling with an offset": lambda s: s.tumbling("1 min", offset="17s"),
    "sliding": lambda s: s.sliding("1 min", every="20s"),
    "sliding unevenly": lambda s: s.sliding("50s", every="20s"),
    "session": lambda s: s.session("15s"),
}
AGGREGATES: dict[str, Any] = {
    "n": Count(), "sum": Sum("x"), "max": Max("x"), "first": First("x"), "last": Last("x"),
}  # fmt: skip


def of_frames(
    windows: Any, batches: list[list[Any]], lag: int
) -> tuple[dict[Any, Any], int, list[Any]]:
    example = pd.DataFrame({"at": [0], "k": ["a"], "x": [0]}).iloc[:0]
    sdf = DataFrame(example=example)
    grouped = windows(sdf.event_time("at", lag=lag)).groupby("k").aggregate(**AGGREGATES)
    late = grouped.late.stream.map(lambda rows: rows.to_dict("records")).flatten().sink_to_list()
    seen = grouped.stream.sink_to_list()
    for batch in batches:
        sdf.emit(pd.DataFrame(batch, columns=["at", "k", "x"]))
    sdf.stream.close()
    final = pd.concat(seen) if seen else pd.DataFrame()
    assert final.index.is_unique  # each window once
    return final.to_dict("index"), grouped.late_count, late


@pytest.mark.parametrize("kind", WINDOWS)
@settings(max_examples=25)
@given(elements=st.lists(ELEMENT, max_size=25), lag=st.integers(0, 60))
def test_frames_of_one_row_are_as_objects(kind: str, elements: list[Any], lag: int) -> None:
    source: Stream[Any] = Stream()
    keyed = source.event_time("at", lag=lag).key_by("k")
    windows = WINDOWS[kind](keyed).aggregate(**AGGREGATES)
    late, seen = windows.late.sink_to_list(), windows.sink_to_list()
    for at, key, x in elements:
        source.emit({"at": at, "k": key, "x": x})
    source.close()
    results = {(one.start, one.end, one.key): one.value for one in seen}
    got, count, rows = of_frames(WINDOWS[kind], [[one] for one in elements], lag)
    assert got == results
    assert count == len(late)
    assert rows == [one.element for one in late]


@pytest.mark.parametrize("kind", ["tumbling", "session"])
@settings(max_examples=25)
@given(
    batches=st.lists(st.lists(ELEMENT, max_size=6), max_size=8), lag=st.integers(0, 60)
)  # fmt: skip
def test_every_row_is_in_one_result_or_late(kind: str, batches: list[Any], lag: int) -> None:
    got, count, rows = of_frames(WINDOWS[kind], batches, lag)
    everything = [row for batch in batches for row in batch]
    assert sum(one["n"] for one in got.values()) + count == len(everything)
    assert len(rows) == count
    total = sum(one["sum"] for one in got.values()) + sum(row["x"] for row in rows)
    assert total == sum(x for _, _, x in everything)


@settings(max_examples=25)
@given(elements=st.lists(ELEMENT, min_size=1, max_size=25), data=st.data())
@pytest.mark.parametrize("kind", WINDOWS)
def test_within_the_lag_neither_order_nor_borders_matter(
    kind: str, elements: list[Any], data: Any
) -> None:
    # One row at a time of each key, so that ties in time are not decided by arrival.
    distinct = list({(at, key): (at, key, x) for at, key, x in elements}.values())
    once = of_frames(WINDOWS[kind], [sorted(distinct)], 0)
    shuffled = data.draw(st.permutations(distinct))
    size = data.draw(st.integers(1, 9))
    batches = [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
    assert of_frames(WINDOWS[kind], batches, 400) == once
