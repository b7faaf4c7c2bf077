"""A lane that is cut at any batch, and goes on from its snapshot in another lane object."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Count, Distinct, Mean, Quantile, Std, Stream
from rapidz.eventtime.clock import END
from rapidz.parallel.lanes.lane_failure import LaneFailure
from rapidz.parallel.lanes.program import Tagged
from rapidz.parallel.lanes.runtime import Lane, LaneBatch

Row = tuple[int, str, int]


class Echo:
    """Repeat what a key has said, two and five seconds later."""

    def on_element(self, key: str, x: Row, ctx: Any) -> Any:
        ctx.state = (*(ctx.state or ()), x[2])
        ctx.at(ctx.time + 2, name="soon")
        ctx.at(ctx.time + 5, name="later")
        yield key, ctx.is_late

    def on_timer(self, key: str, t: Any, ctx: Any) -> Any:
        yield key, t, ctx.name, ctx.state
        if ctx.name == "later":
            del ctx.state


def add(total: int, x: Row) -> int:
    return total + x[2]


def append(state: list[int], x: Row) -> tuple[list[int], int]:
    state.append(x[2])
    return state, sum(state)


OPERATORS: dict[str, Any] = {
    "accumulate": lambda s: s.accumulate(add, start=0),
    "accumulate ttl": lambda s: s.accumulate(add, start=0, ttl=5),
    "accumulate max_keys": lambda s: s.accumulate(add, start=0, max_keys=2),
    "map_with_state": lambda s: s.map_with_state(append, start=[]),
    "unique": lambda s: s.unique(),
    "unique within": lambda s: s.unique(within=4),
    "unique maxsize": lambda s: s.unique(maxsize=2),
    "process": lambda s: s.process(Echo),
    "process ttl": lambda s: s.process(Echo, ttl=6),
    "tumbling": lambda s: s.tumbling(10).aggregate(n=Count(), mean=Mean(2), std=Std(2)),
    "tumbling collect": lambda s: s.tumbling(10).collect(),
    "tumbling corrected": lambda s: s.tumbling(10, lateness=15).aggregate(n=Count()),
    "tumbling updated": lambda s: s.tumbling(10, emit="update").aggregate(n=Count()),
    "sliding": lambda s: s.sliding(9, 3).aggregate(values=Distinct(2), p=Quantile(0.5, 2)),
    "session": lambda s: s.session(4).collect(),
    "session bounded": lambda s: s.session(4, max_length=9).collect(),
    "session corrected": lambda s: s.session(4, lateness=10).aggregate(n=Count()),
    "two": lambda s: s.unique(within=2).key_by(1).tumbling(5).aggregate(n=Count()),
    "skip": lambda s: s.map(lambda x: (x[0], x[1], 60 // x[2])).on_error("skip").key_by(1)
    .tumbling(5).aggregate(n=Count()),
}  # fmt: skip


def program_of(operator: Any, lag: int) -> Any:
    source: Any = Stream()
    timed = source.event_time(0, lag=lag)
    lanes = timed.key_by(1).scatter("thread", partitions=1)
    node = operator(lanes)
    for name in ("late", "evicted"):
        if hasattr(type(node._node), name):
            getattr(node, name)
    gathered = node.gather()
    timed._domain.learn(0)
    return lanes._scatter._program, (source, gathered)


def batches_of(elements: list[Row], lag: int, cuts: list[int]) -> list[LaneBatch]:
    """Return the batches that a lane gets, with the watermark at each element."""
    times, latest = [], -END
    for at, _, _ in elements:
        latest = max(latest, (at - lag) * 10**9)
        times.append(latest)
    batches, start = [], 0
    for size in [*cuts, len(elements)]:
        stop = min(start + size, len(elements))
        if start < stop:
            batches.append(LaneBatch(elements[start:stop], times[start:stop], times[stop - 1]))
        start = stop
    return [*batches, LaneBatch([], [], END)]


def values(results: list[Any]) -> list[Any]:
    return [each for each in results if type(each) not in (Tagged, LaneFailure)]


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=15, deadline=None)
@given(
    elements=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from("abcd"), st.integers(0, 9)), max_size=40
    ),
    lag=st.sampled_from([0, 4, 50]),
    cuts=st.lists(st.integers(1, 9), max_size=8),
)
def test_a_lane_goes_on_from_a_snapshot_as_if_it_had_not_been_cut(
    name: str, elements: list[Row], lag: int, cuts: list[int]
) -> None:
    program, kept = program_of(OPERATORS[name], lag)
    batches = batches_of(elements, lag, cuts)
    whole, lane = Lane(program, 0), Lane(program, 0)
    aside: list[list[str]] = [[], []]
    for batch in batches:
        expected = whole.run(batch)
        seen = lane.run(batch)
        assert values(seen) == values(expected)
        for found, results in zip(aside, (expected, seen), strict=True):
            found += [f"{each.output} {each.x}" for each in results if type(each) is Tagged]
        restored = Lane(program, 0)
        restored.restore(lane.snapshot())
        lane.drop()
        lane = restored
    assert sorted(aside[0]) == sorted(aside[1])
    del kept
