"""process: a class with state and timers for each key."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support import Boom, begin, noted, settle, turns

import rapidz
from rapidz import Retry, Stream
from rapidz.testing import check_operator, record, run


class Scripted:
    """A class for `process` whose methods are given as functions of ``(key, x or t, ctx)``."""

    def __init__(self, on_element: Callable[..., Any], on_timer: Callable[..., Any]) -> None:
        self.element, self.timer = on_element, on_timer

    def on_element(self, key: Any, x: Any, ctx: Any) -> Any:
        return self.element(key, x, ctx)

    def on_timer(self, key: Any, t: Any, ctx: Any) -> Any:
        return self.timer(key, t, ctx)


def shown(key: Any, t: Any, ctx: Any) -> list[Any]:
    return [(key, t, ctx.name)]


def timed(source: Any = None, **options: Any) -> Any:
    """A stream of ``(timestamp, key, ...)``, keyed."""
    source = Stream() if source is None else source
    return source, source.event_time(0, **options).key_by(1)


def outputs(on_element: Any, on_timer: Any, elements: list[Any], **options: Any) -> list[Any]:
    source, keyed = timed()
    seen = keyed.process(Scripted, on_element, on_timer, **options).sink_to_list()
    source.emit_many(elements)
    source.close()
    return list(seen)


# --- what the methods return --------------------------------------------------------------


class Twice:
    def __init__(self, factor: int, *, plus: int = 0) -> None:
        self.factor, self.plus = factor, plus

    def on_element(self, key: Any, x: Any, ctx: Any) -> Iterator[Any]:
        yield x * self.factor
        yield x + self.plus


def test_one_instance_gets_the_arguments() -> None:
    source: Any = Stream()
    node = source.process(Twice, 2, plus=7)
    seen = node.sink_to_list()
    source.emit_many([1, 5])
    assert seen == [2, 8, 10, 12]
    assert isinstance(node.instance, Twice)


def test_the_type_of_the_context_is_a_public_name() -> None:
    kinds = []

    class Typed:
        def on_element(self, key: None, x: int, ctx: rapidz.KeyContext) -> None:
            kinds.append(type(ctx))

    source: Any = Stream()
    source.process(Typed).sink(print)
    source.emit(1)
    assert kinds == [rapidz.KeyContext]


@pytest.mark.parametrize(
    "nothing", [None, [], (), iter(())], ids=["None", "list", "tuple", "iterator"]
)
def test_nothing_is_emitted_for_nothing(nothing: Any) -> None:
    assert outputs(lambda *_: nothing, shown, [(0, "a")]) == []


@pytest.mark.parametrize("one", ["abc", b"abc", {"a": 1}, 5, datetime(2024, 1, 1, tzinfo=UTC)])
def test_one_element_in_place_of_an_iterable_is_refused(one: Any) -> None:
    source, keyed = timed()
    keyed.process(Scripted, lambda *_: one, shown).sink(print)
    with pytest.raises(TypeError, match="process: on_element must return None or an iterable"):
        source.emit((0, "a"))


def test_a_named_tuple_is_one_element_and_refused() -> None:
    from rapidz.eventtime.keyed.process_state import KeyTimer

    source, keyed = timed()
    keyed.process(Scripted, lambda *_: KeyTimer(1, 2, 3), shown).sink(print)
    with pytest.raises(TypeError, match=r"or an iterable of what to emit, got KeyTimer\(key=1"):
        source.emit((0, "a"))


def test_process_keeps_the_contract_of_operators() -> None:
    check_operator(lambda stream: stream.process(Twice, 2), [1, 5], outputs=[2, 1, 10, 5])
    check_operator(
        lambda stream: stream.event_time(lambda x: x).process(Echo), [0, 3, 20], outputs=ECHOES
    )


class Echo:
    """Emit each element, and again when the watermark is five later."""

    def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.at(x + 5, x)
        return [x]

    def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
        return [ctx.name]


ECHOES = [0, 3, 0, 3, 20, 20]


# --- event time ---------------------------------------------------------------------------


def test_a_timer_fires_when_the_watermark_has_reached_it() -> None:
    source, keyed = timed(lag=5)
    seen = keyed.process(Scripted, lambda k, x, ctx: ctx.at(10), shown).sink_to_list()
    for t, fired in [(0, 0), (14, 0), (14.999, 0), (15, 1)]:
        source.emit((t, "a" if t < 15 else "b"))
        assert len([each for each in seen if each[0] == "a"]) == fired


def test_timers_fire_ahead_of_the_element_that_moves_the_watermark() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.at(ctx.time + 10)
        return [x]

    assert outputs(on_element, shown, [(0, "a"), (3, "b"), (25, "c")]) == [
        (0, "a"),
        (3, "b"),
        ("a", 10, None),
        ("b", 13, None),
        (25, "c"),
        ("c", 35, None),
    ]


def test_timers_fire_by_instant_then_in_the_order_of_setting() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        for name, t in [("p", 20), ("q", 10), ("r", 20), ("p", 20)]:
            ctx.at(t, name)

    seen = outputs(on_element, shown, [(0, "b"), (1, "a"), (30, "c")])
    assert [(key, t, name) for key, t, name in seen if key != "c"] == [
        *[("b", 10, "q"), ("a", 10, "q")],
        *[("b", 20, "r"), ("b", 20, "p"), ("a", 20, "r"), ("a", 20, "p")],
    ]


def test_setting_a_timer_again_moves_it() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        ctx.at(x[2])

    assert outputs(
        on_element, shown, [(0, "a", 10), (1, "a", 50), (2, "a", 30), (40, "b", 41)]
    ) == [
        ("a", 30, None),
        ("b", 41, None),
    ]


def test_a_cancelled_timer_does_not_fire() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        if x[0] == 0:
            ctx.at(10)
            ctx.at(10, "other")
        ctx.cancel()
        ctx.cancel("never set")

    assert outputs(on_element, shown, [(0, "a"), (1, "a"), (30, "b")]) == [("a", 10, "other")]


def test_a_timer_in_the_past_fires_after_the_present_call() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.at(x[0] - 100)
        ctx.at(x[0])
        return [x]

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        if ctx.name is None:
            ctx.at(t - 1, "again")
        return [(key, t, ctx.name), "end of the call"]

    assert outputs(on_element, on_timer, [(50, "a"), (60, "b")]) == [
        (50, "a"),
        *[("a", 50, None), "end of the call", ("a", 49, "again"), "end of the call"],
        (60, "b"),
        *[("b", 60, None), "end of the call", ("b", 59, "again"), "end of the call"],
    ]


def test_a_timer_cancels_another_one_that_is_due_with_it() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        if key == "a":
            ctx.at(10, "first")
            ctx.at(11, "second")

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        ctx.cancel("second")
        return [ctx.name]

    assert outputs(on_element, on_timer, [(0, "a"), (100, "b")]) == ["first"]


def test_a_long_silence_fires_each_timer_once() -> None:
    """Pitfall beam#12551: no storm of timers to catch up."""

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        return [(t, ctx.watermark)]

    elements = [(i, f"key {i}") for i in range(1000)]
    seen = outputs(lambda k, x, ctx: ctx.at(2000 + x[0]), on_timer, [*elements, (10**9, "late")])
    assert seen == [(2000 + i, 10**9) for i in range(1000)] + [(10**9 + 2000, float("inf"))]


def test_the_context_knows_the_time_of_the_element_and_the_watermark() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        return [(ctx.key, ctx.time, ctx.watermark, ctx.is_late, ctx.name, ctx.ended)]

    source, keyed = timed(lag=2)
    seen = keyed.process(Scripted, on_element, shown).sink_to_list()
    source.emit_many([(5, "a"), (9, "b"), (6, "c"), (7, "d")])
    assert seen == [
        ("a", 5, 3, False, None, False),
        ("b", 9, 7, False, None, False),
        ("c", 6, 7, True, None, False),
        ("d", 7, 7, False, None, False),
    ]


@pytest.mark.parametrize(
    ("first", "later", "unit"),
    [
        (datetime(2024, 2, 28, 23, tzinfo=UTC), timedelta(hours=2), "s"),
        (datetime(2024, 2, 28, 23), timedelta(hours=2), "s"),
        (1_700_000_000_000, 2_000, "ms"),
        (1.5, 0.25, "s"),
        (-7, 3, "min"),
    ],
    ids=str,
)
def test_times_are_of_the_type_of_the_source(first: Any, later: Any, unit: str) -> None:
    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        return [(t, ctx.time, type(t))]

    source, keyed = timed(unit=unit)
    on_element = lambda key, x, ctx: ctx.at(ctx.time + later)  # noqa: E731
    seen = keyed.process(Scripted, on_element, on_timer).sink_to_list()
    source.emit((first, "a"))
    source.emit((first + later, "b"))
    assert seen == [(first + later, first + later, type(first))]


def test_a_timer_between_whole_timestamps_leaves_them_whole() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        ctx.at(x[0] + 0.5, "half")
        ctx.at(x[0] + 1)

    seen = outputs(on_element, shown, [(0, "a"), (9, "b")])
    assert [repr(t) for _, t, _ in seen] == ["0.5", "1", "9.5", "10"]


@pytest.mark.parametrize(
    "wrong",
    [None, "10s", float("nan"), float("inf"), True, datetime(2024, 1, 1), timedelta(1)],
    ids=str,
)
def test_a_time_of_another_kind_is_refused(wrong: Any) -> None:
    source, keyed = timed()
    keyed.process(Scripted, lambda k, x, ctx: ctx.at(wrong), shown).sink(print)
    with pytest.raises((TypeError, ValueError), match=r"^process: at: t must be a time like the"):
        source.emit((0, "a"))
    source.close()


def test_an_element_reads_its_time_by_timestamp() -> None:
    source: Any = Stream()
    node = (
        source.event_time(0)
        .map(lambda x: {"when": x[0]})
        .process(Scripted, lambda k, x, ctx: [ctx.time], shown, timestamp="when")
    )
    seen = node.sink_to_list()
    source.emit((5, "a"))
    assert seen == [5]


# --- the end ------------------------------------------------------------------------------


def test_all_timers_of_event_time_fire_at_the_end() -> None:
    """Pitfall gcp-ingestion#1689: what is open at the end is not lost."""

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        if ctx.name is None:
            ctx.at(t + 5, "after the end")
        return [(key, t, ctx.ended, ctx.watermark)]

    assert outputs(lambda k, x, ctx: ctx.at(x[0] + 100), on_timer, [(0, "a"), (1, "b")]) == [
        ("a", 100, True, float("inf")),
        ("b", 101, True, float("inf")),
        ("a", 105, True, float("inf")),
        ("b", 106, True, float("inf")),
    ]


def test_a_timer_that_sets_itself_for_ever_ends_with_a_warning() -> None:
    calls: list[str] = []

    def on_timer(key: Any, t: Any, ctx: Any) -> None:
        calls.append(key)
        ctx.at(t + 1)

    source, keyed = timed()
    node = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), on_timer)
    node.sink(print)
    source.emit_many([(0, "a"), (0, "b")])
    with pytest.warns(RuntimeWarning, match="process.*2 timers were not set.*`ctx.ended`"):
        source.close()
    assert calls.count("a") == calls.count("b") == 1001


def test_a_flush_does_not_move_event_time() -> None:
    source, keyed = timed()
    seen = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), shown).sink_to_list()
    source.emit((0, "a"))
    source.flush()
    assert seen == []
    source.emit((5, "b"))
    assert seen == [("a", 5, None)]


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


# --- arguments ----------------------------------------------------------------------------


class Nothing:
    pass


class Async:
    async def on_element(self, key: Any, x: Any, ctx: Any) -> None: ...


class AsyncTimer:
    def on_element(self, key: Any, x: Any, ctx: Any) -> None: ...

    async def on_timer(self, key: Any, t: Any, ctx: Any) -> Any:
        yield 1


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (5, "process: cls must be callable, got 5"),
        (Nothing, r"process: cls must have a method on_element\(key, x, ctx\), got .*Nothing"),
        (Async, "process: on_element must not be async def, .*: await in `map_async`"),
        (AsyncTimer, "process: on_timer must not be async def"),
        (Twice, "factor"),
    ],
)
def test_a_class_that_does_not_fit_is_refused(cls: Any, message: str) -> None:
    _, keyed = timed()
    with pytest.raises(TypeError, match=message):
        keyed.process(cls)
    assert not len(keyed.downstreams)


def test_a_scattered_stream_is_refused() -> None:
    with Stream[Any]() as source:
        scattered = source.scatter("thread")
        with pytest.raises(TypeError, match="process does not support scattered streams"):
            scattered.process(Twice, 2)


def test_a_misspelled_option_is_refused() -> None:
    _, keyed = timed()
    with pytest.raises(TypeError, match=r"process: keywords must be among those of cls Twice"):
        keyed.process(Twice, 3, plsu=1)


@pytest.mark.parametrize("hold", ["x", -1, None])
def test_a_bad_hold_is_refused(hold: Any) -> None:
    _, keyed = timed()
    with pytest.raises((TypeError, ValueError), match="process: hold must be"):
        keyed.process(Twice, 3, hold=hold)


def test_a_timer_needs_a_method_to_call() -> None:
    class NoTimer:
        def on_element(self, key: Any, x: Any, ctx: Any) -> None:
            ctx.at(5)

    source, keyed = timed()
    keyed.process(NoTimer).sink(print)
    with pytest.raises(TypeError, match=r"process: ctx\.at needs a method on_timer"):
        source.emit((0, "a"))


# --- the watermark downstream -------------------------------------------------------------


def chain(hold: Any, elements: list[Any], later: int, emitted: Callable[..., Any]) -> list[Any]:
    """What a second process sees of what the timers of a first one emit: is it late?"""
    source, keyed = timed()
    first = keyed.process(
        Scripted,
        lambda key, x, ctx: ctx.at(ctx.time + later),
        lambda key, t, ctx: [(emitted(t), key)],
        hold=hold,
    )
    second = first.process(Scripted, lambda k, x, ctx: [(x, ctx.is_late)], shown)
    seen = second.sink_to_list()
    source.emit_many(elements)
    source.close()
    return list(seen)


def test_what_a_timer_emits_is_not_late_downstream() -> None:
    """Pitfall SPARK-28074: one watermark for all drops the outputs of chained operators."""
    elements = [(0, "a"), (1, "b"), (100, "c")]
    assert chain(True, elements, 5, lambda t: t) == [
        ((5, "a"), False),
        ((6, "b"), False),
        ((105, "c"), False),
    ]


def test_without_hold_the_watermark_passes_the_timers() -> None:
    """Pitfall beam#21554: a hold may stall what is downstream."""
    elements = [(0, "a"), (1, "b"), (100, "c")]
    late = [is_late for _, is_late in chain(False, elements, 5, lambda t: t)]
    assert late == [True, True, True]


@pytest.mark.parametrize(("hold", "is_late"), [("5s", False), ("4s", True), (True, True)])
def test_a_hold_by_a_length_is_for_older_elements(hold: Any, is_late: bool) -> None:
    """A debounce emits elements that are as old as it waits."""
    elements = [(0, "a"), (100, "b")]
    assert chain(hold, elements, 5, lambda t: t - 5)[0] == ((0, "a"), is_late)


def test_timers_of_a_chain_fire_in_the_order_of_the_nodes() -> None:
    source, keyed = timed()
    log: list[Any] = []

    def on_timer(name: str) -> Any:
        return lambda key, t, ctx: log.append((name, t, ctx.watermark))

    sets = lambda key, x, ctx: (ctx.at(ctx.time + 5), [x])[1]  # noqa: E731
    first = keyed.process(Scripted, sets, on_timer("first"))
    second = first.process(Scripted, sets, on_timer("second"))
    second.sink(print)
    source.emit((0, "a"))
    source.emit((20, "b"))
    assert log == [("first", 5, 20), ("second", 5, 20)]
    del second


# --- the wall clock -----------------------------------------------------------------------


class Quiet:
    """Say after three seconds of the wall clock without an element what the last one was."""

    def on_element(self, key: Any, x: Any, ctx: Any) -> None:
        ctx.state = x
        ctx.after("3s")

    def on_timer(self, key: Any, t: Any, ctx: Any) -> Iterator[Any]:
        assert t is ctx.time is None
        yield ctx.state
        del ctx.state


async def test_a_timer_of_the_wall_clock_fires_at_its_instant() -> None:
    async with Stream[Any](asynchronous=True) as source:
        seen: list[Any] = record(source.key_by(0).process(Quiet))
        for instant, x in [(0.0, ("a", 1)), (1.0, ("b", 2)), (2.0, ("a", 3)), (8.5, ("b", 4))]:
            await asyncio.sleep(instant - asyncio.get_running_loop().time())
            await settle(source.emit(x))
        await settle(source.join())
        assert asyncio.get_running_loop().time() == 11.5
    assert seen == [(4.0, ("b", 2)), (5.0, ("a", 3)), (11.5, ("b", 4))]


async def test_timers_of_the_wall_clock_are_dropped_at_the_end() -> None:
    source: Stream[Any] = Stream(asynchronous=True)
    seen: list[Any] = record(source.key_by(0).process(Quiet))
    await settle(source.emit(("a", 1)))
    await settle(source.close())
    assert (seen, asyncio.get_running_loop().time()) == ([], 0.0)


def test_a_timer_of_the_wall_clock_needs_no_loop_of_the_caller(virtual_background: Any) -> None:
    with Stream[Any]() as source:
        seen: list[Any] = source.key_by(0).process(Quiet).sink_to_list()
        source.emit(("a", 1))
        source.join()
        assert seen == [("a", 1)]


def test_a_timer_of_the_wall_clock_is_refused_without_a_loop() -> None:
    source, keyed = timed()
    keyed.process(Scripted, lambda key, x, ctx: ctx.after(1), shown).sink(print)
    with pytest.raises(RuntimeError, match=r"process: ctx\.after needs an event loop"):
        source.emit((0, "a"))


@pytest.mark.parametrize("wrong", [-1, "soon", None])
async def test_a_bad_delay_is_refused(wrong: Any) -> None:
    async with Stream[Any](asynchronous=True) as source:
        source.process(Scripted, lambda key, x, ctx: ctx.after(wrong), shown).sink(print)
        with pytest.raises((TypeError, ValueError), match=r"^process: after: delay must be"):
            await settle(source.emit(1))


async def test_a_name_has_one_timer_of_either_clock() -> None:
    class Both:
        def on_element(self, key: Any, x: Any, ctx: Any) -> None:
            for act in x[2:]:
                ctx.at(x[0] + 5) if act == "at" else ctx.after(
                    2
                ) if act == "after" else ctx.cancel()

        def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
            return [(key, t)]

    async with Stream[Any](asynchronous=True) as source:
        seen: list[Any] = record(source.event_time(0).key_by(1).process(Both))
        for key, acts in {"a": ["at", "after"], "b": ["after", "at"], "c": ["after", "no"]}.items():
            await settle(source.emit((0, key, *acts)))
        await settle(source.join())
        assert seen == [(2.0, ("a", None))]
    assert seen == [(2.0, ("a", None)), (2.0, ("b", 5))]


async def test_a_timer_of_the_wall_clock_waits_for_its_turn() -> None:
    """It fires behind the elements that wait for capacity, and holds back those after it."""
    written: list[Any] = []

    async def write(x: Any) -> None:
        await asyncio.sleep(10)
        written.append((asyncio.get_running_loop().time(), x))

    class Delayed:
        def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
            ctx.after(1)
            return [x, x + 0.5]

        def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
            return ["timer"]

    async with Stream[Any](asynchronous=True) as source:
        source.process(Delayed).sink(write)
        first, second = begin(source, 1), begin(source, 2)
        await turns()
        assert not first.done()
        await asyncio.gather(first, second)
    assert [x for _, x in written] == [1, 1.5, 2, 2.5, "timer"][: len(written)]


def test_timers_of_the_wall_clock_go_on_with_the_next_loop() -> None:
    source: Stream[Any] = Stream(asynchronous=True)
    seen: list[Any] = source.key_by(0).process(Quiet).sink_to_list()

    async def first() -> None:
        await asyncio.sleep(100)
        await settle(source.emit(("a", 1)))
        await asyncio.sleep(1)

    async def second() -> float:
        await settle(source.join())
        await settle(source.close())
        return asyncio.get_running_loop().time()

    run(first())
    assert run(second()) == 3.0
    assert seen == [("a", 1)]


async def test_an_idle_stream_moves_the_timers_of_event_time() -> None:
    async with Stream[Any](asynchronous=True) as source:
        node = source.event_time(0, idle="10s").key_by(1)
        seen: list[Any] = record(node.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 15), shown))
        await settle(source.emit((0, "a")))
        await asyncio.sleep(60)
    assert seen == [(15.0, ("a", 15, None))]


# --- the graph ----------------------------------------------------------------------------


class Noting:
    """Emit each element and each timer twice, with the watermark; set a timer five later."""

    def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.at(x[0] + 5, x[0])
        return [(x[0], ctx.watermark), x[0]]

    def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
        return [(f"timer {t}", ctx.watermark), t]


async def noted_behind(
    build: Callable[[Any], Any], times: list[int], pause: float = 0.0
) -> list[Any]:
    """What `Noting` emits into a slow sink, where no emitter waits; a pause before the last."""
    taken: list[Any] = []

    async def write(x: Any) -> None:
        await asyncio.sleep(1)
        taken.append(x)

    async with Stream[Any](asynchronous=True) as source:
        build(source).sink(write)
        emits = [begin(source, (t, "k")) for t in times[:-1]]
        await turns()
        assert not emits[0].done()
        await asyncio.sleep(pause)
        emits.append(begin(source, (times[-1], "k")))
        await asyncio.gather(*emits)
        await settle(source.join())
        return list(taken)


async def test_timers_keep_their_order_under_back_pressure() -> None:
    def build(source: Any) -> Any:
        return timed(source)[1].process(Noting)

    assert await noted_behind(build, [0, 3, 8, 20]) == [
        *[(0, 0), 0, (3, 3), 3],
        *[("timer 5", 8), 5, ("timer 8", 8), 8, (8, 8), 8],
        *[("timer 13", 20), 13, (20, 20), 20],
    ]


async def test_a_timer_at_the_watermark_of_an_element_fires_before_it() -> None:
    def build(source: Any) -> Any:
        return timed(source)[1].process(Noting)

    assert await noted_behind(build, [0, 5]) == [
        *[(0, 0), 0],
        *[("timer 5", 5), 5],
        *[(5, 5), 5],
    ]


async def test_a_first_timer_behind_a_watermark_that_has_moved_on_fires() -> None:
    class Second(Noting):
        def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
            if x[0] == 3:
                ctx.at(8)
            return [x[0]]

    def build(source: Any) -> Any:
        return source.event_time(0).filter(lambda x: x[0] < 10).process(Second)

    assert await noted_behind(build, [0, 3, 20], pause=0.5) == [0, 3, ("timer 8", 20), 8]


async def test_a_timer_of_the_past_has_the_watermark_of_its_element() -> None:
    class Past(Noting):
        def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
            ctx.at(x[0] - 1)
            return [x[0]]

    def build(source: Any) -> Any:
        return timed(source)[1].process(Past)

    assert await noted_behind(build, [0, 3, 20]) == [
        *[0, ("timer -1", 0), -1],
        *[3, ("timer 2", 3), 2],
        *[20, ("timer 19", 20), 19],
    ]


async def test_a_watermark_without_an_element_fires_behind_those_that_wait() -> None:
    """An element that a filter drops has moved the watermark past a timer not yet set."""

    def build(source: Any) -> Any:
        return source.event_time(0).filter(lambda x: x[0] < 10).process(Noting)

    assert await noted_behind(build, [0, 3, 20]) == [
        *[(0, 0), 0, (3, 3), 3],
        *[("timer 5", 20), 5, ("timer 8", 20), 8],
    ]


async def test_a_timer_set_behind_a_watermark_that_has_moved_on_fires() -> None:
    class Again(Noting):
        def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
            if t < 10:
                ctx.at(t + 25, "again")
            return super().on_timer(key, t, ctx)

    def build(source: Any) -> Any:
        return source.event_time(0).filter(lambda x: x[0] < 10).process(Again)

    assert await noted_behind(build, [0, 20, 40], pause=2.5) == [
        *[(0, 0), 0],
        *[("timer 5", 20), 5],
        *[("timer 30", 40), 30],
    ]


def test_a_timer_moved_earlier_leaves_no_earlier_alarm() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        for t in x[2:]:
            ctx.at(t)

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        return [(t, ctx.watermark)]

    elements = [(14, "a", 15, 12), (16, "a", 19), (10, "a", 16)]
    assert outputs(on_element, on_timer, elements) == [(12, 14), (16, 16)]


async def test_an_element_that_is_tried_again_keeps_its_watermark() -> None:
    failures = [3]

    class Flaky(Noting):
        def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
            if x[0] in failures:
                failures.remove(x[0])
                raise Boom(x)
            return super().on_element(key, x, ctx)

    async with Stream[Any](asynchronous=True) as source:
        node = timed(source)[1].process(Flaky).on_error(Retry(times=1, wait=10))
        seen = node.sink_to_list()
        await settle(source.emit((0, "k")))
        await asyncio.gather(begin(source, (3, "k")), begin(source, (20, "k")))
    assert seen[:4] == [(0, 0), 0, (3, 3), 3]


async def test_a_timer_that_is_tried_again_keeps_its_place() -> None:
    failures = [1]

    class Flaky(Noting):
        def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
            if failures:
                failures.pop()
                raise Boom(t)
            return super().on_timer(key, t, ctx)

    def build(source: Any) -> Any:
        return timed(source)[1].process(Flaky).on_error(Retry(times=1, wait=10))

    assert await noted_behind(build, [0, 3, 20]) == [
        *[(0, 0), 0, (3, 3), 3],
        *[("timer 5", 20), 5, ("timer 8", 20), 8, (20, 20), 20],
    ]


async def test_elements_behind_one_that_is_tried_again_keep_their_watermark() -> None:
    failures = [1]

    class Flaky(Noting):
        def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
            if failures:
                failures.pop()
                raise Boom(x)
            return super().on_element(key, x, ctx)

    def build(source: Any) -> Any:
        return timed(source)[1].process(Flaky).on_error(Retry(times=1, wait=10))

    assert await noted_behind(build, [0, 3, 20]) == [
        *[(0, 0), 0, (3, 3), 3],
        *[("timer 5", 20), 5, ("timer 8", 20), 8, (20, 20), 20],
    ]


def test_a_watermark_freed_by_an_edit_fires_before_the_next_element() -> None:
    first: Any = Stream()
    second: Any = Stream()
    slow = second.event_time(0)
    both = first.event_time(0).union(slow)
    node = both.key_by(1).process(EchoTimes)
    seen = node.sink_to_list()
    first.emit((20, "a"))
    second.emit((1, "b"))
    assert seen == [20, 1]
    slow.disconnect(both)
    first.emit((19, "a"))
    assert seen == [20, 1, "timer 6", 19]


class EchoTimes:
    """Emit the timestamp of each element; a timer five later."""

    def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.at(x[0] + 5, x[0])
        return [x[0]]

    def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
        return [f"timer {t}"]


def test_an_edit_of_the_graph_keeps_state_and_timers() -> None:
    source, keyed = timed()
    node = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), shown)
    source.emit((0, "a"))
    seen = node.map(str).sink_to_list()
    source.emit((9, "b"))
    assert seen == ["('a', 5, None)"]


def test_a_process_is_collected_with_its_timers() -> None:
    source, keyed = timed()
    node = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), shown)
    source.emit((0, "a"))
    ref = weakref.ref(node)
    del node
    gc.collect()
    assert ref() is None
    source.emit((9, "b"))


def test_a_method_that_emits_into_its_own_stream_is_served() -> None:
    """Ruling 24 (docs/rulings.md): feedback by `emit`."""
    source, keyed = timed()

    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        if x[0] < 3:
            source.emit((x[0] + 1, key))
        ctx.state = (ctx.state or ()) + (x[0],)
        return [(x[0], ctx.key, ctx.state)]

    seen = keyed.process(Scripted, on_element, shown).sink_to_list()
    source.emit((1, "a"))
    assert sorted(t for t, _, _ in seen) == [1, 2, 3]


@pytest.mark.parametrize("way", ["emit", "emit_many"])
def test_a_process_gives_the_same_however_it_is_fed(way: str) -> None:
    elements = [(t, "ab"[t % 2]) for t in range(20)]
    source, keyed = timed()
    seen = keyed.process(
        Scripted, lambda k, x, ctx: (ctx.at(x[0] + 5), [x])[1], shown
    ).sink_to_list()
    if way == "emit":
        for x in elements:
            source.emit(x)
    else:
        source.emit_many(elements)
    source.close()
    assert len(seen) == 22
    assert run(_through_a_loop(elements)) == seen


async def _through_a_loop(elements: list[Any]) -> list[Any]:
    async with Stream[Any](asynchronous=True) as source:
        _, keyed = timed(source)
        seen = keyed.process(
            Scripted, lambda k, x, ctx: (ctx.at(x[0] + 5), [x])[1], shown
        ).sink_to_list()
        for x in elements:
            await settle(source.emit(x))
    return list(seen)
