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


def by_loop(rows: pd.DataFrame, how: str, gap: int) -> dict[Any, Any]:
    """Aggregates of sessions of rows that are sorted by time."""
    found: dict[Any, list[Any]] = {}
    last: dict[Any, tuple[Any, Any]] = {}
    for row in rows.itertuples():
        start, before = last.get(row.k, (None, None))
        if before is None or row.ts - before >= pd.Timedelta(seconds=gap):
            start = row.ts
        last[row.k] = start, row.ts
        found.setdefault((start, row.k), []).append(row.x)
    ends = {}
    for (start, key), values in found.items():
        chosen = rows[(rows["k"] == key) & (rows["ts"] >= start)].iloc[: len(values)]
        end = chosen["ts"].iloc[-1] + pd.Timedelta(seconds=gap)
        one: Any = pd.Series(values).groupby(np.zeros(len(values)))
        ends[start, end, key] = getattr(one, how)().iloc[0]
    return ends


@pytest.mark.parametrize("how", ["size", "sum", "first", "last", "median", "nunique"])
@settings(max_examples=25)
@given(data=st.data(), lag=st.integers(0, 300), gap=st.integers(5, 100))
def test_sessions_equal_a_loop_over_rows_that_are_not_late(
    how: str, data: Any, lag: int, gap: int
) -> None:
    batches = [batch[["ts", "k", "x"]] for batch in data.draw(frames(None, "us"))]
    got, rows = run(sessions(batches[0], how, gap), batches, lag, keyed=True)
    want = by_loop(rows[rows["k"].notna() & rows["ts"].notna()], how, gap)
    column = got if how == "size" or not len(got) else got["x"]
    assert (column.to_dict() if len(got) else {}) == want


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
