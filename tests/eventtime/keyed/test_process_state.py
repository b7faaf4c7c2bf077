"""process: state of each key, its bounds, and what a failure undoes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.eventtime.keyed.processes import Scripted, outputs, shown, timed
from tests.support import Boom, noted, settle

import rapidz
from rapidz import Retry, Stream
from rapidz.testing import record

# --- state --------------------------------------------------------------------------------


def test_state_is_kept_for_each_key() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.state = (ctx.state or 0) + 1
        return [(key, ctx.state)]

    elements = [(0, "a"), (0, "b"), (0, "a"), (0, "a")]
    assert outputs(on_element, shown, elements) == [("a", 1), ("b", 1), ("a", 2), ("a", 3)]


def test_a_key_without_state_and_timers_takes_no_memory() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        ctx.state = object()
        ctx.at(x[0] + 5)

    def on_timer(key: Any, t: Any, ctx: Any) -> None:
        del ctx.state

    source, keyed = timed()
    node = keyed.process(Scripted, on_element, on_timer)
    node.sink(print)
    source.emit_many((i, f"key {i}") for i in range(1000))
    assert len(node._process.states.table) == len(node._process.event_timers) == 5


def test_without_keys_the_key_is_none() -> None:
    source: Any = Stream()
    on_element = lambda key, x, ctx: ctx.at(ctx.time + 1)  # noqa: E731
    seen = source.event_time(0).process(Scripted, on_element, shown).sink_to_list()
    source.emit_many([(0, "a"), (1, "b")])
    assert seen == [(None, 1, None)]


def test_without_event_time_a_process_has_state_alone() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.state = (ctx.state or 0) + x
        return [ctx.state]

    source: Any = Stream()
    seen = source.key_by(lambda x: x % 2).process(Scripted, on_element, shown).sink_to_list()
    source.emit_many([1, 2, 3, 4])
    assert seen == [1, 2, 4, 6]


@pytest.mark.parametrize("what", ["time", "watermark", "is_late", "at"])
def test_without_event_time_a_question_of_time_is_an_error(what: str) -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        ctx.at(5) if what == "at" else getattr(ctx, what)

    source: Any = Stream()
    source.process(Scripted, on_element, shown).sink(print)
    with pytest.raises(RuntimeError, match=f"process: ctx.{what} needs `event_time` upstream"):
        source.emit(1)


class Counter:
    """Count the elements of a key; a third item sets a timer, and no count."""

    def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
        if x[2:]:
            ctx.at(x[2])
        ctx.state = (ctx.state or 0) + 1
        return [(key, ctx.state)]

    def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
        return [(key, t, ctx.state)]


def counted(elements: list[Any], **bounds: Any) -> tuple[list[Any], list[Any]]:
    """What a bounded `Counter` emits, and what has left it, before the end."""
    source, keyed = timed()
    node = keyed.process(Counter, **bounds)
    seen, gone = node.sink_to_list(), node.evicted.sink_to_list()
    source.emit_many(elements)
    return list(seen), list(gone)


def test_a_state_leaves_after_its_time_to_live() -> None:
    elements = [(0, "a"), (9, "a"), (18, "b"), (19, "a"), (28, "b")]
    assert counted(elements, ttl=10) == (
        [("a", 1), ("a", 2), ("b", 1), ("a", 1), ("b", 1)],
        [("a", 2), ("b", 1)],
    )


def test_a_state_does_not_leave_before_a_timer_of_its_key() -> None:
    elements = [(0, "a", 50), (49, "b"), (50, "c"), (59, "c"), (60, "c")]
    assert counted(elements, ttl=10) == (
        [("a", 1), ("b", 1), ("a", 50, 1), ("c", 1), ("c", 2), ("c", 3)],
        [("b", 1), ("a", 1)],
    )


def test_the_least_recent_key_leaves_with_its_timers() -> None:
    elements = [(0, "a", 5), (1, "b", 6), (2, "a"), (3, "c"), (9, "a")]
    assert counted(elements, max_keys=2) == (
        [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("a", 5, 2), ("a", 3)],
        [("b", 1)],
    )


def test_timers_that_are_gone_are_not_remembered() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        ctx.state = 1
        ctx.at(x[0] + 1, "fires")
        ctx.at(x[0] + 100, "cancelled")
        ctx.cancel("cancelled")

    source, keyed = timed()
    node = keyed.process(Scripted, on_element, shown, max_keys=100)
    node.sink(print)
    source.emit_many([(t, "ab"[t % 2]) for t in range(100)])
    source.close()
    assert node._process._names == {}


def test_states_with_a_time_to_live_leave_at_the_end() -> None:
    source, keyed = timed()
    node = keyed.process(Counter, ttl=10)
    gone = node.evicted.sink_to_list()
    node.sink(print)
    source.emit_many([(0, "a", 7), (3, "b")])
    source.close()
    assert (gone, node.key_count) == ([("b", 1), ("a", 1)], 0)


async def test_without_event_time_states_leave_by_the_clock() -> None:
    async with Stream[Any](asynchronous=True) as source:
        node = source.key_by(1).process(Counter, ttl=10)
        node.sink(print)
        gone = record(node.evicted)
        await settle(source.emit((0, "a")))
        await asyncio.sleep(4)
        await settle(source.emit((0, "b")))
        await settle(source.join())
        assert asyncio.get_running_loop().time() == 4.0
        await asyncio.sleep(20)
        assert node.key_count == 0
    assert gone == [(10.0, ("a", 1)), (14.0, ("b", 1))]


@pytest.mark.parametrize("bad", [{"ttl": 0}, {"ttl": "x"}, {"max_keys": 0}, {"max_keys": 1.5}])
def test_a_bad_bound_is_refused(bad: Any) -> None:
    _, keyed = timed()
    with pytest.raises((TypeError, ValueError), match=f"process: {next(iter(bad))} must be"):
        keyed.process(Counter, **bad)


def test_many_keys_without_a_bound_are_warned_of_once() -> None:
    """Pitfall rw#13907: state without a bound grows in silence."""
    source, keyed = timed()
    node = keyed.process(Counter)
    node.sink(len)
    with rapidz.options(unbounded_keys_warning=3):
        source.emit_many([(0, "a"), (0, "b"), (0, "c")])
        with pytest.warns(RuntimeWarning, match="process.*3 keys, and no bound: give ttl= or"):
            source.emit((0, "d"))
        source.emit((0, "e"))
    assert node.key_count == 5


# --- failures -----------------------------------------------------------------------------


def fail_first(key: Any, x: Any, ctx: Any, failures: list[int]) -> list[Any]:
    ctx.state = (ctx.state or 0) + 1
    ctx.at(x[0] + 5, "set")
    ctx.cancel()
    if failures:
        failures.pop()
        raise Boom(key)
    return [ctx.state]


def test_state_and_timers_are_undone_if_the_method_raises() -> None:
    """Ruling 3 (docs/rulings.md): a node commits its state when its own function returned."""
    failures: list[int] = []

    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        if x[0] == 0:
            ctx.at(7)
            ctx.state = 10
            return []
        return fail_first(key, x, ctx, failures)

    source, keyed = timed()
    node = keyed.process(Scripted, on_element, shown)
    seen = node.sink_to_list()
    source.emit((0, "a"))
    failures.append(1)
    with pytest.raises(Boom) as raised:
        source.emit((1, "a"))
    assert noted(raised.value, "process", "(1, 'a')")
    assert node._process.states.table.states == {"a": 10}
    source.emit((7, "b"))
    assert seen == [("a", 7, None), 1]


def test_a_generator_that_fails_has_emitted_nothing() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> Iterator[int]:
        yield 1
        ctx.state = 5
        raise Boom(key)

    source, keyed = timed()
    node = keyed.process(Scripted, on_element, shown)
    seen = node.sink_to_list()
    with pytest.raises(Boom):
        source.emit((0, "a"))
    assert (seen, node._process.states.table.states) == ([], {})


def test_what_fails_downstream_undoes_nothing() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.state = x[0]
        return ["first", "second"]

    taken = []

    def write(x: str) -> None:
        taken.append(x)
        if x == "first":
            raise Boom(x)

    source, keyed = timed()
    node = keyed.process(Scripted, on_element, shown)
    node.sink(write)
    with pytest.raises(Boom):
        source.emit((3, "a"))
    assert (taken, node._process.states.table.states) == (["first", "second"], {"a": 3})


def test_a_failing_timer_is_pending_and_counts_as_fired() -> None:
    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        ctx.state = "undone"
        ctx.at(t + 1, "undone")
        if key == "a":
            raise Boom(key)
        return [(key, t)]

    source, keyed = timed()
    node = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), on_timer)
    seen = node.sink_to_list()
    source.emit_many([(0, "a"), (0, "b")])
    source.emit((6, "c"))
    assert seen == [("b", 5), ("b", 6)]
    with pytest.raises(Boom) as raised:
        source.join()
    assert noted(raised.value, "process", "KeyTimer(key='a', t=5, name=None)")
    assert node._process.states.table.states == {"b": "undone"}


def test_the_policy_of_the_node_gets_failing_timers() -> None:
    def on_timer(key: Any, t: Any, ctx: Any) -> None:
        raise Boom(key)

    source, keyed = timed()
    node = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), on_timer).on_error("send")
    failures = node.errors.sink_to_list()
    node.sink(print)
    source.emit_many([(0, "a"), (9, "b")])
    source.close()
    assert [tuple(failure.element) for failure in failures] == [("a", 5, None), ("b", 14, None)]


def test_a_failing_element_is_tried_again_from_the_same_state() -> None:
    failures = [1, 2]
    source, keyed = timed()
    node = keyed.process(Scripted, lambda k, x, ctx: fail_first(k, x, ctx, failures), shown)
    seen = node.on_error(Retry(times=2, wait=0)).sink_to_list()
    source.emit((0, "a"))
    source.close()
    assert seen == [1, ("a", 5, "set")]


async def test_a_failing_timer_is_tried_again_after_a_while() -> None:
    failures = [1, 2]

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        ctx.state = (ctx.state or 0) + 1
        if failures:
            failures.pop()
            raise Boom(key)
        return [(key, t, ctx.state)]

    async with Stream[Any](asynchronous=True) as source:
        _, keyed = timed(source)
        node = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), on_timer)
        seen: list[Any] = record(node.on_error(Retry(times=3, wait=1, factor=1)))
        await settle(source.emit((0, "a")))
        await settle(source.emit((5, "b")))
    assert seen == [(2.0, ("a", 5, 1)), (2.0, ("b", 10, 1))]


def test_a_key_that_cannot_be_hashed_is_a_failing_element() -> None:
    source, keyed = timed()
    keyed.process(Scripted, lambda *_: [1], shown).sink(print)
    with pytest.raises(TypeError, match=r"^process: key must be hashable, got \['a'\]"):
        source.emit((0, ["a"]))


def test_the_context_is_refused_after_the_call() -> None:
    kept: list[Any] = []
    source, keyed = timed()
    keyed.process(Scripted, lambda key, x, ctx: kept.append(ctx), shown).sink(print)
    source.emit((0, "a"))
    for use, args in [(kept[0].at, (5,)), (kept[0].cancel, ()), (kept[0].after, (1,))]:
        with pytest.raises(RuntimeError, match="must be used while on_element or on_timer runs"):
            use(*args)
    with pytest.raises(RuntimeError, match=r"ctx\.state must be used while"):
        kept[0].state = 1
