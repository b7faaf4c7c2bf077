"""Sliding windows in slices give what windows give that rows enter one by one."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.incremental.event_windows.timed_rows import (
    END,
    KEYED_WINDOWS,
    SECOND,
    WINDOWS,
    aligned,
    frames,
    run,
    same,
)

from rapidz.dataframe.incremental.event_windows.base import Spec
from rapidz.dataframe.incremental.event_windows.bins import EvenBins
from rapidz.dataframe.incremental.event_windows.sliced import SlicedAggregate, can_be_sliced
from rapidz.dataframe.incremental.event_windows.stamps import Stamps

HOWS: dict[str, Any] = {
    **{how: how for how in ("size", "count", "mean", "max")},
    "several": {"x": ["sum", "min", "mean"], "f": ["sum", "count", "max"], "t": "count"},
}


def sliced(example: pd.DataFrame, how: Any, size: int, every: int, keyed: bool) -> SlicedAggregate:
    omit = ["ts", "k"] if keyed else ["ts"]
    spec = Spec(how, KEYED_WINDOWS if keyed else WINDOWS, keyed, omit)
    bins = EvenBins(size * SECOND, every * SECOND)
    return SlicedAggregate(example.iloc[:0], spec, Stamps("t"), bins)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("size", "every"), [(180, 60), (100, 30)])
@settings(max_examples=12)
@given(data=st.data(), lag=st.integers(0, 300))
def test_slices_give_what_whole_windows_give(
    how: str, size: int, every: int, data: Any, lag: int
) -> None:
    keyed = data.draw(st.booleans())
    batches = data.draw(frames(None, "us"))
    if how == "max":
        batches = [batch.drop(columns="t") for batch in batches]
    if not keyed:
        batches = [batch.drop(columns="k") for batch in batches]
    whole = aligned(batches[0], HOWS[how], size, every, KEYED_WINDOWS if keyed else WINDOWS)
    assert can_be_sliced(whole)
    want, _ = run(whole, batches, lag, keyed)
    got, _ = run(sliced(batches[0], HOWS[how], size, every, keyed), batches, lag, keyed)
    assert len(got) == len(want)
    if len(want):
        same(got, want)


def test_what_cannot_be_merged_is_not_sliced() -> None:
    example = pd.DataFrame({"ts": pd.to_datetime([0]), "k": ["a"], "x": [1.0]})
    for how in ("first", "median", "nunique", "std", {"k": "max"}, {"x": len}):
        state = aligned(example, how, 60, 20, WINDOWS)
        assert can_be_sliced(state) == (how == {"x": len})


def test_a_row_enters_one_slice() -> None:
    frame = pd.DataFrame({"ts": pd.to_datetime([10, 70, 70], unit="s"), "k": list("aab"), "x": 1.0})
    state = sliced(frame, "sum", 600, 10, keyed=True)
    state.take(frame, frame["ts"], [frame["k"]], -END)
    assert state.open_count == 3
    assert len(state.open_windows()) == 66
    assert state.due() == 20 * SECOND
    early = state.early()
    assert len(early) == 66 + 60
    first = state.close(20 * SECOND)
    assert first["x"].to_dict() == {(pd.Timestamp(-580, unit="s"), pd.Timestamp(20, unit="s"), "a"): 1.0}  # fmt: skip  # noqa: E501
    assert state.due() == 30 * SECOND
    rest = state.close(END)
    pd.testing.assert_frame_equal(pd.concat([first, rest]), early)
    assert state.open_count == 0
    assert state.due() is None
