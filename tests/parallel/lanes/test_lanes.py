"""Keyed lanes: the results are those of the same operators without workers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Count, Stream, Sum
from rapidz.parallel.lanes.key_groups import lane_of_group

Row = tuple[float, str, int]


def running(rows: Any) -> Any:
    return rows.accumulate(lambda total, x: total + x[2], start=0)


def differences(rows: Any) -> Any:
    return rows.map_with_state(lambda last, x: (x[2], None if last is None else x[2] - last))


def with_ttl(rows: Any) -> Any:
    return rows.accumulate(lambda total, x: total + x[2], start=0, ttl=5)


def first_of_each(rows: Any) -> Any:
    return rows.unique(within=4)


def counted(rows: Any) -> Any:
    return rows.tumbling(10).aggregate(n=Count(), total=Sum(2))


def slid(rows: Any) -> Any:
    return rows.sliding(10, 5).aggregate(total=Sum(2))


def visits(rows: Any) -> Any:
    return rows.session(3).collect()


def corrected(rows: Any) -> Any:
    return rows.tumbling(10, lateness=10).aggregate(n=Count())


def updated(rows: Any) -> Any:
    return rows.tumbling(10, emit="update").reduce(lambda a, b: (*a, *b))


class Silence:
    """Report the keys that are silent for four seconds, and what they have said before."""

    def on_element(self, key: str, x: Row, ctx: Any) -> Any:
        ctx.state = (*(ctx.state or ()), x[2])
        ctx.at(ctx.time + 4)

    def on_timer(self, key: str, t: float, ctx: Any) -> Any:
        said, ctx.state = ctx.state, None
        yield key, t, said


def silences(rows: Any) -> Any:
    return rows.process(Silence)


def chained(rows: Any) -> Any:
    even = rows.filter(lambda x: x[2] % 2 == 0).map(lambda x: (x[0], x[1], x[2] * 10))
    return even.key_by(1).tumbling(10).aggregate(n=Count())


TIMED = [with_ttl, first_of_each, counted, slid, visits, corrected, updated, silences, chained]
OPERATORS = [running, differences, *TIMED]

rows = st.lists(
    st.tuples(st.integers(0, 60).map(float), st.sampled_from("abcdefgh"), st.integers(-9, 9)),
    max_size=60,
)


def by_key(results: list[Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for result in results:
        found[result.key if hasattr(result, "key") else key_of(result)].append(result)
    return found


def key_of(result: Any) -> Any:
    first, second = result[0], result[1]
    return first if isinstance(first, str) else second


def timed(source: Any, lag: float) -> Any:
    return source.event_time(0, lag=lag).key_by(1)


def run(operator: Any, elements: list[Row], lag: float, cuts: list[int]) -> Any:
    """Return what comes without workers, and what was late."""
    source: Any = Stream()
    node = operator(timed(source, lag))
    late = node.late.sink_to_list() if hasattr(node, "late") else []
    seen = node.sink_to_list()
    feed(source, elements, cuts)
    return seen, late


def feed(source: Any, elements: list[Row], cuts: list[int]) -> None:
    at = 0
    for size in cuts:
        source.emit_many(elements[at : at + size])
        at += size
    source.emit_many(elements[at:])
    source.close()


def run_in_lanes(
    operator: Any, elements: list[Row], lag: float, cuts: list[int], backend: Any, **options: Any
) -> Any:
    source: Any = Stream()
    node = operator(timed(source, lag).scatter(backend, **options))
    late = node.late.sink_to_list() if hasattr(type(node._node), "late") else []
    seen = node.gather().sink_to_list()
    feed(source, elements, cuts)
    return seen, late


@pytest.mark.parametrize("operator", OPERATORS)
@settings(max_examples=25, deadline=None)
@given(
    elements=rows,
    lag=st.sampled_from([0, 5, 60]),
    cuts=st.lists(st.integers(1, 20), max_size=4),
    lanes=st.integers(1, 5),
    batch=st.sampled_from(["auto", 1, 7]),
)
def test_lanes_give_the_results_of_the_operators_without_workers(
    operator: Any, elements: list[Row], lag: float, cuts: list[int], lanes: int, batch: Any
) -> None:
    expected, late = run(operator, elements, lag, cuts)
    seen, late_in_lanes = run_in_lanes(
        operator, elements, lag, cuts, "thread", partitions=lanes, batch=batch
    )
    assert by_key(seen) == by_key(expected)
    assert sorted(late_in_lanes) == sorted(late)


@settings(max_examples=40, deadline=None)
@given(
    elements=rows,
    cuts=st.lists(st.integers(1, 20), max_size=4),
    lanes=st.integers(1, 5),
    batch=st.sampled_from(["auto", 1, 7]),
)
def test_windows_behind_lanes_get_every_result_in_time(
    elements: list[Row], cuts: list[int], lanes: int, batch: Any
) -> None:
    def both(rows: Any) -> Any:
        per_key = rows.tumbling(5).aggregate(total=Sum(2))
        gathered = per_key.gather() if hasattr(per_key, "gather") else per_key
        return gathered.tumbling(20).reduce(lambda n, r: n + r.value["total"], start=0)

    results: list[Any] = []
    late: list[int] = []
    for source in (Stream[Any](), Stream[Any]()):
        keyed = timed(source, 60)
        node = both(keyed.scatter("thread", partitions=lanes, batch=batch) if results else keyed)
        results.append(node.sink_to_list())
        feed(source, elements, cuts)
        late.append(node.late_count)
    assert results[1] == results[0]
    assert late == [0, 0]


def test_lanes_in_processes_give_the_results_of_the_operators_here() -> None:
    elements = [(float(i % 7 + i), "abcdefgh"[i * i % 8], i % 19 - 9) for i in range(300)]
    source: Any = Stream()
    lanes = timed(source, 3).scatter("process", partitions=2)
    nodes = [operator(lanes) for operator in OPERATORS]
    late = {node: node.late.sink_to_list() for node in nodes if hasattr(type(node._node), "late")}
    seen = [node.gather().sink_to_list() for node in nodes]
    feed(source, elements, [50, 50])
    for operator, node, results in zip(OPERATORS, nodes, seen, strict=True):
        expected, expected_late = run(operator, elements, 3, [])
        assert by_key(results) == by_key(expected), operator
        assert sorted(late.get(node, [])) == sorted(expected_late)


def test_groups_of_keys_move_as_a_whole_to_other_lanes() -> None:
    assert [lane_of_group(g, 4) for g in (0, 255, 256, 1023)] == [0, 0, 1, 3]
