"""accumulate and map_with_state of a keyed stream: one state for each key."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, Way, emitted, noted, refused, send, settle, ways

from rapidz import SKIP, RefCounter, Retry, Stream
from rapidz.testing import check_operator, run

Pair = tuple[str, int]

pairs = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3)), max_size=20)
ROWS: list[Pair] = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5), ("a", 6)]


def add(total: int, x: Pair) -> int:
    return total + x[1]


async def add_later(total: int, x: Pair) -> int:
    await asyncio.sleep(0.5)
    return total + x[1]


def sums(xs: list[Pair]) -> list[Pair]:
    """The model: a dict by hand."""
    totals: dict[str, int] = {}
    results = []
    for key, value in xs:
        totals[key] = totals.get(key, 0) + value
        results.append((key, totals[key]))
    return results


def add_positive(total: int, x: Pair) -> Any:
    if x[1] < 0:
        raise Boom(x)
    return SKIP if x[1] == 0 else total + x[1]


@given(pairs, ways)
def test_running_sum_is_a_dict_by_hand(xs: list[Pair], way: Way) -> None:
    assert emitted(lambda s: s.key_by(0).accumulate(add, start=0), xs, way) == sums(xs)


@given(pairs)
def test_async_function_gives_the_results_of_a_plain_one(xs: list[Pair]) -> None:
    assert emitted(lambda s: s.key_by(0).accumulate(add_later, start=0), xs, "await") == sums(xs)


@given(pairs, ways)
def test_first_element_of_a_key_is_its_state_without_start(xs: list[Pair], way: Way) -> None:
    def larger(state: Pair, x: Pair) -> Pair:
        return max(state, x)

    expected, best = [], dict[str, Pair]()
    for x in xs:
        best[x[0]] = max(best.get(x[0], x), x)
        expected.append((x[0], best[x[0]]))
    assert emitted(lambda s: s.key_by(0).accumulate(larger), xs, way) == expected


@given(pairs, ways)
def test_skip_emits_nothing_and_leaves_the_state(xs: list[Pair], way: Way) -> None:
    def build(s: Any) -> Any:
        return s.key_by(0).accumulate(lambda total, x: SKIP if x[1] < 0 else total + x[1], start=0)

    assert emitted(build, xs, way) == sums([x for x in xs if x[1] >= 0])


@given(pairs, ways)
def test_map_with_state_is_a_dict_by_hand(xs: list[Pair], way: Way) -> None:
    def change(last: int | None, x: Pair) -> tuple[int, Any]:
        return x[1], SKIP if last is None else x[1] - last

    expected, last = [], dict[str, int]()
    for key, value in xs:
        if key in last:
            expected.append((key, value - last[key]))
        last[key] = value
    assert emitted(lambda s: s.key_by(0).map_with_state(change), xs, way) == expected


@given(pairs)
def test_failing_elements_leave_no_trace_when_skipped(xs: list[Pair]) -> None:
    """Ruling 3 (docs/rulings.md): state is committed when the function has returned."""
    with Stream[Pair]() as source:
        node = source.key_by(0).accumulate(add_positive, start=0)
        node.on_error("skip")
        seen = node.sink_to_list()
        source.emit_many(xs)
    kept = [x for x in xs if x[1] > 0]
    assert seen == sums(kept)
    assert dict(node.state) == dict(sums(kept))
    assert node.skipped == len([x for x in xs if x[1] < 0])


@pytest.mark.parametrize(
    "build",
    [
        lambda s: s.key_by(0).accumulate(add, start=0),
        lambda s: s.key_by(lambda x: x[0]).accumulate(add, start=0),
        lambda s: s.key_by(0).map_with_state(lambda n, x: (x[1], n)),
        lambda s: s.key_by(0).accumulate(add, start=0, ttl="1h"),
        lambda s: s.key_by(0).accumulate(add, start=0, max_keys=2),
        lambda s: s.event_time(1).key_by(0).accumulate(add, start=0, ttl=2),
        lambda s: s.key_by(0).unique(),
        lambda s: s.key_by(0).unique(history=1),
        lambda s: s.key_by(0).unique(maxsize=1),
    ],
)
def test_keyed_nodes_keep_the_contract_of_a_node(build: Callable[[Any], Any]) -> None:
    check_operator(build, ROWS)


def test_failing_function_names_node_and_element() -> None:
    source = Stream[Pair]()
    node = source.key_by(0).accumulate(add_positive, start=0)
    with pytest.raises(Boom) as caught:
        source.emit(("a", -1))
    assert noted(caught.value, "<accumulate: add_positive>", "('a', -1)")
    assert dict(node.state) == {}


def test_retry_does_not_count_an_element_twice() -> None:
    attempts = []

    def flaky(total: int, x: Pair) -> int:
        attempts.append(x)
        if len(attempts) == 2:
            raise Boom(x)
        return total + x[1]

    async def main() -> list[Pair]:
        async with Stream[Pair](asynchronous=True) as source:
            node = source.key_by(0).accumulate(flaky, start=0)
            node.on_error(Retry(3, "1s"))
            seen: list[Pair] = node.sink_to_list()
            for x in ROWS:
                await send(source, x)
        return seen

    assert run(main()) == sums(ROWS)
    assert attempts[1:3] == [ROWS[1], ROWS[1]]


def test_errors_stream_gets_the_element_without_its_key() -> None:
    source = Stream[Pair]()
    node = source.key_by(0).accumulate(add_positive, start=0)
    failures = node.errors.map(lambda failure: failure.element).sink_to_list()
    seen = node.sink_to_list()
    source.emit_many([("a", 1), ("a", -1), ("a", 2)])
    assert failures == [("a", -1)]
    assert seen == [("a", 1), ("a", 3)]


def test_mutable_start_is_one_for_each_key() -> None:
    def append(state: list[int], x: Pair) -> list[int]:
        state.append(x[1])
        return state

    source = Stream[Pair]()
    node = source.key_by(0).accumulate(append, start=[])
    sink = node.sink_to_list()
    source.emit_many(ROWS)
    assert dict(node.state) == {"a": [1, 3, 6], "b": [2, 5], "c": [4]}
    assert len(sink) == 6


def test_returned_state_may_differ_from_the_result() -> None:
    source = Stream[Pair]()
    keyed = source.key_by(0)
    results = keyed.accumulate(
        lambda n, x: (n + 1, x[1] * 10), start=0, returns_state=True
    ).sink_to_list()
    both = keyed.accumulate(
        lambda n, x: (n + 1, x[1] * 10), start=0, returns_state=True, with_state=True
    ).sink_to_list()
    source.emit_many([("a", 1), ("a", 2)])
    assert results == [("a", 10), ("a", 20)]
    assert both == [("a", (1, 10)), ("a", (2, 20))]


def test_state_of_none_removes_the_key() -> None:
    source = Stream[Pair]()
    keyed: Any = source.key_by(0)
    node = keyed.map_with_state(lambda n, x: (None if x[1] == 0 else x[1], n))
    seen = node.sink_to_list()
    source.emit_many([("a", 1), ("a", 0), ("a", 2), ("b", 3)])
    assert seen == [("a", None), ("a", 1), ("a", None), ("b", None)]
    assert dict(node.state) == {"a": 2, "b": 3}
    assert node.key_count == 2


def test_result_that_is_no_pair_is_refused() -> None:
    source = Stream[Pair]()
    keyed: Any = source.key_by(0)
    node = keyed.map_with_state(lambda n, x: 5).sink(print)
    with pytest.raises(
        TypeError, match=r"map_with_state: func must return \(state, result\), got 5"
    ):
        source.emit(("a", 1))
    node.destroy()


def test_key_that_cannot_be_hashed_is_a_failing_element() -> None:
    source = Stream[Any]()
    node = source.key_by(0).accumulate(lambda n, x: n + 1, start=0)
    node.on_error("skip")
    seen = node.sink_to_list()
    source.emit_many([("a",), ([1],), ("a",)])
    assert seen == [("a", 1), ("a", 2)]
    assert node.skipped == 1
    node.on_error("raise")
    with pytest.raises(TypeError, match=r"accumulate: key must be hashable, got \[1\]"):
        source.emit(([1],))


def test_key_that_is_missing_is_a_failing_element() -> None:
    source = Stream[Any]()
    node = source.key_by("user").accumulate(lambda n, x: n + 1, start=0)
    seen = node.sink_to_list()
    source.emit({"user": None})
    with pytest.raises(ValueError, match="key_by: key must name something in the element"):
        source.emit({"name": "ada"})
    assert seen == [(None, 1)]


def test_keys_that_are_equal_are_one_key() -> None:
    source = Stream[Any]()
    node = source.key_by(0).accumulate(lambda n, x: n + 1, start=0)
    seen = node.sink_to_list()
    nan = float("nan")
    source.emit_many([(1,), (1.0,), (True,), (nan,), (nan,), (float("nan"),)])
    assert [n for _, n in seen] == [1, 2, 3, 1, 2, 1]


def test_function_of_a_running_node_may_be_replaced() -> None:
    source = Stream[Pair]()
    node = source.key_by(0).accumulate(add, start=0)
    seen = node.sink_to_list()
    source.emit_many(ROWS[:3])
    node.func = lambda total, x: total - x[1]
    source.emit(("a", 10))
    assert seen[-1] == ("a", -6)
    with pytest.raises(TypeError, match="accumulate: func must be callable, got 5"):
        node.func = 5  # type: ignore[assignment]


def test_plain_function_may_become_async() -> None:
    async def main() -> list[Pair]:
        async with Stream[Pair](asynchronous=True) as source:
            node = source.key_by(0).accumulate(add, start=0)
            seen: list[Pair] = node.sink_to_list()
            for x in ROWS[:3]:
                await send(source, x)
            node.func = add_later
            for x in ROWS[3:]:
                await send(source, x)
        return seen

    assert run(main()) == sums(ROWS)


def test_keywords_go_to_the_function_and_may_be_changed() -> None:
    source = Stream[Pair]()
    node = source.key_by(0).accumulate(
        lambda total, x, factor: total + factor * x[1], start=0, factor=10
    )
    seen = node.sink_to_list()
    source.emit(("a", 1))
    node.kwargs["factor"] = 100  # type: ignore[index]
    source.emit(("a", 1))
    assert seen == [("a", 10), ("a", 110)]


def test_state_is_live_and_may_be_assigned() -> None:
    source = Stream[Pair]()
    node = source.key_by(0).accumulate(add, start=0)
    seen = node.sink_to_list()
    state = node.state
    source.emit_many(ROWS[:2])
    assert dict(state) == {"a": 1, "b": 2}
    state["a"] = 100
    del state["b"]
    with pytest.raises(KeyError):
        del state["b"]
    source.emit_many([("a", 1), ("b", 1)])
    node.state = {"z": 5}
    source.emit_many([("z", 1), ("a", 1)])
    assert seen == [("a", 1), ("b", 2), ("a", 101), ("b", 1), ("z", 6), ("a", 1)]
    assert state == {"z": 6, "a": 1}
    assert "b" not in state


def test_reference_counter_fires_when_the_result_is_through() -> None:
    async def main() -> list[int]:
        done: list[int] = []
        async with Stream[Pair](asynchronous=True) as source:
            node = source.key_by(0).accumulate(add_later, start=0)
            sink = node.sink(lambda _: None)
            for i, x in enumerate(ROWS):
                ref = RefCounter(cb=functools.partial(done.append, i))
                await settle(source.emit(x, metadata=[{"ref": ref}]))
            del sink
        return done

    assert run(main()) == list(range(len(ROWS)))


def test_plain_operators_of_a_keyed_stream_see_elements() -> None:
    source = Stream[Pair]()
    keyed = source.key_by(0)
    seen = keyed.map(lambda x: x[1]).sink_to_list()
    again = keyed.key_by(1).accumulate(lambda n, x: n + 1, start=0).sink_to_list()
    source.emit_many([("a", 1), ("b", 1)])
    assert seen == [1, 1]
    assert again == [(1, 1), (1, 2)], "the new key counts"


def test_scan_of_a_keyed_stream_is_its_accumulate() -> None:
    source = Stream[Pair]()
    seen = source.key_by(0).scan(add, start=0).sink_to_list()
    source.emit_many(ROWS)
    assert seen == sums(ROWS)


def test_bad_arguments_are_refused_when_the_node_is_built() -> None:
    keyed: Callable[[Any], Any] = lambda s: s.key_by(0)  # noqa: E731
    source = Stream[Any]()
    node = keyed(source)
    for build, operator, argument, value in (
        (lambda s: node.accumulate(5), "accumulate", "func", 5),
        (lambda s: node.map_with_state(5), "map_with_state", "func", 5),
        (lambda s: node.accumulate(add, ttl=-1), "accumulate", "ttl", -1),
        (lambda s: node.accumulate(add, max_keys=0), "accumulate", "max_keys", 0),
        (lambda s: node.accumulate(add, returns_state=1), "accumulate", "returns_state", 1),
        (lambda s: node.unique(within=0), "unique", "within", 0),
        (lambda s: node.unique(history=0), "unique", "history", 0),
    ):
        refused(build, operator, argument, value)
    assert not list(node.downstreams)
    with pytest.raises(ValueError, match="unique: maxsize must not be given with within"):
        node.unique(maxsize=1, within=1)
    with pytest.raises(ValueError, match="accumulate: needs `event_time` upstream"):
        node.accumulate(add, ttl=1, timestamp=1)
