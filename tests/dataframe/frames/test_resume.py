"""`with_state=True` emits states, and `start=` goes on from them."""

from __future__ import annotations

import functools
import pickle
from collections import deque
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.dataframe.helpers import emitted, floats, streaming
from tests.dataframe.incremental.model import same

from rapidz.dataframe.aggregations import Mean, Sum

ROWS = pd.DataFrame(
    {"k": ["a", "b", "a", "c"], "x": [1, 2, 4, 8], "y": [0.5, 1.5, float("nan"), 2.0]},
    index=[1, 2, 3, 4],
)
MORE = ROWS.iloc[::-1].assign(k=["b", "d", "d", "a"]).set_axis([5, 6, 7, 8])

# Each takes a frame and the options with_state and start.
BUILDS: dict[str, Callable[..., Any]] = {
    "sum": lambda s, **o: s.x.sum(**o),
    "mean of a frame": lambda s, **o: s[["x", "y"]].mean(**o),
    "var": lambda s, **o: s.y.var(**o),
    "nunique": lambda s, **o: s.k.nunique(**o),
    "value_counts": lambda s, **o: s.k.value_counts(**o),
    "several": lambda s, **o: s[["x", "y"]].agg(["min", "max"], **o),
    "your own": lambda s, **o: s.x.aggregate(Mean(), **o),
    "window": lambda s, **o: s.window(n=3, **o).x.sum(),
    "window of a span": lambda s, **o: s.window(value=3, **o).x.max(),
    "window in full": lambda s, **o: s.window(n=3, **o).full(),
    "window of your own": lambda s, **o: s.window(n=3, **o).x.aggregate(Sum()),
    "expanding": lambda s, **o: s.expanding(**o).x.median(),
    "ewm": lambda s, **o: s.ewm(com=1, **o).y.mean(),
    "ewm by group": lambda s, **o: s.ewm(com=1, **o).groupby("k").y.mean(),
    "rolling": lambda s, **o: s.rolling(3, **o).x.sum(),
    "groups": lambda s, **o: s.groupby("k").x.sum(**o),
    "sizes of groups": lambda s, **o: s.groupby("k").size(**o),
    "mean of groups": lambda s, **o: s.groupby("k").mean(**o),
    "groups beside": lambda s, **o: s.groupby(s.x % 2).y.std(**o),
    "groups in a window": lambda s, **o: s.window(n=3, **o).groupby("k").x.sum(),
    "groups in a span": lambda s, **o: s.window(value=3, **o).groupby(["k"])[["x"]].mean(),
}


@pytest.mark.parametrize("what", BUILDS)
def test_a_stream_goes_on_from_a_state_that_another_emitted(what: str) -> None:
    build = BUILDS[what]
    straight = emitted(build, [ROWS, MORE, ROWS.set_axis([9, 10, 11, 12])])
    pairs = emitted(lambda s: build(s, with_state=True), [ROWS, MORE])
    for number in (0, 1):
        same(pairs[number][1], straight[number])
    kept = pickle.dumps(pairs[0][0])
    for state in (pairs[0][0], pickle.loads(kept)):
        goes_on = functools.partial(build, start=state)
        rest = emitted(goes_on, [MORE, ROWS.set_axis([9, 10, 11, 12])])
        same(rest[0], straight[1])
        same(rest[1], straight[2])
    again = emitted(lambda s: build(s, start=pairs[0][0]), [MORE])
    same(again[0], straight[1])  # the state that was given is as it was


TOTALS: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "sum": (lambda s, **o: s.x.sum(**o), 10, 25),
    "count": (lambda s, **o: s.x.count(**o), 3, 7),
    "mean": (lambda s, **o: s.x.mean(**o), (10, 1), 5.0),
    "max": (lambda s, **o: s.x.max(**o), 10, 10),
    "min": (lambda s, **o: s.expanding().x.min(**o), 10, 1),
    "sums": (
        lambda s, **o: s[["x"]].sum(**o),
        pd.Series([1], index=["x"]),
        pd.Series([16], index=["x"]),
    ),
    "your own": (lambda s, **o: s.x.aggregate(Mean(), **o), (10, 1), 5.0),
}


@pytest.mark.parametrize("what", TOTALS)
def test_totals_that_are_known_otherwise_will_do(what: str) -> None:
    build, start, expected = TOTALS[what]
    same(emitted(lambda s: build(s, start=start), [ROWS])[0], expected)


def test_totals_by_group_will_do() -> None:
    def sums(rows: Any) -> Any:
        return rows.groupby("k").x.sum()

    before, both = sums(MORE), pd.concat([MORE, ROWS])
    got = emitted(lambda s: s.groupby("k").x.sum(start=before), [ROWS])
    same(got[0], sums(both))
    counts = MORE.groupby("k").x.count()
    got = emitted(lambda s: s.groupby("k").x.mean(start=(before, counts)), [ROWS])
    same(got[0], both.groupby("k").x.mean())
    got = emitted(lambda s: s.groupby("k")[["x"]].max(start=MORE.groupby("k")[["x"]].max()), [ROWS])
    same(got[0], both.groupby("k")[["x"]].max())
    assert list(before) == list(sums(MORE))


def test_the_rows_before_will_do_for_a_window() -> None:
    both = pd.concat([ROWS, MORE])
    got = emitted(lambda s: s.window(n=6, start=ROWS).x.sum(), [MORE], ROWS)
    assert got == [both.x.iloc[-6:].sum()]
    got = emitted(lambda s: s.window(n=6, start=ROWS).groupby("k").x.sum(), [MORE], ROWS)
    same(got[0], both.iloc[-6:].groupby("k").x.sum())
    got = emitted(lambda s: s.ewm(com=1, start=ROWS).groupby("k").x.mean(), [MORE], ROWS)
    weighted = emitted(lambda s: s.ewm(com=1).groupby("k").x.mean(), [both])
    same(got[0], weighted[0])
    got = emitted(lambda s: s.rolling(3, start=ROWS.x).sum(), [MORE.x])
    same(got[0], both.x.rolling(3).sum().iloc[-4:])


def test_what_older_libraries_emitted_for_a_window_will_do() -> None:
    old = {"dfs": deque([ROWS.x.iloc[-2:]]), "state": 12}
    assert emitted(lambda s: s.window(n=6, start=old).sum(), [MORE.x]) == [12 + 15]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda s, state: s.x.mean(start=state), "how='mean', got one with 'sum'"),
        (lambda s, state: s.window(n=2, start=state).x.sum(), "over=LastRows"),
        (lambda s, state: s.rolling(2, start=state).x.sum(), "window=2"),
        (lambda s, _: s.window(n=2, start=ROWS).groupby(s.x % 2).y.sum(), "start must be a state"),
        (lambda s, _: s.x.median(start=3), "must be a state that with_state=True gave"),
        (lambda s, _: s.x.mean(start=3), r"a state or \(sums, counts\), for a mean, got 3"),
        (lambda s, _: s.window(n=2, start=3).x.sum(), "a state .* or the rows before, got 3"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_when_built(
    build: Callable[[Any, Any], Any], words: str
) -> None:
    state = emitted(lambda s: s.x.sum(with_state=True), [ROWS])[0][0]
    with pytest.raises((TypeError, ValueError), match=words):
        build(streaming(ROWS), state)


def test_states_that_were_emitted_do_not_change() -> None:
    pairs = emitted(lambda s: s.window(n=2, with_state=True).sum(), floats([1], [2], [3]))
    assert [float(state.result()) for state, _ in pairs] == [1.0, 3.0, 5.0]
