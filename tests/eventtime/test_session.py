"""Session windows: gaps, merging, corrections."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rapidz import Collect, Count, Stream

Row = tuple[Any, Any, Any, int]


def sessions(elements: list[tuple[str, int]], gap: int) -> list[Row]:
    """Return key, start, end and count of all sessions, found by sorting."""
    rows: list[Row] = []
    for key in {key for key, _ in elements}:
        times = sorted(ts for other, ts in elements if other == key)
        start = last = times[0]
        n = 0
        for ts in times:
            if ts - last >= gap:
                rows.append((key, start, last + gap, n))
                start, n = ts, 0
            last, n = ts, n + 1
        rows.append((key, start, last + gap, n))
    return sorted(rows)


def random_elements(seed: int) -> list[tuple[str, int]]:
    rng = random.Random(seed)
    step = rng.choice([1, 3, 10])
    return [(rng.choice("abcd"), i * step - rng.randrange(20)) for i in range(rng.randrange(1, 80))]


def run(elements: list[tuple[str, int]], **options: Any) -> tuple[Any, list[Any]]:
    lag = options.pop("lag", 1_000_000)
    source = Stream[Any]()
    node = source.event_time(1, lag=lag).key_by(0).session(7, **options).aggregate(n=Count())
    node.late.sink(lambda late: None)
    results = node.sink_to_list()
    source.emit_many(elements)
    source.close()
    return node, results


def last_of_each(results: list[Any]) -> list[Row]:
    """Return what is left of *results*: the last for each key and start, unless withdrawn."""
    last = {(r.key, r.start): r for r in results}
    return sorted((r.key, r.start, r.end, r.value["n"]) for r in last.values() if r.value)


@pytest.mark.parametrize("seed", range(30))
def test_sessions_are_those_of_all_elements_sorted(seed: int) -> None:
    elements = random_elements(seed)
    _, results = run(elements, lag=40)
    assert sorted((r.key, r.start, r.end, r.value["n"]) for r in results) == sessions(elements, 7)


@pytest.mark.parametrize("seed", range(30))
def test_updates_leave_the_sessions_of_all_elements(seed: int) -> None:
    elements = random_elements(seed)
    _, results = run(elements, emit="update", lag=40)
    assert last_of_each(results) == sessions(elements, 7)


@pytest.mark.parametrize("seed", range(30))
def test_corrections_leave_the_sessions_of_all_elements(seed: int) -> None:
    elements = random_elements(seed)
    _, results = run(elements, lag=0, lateness=10**6)
    assert last_of_each(results) == sessions(elements, 7)
    finals = [r.revision for r in results if r.final and r.value is not None]
    assert min(finals) == 0


@pytest.mark.filterwarnings("ignore:.* left out:RuntimeWarning")
@pytest.mark.parametrize("seed", range(30))
def test_each_element_is_in_one_session_or_late(seed: int) -> None:
    elements = random_elements(seed)
    node, results = run(elements, lag=3)
    node_count = sum(r.value["n"] for r in results)
    assert node_count + node.late_count == len(elements)


def cut(rows: list[Row], elements: list[tuple[str, int]], longest: int) -> list[Row]:
    """Return *rows* cut a length after their first element, and again after the next one."""
    pieces: list[Row] = []
    for key, start, end, _ in rows:
        times = sorted(ts for other, ts in elements if other == key and start <= ts < end)
        while times:
            first = times[0]
            piece = [ts for ts in times if ts < first + longest]
            pieces.append((key, first, min(piece[-1] + 7, first + longest), len(piece)))
            times = times[len(piece) :]
    return sorted(pieces)


@pytest.mark.parametrize("seed", range(30))
def test_long_sessions_are_cut_at_the_same_places_in_any_order(seed: int) -> None:
    elements = random_elements(seed)
    node, results = run(elements, lag=40, max_length=20)
    assert node.late_count == 0
    rows = sorted((r.key, r.start, r.end, r.value["n"]) for r in results)
    assert rows == cut(sessions(elements, 7), elements, 20)


def test_a_long_session_leaves_when_it_is_cut() -> None:
    source = Stream[Any]()
    seen = source.event_time(0).session(10, max_length=20).collect().sink_to_list()
    source.emit_many([(t,) for t in range(0, 21, 5)])
    assert [(r.start, r.end) for r in seen] == [(0, 20)]
    assert seen[0].value == [(0,), (5,), (10,), (15,)]
    source.close()
    assert [(r.start, r.end) for r in seen] == [(0, 20), (20, 30)]


def test_a_session_ends_exactly_a_gap_after_its_last_element() -> None:
    source = Stream[Any]()
    seen = source.event_time(0).session(10).collect().sink_to_list()
    source.emit_many([(0,), (9,), (18,)])
    assert seen == []
    source.emit((28,))
    assert [(r.start, r.end, r.value) for r in seen] == [(0, 28, [(0,), (9,), (18,)])]


def test_an_element_at_the_end_of_a_session_begins_the_next_one() -> None:
    _, results = run([("a", 0), ("a", 7)])
    assert [(r.start, r.end) for r in results] == [(0, 7), (7, 14)]


def test_a_late_element_that_touches_an_open_session_is_not_late() -> None:
    source = Stream[Any]()
    node = source.event_time(0, lag=5).session(10).aggregate(all=Collect())
    seen = node.sink_to_list()
    source.emit_many([(20,), (29,), (15,)])  # the watermark is 24
    source.close()
    assert [(r.start, r.end) for r in seen] == [(15, 39)]
    assert node.late_count == 0
