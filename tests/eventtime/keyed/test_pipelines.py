"""pipelines of a keyed stream: operators of its own for each key."""

from __future__ import annotations

import asyncio
import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, Way, emitted, noted, send, settle, through, turns, ways

from rapidz import SKIP, Count, RefCounter, Retry, Stream
from rapidz.eventtime.keyed.build_analysis import is_same_for_all_keys
from rapidz.testing import check_operator, record, run

Row = tuple[str, int]

rows = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3)), max_size=20)
ROWS: list[Row] = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5), ("a", 6)]


def value_of(x: Row) -> int:
    if x[1] == -3:
        raise Boom(x)
    return SKIP if x[1] == -2 else x[1]


def second(x: Row) -> int:
    return x[1]


def same(x: Row) -> Row:
    return x


def is_even(x: int) -> bool:
    return x % 2 == 0


def add(total: int, x: int) -> int:
    return total + x


def add_failing(total: int, x: int) -> int:
    if x < 0:
        raise Boom(x)
    return total + x


def one_chain(stream: Any, key: str) -> Any:
    return stream.map(value_of).accumulate(add, start=0).filter(is_even).accumulate(max)


def own_functions(stream: Any, key: str) -> Any:
    """The same, with a function of each key."""
    return one_chain(stream.map(lambda x: x if x[0] == key else None), key)


kept: list[Any] = []


def own_nodes(stream: Any, key: str) -> Any:
    """The same, with nodes of each key: one of them is looked at, and one is kept."""
    head = stream.map(lambda x: x)
    assert str(head).startswith("<map")
    node = one_chain(head, key)
    kept[:] = [node]
    return node.map(lambda x: x)


def one_sum(stream: Any, key: str) -> Any:
    return stream.map(value_of).accumulate(add_failing, start=0)


def pairs(stream: Any, key: str) -> Any:
    return stream.map(value_of).partition(2).map(lambda pair: (key, pair))


def model(xs: list[Row]) -> tuple[list[int], dict[str, list[int]]]:
    """A dict by hand: what is emitted, and both states of each key."""
    totals: dict[str, int] = {}
    largest: dict[str, int] = {}
    results = []
    for key, value in xs:
        if value in (-2, -3):
            continue
        totals[key] = totals.get(key, 0) + value
        if totals[key] % 2 == 0:
            largest[key] = max(largest.get(key, totals[key]), totals[key])
            results.append(largest[key])
    return results, {key: [totals[key], largest[key]] for key in totals if key in largest}


each_kind = pytest.mark.parametrize("build", [one_chain, own_functions, own_nodes])


@each_kind
@given(xs=rows, way=ways)
def test_pipelines_are_a_dict_by_hand(build: Any, xs: list[Row], way: Way) -> None:
    good = [x for x in xs if x[1] != -3]
    assert emitted(lambda s: s.key_by(0).pipelines(build), good, way) == model(good)[0]


@each_kind
@given(xs=rows, retried=st.booleans())
def test_failing_elements_are_left_out_by_a_policy(
    build: Any, xs: list[Row], retried: bool
) -> None:
    with Stream[Row]() as source:
        node = source.key_by(0).pipelines(build)
        node.on_error(Retry(2, 0, then="skip") if retried else "skip")
        seen = node.sink_to_list()
        source.emit_many(xs)
    assert seen == model(xs)[0]


def test_a_chain_without_the_key_is_shared_by_all_keys() -> None:
    calls: list[str] = []

    def counted(stream: Any, key: str) -> Any:
        calls.append(key)
        return stream.map(value_of).accumulate(add, start=0)

    source = Stream[Any]()
    shared, own = source.key_by(0).pipelines(one_chain), source.key_by(0).pipelines(counted)
    sinks = (shared.sink(id), own.sink(id))
    source.emit_many(ROWS)
    assert dict(shared.state) == model(ROWS)[1]
    assert calls == ["a", "b", "c"]
    for sink in sinks:
        sink.destroy()


@pytest.mark.parametrize(
    ("build", "same"),
    [
        (lambda s, k: s, True),
        (lambda s, k: s.map(lambda x: x + 1).filter(is_even), True),
        (lambda s, k: s.scan(add, start=0), True),
        (lambda s, k: s.map(lambda x: (k, x)), False),
        (lambda s, k: s.map(lambda x: (s, x)), False),
        (lambda s, k: s.map(k), False),
        (lambda s, k: s.accumulate(add, start=[]), False),
        (lambda s, k: s.buffer(2), False),
        (lambda s, k: (print("x"), s)[1], False),
        (lambda s, k: s.map(iter("x")), False),
        (lambda s, k: s if k else s.map(id), False),
        (lambda s, k: s.map(lambda x, seen=[]: seen), False),
        (lambda s, *k: s, False),
        (lambda s, k=1: s, True),
        (one_chain, True),
        (own_nodes, False),
        (max, False),
    ],
)
def test_what_a_build_function_does_is_read_from_its_code(build: Any, same: bool) -> None:
    assert is_same_for_all_keys(build) is same


@pytest.mark.parametrize("build", [one_chain, own_functions, own_nodes, pairs])
def test_pipelines_keep_the_contract_of_a_node(build: Any) -> None:
    check_operator(lambda s: s.key_by(0).pipelines(build), ROWS)


@given(rows, ways)
def test_flush_and_end_go_through_all_pipelines(xs: list[Row], way: Way) -> None:
    good = [x for x in xs if x[1] > -2]
    by_key: dict[str, list[int]] = {}
    now = []
    for key, value in good:
        by_key.setdefault(key, []).append(value)
        if len(by_key[key]) % 2 == 0:
            now.append((key, (by_key[key][-2], value)))
    rest = [(key, (values[-1],)) for key, values in by_key.items() if len(values) % 2]
    before, in_all = through(lambda s: s.key_by(0).pipelines(pairs), good, way)
    assert before == now
    assert in_all[: len(now)] == now
    assert sorted(in_all[len(now) :]) == sorted(rest)


def test_flush_comes_downstream_after_what_it_has_set_free() -> None:
    async def main() -> list[Any]:
        async with Stream[Row](asynchronous=True) as source:
            keyed = source.key_by(0)
            node = keyed.pipelines(lambda s, key: s.buffer(5).delay("1s").map(lambda x: (key, x)))
            seen: list[Any] = record(node.collect())
            for x in ROWS[:4]:
                await send(source, x)
            await settle(source.flush())
        return [(at, len(batch)) for at, batch in seen]

    assert run(main()) == [(2.0, 4)], "two elements of a: the second leaves at 2.0"


def test_slow_operator_of_a_key_applies_back_pressure() -> None:
    async def slow(x: Row) -> Row:
        await asyncio.sleep(2)
        return x

    async def main() -> tuple[list[Any], list[float]]:
        instants = []
        async with Stream[Row](asynchronous=True) as source:
            seen = record(source.key_by(0).pipelines(lambda s, key: s.map(slow)))
            for x in ROWS[:2]:
                await send(source, x)
                instants.append(asyncio.get_running_loop().time())
        return seen, instants

    assert run(main()) == ([(2.0, ("a", 1)), (4.0, ("b", 2))], [2.0, 4.0])


def test_keys_do_not_wait_for_each_other_behind_buffers() -> None:
    async def slow(x: Row) -> Row:
        await asyncio.sleep(x[1])
        return x

    async def main() -> list[Any]:
        async with Stream[Row](asynchronous=True) as source:
            keyed = source.key_by(0)
            seen: list[Any] = record(keyed.pipelines(lambda s, key: s.buffer(5).map(slow)))
            for x in (("a", 5), ("b", 1), ("a", 1), ("b", 2)):
                await send(source, x)
        return seen

    assert run(main()) == [
        (1.0, ("b", 1)), (3.0, ("b", 2)), (5.0, ("a", 5)), (6.0, ("a", 1)),
    ]  # fmt: skip


def test_pipelines_of_a_synchronous_stream_that_need_a_loop_say_so() -> None:
    def build(s: Any, key: str) -> Any:
        return s.buffer(2)

    source = Stream[Row]()
    sink = source.key_by(0).pipelines(build).sink(id)
    with pytest.raises(RuntimeError, match="pipelines: build must need no event loop unless"):
        source.emit(("a", 1))
    sink.destroy()
    with Stream[Row](asynchronous=False) as other:
        seen = other.key_by(0).pipelines(build, ensure_io_loop=True).sink_to_list()
        for x in ROWS:
            other.emit(x)
    assert sorted(seen) == sorted(ROWS)


def test_sinks_of_a_key_may_end_its_pipeline() -> None:
    seen: dict[str, list[Row]] = {}
    with Stream[Row]() as source:
        keyed = source.key_by(0)
        node = keyed.pipelines(lambda s, key: s.sink(seen.setdefault(key, []).append))
        merged = node.sink_to_list()
        source.emit_many(ROWS)
    assert seen == {key: [x for x in ROWS if x[0] == key] for key in "abc"}
    assert merged == []


def test_windows_of_a_key_go_by_the_watermark_of_all() -> None:
    source = Stream[Row]()
    keyed = source.event_time(1, lag=2).key_by(0)
    node = keyed.pipelines(lambda s, key: s.tumbling(10).aggregate(n=Count()).map(
        lambda result: (key, result.start, result.value["n"])
    ))  # fmt: skip
    seen = node.sink_to_list()
    source.emit_many([("a", 1), ("b", 8), ("a", 9), ("b", 11)])
    assert seen == []
    source.emit(("b", 12))
    assert seen == [("a", 0, 2), ("b", 0, 1)]
    source.close()
    assert seen[2:] == [("b", 10, 2)]


def test_results_of_windows_of_keys_are_windowed_in_turn() -> None:
    """The watermark waits for what the pipelines will yet emit."""
    with Stream[Row]() as source:
        keyed = source.event_time(1).key_by(0)
        counts = keyed.pipelines(lambda s, key: s.tumbling(10).aggregate(n=Count()))
        ends = counts.map(lambda r: (r.end - 1, r.value["n"])).timestamps(0)
        totals = ends.tumbling(20).reduce(lambda total, x: total + x[1], start=0)
        seen = totals.map(lambda r: (r.start, r.value)).sink_to_list()
        source.emit_many([("a", 1), ("b", 12), ("a", 19), ("a", 25), ("b", 61)])
        before = list(seen)
    assert before == [(0, 3), (20, 1)]
    assert seen == [(0, 3), (20, 1), (60, 1)]
    assert totals.late_count == 0


def test_evicted_key_is_flushed_and_begins_anew() -> None:
    source = Stream[Row]()
    node = source.event_time(1).key_by(0).pipelines(pairs, ttl=10)
    seen, evicted = node.sink_to_list(), node.evicted.sink_to_list()
    source.emit_many([("a", 1), ("b", 5), ("b", 11)])
    assert seen == [("a", (1,)), ("b", (5, 11))]
    assert [key for key, _ in evicted] == ["a"]
    source.emit_many([("a", 12), ("a", 13)])
    assert seen[2:] == [("a", (12, 13))]
    assert sorted(node.state) == ["a", "b"]


@each_kind
def test_greatest_number_of_keys_bounds_pipelines(build: Any) -> None:
    source = Stream[Row]()
    node = source.key_by(0).pipelines(build, max_keys=2)
    keep = node.sink_to_list()
    evicted = node.evicted.map(lambda pair: pair[0]).sink_to_list()
    source.emit_many([("a", 2), ("b", 2), ("a", 4), ("c", 2)])
    assert evicted == ["b"]
    assert list(node.state) == ["a", "c"]
    assert keep == [2, 2, 6, 2]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=20))
def test_bounds_are_the_same_however_the_keys_are_built(xs: list[Row]) -> None:
    def plain(stream: Any, key: str) -> Any:
        return stream.map(second).filter(is_even).accumulate(add, start=0)

    def with_functions(stream: Any, key: str) -> Any:
        return plain(stream.map(lambda x: x if key else None), key)

    def with_nodes(stream: Any, key: str) -> Any:
        return plain(stream.map(same, stream_name="of " + key), key)

    found = []
    for build in (plain, with_functions, with_nodes):
        with Stream[Row]() as source:
            keyed = source.event_time(1, lag=3).key_by(0)
            node = keyed.pipelines(build, ttl=5, max_keys=2)
            seen = node.sink_to_list()
            evicted = node.evicted.map(lambda pair: pair[0]).sink_to_list()
            source.emit_many(xs)
        found.append((seen, evicted))
    assert found[0] == found[1] == found[2]


def test_failure_names_the_operator_of_the_key() -> None:
    for build, name in (
        (one_chain, "<pipelines: one_chain>"),
        (own_functions, "<pipelines: own_functions>"),
        (own_nodes, "<map: value_of>"),
    ):
        source = Stream[Row]()
        sink = source.key_by(0).pipelines(build).sink(id)
        with pytest.raises(Boom) as caught:
            source.emit(("a", -3))
        assert noted(caught.value, name, "('a', -3)")
        sink.destroy()


def test_policy_of_the_node_holds_for_the_operators_of_its_keys() -> None:
    with Stream[Row]() as source:
        node = source.key_by(0).pipelines(pairs)
        failures = node.errors.map(lambda f: (f.element, str(f.node))).sink_to_list()
        seen = node.sink_to_list()
        source.emit_many([("a", 1), ("a", -3), ("a", 2)])
    assert seen == [("a", (1, 2))]
    assert failures == [(("a", -3), "<map: value_of>")]


def test_policy_upstream_holds_for_the_operators_of_keys_too() -> None:
    with Stream[Row]() as source:
        source.on_error("skip")
        seen = source.key_by(0).pipelines(pairs).sink_to_list()
        source.emit_many([("a", 1), ("a", -3), ("a", 2)])
    assert seen == [("a", (1, 2))]


def test_build_that_fails_fails_the_element_and_is_tried_again() -> None:
    tries = []

    def build(s: Any, key: str) -> Any:
        tries.append(key)
        if len(tries) == 1:
            raise Boom(key)
        return s

    source = Stream[Row]()
    node = source.key_by(0).pipelines(build)
    seen = node.sink_to_list()
    with pytest.raises(Boom) as caught:
        source.emit(ROWS[0])
    assert noted(caught.value, "pipelines", "('a', 1)")
    source.emit_many(ROWS[:3])
    assert seen == ROWS[:3]
    assert tries == ["a", "a", "b"]


@pytest.mark.parametrize("build", [lambda s, key: None, lambda s, key: (key, s)])
def test_build_must_return_a_stream(build: Any) -> None:
    source = Stream[Row]()
    sink = source.key_by(0).pipelines(build).sink(id)
    with pytest.raises(TypeError, match="pipelines: build must return a Stream, got"):
        source.emit(ROWS[0])
    sink.destroy()


def test_build_must_be_callable_with_stream_and_key() -> None:
    source = Stream[Row]().key_by(0)
    with pytest.raises(TypeError, match="pipelines: build must be callable, got 5"):
        source.pipelines(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pipelines"):
        source.pipelines(lambda s: s)  # type: ignore[arg-type, misc]


def test_reference_counter_waits_for_the_batch_of_the_key() -> None:
    async def main() -> list[list[int]]:
        done: list[int] = []
        steps = []
        async with Stream[Row](asynchronous=True) as source:
            sink = source.key_by(0).pipelines(pairs).sink(id)
            for i, x in enumerate([("a", 1), ("b", 1), ("a", 2)]):
                ref = RefCounter(cb=functools.partial(done.append, i))
                await settle(source.emit(x, metadata=[{"ref": ref}]))
                await turns()
                steps.append(sorted(done))
            del sink
        await turns()
        return [*steps, sorted(done)]

    assert run(main()) == [[], [], [0, 2], [0, 1, 2]]


def test_edits_of_the_graph_keep_the_pipelines() -> None:
    source = Stream[Row]()
    node = source.key_by(0).pipelines(pairs)
    seen = node.sink_to_list()
    source.emit(("a", 1))
    more = node.sink_to_list()
    other = source.map(str).sink(id)
    source.emit(("a", 2))
    other.destroy()
    assert seen == more == [("a", (1, 2))]


def test_state_of_own_functions_is_that_of_their_accumulate() -> None:
    source = Stream[Row]()
    keyed = source.key_by(0)
    node = keyed.pipelines(lambda s, key: s.accumulate(lambda n, x: n + key, start=""))
    sink = node.sink(id)
    source.emit_many([("a", 1), ("a", 1), ("b", 1)])
    assert node.state == {"a": "aa", "b": "b"}
    with pytest.raises(TypeError, match="pipelines: state must not be assigned"):
        node.state = {}
    sink.destroy()


def test_state_of_own_nodes_is_what_build_returned() -> None:
    source = Stream[Row]()
    node = source.key_by(0).pipelines(pairs)
    sink = node.sink(id)
    source.emit(("a", 1))
    assert str(node.state["a"]) == "<map: <lambda>>"
    sink.destroy()


def test_nodes_that_something_refers_to_are_nodes() -> None:
    """What build has chained is a note at first, and becomes a node for whoever looks at it."""
    nodes: dict[str, list[Any]] = {}

    def build(s: Any, key: str) -> Any:
        total = s.map(lambda x: x[1] if key else 0).accumulate(add, start=0)
        last = total.map(lambda x: (key, x))
        nodes[key] = [total, last]
        return last

    source = Stream[Row]()
    node = source.key_by(0).pipelines(build)
    seen = node.sink_to_list()
    source.emit_many(ROWS[:3])
    total, last = nodes["a"]
    assert (type(total).__name__, total.state, str(last)) == ("accumulate", 4, "<map: <lambda>>")
    last.func = lambda x: ("new", x)
    beside = total.sink_to_list()
    source.emit(("a", 1))
    assert seen == [("a", 1), ("b", 2), ("a", 4), ("new", 5)]
    assert beside == [5]


def test_a_node_in_the_middle_that_is_kept_keeps_its_place() -> None:
    middle: list[Any] = []

    def build(s: Any, key: str) -> Any:
        middle.append(s.map(lambda x: x[1] if key else 0))
        return middle[-1].accumulate(add, start=0).map(str)

    source = Stream[Row]()
    seen = source.key_by(0).pipelines(build).sink_to_list()
    source.emit_many(ROWS[:2])
    values = middle[0].sink_to_list()
    source.emit(("a", 7))
    assert seen == ["1", "2", "8"]
    assert values == [7]


def test_functions_of_keys_are_checked_as_those_of_nodes() -> None:
    source: Any = Stream()
    sink = source.key_by(0).pipelines(lambda s, key: s.map(lambda: key)).sink(id)
    with pytest.raises(TypeError, match="map: func must"):
        source.emit(ROWS[0])
    sink.destroy()
    sink = source.key_by(0).pipelines(lambda s, key: s.map(lambda x, key=key: later(x))).sink(id)
    with pytest.raises(TypeError, match="map: func must be `async def` to be awaited"):
        source.emit(ROWS[0])
    sink.destroy()


async def later(x: Row) -> Row:
    return x


def test_asynchronous_functions_of_keys_are_awaited_in_order() -> None:
    async def main() -> list[Any]:
        async with Stream[Row](asynchronous=True) as source:

            def build(s: Any, key: str) -> Any:
                return s.map(lambda x: (key, x[1])).map(later).map(lambda x: x[1])

            seen: list[Any] = source.key_by(0).pipelines(build).sink_to_list()
            for x in ROWS:
                await send(source, x)
        return seen

    assert run(main()) == [value for _, value in ROWS]


def test_state_of_a_shared_chain_may_be_assigned() -> None:
    source = Stream[Row]()
    node = source.key_by(0).pipelines(one_sum)
    seen = node.sink_to_list()
    source.emit_many(ROWS[:2])
    node.state = {"a": 100}
    source.emit_many([("a", 1), ("b", 1)])
    assert seen == [1, 2, 101, 1]
    assert dict(node.state) == {"a": 101, "b": 1}


def test_dropped_node_is_collected_with_its_pipelines() -> None:
    source = Stream[Row]()
    inner: list[Callable[[], Any]] = []

    def build(s: Any, key: str) -> Any:
        node = s.partition(2)
        inner.append(weakref.ref(node))
        return node

    node = source.key_by(0).pipelines(build)
    source.emit_many(ROWS)
    del node
    gc.collect()
    assert [ref() for ref in inner] == [None, None, None]
