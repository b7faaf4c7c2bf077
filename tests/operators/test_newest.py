"""debounce, sample and throttle: what they have in common, as operators that drop elements."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    Boom,
    arrivals,
    begin,
    bounded,
    fail_on,
    feed,
    gaps,
    in_thread,
    send,
    settle,
)

from rapidz import RefCounter, Stream
from rapidz.testing import VirtualLoop, record, run

builds: dict[str, Callable[[Any, float], Any]] = {
    "debounce": lambda s, interval: s.debounce(interval),
    "sample": lambda s, interval: s.sample(interval),
    "throttle-trailing": lambda s, interval: s.throttle(interval, "trailing"),
    "throttle-both": lambda s, interval: s.throttle(interval, "both"),
}
every_name = pytest.mark.parametrize("name", builds)
by_timer = pytest.mark.parametrize("name", [name for name in builds if name != "throttle-both"])


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Counters that only a garbage collection releases are released too late."""
    gc.disable()
    yield
    gc.enable()


@given(st.sampled_from(sorted(builds)), gaps, st.integers(1, 8), st.integers(0, 12))
def test_a_slow_sink_gets_one_element_at_a_time_and_the_last_one(
    name: str, distances: list[float], quarters: int, busy: int
) -> None:
    """Nothing is queued: what arrives meanwhile is replaced, and each element is counted."""
    coming = arrivals(distances)
    running = [0, 0]
    seen: list[tuple[float, int]] = []

    async def slow(x: int) -> None:
        running[0] += 1
        running[1] = max(running)
        seen.append((asyncio.get_running_loop().time(), x))
        await asyncio.sleep(busy / 4)
        running[0] -= 1

    async def go() -> int:
        async with Stream[int](asynchronous=True) as source:
            node = builds[name](source, quarters / 4)
            node.sink(slow)
            await feed(source, coming)
            await settle(source.join())
            dropped: int = node.dropped
        return dropped

    dropped = run(go())
    assert running[1] == 1
    got = [x for _, x in seen]
    assert got == sorted(got)
    assert got[-1] == coming[-1][1]
    assert dropped + len(got) == len(coming)
    arrived = {x: at for at, x in coming}
    newest = [max(x for at, x in coming if at <= instant) for instant, _ in seen]
    assert all(
        x == new or arrived[new] == instant for (instant, x), new in zip(seen, newest, strict=True)
    ), "what is emitted is the newest that has arrived by then"


@every_name
async def test_a_flush_emits_the_newest_element_at_once(name: str) -> None:
    async with Stream[int](asynchronous=True) as source:
        seen = record(builds[name](source, 10))
        await feed(source, [(0.0, 0), (1.0, 1), (2.0, 2)])
        await settle(source.flush())
        await settle(source.flush())
        await asyncio.sleep(100)
    wanted = [(2.0, 2)]
    assert seen == ([(0.0, 0), *wanted] if name == "throttle-both" else wanted)


@every_name
async def test_the_end_emits_the_newest_element_and_nothing_more(name: str) -> None:
    """Ruling 4 (docs/rulings.md)."""
    async with Stream[int](asynchronous=True) as source:
        seen = record(builds[name](source, 10))
        await feed(source, [(0.0, 0), (1.0, 1)])
    await asyncio.sleep(100)
    assert seen[-1] == (1.0, 1)
    assert len(seen) == (2 if name == "throttle-both" else 1)


@every_name
async def test_close_waits_for_the_sink_of_the_newest_element(name: str) -> None:
    seen: list[int] = []

    async def slow(x: int) -> None:
        await asyncio.sleep(5)
        seen.append(x)

    async with Stream[int](asynchronous=True) as source:
        builds[name](source, 1).sink(slow)
        source.emit(0)
        source.emit(1)
        await asyncio.sleep(1.5)
        source.emit(2)
    assert seen[-1] == 2


@by_timer
async def test_no_emitter_waits_for_a_sink_behind_the_timer(name: str) -> None:
    gate = asyncio.Event()

    async def stuck(_: int) -> None:
        await gate.wait()

    async with Stream[int](asynchronous=True) as source:
        builds[name](source, 1).sink(stuck)
        for x in range(5):
            await asyncio.wait_for(begin(source, x), 1)
            await asyncio.sleep(2)
        gate.set()


@by_timer
async def test_a_failure_downstream_is_pending_and_the_node_lives_on(name: str) -> None:
    """Ruling 1 (docs/rulings.md)."""
    async with Stream[int](asynchronous=True) as source:
        seen = builds[name](source, 1).map(fail_on(1)).sink_to_list()
        await send(source, 1)
        with pytest.raises(Boom):
            await settle(source.join())
        await send(source, 2)
        await settle(source.join())
    assert seen == [2]


@pytest.mark.usefixtures("no_collector")
@every_name
async def test_the_counter_of_a_dropped_element_is_released_at_once(name: str) -> None:
    gate = asyncio.Event()

    async def stuck(_: int) -> None:
        await gate.wait()

    counters = [RefCounter() for _ in range(4)]
    async with Stream[int](asynchronous=True) as source:
        builds[name](source, 1).sink(stuck)
        for x, counter in enumerate(counters):
            source.emit(x, metadata=[{"ref": counter}])
            await asyncio.sleep(0)
        await asyncio.sleep(0.5)
        first = [1] if name == "throttle-both" else [0]
        assert [counter.count > 0 for counter in counters] == [bool(first[0]), False, False, True]
        await asyncio.sleep(5)
        assert counters[-1].count > 0, "the sink is not done yet"
        gate.set()
        await settle(source.join())
        assert [counter.count for counter in counters] == [0] * 4


@every_name
async def test_a_dropped_node_is_collected_with_its_timer(name: str) -> None:
    """Ruling 8 (docs/rulings.md)."""
    source = Stream[int](asynchronous=True)
    node = builds[name](source, 1)
    await send(source, 0)
    await send(source, 1)
    dead = weakref.ref(node)
    del node
    gc.collect()
    assert dead() is None
    await asyncio.sleep(5)
    await settle(source.close())


@every_name
def test_an_element_that_a_loop_has_left_goes_on_in_the_next(name: str) -> None:
    source = Stream[int](asynchronous=True)
    seen = record(builds[name](source, 2))

    def once(coroutine: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(coroutine)

    async def first() -> None:
        await asyncio.sleep(50)
        for x in range(3):
            await send(source, x)

    async def second() -> None:
        await send(source, 3)
        await settle(source.join())
        await settle(source.close())

    once(first())
    once(second())
    assert seen == ([(50.0, 0), (2.0, 3)] if name == "throttle-both" else [(2.0, 3)])


@every_name
def test_every_element_of_four_threads_is_emitted_or_counted(name: str) -> None:
    emits, seen = 500, list[tuple[int, int]]()

    def go() -> int:
        with Stream[tuple[int, int]](asynchronous=False) as source:
            node = builds[name](source, 0.002)
            node.sink(seen.append)

            def emitting(thread: int) -> None:
                source.emit_many([(thread, n) for n in range(emits)])

            threads = [in_thread(lambda thread=n: emitting(thread)) for n in range(4)]  # type: ignore[misc]
            for thread in threads:
                thread.join(20)
            source.join()
            dropped: int = node.dropped
        return dropped

    assert bounded(go) + len(seen) == 4 * emits
    for thread in range(4):
        own = [n for number, n in seen if number == thread]
        assert own == sorted(own)


@every_name
async def test_an_element_that_comes_back_is_taken_like_any_other(name: str) -> None:
    """A cycle by way of the timer: each round takes an interval."""
    async with Stream[int](asynchronous=True) as source:
        node = builds[name](source, 1)
        seen = record(node)
        node.filter(lambda x: x < 3).map(lambda x: x + 1).connect(source)
        await send(source, 0)
        await settle(source.join())
    assert [x for _, x in seen] == [0, 1, 2, 3]


@every_name
def test_a_background_thread_may_be_the_only_one_with_a_loop(name: str) -> None:
    threads: list[str] = []

    def go() -> None:
        with Stream[int]() as source:
            builds[name](source, 0.001).sink(
                lambda _: threads.append(threading.current_thread().name)
            )
            source.emit(0)
            source.join()

    bounded(go)
    assert len(threads) == 1
