"""Bounds of keyed state: time to live, greatest number of keys, what leaves by them."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, send, settle

import rapidz
from rapidz import Stream
from rapidz.testing import record, run

Row = tuple[str, int]

timed = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=25)


def count(n: int, _: object) -> int:
    return n + 1


async def count_later(n: int, _: object) -> int:
    await asyncio.sleep(0)
    return n + 1


class Model:
    """A dict by hand: states, and when each was last written."""

    def __init__(self, ttl: int | None, max_keys: int | None) -> None:
        self.ttl, self.max_keys = ttl, max_keys
        self.states: dict[str, int] = {}
        self.written: dict[str, int] = {}
        self.evicted: list[Row] = []
        self.results: list[Row] = []

    def sweep(self, now: float) -> None:
        if self.ttl is None:
            return
        due = [(t + self.ttl, key) for key, t in self.written.items() if t + self.ttl <= now]
        for _, key in sorted(due):
            self.evict(key)

    def evict(self, key: str) -> None:
        self.evicted.append((key, self.states.pop(key)))
        del self.written[key]

    def take(self, key: str, ts: int) -> None:
        if self.ttl is not None and key in self.written and ts - self.written[key] >= self.ttl:
            self.evict(key)
        self.states[key] = self.states.get(key, 0) + 1
        newest = max(ts, self.written.pop(key, ts))
        self.written[key] = newest  # last in order
        self.results.append((key, self.states[key]))
        if self.max_keys is not None and len(self.states) > self.max_keys:
            self.evict(next(iter(self.written)))


def modelled(xs: list[Row], lag: int, ttl: int | None, max_keys: int | None) -> Model:
    model = Model(ttl, max_keys)
    newest: float = float("-inf")
    for key, ts in xs:
        newest = max(newest, ts)
        model.sweep(newest - lag)
        model.take(key, ts)
    model.sweep(newest - lag)  # an element may have been older than its life behind the watermark
    return model


bounds = st.tuples(st.integers(0, 8), st.none() | st.integers(1, 10), st.none() | st.integers(1, 2))


@given(timed, bounds, st.booleans())
def test_state_by_event_time_is_a_dict_by_hand(
    xs: list[Row], bound: tuple[int, int | None, int | None], on_a_loop: bool
) -> None:
    lag, ttl, max_keys = bound
    model = modelled(xs, lag, ttl, max_keys)

    async def main() -> tuple[list[Row], list[tuple[str, int]], dict[str, int]]:
        async with Stream[Row](asynchronous=on_a_loop or None) as source:
            node = source.event_time(1, lag=lag).key_by(0)
            counts = node.accumulate(count, start=0, ttl=ttl, max_keys=max_keys)
            seen, evicted = counts.sink_to_list(), counts.evicted.sink_to_list()
            for x in xs:
                await settle(source.emit(x))
            left = dict(counts.state)
        return seen, evicted, left

    seen, evicted, left = run(main())
    assert seen == model.results
    assert left == model.states
    model.sweep(float("inf"))
    assert sorted(evicted) == sorted(model.evicted)


@given(timed, st.integers(1, 10), st.booleans())
def test_async_functions_see_and_evict_the_same_states(
    xs: list[Row], ttl: int, waits: bool
) -> None:
    async def main() -> tuple[list[Row], list[Row]]:
        async with Stream[Row](asynchronous=True) as source:
            keyed = source.event_time(1, lag=5).key_by(0)
            node = keyed.accumulate(count_later, start=0, ttl=ttl)
            seen, evicted = node.sink_to_list(), node.evicted.sink_to_list()
            for x in xs:
                wait = source.emit(x)
                if waits:
                    await settle(wait)
        return seen, evicted

    model = modelled(xs, 5, ttl, None)
    model.sweep(float("inf"))
    seen, evicted = run(main())
    assert seen == model.results
    assert sorted(evicted) == sorted(model.evicted)


def test_async_function_leaves_its_state_before_the_watermark_passes() -> None:
    """An element in flight may write the state anew: it is evicted after that."""

    async def slow(n: int, _: object) -> int:
        await asyncio.sleep(10)
        return n + 1

    async def main() -> list[Any]:
        async with Stream[Row](asynchronous=True) as source:
            node = source.event_time(1).key_by(0).accumulate(slow, start=0, ttl=5)
            log: list[Any] = record(node.evicted)
            keep = node.sink(id)
            for x in (("a", 0), ("a", 4), ("b", 9)):
                source.emit(x)
            await asyncio.sleep(25)
            del keep
        return log

    assert run(main()) == [(20.0, ("a", 2)), (30.0, ("b", 1))]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.just(0)), max_size=25), st.integers(1, 3))
def test_least_recently_written_key_is_evicted(xs: list[Row], most: int) -> None:
    with Stream[Row]() as source:
        node = source.key_by(0).accumulate(count, start=0, max_keys=most)
        seen, evicted = node.sink_to_list(), node.evicted.sink_to_list()
        source.emit_many(xs)
    model = Model(None, most)
    for key, ts in xs:
        model.take(key, ts)
    assert (seen, evicted) == (model.results, model.evicted)
    assert dict(node.state) == model.states
    assert node.key_count == len(model.states) <= most


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 12)), max_size=12))
def test_state_by_the_clock_leaves_at_exact_instants(steps: list[Row]) -> None:
    """Elements in virtual time; each step is a key and the quarters of a second before it."""
    ttl = 2.0
    expected, alive, now = [], dict[str, tuple[int, float]](), 0.0
    gone: list[tuple[float, tuple[str, int]]] = []
    for key, quarters in steps:
        now += quarters / 4
        for each, (n, written) in sorted(alive.items(), key=lambda item: item[1][1]):
            if written + ttl <= now:
                gone.append((written + ttl, (each, n)))
                del alive[each]
        n = alive.get(key, (0, 0))[0] + 1
        alive.pop(key, None)
        alive[key] = (n, now)
        expected.append((now, (key, n)))
    gone += [(written + ttl, (key, n)) for key, (n, written) in alive.items()]

    async def main() -> tuple[list[Any], list[Any]]:
        async with Stream[Any](asynchronous=True) as source:
            node = source.key_by(0).accumulate(count, start=0, ttl=ttl)
            seen, evicted = record(node), record(node.evicted)
            for key, quarters in steps:
                await asyncio.sleep(quarters / 4)
                await send(source, (key,))
            await asyncio.sleep(ttl)
        return seen, evicted

    seen, evicted = run(main())
    assert seen == expected
    assert sorted(evicted) == sorted(gone)
    assert [at for at, _ in evicted] == sorted(at for at, _ in gone)


def test_state_without_a_loop_leaves_with_the_next_element(monkeypatch: Any) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    source = Stream[str]()
    node = source.key_by(None).accumulate(count, start=0, ttl=5)
    seen, evicted = node.sink_to_list(), node.evicted.sink_to_list()
    source.emit("a")
    now[0] += 5
    assert dict(node.state) == {}, "reads are exact"
    assert node.key_count == 1
    source.emit("b")
    assert evicted == [("a", 1)]
    source.emit("a")
    assert seen == [("a", 1), ("b", 1), ("a", 1)]


def test_failing_function_evicts_what_was_over_and_keeps_no_state() -> None:
    def fails(n: int, x: Row) -> int:
        if x[0] == "a" and x[1] > 10:
            raise Boom(x)
        return n + 1

    source = Stream[Row]()
    node = source.event_time(1, lag=100).key_by(0).accumulate(fails, start=0, ttl=5)
    seen, evicted = node.sink_to_list(), node.evicted.sink_to_list()
    source.emit(("a", 0))
    with pytest.raises(Boom):
        source.emit(("a", 11))
    assert (seen, evicted) == ([("a", 1)], [("a", 1)])
    assert dict(node.state) == {}


def test_end_of_the_stream_evicts_by_event_time_alone() -> None:
    with Stream[Row]() as source:
        timed = source.event_time(1).key_by(0).accumulate(count, start=0, ttl="1h")
        untimed = source.key_by(0).accumulate(count, start=0, ttl="1h")
        gone, kept = timed.evicted.sink_to_list(), untimed.evicted.sink_to_list()
        keep = (timed.sink_to_list(), untimed.sink_to_list())
        source.emit_many([("a", 1), ("b", 2), ("a", 3)])
        source.flush()
        assert gone == [], "a flush moves no time"
    assert gone == [("b", 1), ("a", 2)]
    assert kept == []
    assert len(keep) == 2


def test_evicted_stream_is_flushed_and_ended_with_the_node() -> None:
    source = Stream[Row]()
    node = source.event_time(1).key_by(0).accumulate(count, start=0, ttl=5)
    batches = node.evicted.partition(2).sink_to_list()
    keep = node.sink_to_list()
    source.emit_many([("a", 0), ("b", 10)])
    assert batches == []
    source.close()
    assert batches == [(("a", 1), ("b", 1))]
    assert keep


def test_failure_downstream_of_evicted_is_pending() -> None:
    def fail(pair: Any) -> None:
        raise Boom(pair)

    source = Stream[Row]()
    node = source.event_time(1).key_by(0).accumulate(count, start=0, ttl=5)
    seen = node.sink_to_list()
    sink = node.evicted.sink(fail)
    source.emit(("a", 0))
    source.emit(("b", 5))
    assert seen == [("a", 1), ("b", 1)]
    with pytest.raises(Boom):
        source.join()
    sink.destroy()


def test_slow_sink_of_evicted_applies_back_pressure() -> None:
    async def slow(_: object) -> None:
        await asyncio.sleep(3)

    async def main() -> list[float]:
        instants = []
        async with Stream[Any](asynchronous=True) as source:
            node = source.key_by(0).accumulate(count, start=0, max_keys=1)
            keep = (node.sink(id), node.evicted.sink(slow))
            for key in "abb":
                await send(source, (key,))
                instants.append(asyncio.get_running_loop().time())
            del keep
        return instants

    assert run(main()) == [0, 3, 3]


def test_state_assigned_before_the_first_element_lives_from_it_on() -> None:
    source = Stream[Row]()
    node = source.event_time(1).key_by(0).accumulate(count, start=0, ttl=5)
    seen = node.sink_to_list()
    node.state = {"a": 10, "b": 20}
    assert node.state == {"a": 10, "b": 20}
    source.emit_many([("a", 100), ("a", 104), ("a", 109)])
    assert seen == [("a", 11), ("a", 12), ("a", 1)]
    assert node.state["b"] == 20


def test_unbounded_state_warns_once() -> None:
    source = Stream[int]()
    with rapidz.options(unbounded_keys_warning=3):
        node = source.key_by(None).accumulate(count, start=0)
        bounded = source.key_by(None).accumulate(count, start=0, max_keys=1000)
        keep = (node.sink_to_list(), bounded.sink_to_list())
        source.emit_many([1, 2, 3, 1, 2])
        with pytest.warns(RuntimeWarning, match="<accumulate: count>: has states of 3 keys"):
            source.emit(4)
        source.emit_many([5, 6])
    assert node.key_count == bounded.key_count == len(dict(keep[0])) == 6


def test_warning_of_unbounded_state_can_be_switched_off() -> None:
    with rapidz.options(unbounded_keys_warning=None):
        assert rapidz.options().unbounded_keys_warning is None
        source = Stream[int]()
        node = source.key_by(None).unique()
        sink = node.sink_to_list()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            source.emit_many(range(1000))
    assert len(sink) == node.key_count == 1000
    with pytest.raises(ValueError, match="options: unbounded_keys_warning must be an int >= 1"):
        rapidz.options(unbounded_keys_warning=0)


def test_node_with_bounds_is_its_own_after_an_edit() -> None:
    source = Stream[Row]()
    node = source.event_time(1).key_by(0).accumulate(count, start=0, ttl=5, max_keys=2)
    seen, evicted = node.sink_to_list(), node.evicted.sink_to_list()
    source.emit_many([("a", 0), ("b", 1)])
    other = source.map(str).sink(id)
    source.emit(("a", 4))
    other.destroy()
    node.func = lambda n, _: n + 10
    source.emit_many([("a", 5), ("c", 6)])
    assert seen == [("a", 1), ("b", 1), ("a", 2), ("a", 12), ("c", 10)]
    assert evicted == [("b", 1)]
