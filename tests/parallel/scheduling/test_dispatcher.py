"""Dispatch: order, and the number of elements in flight."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from tests.parallel import functions as f
from tests.support import bounded, in_thread, settle

from rapidz import Stream


class Gate:
    """A function for threads: it lets elements through as they are called."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.open: set[int] = set()
        self.inside: set[int] = set()

    def __call__(self, x: int) -> int:
        with self.changed:
            self.inside.add(x)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: x in self.open, 20)
        return x

    def let(self, *xs: int) -> None:
        with self.changed:
            self.open.update(xs)
            self.changed.notify_all()

    def wait_for(self, *xs: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.inside.issuperset(xs), 20)


class Tally:
    """What a sink notes, and what one can wait for."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.seen: list[int] = []

    def __call__(self, x: int) -> None:
        with self.changed:
            self.seen.append(x)
            self.changed.notify_all()

    def wait_for(self, n: int) -> list[int]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= n, 20), self.seen
            return list(self.seen)


async def emit_all(source: Any, xs: range, *, wait: bool) -> None:
    for x in xs:
        outcome = source.emit(x)
        if wait:
            await settle(outcome)
    await settle(source.join())


@pytest.mark.parametrize("batch", [1, 3, "auto"])
def test_order_is_kept_whoever_is_done_first(batch: Any, backend: Any) -> None:
    source: Any = Stream()
    node = source.scatter(backend, batch=batch).map(f.slow_if_even)
    seen = node.buffer(30).gather().sink_to_list()
    source.emit_many(range(30))
    source.close()
    assert seen == list(range(30))


def test_with_two_workers_the_later_element_waits_for_the_earlier() -> None:
    gate, tally = Gate(), Tally()
    with ThreadPoolExecutor(2) as pool:
        source: Any = Stream()
        source.scatter(pool, batch=1).map(gate).buffer(4).gather().sink(tally)
        source.emit(1)
        source.emit(2)
        gate.wait_for(1, 2)
        gate.let(2)
        assert tally.seen == []
        gate.let(1)
        source.close()
    assert tally.seen == [1, 2]


def test_without_order_what_is_done_first_comes_first() -> None:
    gate, tally = Gate(), Tally()
    with ThreadPoolExecutor(2) as pool:
        source: Any = Stream()
        scattered = source.scatter(pool, batch=1, ordered=False)
        scattered.map(gate).buffer(4).gather().sink(tally)
        source.emit(1)
        source.emit(2)
        gate.wait_for(1, 2)
        gate.let(2)
        assert tally.wait_for(1) == [2]
        gate.let(1)
        source.close()
    assert tally.seen == [2, 1]


@pytest.mark.parametrize("batch", [1, 3, "auto"])
def test_without_order_every_element_comes_once(batch: Any, backend: Any) -> None:
    source: Any = Stream()
    scattered = source.scatter(backend, batch=batch, ordered=False)
    seen = scattered.map(f.inc).filter(f.even).buffer(20).gather().sink_to_list()
    source.emit_many(range(200))
    source.close()
    assert sorted(seen) == list(range(2, 201, 2))


@pytest.mark.parametrize("n", [1, 3])
def test_buffer_counts_elements(n: int) -> None:
    """An emit beyond n waits until the first has been taken."""
    gate, tally = Gate(), Tally()
    with ThreadPoolExecutor(1) as pool:
        source: Any = Stream()
        source.scatter(pool).map(gate).buffer(n).gather().sink(tally)
        emitted: list[int] = []
        room = threading.Condition()

        def produce() -> None:
            for x in range(10):
                source.emit(x)
                with room:
                    emitted.append(x)
                    room.notify_all()

        thread = in_thread(produce)
        gate.wait_for(0)
        with room:
            assert room.wait_for(lambda: len(emitted) >= n, 20)
            assert not room.wait_for(lambda: len(emitted) > n + 2, 0.1), "nobody holds it back"
        gate.let(*range(10))
        thread.join(20)
        source.close()
    assert tally.seen == list(range(10))


def test_without_a_buffer_emit_waits_for_its_element(backend: Any) -> None:
    source: Any = Stream()
    seen = source.scatter(backend).map(f.slow_if_even).map(f.inc).gather().sink_to_list()
    for x in range(6):
        source.emit(x)
        assert seen[-1] == x + 1
    source.close()


def test_a_slow_sink_after_gather_applies_back_pressure() -> None:
    started, go_on = threading.Event(), threading.Event()
    waiters = ThreadPoolExecutor(1)

    async def slow(x: int) -> None:
        started.set()
        await asyncio.get_running_loop().run_in_executor(waiters, go_on.wait, 20)

    source: Any = Stream()
    source.scatter("thread").map(f.inc).buffer(2).gather().sink(slow)
    emitted: list[int] = []

    def produce() -> None:
        for x in range(8):
            source.emit(x)
            emitted.append(x)

    thread = in_thread(produce)
    assert started.wait(20)
    thread.join(0.1)
    assert thread.is_alive()
    assert len(emitted) < 8
    go_on.set()
    thread.join(20)
    source.close()
    waiters.shutdown()
    assert len(emitted) == 8


def test_two_threads_that_emit_are_in_order_each(backend: Any) -> None:
    """Ruling 5 (docs/rulings.md): FIFO for each caller."""
    source: Any = Stream()
    seen = source.scatter(backend).map(f.inc).buffer(10).gather().sink_to_list()

    def produce(start: int) -> None:
        for x in range(start, start + 50):
            source.emit(x)

    threads = [in_thread(lambda start=start: produce(start)) for start in (0, 1000)]  # type: ignore[misc]
    for thread in threads:
        thread.join(20)
    source.close()
    assert [x for x in seen if x < 1000] == list(range(1, 51))
    assert [x for x in seen if x > 1000] == list(range(1001, 1051))


def in_a_loop(go: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run in a loop of real time: workers take real time, too."""
    bounded(lambda: asyncio.run(go()))


@pytest.mark.parametrize("wait", [True, False], ids=["awaited", "not awaited"])
@pytest.mark.parametrize("buffer", [None, 3])
def test_order_is_kept_in_a_loop(wait: bool, buffer: int | None, backend: Any) -> None:
    """An unawaited emit loses back pressure, never the element."""
    seen: list[int] = []

    async def go() -> None:
        async with Stream[int](asynchronous=True) as made:
            source: Any = made
            node = source.scatter(backend).map(f.slow_if_even).accumulate(f.add)
            if buffer:
                node = node.buffer(buffer)
            node.gather().sink(seen.append)
            await emit_all(source, range(12), wait=wait)
            assert len(seen) == 12

    in_a_loop(go)
    assert seen == [sum(range(x + 1)) for x in range(12)]


def test_an_awaited_emit_waits_for_capacity_only(backend: Any) -> None:
    async def go() -> None:
        async with Stream[int](asynchronous=True) as made:
            source: Any = made
            seen = source.scatter(backend).map(f.inc).buffer(3).gather().sink_to_list()
            waits = [cast("Awaitable[Any]", source.emit(x)) for x in range(9)]
            assert all(map(inspect.isawaitable, waits))
            assert seen == []
            await asyncio.gather(*map(asyncio.ensure_future, waits))
            await settle(source.join())
            assert seen == list(range(1, 10))

    in_a_loop(go)


def test_a_failure_comes_through_the_awaitable(backend: Any) -> None:
    async def go() -> None:
        source: Any = Stream(asynchronous=True)
        source.scatter(backend).map(f.fails_on_hundredths).gather().sink(print)
        wait = source.emit(100)
        with pytest.raises(f.Bad):
            await wait
        await settle(source.close())

    in_a_loop(go)


def test_the_loop_goes_on_while_workers_work(backend: Any) -> None:
    async def go() -> None:
        async with Stream[int](asynchronous=True) as made:
            source: Any = made
            source.scatter(backend).map(f.slow_if_even).gather().sink(str)
            ticks = 0
            wait = asyncio.ensure_future(cast("Awaitable[Any]", source.emit(0)))
            while not wait.done():
                ticks += 1
                await asyncio.sleep(0)
            assert ticks > 2

    in_a_loop(go)


def test_waiting_in_threads_overlaps() -> None:
    """A pool of four threads waits four times at once."""
    barrier = threading.Barrier(4)

    def meet(x: int) -> int:
        barrier.wait(20)
        return x

    with ThreadPoolExecutor(4) as pool:
        source: Any = Stream()
        seen = source.scatter(pool, batch=1).map(meet).buffer(8).gather().sink_to_list()
        bounded(lambda: (source.emit_many(range(8)), source.close()))
    assert seen == list(range(8))


def test_elements_that_wait_go_together() -> None:
    """batch="auto": many tiny elements are few tasks; batch=1: each is one."""
    tasks: dict[Any, int] = {}
    for batch in (1, "auto"):
        with ThreadPoolExecutor(1) as pool:
            count = 0
            submit = pool.submit

            def counting(*args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                return submit(*args, **kwargs)  # noqa: B023

            cast("Any", pool).submit = counting
            source: Any = Stream()
            node = source.scatter(pool, batch=batch).map(f.inc)
            seen = node.buffer(500).gather().sink_to_list()
            source.emit_many(range(1000))
            source.close()
            assert seen == list(range(1, 1001))
            tasks[batch] = count
    assert tasks[1] == 1000
    assert tasks["auto"] < 300


def test_a_batch_has_at_most_so_many_elements() -> None:
    sizes: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        submit = pool.submit

        def measuring(func: Any, work: Any) -> Any:
            sizes.append(len(work.inputs))
            return submit(func, work)

        cast("Any", pool).submit = measuring
        source: Any = Stream()
        node = source.scatter(pool, batch=3).map(f.inc)
        seen = node.buffer(50).gather().sink_to_list()
        source.emit_many(range(100))
        source.close()
    assert seen == list(range(1, 101))
    assert max(sizes) == 3


def test_a_lone_element_is_sent_at_once(backend: Any) -> None:
    source: Any = Stream()
    seen = source.scatter(backend).map(f.inc).buffer(1000).gather().sink_to_list()
    source.emit(0)
    source.join()
    began = time.monotonic()
    source.emit(1)
    source.join()
    assert seen == [1, 2]
    assert time.monotonic() - began < 5, "nobody waits for a batch to be full"
    source.close()


def test_elements_are_in_flight_together_when_counted_before_the_buffer() -> None:
    together, most = [0], [0]
    gate = threading.Barrier(3, timeout=20)

    def meet(x: int) -> int:
        together[0] += 1
        most[0] = max(most[0], together[0])
        gate.wait()
        together[0] -= 1
        return x

    source = Stream[int]()
    pairs = source.scatter("thread", batch=1).map(meet).sliding_window(2).buffer(9).gather()
    seen = pairs.sink_to_list()
    source.emit_many(range(9))
    source.close(30)
    assert seen == [(x, x + 1) for x in range(8)]
    assert most[0] >= 3


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_task_that_asks_the_program_to_end_is_an_element_that_failed(
    error: type[BaseException], backend: Any
) -> None:
    source = Stream[int]()
    mapped = source.scatter(backend).map(functools.partial(f.ends_the_program, error))
    failures = mapped.errors.sink_to_list()
    seen = mapped.buffer(9).gather().sink_to_list()
    source.emit_many(range(4))
    source.close(30)
    assert seen == [0, 1, 3]
    assert [failure.element for failure in failures] == [2]
