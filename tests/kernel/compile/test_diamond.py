"""Fused diamonds: joins that behave as with queues, and build no queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, double, same

import rapidz
from rapidz import SKIP, Stream
from rapidz.kernel.compile import compiler
from rapidz.testing import run

Log = list[Any]


class Forms:
    """The ways in which the same graph can be compiled."""

    @staticmethod
    def fused() -> pytest.MonkeyPatch:
        return pytest.MonkeyPatch()

    @staticmethod
    def queued() -> pytest.MonkeyPatch:
        patch = pytest.MonkeyPatch()
        patch.setattr(compiler, "fused_joins", lambda *_: [])
        return patch

    @staticmethod
    def closures() -> pytest.MonkeyPatch:
        patch = Forms.queued()
        patch.setattr(rapidz.zip, "_can_inline", lambda _: False)
        return patch

    @staticmethod
    def stepwise() -> pytest.MonkeyPatch:
        patch = pytest.MonkeyPatch()
        patch.setattr(compiler, "is_simple", lambda *_: False)
        return patch


# --- random graphs ---------------------------------------------------------------------------

#: What a branch does to an element: fail at some, skip some, or let all pass.
Step = tuple[str, frozenset[int]]

subjects = st.frozensets(st.integers(0, 7), max_size=3)
steps: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(["map", "map", "skip", "accumulate", "pluck", "filter", "starmap"]), subjects
)
branches = st.lists(st.lists(steps, max_size=2), min_size=1, max_size=4)


def branch_of(s: Any, steps: list[Step], log: Log, name: int) -> Any:
    for kind, bad in steps:

        def own(x: int, bad: frozenset[int] = bad) -> int:
            log.append((name, x))
            if x in bad:
                raise Boom(x)
            return x

        def leaving_out(x: int, bad: frozenset[int] = bad) -> Any:
            return SKIP if x in bad else x

        if kind == "map":
            s = s.map(own)
        elif kind == "skip":
            s = s.map(leaving_out)
        elif kind == "accumulate":
            s = s.accumulate(lambda _, x, own=own: own(x))
        elif kind == "pluck":
            s = s.map(lambda x: [x]).pluck(0)
        elif kind == "starmap":
            s = s.map(lambda x: (x,)).starmap(own)
        else:
            s = s.filter(lambda x, bad=bad: x not in bad)
    return s


def build(s: Any, shape: list[list[Step]], literal: bool, sinks: list[int], log: Log) -> list[Any]:
    """A zip of the branches, among which sinks stand; what it makes may fail further down."""
    nodes = [branch_of(s, steps, log, name) for name, steps in enumerate(shape)]
    keep = [s.sink(lambda x, at=at: log.append(("sink", at, x))) for at in sinks]
    order = [*nodes[1:], nodes[0]] if len(sinks) % 2 else nodes
    joined = rapidz.zip(*order, *(["!"] if literal else []))

    def result(row: Any) -> Any:
        log.append(("row", row))
        if row[0] == 5:
            raise Boom(row)
        return row

    return [*nodes, *keep, joined.map(result).sink(lambda row: log.append(("out", row)))]


def failures_of(failure: BaseException) -> Iterator[Any]:
    if isinstance(failure, BaseExceptionGroup):
        for part in failure.exceptions:
            yield from failures_of(part)
    else:
        yield str(failure), [note for note in failure.__notes__ if "raised in" in note]


def outcome(
    form: Callable[[], pytest.MonkeyPatch],
    way: str,
    xs: list[int],
    edits: dict[int, tuple[str, int]],
    shape: list[list[Step]],
    literal: bool,
    sinks: list[int],
) -> Log:
    log: Log = []
    patch = form()
    try:
        source: Stream[int] = Stream()
        kept = build(source, shape, literal, sinks, log)
        emit: Callable[[int], object] = source.emit
        if way == "emit_many":
            emit = lambda x: source.emit_many([x])  # noqa: E731
        for at, x in enumerate(xs):
            kind, choice = edits.get(at, ("", 0))
            try:
                if kind == "inject":
                    kept[choice % len(shape)].emit(x)
                elif kind == "policy":
                    kept[choice % len(shape)].on_error("skip")
                elif kind == "sink":
                    kept.append(source.sink(lambda x: log.append(("late", x))))
                emit(x)
            except Exception as failure:
                log.append(("failed", list(failures_of(failure))))
        try:
            source.close()
        except Exception as failure:  # of a row that was completed when its partner was lost
            log.append(("failed", list(failures_of(failure))))
    finally:
        patch.undo()
    return log


edits = st.dictionaries(
    st.integers(0, 9),
    st.tuples(st.sampled_from(["inject", "policy", "sink"]), st.integers(0, 3)),
    max_size=2,
)


@given(
    branches,
    st.booleans(),
    st.lists(st.integers(0, 3), max_size=2),
    st.lists(st.integers(0, 7), max_size=9),
    st.sampled_from(["emit", "emit_many"]),
    edits,
)
def test_a_fused_join_does_what_its_queues_would(
    shape: list[list[Step]],
    literal: bool,
    sinks: list[int],
    xs: list[int],
    way: str,
    edits: dict[int, tuple[str, int]],
) -> None:
    """Outputs, their order among the branches, and whose failure it was; also after edits."""
    args = (way, xs, edits, shape, literal, sinks)
    fused = outcome(Forms.fused, *args)
    assert fused == outcome(Forms.queued, *args)
    assert fused == outcome(Forms.closures, *args)
    assert fused == outcome(Forms.stepwise, *args)


@given(
    st.lists(st.lists(st.tuples(st.just("map"), subjects), max_size=2), min_size=2, max_size=3),
    st.lists(st.integers(0, 7).filter(lambda x: x != 5), max_size=9),
)
def test_rows_are_those_of_the_elements_that_no_branch_fails(
    shape: list[list[Step]], xs: list[int]
) -> None:
    log = outcome(Forms.fused, "emit", xs, {}, shape, False, [])
    kept = [x for x in xs if not any(x in bad for steps in shape for _, bad in steps)]
    assert [entry[1] for entry in log if entry[0] == "out"] == [(x,) * len(shape) for x in kept]


# --- that it is fused ------------------------------------------------------------------------


FUSED: dict[str, Callable[[Any], Any]] = {
    "two maps": lambda s: s.map(double).zip(s.map(same)).sink(list),
    "the stream itself": lambda s: s.zip(s.map(double)).sink(list),
    "literal": lambda s: rapidz.zip(s.map(double), "x", s.map(same)).sink(list),
    "three": lambda s: s.map(double).zip(s.map(same), s.pluck(0)).sink(list),
    "sinks between": lambda s: [s.sink(list), s.map(same).zip(s.map(str)).sink(list)],
    "two zips": lambda s: [s.map(same).zip(s.map(str)).sink(list) for _ in range(2)],
}


@pytest.mark.parametrize("name", sorted(FUSED))
def test_a_join_of_branches_that_emit_one_for_one_is_fused(name: str) -> None:
    source: Stream[Any] = Stream()
    kept = FUSED[name](source)
    source.emit([1])
    assert source._outlet.run.joins, "no diamond was found"
    assert kept


@pytest.mark.parametrize(
    "build",
    [
        lambda s: s.filter(same).zip(s.map(str)),
        lambda s: s.map(same).on_error("skip").zip(s.map(str)),
        lambda s: s.map(same).zip(s.map(str), Stream()),
        lambda s: s.map(same).combine_latest(s.map(str)),
    ],
    ids=["filter", "policy", "another source", "combine_latest"],
)
def test_other_joins_have_queues(build: Callable[[Any], Any]) -> None:
    with Stream[Any]() as source:
        seen = build(source).sink_to_list()
        source.emit(1)
        assert not source._outlet.run.joins
    assert isinstance(seen, list)


# --- what else may happen --------------------------------------------------------------------


def test_elements_that_wait_already_are_paired_first() -> None:
    source: Stream[int] = Stream()
    left, right = source.map(same), source.map(same)
    seen = left.zip(right).sink_to_list()
    left.emit(9)
    source.emit_many([1, 2])
    right.emit(8)
    source.emit(3)
    assert seen == [(9, 1), (1, 2), (2, 8), (3, 3)]


def test_a_skipped_element_leaves_its_partner_in_the_queue() -> None:
    with Stream[int]() as source:
        seen = source.map(lambda x: x or SKIP).zip(source.map(same)).sink_to_list()
        source.emit_many([1, 0, 2])
    assert seen == [(1, 1), (2, 0)]


def test_an_element_that_is_skip_is_one() -> None:
    source: Stream[Any] = Stream()
    seen = source.zip(source.map(str)).sink_to_list()
    source.emit(SKIP)
    assert seen == [(SKIP, "SKIP")]


def test_feedback_within_a_branch_keeps_rows_whole() -> None:
    source: Stream[int] = Stream()
    middle = source.map(same)
    middle.filter(lambda x: x < 3).map(lambda x: x + 1).connect(source)
    seen = middle.zip(source.map(same)).sink_to_list()
    source.emit(0)
    assert sorted(seen) == [(x, x) for x in range(4)]


def test_feedback_from_a_row_keeps_rows_whole() -> None:
    source: Stream[int] = Stream()
    pairs = source.map(same).zip(source.map(same))
    seen = pairs.sink_to_list()
    pairs.pluck(0).filter(lambda x: x < 1000).map(lambda x: x + 1).connect(source)
    source.emit(0)
    assert seen == [(x, x) for x in range(1001)]


def test_a_diamond_can_be_chained_without_end() -> None:
    source: Stream[int] = Stream()
    node: Any = source
    for _ in range(300):
        node = node.map(same).zip(node.map(same)).pluck(0)
    seen = node.sink_to_list()
    source.emit_many([1, 2])
    assert seen == [1, 2]


def test_a_failure_in_a_long_chain_of_diamonds_is_dropped_whole() -> None:
    source: Stream[int] = Stream()
    node: Any = source.on_error("skip").map(lambda x: 6 // x)
    start = node
    for _ in range(100):
        node = node.map(same).zip(node.map(same)).pluck(0)
    seen = node.zip(source).sink_to_list()
    source.emit_many([1, 0, 2])
    assert seen == [(6, 1), (3, 2)]
    assert start


def test_a_join_that_is_looked_at_is_recorded() -> None:
    source: Stream[int] = Stream()
    pairs = source.map(same).zip(source.map(str))
    seen = pairs.sink_to_list()
    assert pairs.current_value is None
    source.emit_many([1, 2])
    assert pairs.current_value == (2, "2")
    assert seen == [(1, "1"), (2, "2")]


def test_an_async_sink_after_a_fused_join_applies_back_pressure() -> None:
    async def go() -> list[Any]:
        import asyncio

        seen: list[Any] = []

        async def slow(pair: Any) -> None:
            await asyncio.sleep(1)
            seen.append(pair)

        async with Stream[int](asynchronous=True) as source:
            source.map(same).zip(source.map(str)).sink(slow)
            await source.emit(1)
            seen.append("emitted")
            await source.emit(2)
        return seen

    assert run(go()) == [(1, "1"), "emitted", (2, "2")]


def test_an_edit_in_the_middle_of_an_element_loses_no_row() -> None:
    source: Stream[int] = Stream()
    extra: list[int] = []

    def editing(x: int) -> int:
        if x == 2:
            source.sink(extra.append)
        return x

    seen = source.map(editing).zip(source.map(same)).sink_to_list()
    source.emit_many([1, 2, 3])
    assert seen == [(x, x) for x in (1, 2, 3)]
    assert extra[-1:] == [3]
