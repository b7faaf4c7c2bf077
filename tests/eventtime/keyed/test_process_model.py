"""process: random classes do as an interpreter of thirty lines, in every execution mode."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rapidz import Stream
from rapidz.testing import run

Act = tuple[Any, ...]
"""``("at", later, name)``, ``("cancel", name)``, ``("emit", n)``, ``("count",)``, ``("fail",)``.

``("mutter", n)`` emits without a look at the watermark.
"""
Log = tuple[Any, ...]


class Order(NamedTuple):
    """An element: its timestamp, its key, and what is done about it."""

    at: int
    key: str
    acts: tuple[Act, ...]


#: What a timer does, by its name.
BY_NAME: dict[Any, tuple[Act, ...]] = {
    None: (("emit", 1), ("count",)),
    "chain": (("emit", 2), ("at", 4, None), ("at", 0, "past")),
    "past": (("count",), ("emit", 0)),
    "cancels": (("cancel", None), ("cancel", "chain"), ("emit", 1)),
    "fails": (("count",), ("at", 1, None), ("fail",)),
    "forgets": (("forget",), ("emit", 1)),
}

names = st.sampled_from(list(BY_NAME))
acts = st.one_of(
    st.tuples(st.just("at"), st.integers(-4, 12), names),
    st.tuples(st.just("at"), st.integers(0, 6), st.none()),
    st.tuples(st.just("cancel"), names),
    st.tuples(st.sampled_from(["emit", "mutter"]), st.integers(1, 3)),
    st.sampled_from([("count",), ("fail",), ("forget",)]),
)
orders = st.lists(
    st.builds(
        Order,
        at=st.integers(0, 30),
        key=st.sampled_from(["a", "b"]),
        acts=st.lists(acts, max_size=3).map(tuple),
    ),
    max_size=12,
)
lags = st.integers(0, 8)


def expected(elements: list[Order], lag: int, ttl: int | None = None) -> list[Log]:
    return interpreted(elements, lag, ttl)[0]


def interpreted(
    elements: list[Order], lag: int, ttl: int | None
) -> tuple[list[Log], list[tuple[str, int]]]:
    """What comes of *elements*: timers of the past first, before and after each element.

    And the states that have left: *ttl* after the last call, or the last timer that was set.
    """
    timers: dict[tuple[str, Any], tuple[int, int]] = {}
    states: dict[str, int] = {}
    written: dict[str, int] = {}
    evicted: list[tuple[str, int]] = []
    logs: list[Log] = []
    watermark: float = -math.inf
    calls = 0

    def evict(now: float, keys: list[str]) -> None:
        for key in keys:
            if key in states and ttl is not None and now - written[key] >= ttl:
                evicted.append((key, states.pop(key)))
                del written[key]

    def call(key: str, t: int, name: Any, acts: tuple[Act, ...]) -> None:
        nonlocal calls, timers
        evict(t, [key])
        before, state, out = timers.copy(), states.get(key, 0), []
        lives = [t]
        for act, *rest in acts:
            if act == "fail":
                timers = before
                return
            if act == "at":
                calls += 1
                timers[key, rest[1]] = (t + rest[0], calls)
                lives.append(t + rest[0])
            elif act == "cancel":
                timers.pop((key, rest[0]), None)
            elif act in ("emit", "mutter"):
                seen = watermark if act == "emit" else None
                out += [(key, t, name, state, seen, i) for i in range(rest[0])]
            else:
                state = state + 1 if act == "count" else 0
        logs.extend(out)
        if state:
            states[key], written[key] = state, max(*lives, t, written.get(key, t))
        else:
            states.pop(key, None)
            written.pop(key, None)

    def fire() -> None:
        while due := sorted(
            (when, which) for which, when in timers.items() if when[0] <= watermark
        ):
            (t, _), (key, name) = due[0]
            del timers[key, name]
            call(key, t, name, BY_NAME[name])
        evict(watermark, list(states))

    for x in elements:
        watermark = max(watermark, x.at - lag)
        fire()
        call(x.key, x.at, "element", x.acts)
        fire()
    watermark = math.inf
    fire()
    return logs, evicted


class Interpreter:
    """The same, as a class for `process`."""

    def __init__(self, generator: bool) -> None:
        self.generator = generator

    def on_element(self, key: str, x: Order, ctx: Any) -> Any:
        return self.act(key, x.at, "element", x.acts, ctx)

    def on_timer(self, key: str, t: int, ctx: Any) -> Any:
        assert t == ctx.time
        return self.act(key, t, ctx.name, BY_NAME[ctx.name], ctx)

    def act(self, key: str, t: int, name: Any, acts: tuple[Act, ...], ctx: Any) -> Any:
        if self.generator:
            return self.each(key, t, name, acts, ctx)
        return list(self.each(key, t, name, acts, ctx)) or None

    def each(self, key: str, t: int, name: Any, acts: tuple[Act, ...], ctx: Any) -> Iterator[Log]:
        for act, *rest in acts:
            if act == "fail":
                raise ValueError("planted")
            if act == "at":
                ctx.at(t + rest[0], rest[1])
            elif act == "cancel":
                ctx.cancel(rest[0])
            elif act in ("emit", "mutter"):
                state = 0 if ctx.state is None else ctx.state
                for i in range(rest[0]):
                    yield (key, t, name, state, ctx.watermark if act == "emit" else None, i)
            elif act == "count":
                ctx.state = (ctx.state or 0) + 1
            else:
                del ctx.state


def without_failures(elements: list[Order]) -> list[Order]:
    return [
        x._replace(acts=tuple(act for act in x.acts if act[0] != "fail" and act[-1] != "fails"))
        for x in elements
    ]


def build(source: Any, lag: int, generator: bool, policy: bool = True) -> Any:
    timed = source.event_time("at", lag=lag).key_by("key")
    node = timed.process(Interpreter, generator=generator)
    return node.on_error("skip") if policy else node


def without_loop(elements: list[Order], lag: int, cuts: list[int], generator: bool) -> list[Log]:
    source: Stream[Order] = Stream()
    seen = build(source, lag, generator).sink_to_list()
    begin = 0
    for end in [*sorted(cut for cut in cuts if cut < len(elements)), len(elements)]:
        if end - begin == 1:
            source.emit(elements[begin])
        else:
            source.emit_many(elements[begin:end])
        begin = end
    source.close()
    return list(seen)


async def on_a_loop(
    elements: list[Order], lag: int, waits: bool, generator: bool, slow: bool, policy: bool = True
) -> list[Log]:
    seen: list[Log] = []

    async def write(x: Log) -> None:
        if slow:
            await asyncio.sleep(1)
        seen.append(x)

    async with Stream[Order](asynchronous=True) as source:
        node = build(source, lag, generator, policy)
        (node.sink(write) if slow else node.buffer(2).sink(write))
        for x in elements:
            wait: Any = source.emit(x)
            if waits:
                await wait
    return seen


examples = [
    Order(0, "a", (("at", 5, None), ("at", 5, "chain"))),
    Order(5, "b", (("at", -4, "fails"), ("count",), ("emit", 3))),
    Order(9, "a", (("at", 5, "cancels"), ("at", 5, None), ("fail",))),
    Order(9, "a", (("count",), ("at", 0, "forgets"))),
    Order(2, "a", (("emit", 2), ("at", 20, "chain"))),
]


@given(orders, lags, st.lists(st.integers(0, 12), max_size=4), st.booleans())
@example(examples, 0, [], True)
@example(examples, 3, [1, 2, 3, 4], False)
def test_process_does_as_the_interpreter_without_a_loop(
    elements: list[Order], lag: int, cuts: list[int], generator: bool
) -> None:
    assert without_loop(elements, lag, cuts, generator) == expected(elements, lag)


@settings(max_examples=100)
@given(orders, lags, st.booleans(), st.booleans(), st.booleans(), st.booleans())
@example(examples, 0, True, True, True, True)
@example(examples, 3, False, False, True, True)
@example(examples, 3, False, False, True, False)
def test_process_does_as_the_interpreter_on_a_loop(
    elements: list[Order], lag: int, waits: bool, generator: bool, slow: bool, policy: bool
) -> None:
    """Elements and timers keep their order and their watermark under back pressure."""
    elements = elements if policy else without_failures(elements)
    seen = run(on_a_loop(elements, lag, waits, generator, slow, policy))
    assert seen == expected(elements, lag)


@pytest.mark.soak
@pytest.mark.timeout(0)
@settings(max_examples=10_000)
@given(orders, lags, st.lists(st.integers(0, 12), max_size=4), st.booleans(), st.booleans())
def test_process_does_as_the_interpreter_in_ten_thousand_cases(
    elements: list[Order], lag: int, cuts: list[int], generator: bool, slow: bool
) -> None:
    wanted = expected(elements, lag)
    assert without_loop(elements, lag, cuts, generator) == wanted
    assert run(on_a_loop(elements, lag, True, generator, slow)) == wanted
    assert run(on_a_loop(elements, lag, False, generator, slow)) == wanted
    elements = without_failures(elements)
    wanted = expected(elements, lag)
    assert run(on_a_loop(elements, lag, True, generator, slow, policy=False)) == wanted
    assert run(on_a_loop(elements, lag, False, generator, slow, policy=False)) == wanted


@given(orders, lags, st.integers(1, 12))
def test_states_leave_when_the_interpreter_lets_them(
    elements: list[Order], lag: int, ttl: int
) -> None:
    source: Any = Stream()
    timed = source.event_time("at", lag=lag).key_by("key")
    node = timed.process(Interpreter, generator=True, ttl=ttl).on_error("skip")
    seen, gone = node.sink_to_list(), node.evicted.sink_to_list()
    for x in elements:
        source.emit(x)
    source.close()
    logs, evicted = interpreted(elements, lag, ttl)
    assert (seen, sorted(gone)) == (logs, sorted(evicted))
    assert node.key_count == 0


# --- windows and debounce, written by hand ------------------------------------------------

clicks = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["a", "b"])), max_size=30)


class Tumbling:
    """Counts by windows of ten, keyed by the start of the window, late ones apart."""

    def __init__(self) -> None:
        self.late: list[tuple[int, str]] = []

    def on_element(self, key: str, x: tuple[int, str], ctx: Any) -> None:
        start = x[0] // 10 * 10
        if ctx.watermark >= start + 10:
            self.late.append(x)
            return
        counts = dict(ctx.state or {})
        counts[start] = counts.get(start, 0) + 1
        ctx.state = counts
        ctx.at(start + 10, start)

    def on_timer(self, key: str, t: int, ctx: Any) -> Iterator[tuple[str, int, int]]:
        counts = dict(ctx.state)
        yield key, ctx.name, counts.pop(ctx.name)
        ctx.state = counts or None


@given(clicks, lags)
def test_tumbling_windows_by_process_are_those_of_the_model(
    elements: list[tuple[int, str]], lag: int
) -> None:
    source: Any = Stream()
    node = source.event_time(0, lag=lag).key_by(1).process(Tumbling)
    seen = node.sink_to_list()
    source.emit_many(elements)
    source.close()
    counts: dict[tuple[str, int], int] = {}
    late, newest = [], -math.inf
    for x in elements:
        newest = max(newest, x[0])
        start = x[0] // 10 * 10
        if newest - lag >= start + 10:
            late.append(x)
        else:
            counts[x[1], start] = counts.get((x[1], start), 0) + 1
    assert sorted(seen) == sorted((key, start, n) for (key, start), n in counts.items())
    assert [start for _, start, _ in seen] == sorted(start for _, start in counts)
    assert node.instance.late == late


class Debounce:
    """Emit the newest element of a key that no other follows within five."""

    def on_element(self, key: str, x: tuple[int, str], ctx: Any) -> None:
        if ctx.state is None or x[0] >= ctx.state[0]:
            ctx.state = x
            ctx.at(x[0] + 5)

    def on_timer(self, key: str, t: int, ctx: Any) -> Iterator[tuple[int, str]]:
        yield ctx.state
        del ctx.state


@given(clicks.map(sorted))
def test_debounce_by_process_is_that_of_the_model(elements: list[tuple[int, str]]) -> None:
    source: Any = Stream()
    node = source.event_time(0).key_by(1).process(Debounce)
    seen = node.sink_to_list()
    source.emit_many(elements)
    source.close()
    for key in "ab":
        times = [t for t, each in elements if each == key]
        calm = [t for t, later in zip(times, [*times, math.inf][1:], strict=True) if later - t >= 5]
        assert [t for t, each in seen if each == key] == calm
    assert [t for t, _ in seen] == sorted(t for t, _ in seen)
