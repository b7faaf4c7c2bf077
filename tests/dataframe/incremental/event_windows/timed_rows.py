"""Helpers: batches of rows with times, states that take them, and what pandas gives."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import strategies as st

from rapidz.dataframe.incremental.event_windows.aligned import AlignedAggregate
from rapidz.dataframe.incremental.event_windows.base import Spec, TimedAggregate
from rapidz.dataframe.incremental.event_windows.bins import EvenBins
from rapidz.dataframe.incremental.event_windows.layout import Layout
from rapidz.dataframe.incremental.event_windows.stamps import Stamps

END = 1 << 80
SECOND = 10**9
NAMES = ["sum", "mean", "count", "size", "min", "max", "first", "last", "std", "var", "median"]
HOWS: dict[str, Any] = {
    **{name: name for name in [*NAMES, "nunique"]},
    "several": ["min", "sum"],
    "by column": {"x": "max", "f": ["first", "median"]},
    "named": {"low": ("x", "min"), "names": ("t", "nunique"), "n": ("x", "size")},
    "own": {"own": ("x", lambda xs: float(xs.max() - xs.min()) if len(xs) else -1.0)},
}
NUMERIC = {"sum", "mean", "std", "var", "median"}


def frames(zone: str | None, unit: Any) -> st.SearchStrategy[list[pd.DataFrame]]:
    """Batches of rows of some minutes, whose times may be missing and out of order."""
    row = st.tuples(
        st.one_of(st.none(), st.integers(0, 600)),
        st.sampled_from(["a", "b", None]),
        st.integers(-3, 3),
        st.sampled_from([0.5, -1.0, float("nan"), 2.25]),
        st.sampled_from(["u", "v", None]),
    )

    def made(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
        seconds = [
            None if s is None else pd.Timestamp(1_700_000_000 + s, unit="s") for s, *_ in rows
        ]
        times: Any = pd.DatetimeIndex(seconds).as_unit(unit)
        if zone is not None:
            times = times.tz_localize("UTC").tz_convert(zone)
        return pd.DataFrame(
            {
                "ts": times,
                "k": pd.Series([r[1] for r in rows], dtype="str"),
                "x": pd.Series([r[2] for r in rows], dtype="int64"),
                "f": pd.Series([r[3] for r in rows], dtype="float64"),
                "t": pd.Series([r[4] for r in rows], dtype="str"),
            }
        )

    return st.lists(st.lists(row, max_size=8).map(made), min_size=1, max_size=5)


WINDOWS = Layout(("start", "end"), ("start", "end"))
KEYED_WINDOWS = Layout(("start", "end", "key"), ("start", "end", "k"))


def aligned(
    example: pd.DataFrame, how: Any, size: int, every: int, layout: Layout, unit: str = "s"
) -> AlignedAggregate:
    """A state of windows of some seconds; by the column `k` if the layout has a key."""
    keyed = "key" in layout.levels
    spec = Spec(how, layout, keyed, ["ts", "k"] if keyed else ["ts"])
    bins = EvenBins(size * SECOND, every * SECOND)
    return AlignedAggregate(example.iloc[:0], spec, Stamps("t", unit), bins)


def run(state: TimedAggregate, batches: list[pd.DataFrame], lag: int, keyed: bool) -> Any:
    """All final rows, and the rows that were not late."""
    watermark, closed, kept = -END, [], []
    for batch in batches:
        late = state.take(batch, batch["ts"], [batch["k"]] if keyed else None, watermark)
        kept.append(batch if late is None else batch[~late])
        newest = batch["ts"].max()
        if newest is not pd.NaT:
            watermark = max(watermark, int(newest.as_unit("ns").value) - lag * SECOND)
        due = state.due()
        if due is not None and due <= watermark:
            closed.append(state.close(watermark))
            assert closed[-1] is not None
    closed.append(state.close(END))
    assert state.due() is None
    rows = pd.concat(kept, ignore_index=True).sort_values("ts", kind="stable")
    final = [one for one in closed if one is not None]
    return pd.concat(final) if final else pd.DataFrame(), rows


def by_pandas(groups: Any, how: Any) -> Any:
    """The aggregates that pandas gives, of numbers only where text has none."""
    if isinstance(how, str) and how in NUMERIC:
        return getattr(groups, how)(numeric_only=True)
    if isinstance(how, list):
        return groups[["x", "f"]].agg(how)
    if isinstance(how, dict) and all(isinstance(one, tuple) for one in how.values()):
        return groups.agg(**how)
    return groups.agg(how) if not isinstance(how, str) else getattr(groups, how)()


def of_numbers(how: Any, got: Any) -> Any:
    return got[["x", "f"]] if isinstance(how, list) else got


def same(got: Any, want: Any) -> None:
    assert type(got) is type(want)
    compare: Any = pd.testing.assert_series_equal
    if isinstance(want, pd.DataFrame):
        compare = pd.testing.assert_frame_equal
    compare(got, want, check_freq=False, rtol=1e-9)
