"""Ruling 22: emits that are cancelled, timed out and closed at random, with lists as the model.

The model knows three things of an element: whether it was cancelled, whether its function had
begun by then, and what the operator does with one that comes: it takes it at once (a batch, a
window, a delay), lets it wait outside (a full queue), or lets it wait in line. The rest is order,
exclusion, and no loss.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support import send, settle

from rapidz import Stream, StreamClosed
from rapidz.testing.loop import VirtualLoop

#: How an operator treats an element that comes while others are in flight.
Kind = Literal["line", "gate", "taken"]

Build = Callable[[Stream[Any], Any], Any]


@dataclass(frozen=True)
class Operator:
    kind: Kind
    build: Build
    windows: int = 1
    """In how many windows an element may be."""


async def same(x: Any) -> Any:
    return x


def keeping(function: Any) -> Any:
    async def fold(_: Any, x: Any) -> Any:
        return await function(x)

    return fold


def branches(s: Stream[Any], f: Any) -> Any:
    return s.map(lambda x: x).sink(same), s.sink(f)


def diamond(s: Stream[Any], f: Any) -> Any:
    return s.map(same).zip(s.map(lambda x: x), maxsize=3).pluck(0).sink(f)


operators: dict[str, Operator] = {
    "map": Operator("line", lambda s, f: s.map(f).sink(same)),
    "starmap": Operator("line", lambda s, f: s.map(lambda x: (x,)).starmap(f).sink(same)),
    "filter": Operator("line", lambda s, f: s.filter(f).sink(same)),
    "accumulate": Operator("line", lambda s, f: s.accumulate(keeping(f), start=0).sink(same)),
    "sink": Operator("line", lambda s, f: s.sink(f)),
    "below map": Operator("line", lambda s, f: s.map(same).sink(f)),
    "with a policy": Operator("line", lambda s, f: s.map(same).on_error("skip").sink(f)),
    "policy of the sink": Operator("line", lambda s, f: s.sink(f).on_error("skip")),
    "flatten": Operator("line", lambda s, f: s.map(lambda x: [x]).flatten().sink(f)),
    "union": Operator("line", lambda s, f: s.union(s.filter(lambda x: False)).sink(f)),
    "two branches": Operator("line", branches),
    "rate_limit": Operator("line", lambda s, f: s.rate_limit(0.75).sink(f)),
    "buffer": Operator("gate", lambda s, f: s.buffer(2).sink(f)),
    "map_async": Operator("gate", lambda s, f: s.map_async(f).sink(same)),
    "below map_async": Operator("gate", lambda s, f: s.map_async(same, parallelism=2).sink(f)),
    "delay": Operator("taken", lambda s, f: s.delay(0.5).sink(f)),
    "partition": Operator("taken", lambda s, f: s.partition(2).flatten().sink(f)),
    "partition by key": Operator(
        "taken", lambda s, f: s.partition(2, key=lambda x: 0).flatten().sink(f)
    ),
    "partition, timed": Operator(
        "taken", lambda s, f: s.partition(3, timeout=1.5).flatten().sink(f)
    ),
    "partition_unique": Operator("taken", lambda s, f: s.partition_unique(2).flatten().sink(f)),
    "partition in a buffer": Operator(
        "taken", lambda s, f: s.partition(2).buffer(1).flatten().sink(f)
    ),
    "sliding_window": Operator(
        "taken", lambda s, f: s.sliding_window(2, return_partial=True).flatten().sink(f), 2
    ),
    "timed_window": Operator(
        "taken", lambda s, f: s.timed_window(1.5, emit_empty=False).flatten().sink(f)
    ),
    "timed_window_unique": Operator(
        "taken", lambda s, f: s.timed_window_unique(1.5, emit_empty=False).flatten().sink(f)
    ),
    "collect": Operator("taken", lambda s, f: s.collect().flatten().sink(f)),
    "zip": Operator("taken", lambda s, f: s.zip(s.map(lambda x: x)).pluck(0).sink(f)),
    "combine_latest": Operator(
        "taken",
        lambda s, f: s.combine_latest(s.map(lambda x: x), emit_on=1, first=True).pluck(0).sink(f),
    ),
    "zip_latest": Operator("taken", lambda s, f: s.zip_latest(s.map(same)).pluck(0).sink(f)),
}


class Cancelling(RuleBasedStateMachine):
    """One pipeline of one operator, and an asynchronous function that takes a second."""

    operator: Operator
    eager = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop(limit=100_000)
        if self.eager:
            self.loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.begun: list[int] = []
        self.seen: list[int] = []
        self.inside = self.number = 0
        self.entered_twice = self.closed = False
        self.withdrawn: set[int] = set()
        self.stopped: set[int] = set()
        self.others: list[asyncio.Task[None]] = []
        self.run(self.built())

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    async def built(self) -> None:
        self.source = Stream[Any](asynchronous=True)
        self.held = self.operator.build(self.source, self.function)

    async def function(self, x: int) -> int:
        self.begun.append(x)
        self.inside += 1
        self.entered_twice |= self.inside > 1
        try:
            await asyncio.sleep(1)
            self.seen.append(x)
        finally:
            self.inside -= 1
        return x

    def next(self) -> int:
        self.number += 1
        return self.number

    async def passed(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    # --- what happens ------------------------------------------------------------------

    @precondition(lambda self: not self.closed)
    @rule(turns=st.integers(1, 4))
    def emit(self, turns: int) -> None:
        async def go() -> None:
            x = self.next()
            self.tasks[x] = asyncio.create_task(send(self.source, x))
            await self.passed(turns)

        self.run(go())

    @precondition(lambda self: not self.closed)
    @rule(limit=st.sampled_from([0.25, 0.5, 1.25]))
    def emit_with_a_time_limit(self, limit: float) -> None:
        x = self.next()

        async def go() -> None:
            try:
                async with asyncio.timeout(limit):
                    await self.source.emit(x)
            except TimeoutError:
                self.note_cancelled(x)

        async def start() -> None:
            self.others.append(asyncio.create_task(go()))
            await self.passed(2)

        self.run(start())

    @precondition(lambda self: not self.closed)
    @rule(how_many=st.integers(1, 3))
    def emit_without_waiting(self, how_many: int) -> None:
        async def go() -> None:
            for _ in range(how_many):
                self.source.emit(self.next())

        self.run(go())

    @rule(data=st.data(), turns=st.integers(0, 3))
    def cancel(self, data: st.DataObject, turns: int) -> None:
        pending = [x for x, task in self.tasks.items() if not task.done()]
        if not pending:
            return
        x = data.draw(st.sampled_from(pending))

        async def go() -> None:
            self.note_cancelled(x)
            self.tasks[x].cancel()
            await self.passed(turns)

        self.run(go())

    def note_cancelled(self, x: int) -> None:
        (self.stopped if x in self.begun else self.withdrawn).add(x)

    @rule(seconds=st.sampled_from([0.125, 0.5, 1.0, 2.5]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @precondition(lambda self: not self.closed)
    @rule(limit=st.sampled_from([0.25, 1.5]), what=st.sampled_from(["flush", "join"]))
    def flush_or_join_with_a_time_limit(self, limit: float, what: str) -> None:
        async def go() -> None:
            try:
                async with asyncio.timeout(limit):
                    await settle(getattr(self.source, what)())
            except TimeoutError:
                pass

        self.run(go())

    @precondition(lambda self: not self.closed and self.number > 4)
    @rule(limit=st.sampled_from([0.25, 1.5, 1000.0]))
    def close(self, limit: float) -> None:
        self.closed = True

        async def go() -> None:
            try:
                async with asyncio.timeout(limit):
                    await settle(self.source.close())
            except TimeoutError:
                pass

        self.run(go())

    # --- and what must have come of it ---------------------------------------------------

    def teardown(self) -> None:
        async def end() -> None:
            results = await asyncio.gather(
                *self.tasks.values(), *self.others, return_exceptions=True
            )
            for result in results:
                assert result is None or isinstance(result, asyncio.CancelledError), result
            await settle(self.source.close())
            with pytest.raises(StreamClosed):
                await self.source.emit(0)

        try:
            self.run(end())
            self.run(self.passed(9))
            assert not asyncio.all_tasks(self.loop)
        finally:
            self.loop.close()
        self.judge()

    def judge(self) -> None:
        operator, seen = self.operator, self.seen
        assert not self.entered_twice
        firsts = list(dict.fromkeys(seen))
        assert firsts == sorted(firsts)
        for x in firsts:
            assert seen.count(x) <= operator.windows
        gone = set(range(1, self.number + 1)) - set(seen)
        if operator.kind == "taken":
            assert not gone
        else:
            assert gone <= self.withdrawn | self.stopped
            assert self.withdrawn <= gone


def machine(name: str, *, eager: bool) -> type[Cancelling]:
    return type("Cancelling", (Cancelling,), {"operator": operators[name], "eager": eager})


def factories() -> Iterator[Any]:
    yield pytest.param(False, id="tasks")
    old = sys.version_info < (3, 12)
    yield pytest.param(
        True, id="eager tasks", marks=pytest.mark.skipif(old, reason="new in Python 3.12")
    )


@pytest.mark.parametrize("eager", [*factories()])
@pytest.mark.parametrize("name", operators)
def test_emits_cancelled_at_random_leave_others_alone(name: str, eager: bool) -> None:
    run_state_machine_as_test(
        machine(name, eager=eager),
        settings=settings(max_examples=4, stateful_step_count=25, deadline=None),
    )


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("eager", [*factories()])
@pytest.mark.parametrize("name", operators)
def test_emits_that_are_cancelled_at_random_for_long(name: str, eager: bool) -> None:
    run_state_machine_as_test(
        machine(name, eager=eager),
        settings=settings(max_examples=2000, stateful_step_count=30, deadline=None),
    )
