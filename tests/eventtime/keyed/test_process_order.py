"""process: elements, timers and watermarks keep their order while some wait for capacity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.eventtime.keyed.processes import outputs, timed
from tests.support import Boom, begin, settle, turns

from rapidz import Retry, Stream


class Noting:
    """Emit each element and each timer twice, with the watermark; set a timer five later.

    Elements before 0 go unnoticed.
    """

    def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
        if x[0] < 0:
            return []
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
        for t in (-10, -9):  # the pipeline is compiled once more for the first elements
            await settle(source.emit((t, "k")))
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
            return [x[0]] if x[0] >= 0 else []

    def build(source: Any) -> Any:
        return source.event_time(0).filter(lambda x: x[0] < 10).process(Second)

    assert await noted_behind(build, [0, 3, 20], pause=0.5) == [0, 3, ("timer 8", 20), 8]


async def test_a_timer_of_the_past_has_the_watermark_of_its_element() -> None:
    class Past(Noting):
        def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
            if x[0] < 0:
                return []
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
        for t in (-10, -9, 0):
            await settle(source.emit((t, "k")))
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
