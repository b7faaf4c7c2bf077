"""Results that an element, a signal or an aggregator gets in the way of: the others leave."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rapidz import Aggregator, Count, RefCounter, Stream

KINDS = {
    "tumbling": lambda s: s.tumbling(10),
    "tumbling with lateness": lambda s: s.tumbling(10, lateness=5),
    "sliding": lambda s: s.sliding(20, 10),
    "session": lambda s: s.session(5),
    "session with lateness": lambda s: s.session(5, lateness=5),
}
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())


class RefuseTwo(Aggregator):
    """A count that has no result where it is two."""

    def start(self) -> int:
        return 0

    def add(self, state: int, value: Any) -> int:
        return state + 1

    def merge(self, a: int, b: int) -> int:
        return a + b

    def result(self, state: int) -> int:
        if state == 2:
            raise ValueError("two")
        return state


@kinds
def test_a_key_whose_result_fails_keeps_no_other_from_leaving(make: Callable[[Any], Any]) -> None:
    source, seen = Stream[Any](), set[Any]()
    make(source.event_time(0).key_by(1)).aggregate(n=RefuseTwo()).sink(lambda r: seen.add(r.key))
    source.emit_many([(1, "a"), (1, "b"), (1, "b"), (1, "c")])
    with pytest.raises((ValueError, ExceptionGroup)):
        source.close()
    assert seen == {"a", "c"}


@kinds
async def test_a_key_whose_result_fails_is_not_acknowledged(make: Callable[[Any], Any]) -> None:
    source, done = Stream[Any](asynchronous=True), list[Any]()
    make(source.event_time(0).key_by(1)).aggregate(n=RefuseTwo()).sink(lambda r: None)
    for n, key in enumerate("abbc"):
        counter = RefCounter(
            cb=functools.partial(done.append, n),
            on_failure=functools.partial(lambda n, error: done.append((n, str(error))), n),
        )
        await source.emit((1, key), metadata=[{"ref": counter}])
        del counter
    with contextlib.suppress(ValueError, ExceptionGroup):
        await source.close()
    await asyncio.sleep(0)
    gc.collect()  # the traceback of the failure knows the elements
    await asyncio.sleep(0)
    assert sorted(done, key=str) == [(1, "two"), (2, "two"), 0, 3]


@kinds
def test_an_interrupted_sink_gets_the_other_results_later(make: Callable[[Any], Any]) -> None:
    source, seen = Stream[Any](), list[Any]()

    def sink(result: Any) -> None:
        seen.append(result.key)
        if seen == ["a", "b"]:
            raise KeyboardInterrupt

    node = make(source.event_time(0).key_by(1)).aggregate(n=Count())
    node.sink(sink)
    later = node.tumbling(100).collect().sink_to_list()
    source.emit_many([(1, "a"), (1, "b"), (1, "c")])
    with pytest.raises(KeyboardInterrupt):
        source.emit((30, "d"))
    source.emit((40, "e"))
    assert seen[:3] == ["a", "b", "c"]
    source.emit((130, "f"))
    assert later, "the watermark goes on"
    source.close()


@kinds
def test_what_an_interrupt_left_over_leaves_at_the_end(make: Callable[[Any], Any]) -> None:
    source, seen = Stream[Any](), list[Any]()

    def sink(result: Any) -> None:
        seen.append(result.key)
        if seen == ["a"]:
            raise KeyboardInterrupt

    make(source.event_time(0).key_by(1)).aggregate(n=Count()).sink(sink)
    source.emit_many([(1, "a"), (1, "b"), (1, "c")])
    with pytest.raises(KeyboardInterrupt):
        source.emit((30, "a"))
    source.close()
    assert seen[:3] == ["a", "b", "c"]


@kinds
def test_a_sink_that_emits_the_future_loses_no_open_window(make: Callable[[Any], Any]) -> None:
    source, seen = Stream[Any](), set[Any]()

    def sink(result: Any) -> None:
        if not seen:
            source.emit((1000, "z"))
        seen.add(result.key)

    node = make(source.event_time(0, lag=20).key_by(1)).aggregate(n=Count())
    node.sink(sink)
    late = node.late.sink_to_list()
    source.emit_many([(5, "a"), (25, "b"), (32, "c")])
    source.emit((38, "d"))
    source.close()
    assert seen | {one.element[1] for one in late} == {"a", "b", "c", "d", "z"}
    assert {"a", "b", "z"} <= seen


@pytest.mark.parametrize(
    ("far", "near"),
    [
        (datetime(9999, 12, 31, 23), datetime(2000, 1, 1)),
        (datetime(1, 1, 1), datetime(2000, 1, 1)),
        (pd.Timestamp.max, pd.Timestamp("2000-01-01")),
        (pd.Timestamp.min, pd.Timestamp("2000-01-01")),
        (np.datetime64("3000-01-01"), np.datetime64("2000-01-01")),
        (np.datetime64("0001-01-01"), np.datetime64("2000-01-01")),
    ],
    ids=str,
)
def test_a_window_that_no_calendar_can_write_is_refused(far: Any, near: Any) -> None:
    source = Stream[Any]()
    seen = source.event_time(0).tumbling("7 days").aggregate(n=Count()).sink_to_list()
    for each in sorted([far, near]):
        if each is near:
            source.emit((each,))
            continue
        with pytest.raises((OverflowError, ValueError), match=r"(tumbling|event_time): .* must be"):
            source.emit((each,))
    source.close()
    assert [result.value for result in seen] == [{"n": 1}]


def test_a_session_that_no_calendar_can_write_is_refused() -> None:
    source = Stream[Any]()
    seen = source.event_time(0).session("7 days").aggregate(n=Count()).sink_to_list()
    source.emit((datetime(2000, 1, 1),))
    with pytest.raises(OverflowError, match="session: start and end of a window must be"):
        source.emit((datetime(9999, 12, 31),))
    source.close()
    assert [result.value for result in seen] == [{"n": 1}]


class Expire:
    """Emit each element again ten seconds later."""

    def on_element(self, key: Any, x: Any, ctx: Any) -> None:
        ctx.at(ctx.time + 10)

    def on_timer(self, key: Any, t: Any, ctx: Any) -> Any:
        yield key


@pytest.mark.parametrize(
    ("make", "emitted"),
    [
        (lambda s: s.process(Expire), lambda node: node),
        (
            lambda s: s.accumulate(lambda n, x: n, start=0, ttl=10),
            lambda node: node.evicted.pluck(0),
        ),
    ],
    ids=["timers", "evicted states"],
)
def test_an_interrupt_in_keyed_work_reaches_the_caller(
    make: Callable[[Any], Any], emitted: Callable[[Any], Any]
) -> None:
    source, seen = Stream[Any](), list[Any]()

    def sink(key: Any) -> None:
        seen.append(key)
        if seen == ["a"]:
            raise KeyboardInterrupt

    node = make(source.event_time(0).key_by(1))
    emitted(node).sink(sink)
    source.emit_many([(1, "a"), (1, "b"), (1, "c")])
    with pytest.raises(KeyboardInterrupt):
        source.emit((30, "d"))
    source.emit((50, "e"))
    source.close()
    assert seen[:3] == ["a", "b", "c"]


@pytest.mark.parametrize("zero", [datetime(2000, 1, 1), np.datetime64("2000-01-01")], ids=str)
def test_what_is_fed_back_at_the_end_is_late_in_every_kind_of_time(zero: Any) -> None:
    source = Stream[Any]()
    node = source.event_time(0).tumbling("10s").aggregate(n=Count())
    late = node.late.sink_to_list()
    node.map(lambda result: (result.end,)).connect(source)
    source.emit((zero,))
    source.close()
    assert [str(one.element[0])[17:19] for one in late] == ["10"]
