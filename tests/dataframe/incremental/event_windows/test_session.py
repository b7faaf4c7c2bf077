"""Sessions of rows equal a loop that sorts the rows of each key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dataframe.incremental.event_windows.timed_rows import (
    END,
    KEYED_WINDOWS,
    SECOND,
    WINDOWS,
    frames,
    run,
)

from rapidz.dataframe.incremental.event_windows.base import Spec
from rapidz.dataframe.incremental.event_windows.session import SessionAggregate
from rapidz.dataframe.incremental.event_windows.stamps import Stamps


def sessions(example: pd.DataFrame, how: Any, gap: int, keyed: bool = True) -> SessionAggregate:
    omit = ["ts", "k"] if keyed else ["ts"]
    spec = Spec(how, KEYED_WINDOWS if keyed else WINDOWS, keyed, omit)
    return SessionAggregate(example.iloc[:0], spec, Stamps("t"), gap * SECOND)


def by_loop(batches: list[pd.DataFrame], how: str, gap: int, lag: int) -> dict[Any, Any]:
    """Aggregates of sessions, as a loop over the rows of each batch finds them."""
    open_: list[Any] = []  # key, first and last second, rows
    found: dict[Any, Any] = {}
    watermark: float = -float("inf")
    for batch in batches:
        every: Any = batch.itertuples()
        rows = [(int(row.ts.timestamp()), row) for row in every if row.ts is not pd.NaT]
        new = [[row.k, at, at, [row]] for at, row in rows if row.k == row.k]
        merged: list[Any] = []
        for key, first, last, inside in sorted([*open_, *new], key=lambda one: (one[0], one[1])):
            if merged and merged[-1][0] == key and first - merged[-1][2] < gap:
                merged[-1][2] = max(merged[-1][2], last)
                merged[-1][3] += inside
            else:
                merged.append([key, first, last, inside])
        # Of those that the watermark has passed none was open: their rows are late.
        open_ = [one for one in merged if one[2] + gap > watermark]
        watermark = max([watermark, *(at - lag for at, _ in rows)])
        found |= closed(open_, watermark, how, gap)
        open_ = [one for one in open_ if one[2] + gap > watermark]
    return found | closed(open_, float("inf"), how, gap)


def closed(sessions: list[list[Any]], watermark: float, how: str, gap: int) -> dict[Any, Any]:
    ended = {}
    for key, first, last, rows in sessions:
        if last + gap <= watermark:
            values = [row.x for row in sorted(rows, key=lambda row: row.ts)]
            groups: Any = pd.Series(values).groupby(np.zeros(len(values)))
            label = pd.Timestamp(first, unit="s"), pd.Timestamp(last + gap, unit="s"), key
            ended[label] = getattr(groups, how)().iloc[0]
    return ended


@pytest.mark.parametrize("how", ["size", "sum", "median", "nunique"])
@settings(max_examples=25)
@given(data=st.data(), lag=st.integers(0, 300), gap=st.integers(5, 100))
def test_sessions_equal_a_loop_over_rows(how: str, data: Any, lag: int, gap: int) -> None:
    batches = [batch[["ts", "k", "x"]] for batch in data.draw(frames(None, "us"))]
    got, _ = run(sessions(batches[0], how, gap), batches, lag, keyed=True)
    column = got if how == "size" or not len(got) else got["x"]
    assert (column.to_dict() if len(got) else {}) == by_loop(batches, how, gap, lag)


def minute(*rows: tuple[int, str, float]) -> pd.DataFrame:
    seconds, keys, values = zip(*rows, strict=True)
    times = pd.to_datetime(list(seconds), unit="s")
    return pd.DataFrame({"ts": times, "k": list(keys), "x": list(values)})


def test_a_row_between_two_sessions_joins_them() -> None:
    first = minute((0, "a", 1.0), (15, "a", 2.0), (15, "b", 4.0))
    state = sessions(first, "sum", 10)
    state.take(first, first["ts"], [first["k"]], -END)
    assert state.open_count == 3
    bridge = minute((8, "a", 8.0))
    state.take(bridge, bridge["ts"], [bridge["k"]], 0)
    assert state.open_count == 2
    assert state.close(24 * SECOND) is None
    assert state.close(25 * SECOND)["x"].tolist() == [11.0, 4.0]


def test_a_row_is_late_if_its_session_would_have_ended() -> None:
    first = minute((0, "a", 1.0), (50, "a", 2.0))
    state = sessions(first, "sum", 10)
    state.take(first, first["ts"], [first["k"]], -END)
    state.close(45 * SECOND)
    batch = minute((30, "a", 4.0), (36, "a", 8.0), (44, "a", 16.0))
    late = state.take(batch, batch["ts"], [batch["k"]], 45 * SECOND)
    assert late is None  # a chain of rows reaches past the watermark
    batch = minute((20, "a", 32.0))
    late = state.take(batch, batch["ts"], [batch["k"]], 45 * SECOND)
    assert late is not None
    assert late.tolist() == [True]
    assert state.close(END)["x"].tolist() == [30.0]


def test_sessions_without_keys_are_of_all_rows() -> None:
    first = minute((0, "a", 1.0), (5, "b", 2.0), (50, "b", 4.0)).drop(columns="k")
    state = sessions(first, ["sum", "count"], 10, keyed=False)
    state.take(first, first["ts"], None, -END)
    early = state.early()
    final = state.close(END)
    pd.testing.assert_frame_equal(early, final)
    assert final["x", "sum"].tolist() == [3.0, 4.0]
    assert final.index.names == ["start", "end"]


def test_memory_of_sessions_is_freed() -> None:
    state = sessions(minute((0, "a", 1.0)), "sum", 10)
    for second in range(0, 10_000, 20):
        batch = minute(*((second, f"{second}-{n}", 1.0) for n in range(20)))
        state.take(batch, batch["ts"], [batch["k"]], (second - 10) * SECOND)
        state.close((second - 10) * SECOND)
    assert state.open_count == 20
    assert state._groups is not None
    assert len(state._groups) < 200
