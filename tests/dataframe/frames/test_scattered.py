"""Aggregations of frames on workers: on a scattered stream."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.dataframe.helpers import emitted
from tests.dataframe.incremental.model import same

from rapidz import Stream
from rapidz.dataframe.aggregations import GroupbyMean, Var

ROWS = pd.DataFrame({"k": ["a", "b", "a"], "x": [1, 2, 4]}, index=[1, 2, 3])
MORE = ROWS.set_axis([3, 4, 6])

BUILDS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda s: s.x.sum(),
    "several": lambda s: s.x.agg(["min", "max"]),
    "your own": lambda s: s.x.aggregate(Var()),
    "window": lambda s: s.window(n=4).x.mean(),
    "span": lambda s: s.window(value=3).x.sum(),
    "rows": lambda s: s.window(value=3).full(),
    "late": lambda s: s.window(value=2).late,
    "groups": lambda s: s.groupby("k").x.sum(),
    "groups beside": lambda s: s.groupby(s.x % 2).x.count(),
    "groups of the index": lambda s: s.groupby(abs).sum(),
    "groups in a window": lambda s: s.window(n=4).groupby("k").x.sum(),
    "old groups": lambda s: s.groupby("k").x._accumulate(GroupbyMean),
    "ewm": lambda s: s.ewm(com=1).groupby("k").x.mean(),
    "rolling": lambda s: s.rolling(2).x.sum(),
    "merge": lambda s: s.merge(ROWS, on="k", how="left"),
    "join": lambda s: s.join(s, on="k", within=4),
    "totals": lambda s: s.x.sum(start=7),
}


@pytest.mark.parametrize("what", BUILDS)
def test_aggregates_on_workers_give_what_they_give_here(what: str) -> None:
    build = BUILDS[what]
    expected = emitted(build, [ROWS, MORE])
    source: Stream[Any] = Stream()
    sdf: Any = source.scatter("thread").to_dataframe(ROWS.iloc[:0])
    seen = build(sdf).stream.gather().sink_to_list()
    for element in (ROWS, MORE):
        source.emit(element)
    source.close()
    assert len(seen) == len(expected)
    for got, want in zip(seen, expected, strict=True):
        same(got, want)


@pytest.mark.parametrize("what", BUILDS)
def test_what_travels_to_workers_can_be_pickled(what: str) -> None:
    source: Stream[Any] = Stream()
    built = BUILDS[what](source.to_dataframe(ROWS))
    todo, seen = [built.stream], set[int]()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        todo += node.upstreams
        for name in ("func", "args", "kwargs", "state"):
            if name in vars(node):
                pickle.loads(pickle.dumps(vars(node)[name]))
