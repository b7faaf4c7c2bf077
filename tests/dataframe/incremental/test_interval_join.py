"""Joins of streaming frames find partners by a hash index: those of a merge with all rows."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz.dataframe.incremental.interval_join import IntervalJoin
from rapidz.kernel.protocol.push import SKIP

TIMES = pd.to_datetime(
    pd.Index(["2030-01-01", "2030-01-02", None, "2030-01-01 00:00:01"], dtype=object),
    format="ISO8601",
)
KEYS: dict[str, tuple[Any, Any]] = {
    "whole numbers": ([0, 1, -1, 2**53], [0, 1, -1, 2**53 + 1]),
    "whole numbers and floats": ([0, 1, 2, 3], [-0.0, 1.0, 2.5, np.nan]),
    "floats": ([0.0, -0.0, np.nan, 0.1], [-0.0, np.nan, 0.1, 0.3]),
    "numbers that may be missing": (pd.array([0, 1, None, 2]), pd.array([0, None, 1, 3])),
    "masked and plain numbers": (pd.array([0, 1, None, 2]), [0, 1, 2, 3]),
    "text": (["a", "b", "", "ä"], ["a", "", None, "b"]),
    "text and objects": (["a", "b", "c", "d"], pd.array(["a", None, "b", "c"], dtype=object)),
    "categories": (pd.Categorical(list("abca")), pd.Categorical([*"bca", None])),
    "categories and text": (pd.Categorical(list("abca")), list("bcad")),
    "categories of numbers": (pd.Categorical([1, 2, 3, 1]), [1, 2, 3, 4]),
    "objects": (
        pd.array([1, "a", None, 2.0], dtype=object),
        pd.array([1.0, "a", 2, "b"], dtype=object),
    ),
    "times": (TIMES, TIMES[::-1]),
    "times in other units": (TIMES.as_unit("s"), TIMES.as_unit("ns")),
    "truth values": ([True, False, True, True], [False, True, False, True]),
    "lengths of time": (TIMES - TIMES[0], TIMES[::-1] - TIMES[0]),
}
OF_TWO_DTYPES = ("whole numbers and floats", "times in other units")


class ByMerge:
    """The same pairs by merging with all kept rows."""

    def __init__(self, within: Any) -> None:
        self.within, self.held = within, [pd.DataFrame(), pd.DataFrame()]
        self.newest = -(10**9)

    def update(self, side: int, frame: Any, on: list[str]) -> Any:
        if not len(frame):
            return SKIP
        timed = isinstance(self.within, float)
        if timed:
            frame = frame.sort_index(kind="stable")
            frame = frame[frame.index > self.newest - self.within]
        other = self.held[1 - side]
        pairs: Any = None
        if len(frame) and len(other):
            new, old = frame.rename_axis("at").reset_index(), other.rename_axis("at").reset_index()
            new, old = (one.rename_axis("place").reset_index() for one in (new, old))
            mine, its = ("_x", "_y") if side == 0 else ("_y", "_x")
            sides = (new, old) if side == 0 else (old, new)
            pairs = sides[0].merge(sides[1], on=on)
            pairs = pairs.sort_values(["place" + mine, "place" + its])
            if timed:
                pairs = pairs[(pairs.at_x - pairs.at_y).abs() < self.within]
            pairs.index = pd.Index(pairs["at" + mine].to_numpy())
            pairs = pairs.drop(columns=["at_x", "at_y", "place_x", "place_y"])
        held = pd.concat([self.held[side], frame]) if len(self.held[side]) else frame
        self.held[side] = held if timed else held.iloc[-self.within :]
        if timed and len(frame):
            self.newest = max(self.newest, *frame.index)
            for one in (0, 1):
                if len(self.held[one]):
                    stays = self.held[one].index > self.newest - self.within
                    self.held[one] = self.held[one][stays]
        return pairs if pairs is not None and len(pairs) else SKIP


ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 3)), max_size=6),
    ),
    min_size=1,
    max_size=14,
)


def rows_of(side: int, cells: list[tuple[int, int]], kind: str, begin: int, clock: int) -> Any:
    places = [at for at, _ in cells]
    frame = pd.DataFrame({"k": pd.Series(KEYS[kind][side])}).iloc[places]
    frame["q"] = np.array(places, "int64") % 2
    frame["xy"[side]] = range(begin, begin + len(places))
    times = np.array([clock + step for _, step in cells], "int64")
    return frame.set_axis(pd.Index(times, dtype="int64"))


@pytest.mark.filterwarnings("ignore:You are merging on int and float")
@pytest.mark.parametrize("kind", KEYS)
@given(
    admission=ARRIVALS,
    within=st.sampled_from([1, 3, 7, 2.0, 5.0, 50.0]),
    on=st.sampled_from([["k"], ["k", "q"], ["q", "k"]]),
    wider=st.integers(0, 14),
)
@settings(max_examples=8, deadline=None)
def test_pairs_are_those_of_a_merge_of_all_kept_rows(
    kind: str, admission: list[Any], within: Any, on: list[str], wider: int
) -> None:
    pairs, expected = IntervalJoin(on, within, ("_x", "_y")), ByMerge(within)
    begin = clock = 0
    for number, (side, cells) in enumerate(admission):
        frame = rows_of(side, cells, kind, begin, clock)
        if number >= wider and side == 0:  # wider values of another column from now on
            frame["x"] = frame["x"] + 0.5
        begin += len(cells)
        clock += 2
        if number == 4:
            pairs = pickle.loads(pickle.dumps(copy.deepcopy(pairs)))
        got, want = pairs.update(side, frame), expected.update(side, frame, on)
        if want is SKIP:
            assert got is SKIP
        else:
            if kind in OF_TWO_DTYPES:  # pandas takes that of one of them
                want = want.astype({"k": got.k.dtype})
            pd.testing.assert_frame_equal(got, want, check_index_type=False)


def test_keys_that_cannot_be_hashed_are_left_to_pandas() -> None:
    pairs = IntervalJoin(["k"], 10, ("_x", "_y"))
    assert pairs.update(0, pd.DataFrame({"k": pd.Series([[1]], dtype=object)})) is SKIP
    assert len(pairs.held[0]) == 1


@pytest.mark.parametrize("within", [4_000, 4_000.0])
def test_a_batch_looks_at_its_own_keys_and_few_rows_are_moved(
    within: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row moves about as often as there are segments, each twice as long as the next."""
    random = np.random.default_rng(0)
    pairs = IntervalJoin(["k"], within, ("_x", "_y"))
    moved = found = 0
    concat, merged = pd.concat, pd.DataFrame.merge

    def moving(parts: Any, **options: Any) -> Any:
        nonlocal moved
        made = concat(parts, **options)
        moved += len(made)
        return made

    def merging(left: Any, right: Any, **options: Any) -> Any:
        nonlocal found
        found += len(left) + len(right)
        return merged(left, right, **options)

    monkeypatch.setattr(pd, "concat", moving)
    monkeypatch.setattr(pd.DataFrame, "merge", merging)
    batch, batches = 100, 200
    for number in range(batches):
        at = np.arange(number * batch, (number + 1) * batch)
        keys = random.integers(0, 10_000, batch)
        rows = pd.DataFrame({"k": keys, "xy"[number % 2]: at}, index=at)
        pairs.update(number % 2, rows)
        assert len(pairs.held[0]) <= 4_000
        assert sum(len(one.rows) for one in pairs.held[0].segments) <= 10_000
    monkeypatch.undo()
    assert moved <= batch * batches * 12
    assert found <= batch * batches * 3
