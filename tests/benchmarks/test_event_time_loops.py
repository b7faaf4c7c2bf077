"""The loops by hand of the rows of event time do what they are compared for."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from operator import itemgetter
from typing import Any

import pytest
from benchmarks.event_time import loops
from benchmarks.event_time.data import (
    EVERY,
    GAP,
    LAG,
    SIZE,
    Element,
    dated_elements,
    distinct_elements,
    elements,
    integer_frames,
    repeated_elements,
    text_frames,
)
from benchmarks.event_time.frames import plain_by_hand, tumbling_frames

N = 60_000
COUNT_OF_KEYS = 40


def few_keys(step: int) -> list[Element]:
    """Return elements of forty keys; every *step*-th one, so that there are gaps."""
    return [(key[-2:-1] + key[-5], ts, value) for key, ts, value in elements(N)[::step]]


def windows(data: list[Element], size: int, every: int) -> Counter[Any]:
    return Counter(
        (key, start, start + size)
        for key, ts, _ in data
        for start in range(ts - ts % every - size + every, ts - ts % every + 1, every)
    )


def sessions(data: list[Element]) -> list[Any]:
    """Return the sessions of each key: sort all, and cut where the gap is long enough."""
    found: list[Any] = []
    for key, ts, _ in sorted(data):
        last = found[-1] if found else None
        if last and last[0] == key and ts < last[2]:
            last[2], last[3] = ts + GAP, last[3] + 1
        else:
            found.append([key, ts, ts + GAP, 1])
    return [tuple(one) for one in found]


def run(loop: Any, data: Any) -> list[Any]:
    out: list[Any] = []
    assert loop(data, out.append) == 0
    return out


def test_no_element_is_later_than_the_lag() -> None:
    newest = list(accumulate((ts for _, ts, _ in elements(N)), max))
    assert all(top - x[1] < LAG for top, x in zip(newest, elements(N), strict=True))


@pytest.mark.parametrize("loop", [loops.tumbling, loops.tumbling_tuned])
def test_the_tumbling_loop_counts_each_window_once_in_order(loop: Any) -> None:
    found = run(loop, elements(N))

    assert {x[:3]: x[3] for x in found} == windows(elements(N), SIZE, SIZE)
    assert [x[2] for x in found] == sorted(x[2] for x in found)
    assert len({x[:3] for x in found}) == len(found)


def test_the_loop_over_datetimes_counts_as_that_over_numbers() -> None:
    counts = [x[3] for x in run(loops.tumbling_by_datetime, dated_elements(N))]
    assert counts == [x[3] for x in run(loops.tumbling, elements(N))]


def test_the_sliding_loop_counts_each_window_once_in_order() -> None:
    found = run(loops.sliding, elements(N))

    assert {x[:3]: x[3] for x in found} == windows(elements(N), SIZE, EVERY)
    assert [x[2] for x in found] == sorted(x[2] for x in found)


@pytest.mark.parametrize("step", [1, 40, 400])
def test_the_session_loop_merges_and_closes_each_session_once(step: int) -> None:
    data = few_keys(step)
    assert sorted(run(loops.session, data)) == sessions(data)


def test_the_session_loop_closes_sessions_before_the_end() -> None:
    out: list[Any] = []
    data = elements(N)
    loops.session((x for x in data), out.append)
    early: list[Any] = []

    def stop() -> Any:
        yield from data
        early.extend(out)

    out.clear()
    loops.session(stop(), out.append)
    assert 0 < len(early) < len(out)


def test_the_sums_grow_with_each_element() -> None:
    totals: dict[str, float] = {}
    expected = []
    for key, _, value in elements(1_000):
        totals[key] = totals.get(key, 0) + value
        expected.append((key, totals[key]))
    assert run(loops.running_sum, elements(1_000)) == expected


def test_repeated_elements_have_each_key_twice() -> None:
    data = repeated_elements(1_000)
    assert set(Counter(map(itemgetter(0), data)).values()) == {2}
    assert len(run(loops.running_number, data)) == 1_000
    assert loops.state_of_sums(distinct_elements(9)).keys() == {x[0] for x in distinct_elements(9)}


@pytest.mark.parametrize("make", [integer_frames, text_frames])
def test_the_loop_over_frames_counts_as_that_over_tuples(make: Any) -> None:
    found = [row for part in run(tumbling_frames, make(N)) for row in plain_by_hand(part)]
    assert sorted((int(str(key)[-5:]), end, n) for key, end, n in found) == sorted(
        (int(key[-5:]), end, n) for key, _, end, n in run(loops.tumbling, elements(N))
    )
