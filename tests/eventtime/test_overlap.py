"""Sliding windows that overlap much: a few merges for each result, and the results of the model."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eventtime.model import Spec
from tests.eventtime.runs import check, run_case
from tests.eventtime.strategies import Case, cases
from tests.eventtime.test_against_the_model import check_revisions
from tests.support import Boom, same

from rapidz import Count, Stream
from rapidz.eventtime.aggregators import Aggregator
from rapidz.eventtime.windows.slice_stacks import SliceStacks
from rapidz.eventtime.windows.slices import SliceTable
from rapidz.testing import run


class Arrival(NamedTuple):
    """An element."""

    at: int
    key: str
    n: int


Rows = list[tuple[str, int, str]]
"""Key, start and what is in the window: numbers of elements, slice by slice as they arrived."""


def arrivals_of(drawn: Sequence[tuple[int, int, str]]) -> list[Arrival]:
    """Return elements that follow each other by a step, each moved by some disorder."""
    elements, at = list[Arrival](), 0
    for n, (step, back, key) in enumerate(drawn):
        at += step
        elements.append(Arrival(max(at - back, 0), key, n))
    return elements


def arrivals(disorder: int = 60) -> st.SearchStrategy[list[Arrival]]:
    back = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, disorder))
    step = st.one_of(st.integers(0, 2), st.integers(0, 2), st.integers(0, 80))
    drawn = st.tuples(step, back, st.sampled_from("abc"))
    return st.lists(drawn, max_size=60).map(arrivals_of)


class Direct:
    """All windows computed anew from all elements that were accepted."""

    def __init__(self, size: int, every: int, lag: int) -> None:
        self.size, self.every, self.lag = size, every, lag
        self.accepted: list[Arrival] = []
        self.watermark = -1_000

    def ends(self, at: int) -> range:
        """Return the ends of the windows that have the instant *at*."""
        first = (at - self.size) // self.every * self.every + self.every + self.size
        return range(first, at // self.every * self.every + self.size + 1, self.every)

    def rows(self, end: int) -> Rows:
        start, found = end - self.size, dict[str, str]()
        for x in sorted(self.accepted, key=lambda x: x.at):  # ties by arrival: slices of 1
            if start <= x.at < end:
                found[x.key] = found.get(x.key, "") + f"{x.n} "
        return [(key, start, value) for key, value in found.items()]

    def close(self, watermark: int) -> Iterator[Rows]:
        ends = sorted({end for x in self.accepted for end in self.ends(x.at)})
        for end in ends:
            if self.watermark < end <= watermark:
                yield self.rows(end)
        self.watermark = max(self.watermark, watermark)

    def take(self, x: Arrival) -> Iterator[Rows]:
        yield from self.close(max(self.watermark, x.at - self.lag))
        if self.ends(x.at)[-1] > self.watermark:
            self.accepted.append(x)

    def open_ends(self, at: int) -> list[int]:
        return [end for end in self.ends(at) if end > self.watermark]


def reduced(source: Stream[Any], size: int, every: int, lag: int, **options: Any) -> Any:
    """Return windows of elements, written as text, that are joined: the order shows."""
    timed = source.event_time("at", lag=lag)
    texts = timed.key_by("key").sliding(size, every, **options)
    node = texts.aggregate(text=Joined())
    node.late.sink(same)
    return node


class Joined(Aggregator):
    """Joins the numbers of elements in order."""

    def start(self) -> str:
        return ""

    def add(self, state: str, value: Arrival) -> str:
        return f"{state}{value.n} "

    def merge(self, a: str, b: str) -> str:
        return a + b


def texts_of(results: Sequence[Any]) -> Rows:
    return [(r.key, r.start, r.value["text"]) for r in results]


SIZES = st.tuples(st.integers(7, 50), st.sampled_from((1, 1, 2, 3, 7)))


# --- results -------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(arrivals(), SIZES, st.sampled_from((0, 0, 2, 30)))
def test_windows_that_overlap_are_computed_and_ordered_as_if_anew(
    elements: list[Arrival], spans: tuple[int, int], lag: int
) -> None:
    (size, every), direct = spans, Direct(*spans, lag)
    if size % every == 0:
        size += every > 1  # slices of one instant: the least common measure is 1
        direct = Direct(size, every, lag)
    wanted: Rows = []
    with Stream[Arrival]() as source:
        results = reduced(source, size, every, lag).sink_to_list()
        for x in elements:
            source.emit(x)
            wanted += [row for rows in direct.take(x) for row in rows]
            assert texts_of(results) == wanted
    wanted += [row for rows in direct.close(10**6) for row in rows]
    assert texts_of(results) == wanted


@settings(max_examples=40)
@given(arrivals(), SIZES, st.sampled_from((0, 2, 30)))
def test_updates_and_early_results_are_computed_as_if_anew(
    elements: list[Arrival], spans: tuple[int, int], lag: int
) -> None:
    size, every = spans[0], 1
    direct = Direct(size, every, lag)
    with Stream[Arrival]() as source:
        results = reduced(source, size, every, lag, emit="update").sink_to_list()
        for x in elements:
            results.clear()
            source.emit(x)
            closed = [row for rows in direct.take(x) for row in rows]
            updates = []
            if x in direct.accepted:
                for end in direct.open_ends(x.at):
                    updates += [row for row in direct.rows(end) if row[0] == x.key]
            assert texts_of(results) == closed + updates
        results.clear()
        source.flush()
        ends = {end for x in direct.accepted for end in direct.open_ends(x.at)}
        assert texts_of(results) == [row for end in sorted(ends) for row in direct.rows(end)]


@settings(max_examples=25)
@given(arrivals(), st.integers(5, 50), st.integers(1, 9))
def test_early_results_are_those_of_keys_that_changed(
    elements: list[Arrival], size: int, pause: int
) -> None:
    direct = Direct(size, 1, 30)

    async def go() -> None:
        fresh: list[Arrival] = []
        async with Stream[Arrival](asynchronous=True) as source:
            results = reduced(source, size, 1, 30, early="1s").sink_to_list()
            for at, x in enumerate(elements):
                await source.emit(x)
                list(direct.take(x))
                fresh += [x] if x in direct.accepted else []
                if at % pause:
                    continue
                results.clear()
                await asyncio.sleep(1.5)
                wanted = [
                    row
                    for end in sorted({end for y in fresh for end in direct.open_ends(y.at)})
                    for row in direct.rows(end)
                    if any(y.key == row[0] and row[1] <= y.at < end for y in fresh)
                ]
                assert sorted(texts_of(results)) == sorted(wanted)
                fresh.clear()

    run(go())


def test_a_restored_snapshot_forgets_what_was_merged_before() -> None:
    early, late = [(at, "a") for at in range(60)], [(at, "a") for at in range(60, 90)]

    def windows(source: Stream[Any]) -> Any:
        return source.event_time(0).key_by(1).sliding(20, 1).aggregate(n=Count())

    with Stream[Any]() as source, Stream[Any]() as other:
        first, second = windows(source), windows(other)
        wanted, found = first.sink_to_list(), second.sink_to_list()
        source.emit_many(early)
        other.emit_many([(at, "b") for at in range(50)])
        second._restore(copy.deepcopy(first._snapshot()))
        wanted.clear()
        found.clear()
        source.emit_many(late)
        other.emit_many(late)
        assert found == wanted
        assert len(found) == 30


def widened(case: Case, size: int, every: int) -> Case:
    grain = case.times.grain
    return dataclasses.replace(case, spec=Spec(size * grain, every * grain))


@settings(max_examples=40)
@given(cases(kinds=["sliding"]), SIZES)
def test_much_overlap_equals_the_model(case: Case, spans: tuple[int, int]) -> None:
    case = widened(case, *spans)
    check(case, run_case(case))


@settings(max_examples=40)
@given(cases(kinds=["sliding"], lateness=True), SIZES, st.sampled_from(["close", "update"]))
def test_corrections_of_much_overlap_equal_the_model(
    case: Case, spans: tuple[int, int], emit: str
) -> None:
    case = widened(case, *spans)
    check_revisions(case, run_case(case, emit=emit))


# --- merges, counted -----------------------------------------------------------------------------


class CountingMerges(Count):
    """Counts its merges."""

    def __init__(self) -> None:
        super().__init__()
        self.merges = 0

    def merge(self, a: int, b: int) -> int:
        self.merges += 1
        return a + b


def merges_a_result(overlap: int, elements: Sequence[Any], **options: Any) -> float:
    count = CountingMerges()
    with Stream[Any]() as source:
        windows = source.event_time(0).key_by(1).sliding(overlap, 1, **options)
        results = windows.aggregate(n=count).sink_to_list()
        source.emit_many(elements)
    return count.merges / len(results)


overlaps = pytest.mark.parametrize("overlap", [10, 100, 1_000])


@overlaps
def test_a_result_takes_three_merges_however_much_windows_overlap(overlap: int) -> None:
    dense = [(at // 5, at % 5) for at in range(10_000)]
    assert merges_a_result(overlap, dense) <= 3


@overlaps
def test_rare_keys_take_no_more_merges(overlap: int) -> None:
    some = [(at // 3, at * at % 97) for at in range(3_000)]
    assert merges_a_result(overlap, some) <= 3


@overlaps
def test_disorder_of_a_few_slices_costs_a_merge_for_each(overlap: int) -> None:
    disordered = [(max(at // 5 - at * 7 % 4, 0), at % 5) for at in range(10_000)]
    assert merges_a_result(overlap, disordered) <= 3 + 5


@overlaps
def test_an_element_far_behind_costs_about_one_merge_of_all(overlap: int) -> None:
    behind = {at: at // 5 - overlap // 2 for at in range(2_000, 10_000, 2_000)}
    elements = [(behind.get(at, at // 5), at % 5) for at in range(10_000)]
    assert merges_a_result(overlap, elements) <= 3 + 4 * 3 * overlap / 2_000 + 16


@overlaps
def test_an_update_takes_three_merges_however_much_windows_overlap(overlap: int) -> None:
    assert merges_a_result(overlap, [(at, 0) for at in range(100)], emit="update") <= 4


def test_merged_slices_take_no_more_room_than_the_slices() -> None:
    slices = SliceTable()
    stacks = SliceStacks(slices, lambda s: s.states, lambda a, b: a + b, lambda parts: {})
    for at in range(1_000):
        slices.add(at).states[at % 100] = 1
        if at >= 500:
            stacks.states(at - 499, at + 1)
            slices.drop(1)
            suffixes = {id(s) for first in stacks._front for s in chain_of(first)}
            assert len(suffixes) + len(stacks._back) <= 500 + 100


def chain_of(suffix: Any) -> Iterator[Any]:
    while suffix is not None:
        yield suffix
        suffix = suffix[-1]


def test_a_merge_that_fails_is_not_counted_twice() -> None:
    slices, failing = SliceTable(), [6]

    def merge(a: list[int], b: list[int]) -> list[int]:
        if failing and failing[0] in b:
            raise Boom(b)
        return a + b

    def merge_all(parts: Sequence[dict[str, list[int]]]) -> dict[str, list[int]]:
        return {"a": [x for part in parts for x in part.get("a", [])]}

    for at in range(10):
        slices.add(at).states["a"] = [at]
    stacks = SliceStacks(slices, lambda s: s.states, merge, merge_all)
    assert stacks.states(0, 5) == {"a": [0, 1, 2, 3, 4]}
    with pytest.raises(Boom):
        stacks.states(1, 8)
    failing.clear()
    assert stacks.states(2, 9) == {"a": [2, 3, 4, 5, 6, 7, 8]}
