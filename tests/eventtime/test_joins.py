"""Joins by event time, against a nested loop over all elements."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Count, RefCounter, Stream

Element = tuple[str, int, int]  # key, time, number

#: Left or right, key, time: as they arrive.
arrivals = st.lists(
    st.tuples(st.booleans(), st.sampled_from("ab"), st.integers(0, 60)), max_size=40
)


def numbered(events: list[tuple[bool, str, int]]) -> list[tuple[bool, Element]]:
    return [(is_left, (key, ts, n)) for n, (is_left, key, ts) in enumerate(events)]


def run(events: list[tuple[bool, Element]], lag: int, join: Any) -> tuple[Any, list[Any]]:
    left, right = Stream[Any](), Stream[Any]()
    node = join(left.event_time(1, lag=lag), right.event_time(1, lag=lag))
    node.late.sink(lambda late: None)
    pairs = node.sink_to_list()
    for is_left, x in events:
        (left if is_left else right).emit(x)
    left.close()
    right.close()
    return node, pairs


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
@given(arrivals, st.integers(0, 20), st.integers(0, 20))
@settings(max_examples=30)
def test_interval_join_is_the_nested_loop(
    how: str, events: list[tuple[bool, str, int]], before: int, after: int
) -> None:
    rows = numbered(events)
    _, pairs = run(
        rows, 60, lambda a, b: a.interval_join(b, key=0, within=(before, after), how=how)
    )
    lefts = [x for is_left, x in rows if is_left]
    rights = [x for is_left, x in rows if not is_left]
    expected: list[Any] = [
        (x, y) for x in lefts for y in rights if x[0] == y[0] and -before <= y[1] - x[1] <= after
    ]
    if how in ("left", "outer"):
        expected += [(x, None) for x in lefts if not any(x is pair[0] for pair in expected)]
    if how in ("right", "outer"):
        expected += [(None, y) for y in rights if not any(y is pair[1] for pair in expected)]
    assert sorted(pairs, key=repr) == sorted(expected, key=repr)


@given(arrivals, st.integers(0, 20), st.integers(0, 15))
@settings(max_examples=60)
def test_each_left_element_of_an_outer_join_comes_out_or_is_late(
    events: list[tuple[bool, str, int]], within: int, lag: int
) -> None:
    rows = numbered(events)
    left, right = Stream[Any](), Stream[Any]()
    node = left.event_time(1, lag=lag).interval_join(
        right.event_time(1, lag=lag), key=0, within=within, how="outer"
    )
    late, pairs = node.late.sink_to_list(), node.sink_to_list()
    for is_left, x in rows:
        (left if is_left else right).emit(x)
    left.close()
    right.close()
    seen = {x for pair in pairs for x in pair if x is not None}
    dropped = {each.element for each in late}
    assert seen | dropped == {x for _, x in rows}
    assert not seen & dropped
    assert node.open_count == 0


@given(arrivals, st.none() | st.integers(0, 20), st.sampled_from(["left", "inner"]))
@settings(max_examples=60)
def test_asof_join_takes_the_newest_that_is_not_newer(
    events: list[tuple[bool, str, int]], tolerance: int | None, how: str
) -> None:
    rows = numbered(events)
    _, pairs = run(rows, 60, lambda a, b: a.asof_join(b, key=0, tolerance=tolerance, how=how))
    rights = [x for is_left, x in rows if not is_left]
    expected: list[Any] = []
    for is_left, x in rows:
        if not is_left:
            continue
        known = [
            y
            for y in rights
            if y[0] == x[0] and y[1] <= x[1] and (tolerance is None or y[1] >= x[1] - tolerance)
        ]
        best = max(known, key=lambda y: (y[1], y[2]), default=None)
        if best is not None or how == "left":
            expected.append((x, best))
    assert sorted(pairs, key=repr) == sorted(expected, key=repr)
    assert [pair[0][1] for pair in pairs] == sorted(pair[0][1] for pair in pairs)


def test_outer_rows_leave_when_the_watermark_passes_the_far_side() -> None:
    left, right = Stream[Any](), Stream[Any]()
    node = left.event_time(0).interval_join(right.event_time(0), within=10, how="left")
    pairs = node.sink_to_list()
    left.emit((0,))
    right.emit((10,))
    left.emit((10,))
    assert pairs == [((0,), (10,)), ((10,), (10,))]
    left.emit((30,))
    right.emit((40,))
    left.emit((40,))
    assert pairs[2:] == [((30,), (40,)), ((40,), (40,))]
    left.emit((60,))
    right.emit((70,))
    assert pairs[4:] == [((60,), (70,))]
    left.emit((90,))
    right.emit((101,))
    assert pairs[5:] == []  # the watermark is 90, and a right element may yet come
    left.emit((101,))
    assert pairs[5:] == [((90,), None), ((101,), (101,))]
    left.close()
    right.close()


def test_windows_behind_an_outer_join_lose_nothing() -> None:
    left, right = Stream[Any](), Stream[Any]()
    joined = left.event_time(0).interval_join(right.event_time(0), within=10, how="outer")
    node = joined.tumbling(10).aggregate(n=Count())
    counts = node.sink_to_list()
    for t in range(0, 100, 5):
        left.emit((t,))
        if t % 3 == 0:
            right.emit((t,))
    left.close()
    right.close()
    assert node.late_count == 0
    assert sum(r.value["n"] for r in counts) >= 20


def test_rows_are_forgotten_as_time_goes_on() -> None:
    left, right = Stream[Any](), Stream[Any]()
    node = left.event_time(0).interval_join(right.event_time(0), key=1, within=10)
    asof = left.event_time(0).asof_join(right.event_time(0), key=1, tolerance=10)
    most = 0
    node.sink(lambda pair: None)
    asof.sink(lambda pair: None)
    for t in range(2000):
        left.emit((t, t % 7))
        right.emit((t, t % 5))
        most = max(most, node.open_count + len(asof._right) + asof.open_count)
    assert most < 100


def test_lookup_takes_the_row_that_came_last() -> None:
    clicks, users = Stream[Any](), Stream[Any]()
    seen = clicks.lookup(users, key=(1, 0), how="inner").sink_to_list()
    clicks.emit(("/", 7))
    users.emit((7, "ada"))
    clicks.emit(("/", 7))
    users.emit((7, "bob"))
    clicks.emit(("/", 7))
    assert [row[1] for _, row in seen] == ["ada", "bob"]
    clicks.close()


def test_lookup_by_event_time_takes_the_row_of_that_time() -> None:
    clicks, users = Stream[Any](), Stream[Any]()
    node = clicks.event_time("at").lookup(users.event_time("at"), key="id", version="event time")
    seen = node.sink_to_list()
    users.emit_many([{"id": 7, "at": 0, "name": "ada"}, {"id": 7, "at": 10, "name": "bob"}])
    clicks.emit_many([{"id": 7, "at": 5}, {"id": 7, "at": 10}])
    clicks.close()
    users.close()
    assert [(x["at"], row and row["name"]) for x, row in seen] == [(5, "ada"), (10, "bob")]


async def test_an_element_is_acknowledged_when_no_pair_can_come_any_more() -> None:
    done: list[int] = []

    left, right = Stream[Any](asynchronous=True), Stream[Any](asynchronous=True)
    node = left.event_time(0).interval_join(right.event_time(0), within=10)
    pairs = node.sink_to_list()
    for t in (0, 5, 30):
        counter = RefCounter(cb=functools.partial(done.append, t))
        await left.emit((t,), metadata=[{"ref": counter}])
    await right.emit((3,))
    assert pairs == [((0,), (3,)), ((5,), (3,))]
    assert done == []
    await right.emit((30,))
    await left.join()
    assert done == [0, 5]
    await left.close()
    await right.close()


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"within": -1}, "within must be a number of seconds >= 0"),
        ({"within": (1, 2, 3)}, "within must be an interval or a pair"),
        ({"within": 1, "how": "cross"}, "how must be"),
    ],
)
def test_bad_arguments_are_refused_before_the_node_is_made(options: Any, rule: str) -> None:
    left, right = Stream[Any]().event_time(0), Stream[Any]().event_time(0)
    with pytest.raises((TypeError, ValueError), match=rule):
        left.interval_join(right, **options)
    assert not list(left.downstreams)


def test_a_join_needs_event_time_on_both_sides() -> None:
    with pytest.raises(ValueError, match="interval_join: needs `event_time` upstream"):
        Stream[Any]().event_time(0).interval_join(Stream[Any](), within=1)


def test_rows_too_old_are_forgotten_though_their_keys_have_gone() -> None:
    left, right = Stream[Any](), Stream[Any]()
    node = left.event_time(0).asof_join(right.event_time(0), key=1, tolerance=10)
    node.sink(lambda pair: None)
    for t in range(2000):
        right.emit((t, t))
        left.emit((t, -1))
    assert len(node._right) < 20
    left.close()
    right.close()
