"""Ruling 23 on workers: an element that fails in one branch is dropped with its partners."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.parallel import functions as f

from rapidz import Retry, Stream
from rapidz.testing import assert_equivalent

PAIRS = [(4, 3), (3, 4), (2, 6)]


def inverse(x: int) -> int:
    return 12 // x


def fails_at(bad: frozenset[int], x: Any) -> Any:
    if x in bad:
        raise f.Bad(x)
    return x


async def fails_later_at(bad: frozenset[int], x: Any) -> Any:
    return fails_at(bad, x)


def keep(x: Any) -> Any:
    return x


def fold_failing_at(_: Any, x: Any, bad: frozenset[int]) -> Any:
    return fails_at(bad, x)


#: What emits one for one, with a function that fails at some elements, or none.
STEPS: dict[str, Callable[[Any, frozenset[int]], Any]] = {
    "map": lambda s, bad: s.map(partial(fails_at, bad)),
    "starmap": lambda s, bad: s.map(f.alone).starmap(partial(fails_at, bad)),
    "map_async": lambda s, bad: s.map_async(partial(fails_later_at, bad), parallelism=2),
    "accumulate": lambda s, bad: s.accumulate(fold_failing_at, start=0, bad=bad),
    "buffer": lambda s, bad: s.buffer(3),
    "delay": lambda s, bad: s.delay(0.001),
    "rate_limit": lambda s, bad: s.rate_limit(0.001),
    "pluck": lambda s, bad: s.map(f.alone).pluck(0),
    "diamond": lambda s, bad: s.map(partial(fails_at, bad)).zip(s.map(keep)).pluck(0),
}

steps = st.lists(
    st.tuples(st.sampled_from(sorted(STEPS)), st.frozensets(st.integers(0, 11), max_size=3)),
    max_size=3,
)
shapes = st.lists(steps, min_size=2, max_size=3)


def build(shape: list[list[tuple[str, frozenset[int]]]], retry: bool, s: Any) -> Any:
    top = s.map(keep)
    if retry:
        top.on_error(Retry(1, wait=0, then="skip"))
    nodes = []
    for branch in shape:
        node = top
        for name, bad in branch:
            node = STEPS[name](node, bad)
        nodes.append(node)
    return nodes[0].zip(*nodes[1:], maxsize=20)


def kept(shape: list[list[tuple[str, frozenset[int]]]], xs: range) -> list[int]:
    waits = ("buffer", "delay", "rate_limit", "pluck")
    bad = {x for branch in shape for name, bad in branch if name not in waits for x in bad}
    return [x for x in xs if x not in bad]


@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(shapes, st.booleans(), st.sampled_from([None, 100]))
def test_rows_are_dropped_whole_on_threads(
    shape: list[list[tuple[str, frozenset[int]]]], retry: bool, buffer: int | None
) -> None:
    """As in a loop, where they are those of the elements that no branch fails."""
    xs = range(12)

    def checked(s: Any) -> Any:
        return build(shape, retry, s)

    assert_equivalent(checked, xs, on=("loop", "thread"), buffer=buffer)
    source: Stream[int] = Stream()
    source.on_error("skip")
    seen = build(shape, retry, source.scatter("thread")).buffer(20).gather().sink_to_list()
    source.emit_many(xs)
    source.close()
    assert seen == [(x,) * len(shape) for x in kept(shape, xs)]


EXAMPLES: list[list[list[tuple[str, frozenset[int]]]]] = [
    [[("map", frozenset({1, 5}))], [("map", frozenset({2}))]],
    [[("map", frozenset({0})), ("buffer", frozenset()), ("map", frozenset({7}))], []],
    [[("accumulate", frozenset({3}))], [("delay", frozenset())], [("pluck", frozenset())]],
    [[("diamond", frozenset({4, 5}))], [("map_async", frozenset({6}))]],
    [[("buffer", frozenset()), ("accumulate", frozenset({8, 9}))], [("map", frozenset({9}))]],
]


@pytest.mark.parametrize("at", range(len(EXAMPLES)))
def test_rows_are_dropped_whole_in_processes(at: int, processes: ProcessPoolExecutor) -> None:
    assert_equivalent(partial(build, EXAMPLES[at], False), range(12), on=("loop", processes))


@pytest.mark.parametrize("at", range(len(EXAMPLES)))
def test_rows_are_dropped_whole_on_dask(at: int, client: Any) -> None:
    assert_equivalent(partial(build, EXAMPLES[at], False), range(12), on=("loop", client))


@pytest.mark.parametrize("scattered", ["both", "failing", "other"])
def test_branches_may_join_behind_gather(scattered: str) -> None:
    source: Stream[int] = Stream()
    source.on_error("skip")
    far = source.scatter("thread")
    branch = far if scattered != "other" else source
    other = far if scattered != "failing" else source
    left = branch.map(inverse).buffer(5).gather()
    seen = left.zip(other.map(keep).gather()).sink_to_list()
    source.emit_many([3, 0, 4, 6])
    source.close()
    assert seen == PAIRS


def test_a_failure_that_is_raised_is_dropped_with_its_partner() -> None:
    source: Stream[int] = Stream()
    far = source.scatter("thread")
    seen = far.map(inverse).zip(far.map(keep)).gather().sink_to_list()
    for x in [3, 4, 6]:
        if x == 4:
            with pytest.raises(ZeroDivisionError):
                source.emit(0)
        source.emit(x)
    source.close()
    assert seen == PAIRS


def test_combine_latest_leaves_out_the_partner_of_what_failed() -> None:
    source: Stream[int] = Stream()
    far = source.scatter("thread")
    branch = far.map(inverse).on_error("skip")
    seen = branch.combine_latest(far.map(keep), emit_on=1).gather().sink_to_list()
    for x in [3, 0, 4, 6]:
        source.emit(x)
    source.close()
    assert seen == PAIRS


def test_what_is_filtered_out_has_no_place_in_the_order() -> None:
    source: Stream[int] = Stream()
    far = source.scatter("thread")
    seen = far.filter(f.even).zip(far.map(keep)).gather().sink_to_list()
    for x in [3, 2, 4]:
        source.emit(x)
    source.close()
    assert seen == [(2, 3), (4, 2)]
