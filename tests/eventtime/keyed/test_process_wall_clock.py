"""process: timers of the wall clock, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.eventtime.keyed.processes import Scripted, shown, timed
from tests.support import begin, settle, turns

from rapidz import Stream
from rapidz.testing import record, run


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
    with pytest.raises(RuntimeError, match=r"process: ctx\.after needs an event loop.*asynchron"):
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


async def test_a_timer_of_the_wall_clock_knows_the_watermark_when_it_fires() -> None:
    taken: list[Any] = []

    async def write(x: Any) -> None:
        await asyncio.sleep(1)
        taken.append(x)

    class Both:
        def on_element(self, key: Any, x: Any, ctx: Any) -> None:
            if x[0] == 0:
                ctx.after(1)

        def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
            if t is None:
                ctx.at(2)
                return ["wall clock"]
            return [(t, ctx.watermark)]

    async with Stream[Any](asynchronous=True) as source:
        timed(source)[1].process(Both).sink(write)
        for t in (-10, -9, 0, 3):
            await settle(source.emit((t, "k")))
        await asyncio.sleep(1.5)
        await settle(source.emit((20, "k")))
        await settle(source.join())
        assert taken == ["wall clock", (2, 3)]


async def test_an_idle_stream_moves_the_timers_of_event_time() -> None:
    async with Stream[Any](asynchronous=True) as source:
        node = source.event_time(0, idle="10s").key_by(1)
        seen: list[Any] = record(node.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 15), shown))
        await settle(source.emit((0, "a")))
        await asyncio.sleep(60)
    assert seen == [(15.0, ("a", 15, None))]
