"""Binding of pipelines to loops: loops, threads, and when `emit` blocks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import Boom, bounded, fail_on, in_thread, printed_by, settle
from tornado import gen

from rapidz import BackPressureError, LoopEnded, Sink, Stream

WAIT = 10.0


async def in_a_thread(action: Callable[[], Any]) -> Any:
    """Call *action* in a thread, and let the loop go on meanwhile."""
    return await asyncio.wait_for(asyncio.to_thread(action), WAIT)


def really(main: Callable[[], Any]) -> Any:
    """Run *main* in a real loop of a thread of its own, and fail if it hangs."""
    return bounded(lambda: asyncio.run(main()))


# --- ruling 5 and 6: any thread may emit first -------------------------------------------------


@pytest.mark.parametrize("queue", [True, False])
def test_a_thread_may_emit_first_into_a_stream_built_in_a_loop(queue: bool) -> None:
    async def main() -> tuple[list[Any], set[int]]:
        seen: list[Any] = []
        threads: set[int] = set()

        def note(x: Any) -> None:
            seen.append(x)
            threads.add(threading.get_ident())

        s = Stream[Any](asynchronous=True)
        node = s.buffer(10) if queue else s.map(lambda x: x)
        node.sink(note)
        await in_a_thread(lambda: s.emit("thread").result(WAIT))
        await s.emit("loop")
        await asyncio.wait_for(s.close(), WAIT)
        return seen, threads - {threading.get_ident()}

    assert really(main) == (["thread", "loop"], set())


def test_an_emit_from_a_thread_is_in_flight_and_may_be_dropped() -> None:
    async def main() -> list[int]:
        s = Stream[int](asynchronous=True)
        seen = s.sink_to_list()

        def emit_some() -> None:
            for x in range(3):
                s.emit(x)

        await in_a_thread(emit_some)
        await s.emit(3)
        await s.close()
        return seen

    assert really(main) == [0, 1, 2, 3]


def test_a_future_set_by_the_sink_is_seen_at_once_by_the_loop() -> None:
    async def main() -> float:
        s = Stream[asyncio.Future[None]](asynchronous=True)
        s.sink(lambda future: future.set_result(None))
        future = asyncio.get_running_loop().create_future()
        start = time.monotonic()
        thread = in_thread(lambda: s.emit(future))
        await asyncio.wait_for(future, WAIT)
        took = time.monotonic() - start
        await in_a_thread(thread.join)
        return took

    assert really(main) < WAIT / 2


def test_what_fails_for_a_thread_is_raised_by_result() -> None:
    async def main() -> None:
        s = Stream[int](asynchronous=True)
        s.sink(fail_on(1))
        with pytest.raises(Boom):
            await in_a_thread(lambda: s.emit(1).result(WAIT))

    really(main)


def test_an_emit_from_a_thread_may_be_awaited_in_another_loop() -> None:
    async def main() -> list[int]:
        s = Stream[int](asynchronous=True)
        seen = s.delay(0.01).sink_to_list()

        async def elsewhere() -> None:
            await s.emit(1)
            await asyncio.gather(s.emit(2), s.emit(3))
            await asyncio.wait_for(s.join(), WAIT)

        await in_a_thread(lambda: asyncio.run(elsewhere()))
        return seen

    assert really(main) == [1, 2, 3]


def test_the_result_of_an_emit_times_out() -> None:
    async def main() -> None:
        s = Stream[int](asynchronous=True)
        gate = asyncio.Event()

        async def wait(_: int) -> None:
            await gate.wait()

        s.sink(wait)

        def emit() -> None:
            result = s.emit(1)
            with pytest.raises(TimeoutError):
                result.result(0.02)
            assert not result.done()
            asyncio.run_coroutine_threadsafe(release(), loop)
            result.result(WAIT)

        async def release() -> None:
            gate.set()

        loop = asyncio.get_running_loop()
        await in_a_thread(emit)

    really(main)


def test_a_stream_may_be_fed_first_by_a_thread_and_then_by_a_loop() -> None:
    async def main() -> list[str]:
        s = Stream[str]()
        seen = s.buffer(10).sink_to_list()
        await in_a_thread(lambda: s.emit("thread"))
        await s.emit("loop")
        await asyncio.wait_for(settle(s.close()), WAIT)
        return seen

    assert really(main) == ["thread", "loop"]


def test_many_threads_emit_into_one_loop_each_in_its_order() -> None:
    async def main() -> list[tuple[int, int]]:
        s = Stream[tuple[int, int]](asynchronous=True)
        seen = s.buffer(5).sink_to_list()

        def feed(thread: int) -> None:
            for i in range(50):
                s.emit((thread, i)).result(WAIT)

        feeds = [in_a_thread(lambda t=t: feed(t)) for t in range(4)]  # type: ignore[misc]
        await asyncio.gather(*feeds)
        await s.close()
        return seen

    seen = really(main)
    for thread in range(4):
        assert [i for t, i in seen if t == thread] == list(range(50))


# --- drop-in: only a node that needs a loop asks for one ----------------------------------------


class Old(Stream[Any]):
    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        return self._emit(x)


class OldCoroutine(Stream[Any]):
    @gen.coroutine
    def update(self, x: Any, who: Any = None) -> Any:
        yield self._emit(x)


class OldAsync(Stream[Any]):
    async def update(self, x: Any, who: Any = None) -> None:
        await asyncio.gather(*self._emit(x))


class OldSlow(Stream[Any]):
    async def update(self, x: Any, who: Any = None) -> None:
        await asyncio.sleep(0.001)
        await asyncio.gather(*self._emit(x))


class OldTornado(Stream[Any]):
    @gen.coroutine
    def update(self, x: Any, who: Any = None) -> Any:
        yield gen.sleep(0.001)
        yield self._emit(x)


class OldSink(Sink[Any]):
    def __init__(self, upstream: Stream[Any], seen: list[Any], **kwargs: Any) -> None:
        self.seen = seen
        super().__init__(upstream, **kwargs)

    async def update(self, x: Any, who: Any = None) -> None:
        await asyncio.sleep(0.001)
        self.seen.append(x)


def chained_to_another(source: Stream[Any]) -> Stream[Any]:
    inner = Stream[Any](asynchronous=True)
    inner_out = inner.map(lambda x: x)
    source.sink(inner.emit)
    return inner_out


@pytest.mark.parametrize(
    "build",
    [
        Old,
        lambda s: Old(Old(s)).map(lambda x: x),
        lambda s: s.map(lambda x: x).union(Old(s)).unique(),
        lambda s: s.map(lambda x: x).on_error("skip"),
        chained_to_another,
    ],
)
def test_plain_nodes_of_an_asynchronous_stream_need_no_loop(
    build: Callable[[Stream[Any]], Stream[Any]],
) -> None:
    source = Stream[Any](asynchronous=True)
    seen = build(source).sink_to_list()
    for x in range(3):
        source.emit(x)
    assert seen == [0, 1, 2]
    source.close()


def test_a_node_that_needs_the_loop_asks_for_it() -> None:
    source = Stream[Any](asynchronous=True)
    OldSlow(source).sink(id)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="asynchronous=True needs a running event loop"):
            source.emit(1)


builds: dict[str, Callable[[Stream[Any]], Stream[Any]]] = {
    "buffer": lambda s: s.buffer(2),
    "delay": lambda s: s.delay(0.01),
    "latest": lambda s: s.latest(),
    "map_async": lambda s: s.map_async(slow_same),
    "map": lambda s: s.map(slow_same),
    "partition": lambda s: s.partition(1, timeout=1).pluck(0),
    "rate_limit": lambda s: s.rate_limit(0.01),
    "timed_window": lambda s: s.timed_window(0.01, emit_empty=False).flatten(),
    "class": OldSlow,
    "scatter": lambda s: s.scatter("thread").map(lambda x: x).gather(),
}


async def slow_same(x: Any) -> Any:
    await asyncio.sleep(0.001)
    return x


@pytest.mark.parametrize("name", builds)
def test_a_stream_that_was_used_too_early_works_in_the_loop(name: str) -> None:
    source = Stream[Any](asynchronous=True)
    seen = builds[name](source).sink_to_list()
    with contextlib.suppress(RuntimeError):
        source.emit("early")

    async def main() -> None:
        await source.emit("in time")
        await asyncio.wait_for(source.close(), WAIT)

    really(main)
    assert seen[-1:] == ["in time"]
    assert len(seen) <= 2


# --- node classes with an asynchronous `update` --------------------------------------------------

async_nodes = pytest.mark.parametrize("node", [OldCoroutine, OldAsync, OldSlow, OldTornado])


@async_nodes
def test_a_node_class_with_an_async_update_makes_emit_wait(node: type[Stream[Any]]) -> None:
    source = Stream[Any]()
    seen = node(source).sink_to_list()
    for x in range(3):
        assert source.emit(x) is None
        assert seen == list(range(x + 1))
    source.close()


@async_nodes
async def test_a_node_class_with_an_async_update_is_awaited_in_a_loop(
    node: type[Stream[Any]],
) -> None:
    source = Stream[Any](asynchronous=True)
    seen = node(source).sink_to_list()
    for x in range(3):
        await source.emit(x)
        assert seen == list(range(x + 1))
    await source.close()


def test_a_sink_class_with_an_async_update_makes_emit_wait() -> None:
    source, seen = Stream[Any](), list[Any]()
    OldSink(source, seen)
    source.emit(1)
    assert seen == [1]
    source.close()


def test_an_async_update_put_on_a_node_makes_emit_wait() -> None:
    source = Stream[Any]()
    node = source.map(lambda x: x)
    seen: list[Any] = []

    async def update(x: Any, who: Any = None) -> None:
        await asyncio.sleep(0.001)
        seen.append(x)

    node.update = update  # type: ignore[method-assign]
    source.emit(1)
    assert seen == [1]
    source.close()


# --- ruling 27: asynchronous=False blocks, also where a loop is running ---------------------------


async def test_a_blocking_stream_blocks_where_a_loop_is_running() -> None:
    source = Stream[int](asynchronous=False)
    seen: list[int] = []

    async def write(x: int) -> None:
        await asyncio.sleep(0.005)
        seen.append(x)

    source.map(lambda x: x + 1).rate_limit(0.001).sink(write)
    for x in range(3):
        await source.emit(x)  # what it returns is finished
        assert seen == list(range(1, x + 2))
    assert source.emit_many(iter([7, 8])) is not None
    assert seen == [1, 2, 3, 8, 9]
    source.join()
    with source:
        source.emit(10)
    assert seen[-1] == 11


async def test_a_blocking_stream_raises_in_the_caller_where_a_loop_is_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Stream[int](asynchronous=False)

    async def fail(x: int) -> None:
        raise Boom(x)

    source.sink(fail)
    with pytest.raises(Boom):
        source.emit(1)
    with pytest.raises(Boom):
        source.emit_many([1])
    source.close()
    del source
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_a_blocking_stream_refuses_a_wait_that_only_this_thread_could_end() -> None:
    a, b = Stream[int](asynchronous=False), Stream[int](asynchronous=False)
    seen = a.zip(b, maxsize=1).sink_to_list()
    a.emit(1)
    with pytest.raises(BackPressureError):
        a.emit(2)
    b.emit(1)
    assert seen == [(1, 1)]
    a.close()


def test_a_sink_that_waits_for_the_loop_that_its_emitter_blocks_is_refused() -> None:
    async def main() -> list[int]:
        outer, inner = Stream[int](asynchronous=False), Stream[int](asynchronous=True)
        seen = inner.sink_to_list()

        async def feed(x: int) -> None:
            await inner.emit(x)

        outer.sink(feed)
        with pytest.raises(BackPressureError, match="is blocked by a call that waits"):
            outer.emit(1)
        outer.close()
        await asyncio.sleep(0)
        await inner.close()
        return seen

    assert really(main) == [1]


def test_the_background_loop_itself_is_never_blocked() -> None:
    outer, inner = Stream[int](asynchronous=False), Stream[int](asynchronous=False)
    seen = inner.delay(0.001).sink_to_list()

    async def feed(x: int) -> None:
        await inner.emit(x)

    outer.sink(feed)
    outer.emit(1)
    inner.join()
    assert seen == [1]
    outer.close()
    inner.close()


def test_a_failure_of_a_dropped_awaitable_is_pending_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        source = Stream[int]()
        source.map_async(fail_on_async).sink(id)
        await in_a_thread(lambda: source.emit(0))  # it belongs to the background loop now
        source.emit(1)
        gc.collect()
        with pytest.raises(Boom):
            await source.join()
        await settle(source.close())
        gc.collect()

    really(main)
    assert caplog.records == []


async def fail_on_async(x: int) -> int:
    return fail_on(1)(x)  # type: ignore[no-any-return]


# --- loops that end ----------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [None, True])
def test_a_queue_left_by_an_ended_loop_is_delivered_by_close_in_the_next(
    asynchronous: bool | None, caplog: pytest.LogCaptureFixture
) -> None:
    source = Stream[int](asynchronous=asynchronous)
    seen = source.buffer(5).sink_to_list()

    async def emit_four() -> None:
        for x in range(4):
            source.emit(x)

    async def close() -> None:
        await source.close()

    asyncio.run(emit_four())
    assert ["4 elements" in record.getMessage() for record in caplog.records] == [True]
    asyncio.run(close())
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("end", ["close", "join", "flush"])
def test_a_queue_left_by_an_ended_loop_is_delivered_in_asyncio_run(
    end: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = Stream[int](asynchronous=True)
    seen = source.buffer(5).sink_to_list()

    async def emit_four() -> None:
        for x in range(4):
            source.emit(x)

    asyncio.run(emit_four())
    asyncio.run(getattr(source, end)())
    if end == "flush":  # it waits for what the node itself holds, and for no queue
        asyncio.run(source.close())
    assert seen == [0, 1, 2, 3]
    assert {record.args[1] for record in caplog.records if record.args} == {4}  # type: ignore[index]


def test_a_queue_left_by_an_ended_loop_is_delivered_by_close_outside_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Stream[int]()
    seen = source.buffer(5).sink_to_list()

    async def emit_four() -> None:
        for x in range(4):
            source.emit(x)

    asyncio.run(emit_four())
    source.close()
    assert seen == [0, 1, 2, 3]
    assert len(caplog.records) == 1


def test_a_loop_that_ends_with_elements_on_workers_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        source = Stream[int](asynchronous=True)
        source.scatter("thread").map(lambda x: x).buffer(5).gather().sink(id)
        for x in range(3):
            source.emit(x)

    asyncio.run(main())
    assert ["3 elements were with workers" in r.getMessage() for r in caplog.records] == [True]


def test_a_loop_that_ends_with_nothing_left_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> list[int]:
        source = Stream[int]()
        seen = source.buffer(5).sink_to_list()
        await source.emit(1)
        await source.close()
        return seen

    assert asyncio.run(main()) == [1]
    assert caplog.records == []


@pytest.mark.parametrize("queue", [True, False])
def test_a_waiter_on_a_loop_that_ends_gets_an_error(queue: bool) -> None:
    s = Stream[int](asynchronous=True)
    begun, leave = threading.Event(), threading.Event()
    seen: list[int] = []

    async def sink(x: int) -> None:
        if x < 0 and not leave.is_set():
            begun.set()
            await asyncio.sleep(100)
        seen.append(x)

    (s.buffer(1) if queue else s).sink(sink)

    async def first_loop() -> None:
        await s.emit(0)
        await asyncio.to_thread(leave.wait, WAIT)

    def second() -> list[int]:
        async def use() -> None:
            if queue:
                s.emit(-1)
                s.emit(-2)
            waiting = s.emit(-3)
            await asyncio.to_thread(begun.wait, WAIT)
            asyncio.get_running_loop().call_later(0.05, leave.set)
            with pytest.raises(LoopEnded):
                await asyncio.wait_for(waiting, WAIT)
            thread.join(WAIT)
            await s.emit(5)
            with contextlib.suppress(LoopEnded):  # what nobody awaited
                await s.close()

        asyncio.run(use())
        return seen

    thread = in_thread(lambda: asyncio.run(first_loop()))
    while s._pipeline.loop is None or not seen:
        time.sleep(0.001)
    logging.getLogger("rapidz").setLevel(logging.ERROR)
    try:
        bounded(second)
    finally:
        logging.getLogger("rapidz").setLevel(logging.NOTSET)
    assert seen == ([0, -2, -3, 5] if queue else [0, 5])  # what was taken in goes on


@pytest.mark.parametrize("closed", [True, False])
def test_a_loop_that_a_pipeline_has_used_is_collected(closed: bool) -> None:
    async def main() -> None:
        source = Stream[int](asynchronous=True)
        source.buffer(2).sink(id)
        await source.emit(1)
        await source.close()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    if closed:
        loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    ref = weakref.ref(loop)
    del loop
    gc.collect()
    assert ref() is None


def test_a_given_loop_reports_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        source = Stream[int](asynchronous=True, loop=asyncio.get_running_loop())
        source.buffer(2).sink(id)
        source.emit(1)

    asyncio.run(main())
    assert ["1 element in" in record.getMessage() for record in caplog.records] == [True]


# --- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["join", "close"])
@pytest.mark.parametrize("value", ["x", [], -1, "3"])
@pytest.mark.parametrize("asynchronous", [None, False])
def test_a_time_limit_is_refused_in_the_one_voice(
    method: str, value: Any, asynchronous: bool | None
) -> None:
    source = Stream[int](asynchronous=asynchronous)
    with pytest.raises((TypeError, ValueError), match=rf"{method}: timeout must be .+, got"):
        getattr(source, method)(timeout=value)
    source.close(timeout="2s")


@pytest.mark.parametrize("asynchronous", [None, False])
@pytest.mark.parametrize("value", [2, "yes", 1.0])
def test_an_emit_of_two_values_is_refused(asynchronous: bool | None, value: Any) -> None:
    source = Stream[int](asynchronous=asynchronous)
    seen = source.sink_to_list()
    source.emit(0)
    for _ in range(2):
        with pytest.raises(TypeError, match="emit: asynchronous must be True or False, got"):
            source.emit(1, value)
    source.close()
    assert seen == [0]


async def test_an_emit_of_two_values_is_refused_in_a_loop() -> None:
    source = Stream[int](asynchronous=True)
    source.sink(id)
    await source.emit(0)
    with pytest.raises(TypeError, match="emit: asynchronous must be True or False, got 2"):
        source.emit(1, 2)  # type: ignore[arg-type]


def test_where_trio_runs_the_error_says_that_it_is_not_supported() -> None:
    program = """
import sys, types
trio = types.ModuleType("trio")
trio.lowlevel = types.SimpleNamespace(current_task=lambda: object())
sys.modules["trio"] = trio
from rapidz import Stream
source = Stream(asynchronous=True)
source.delay(1).sink(print)
try:
    source.emit(1)
except RuntimeError as error:
    print("trio is running here: it is not supported" in str(error))
"""
    assert printed_by(program) == ["True"]


def test_where_no_thread_can_start_the_running_loop_does_the_work() -> None:
    program = """
import asyncio, sys
import rapidz
from rapidz import Stream
from rapidz.kernel.runtime import loop
sys.platform = "emscripten"
async def main():
    for asynchronous in (None, False, True):
        source = Stream(asynchronous=asynchronous)
        seen = source.delay(0.001).sink_to_list()
        await source.emit(1)
        await source.close()
        print(seen)
asyncio.run(main())
print(loop._background)
try:
    source = Stream()
    source.delay(1)
    source.emit(1)
except RuntimeError as error:
    print("no thread can start" in str(error))
"""
    assert printed_by(program) == ["[1]", "[1]", "[1]", "None", "True"]


# --- other threads -----------------------------------------------------------------------------


def worst_nap(seconds: float) -> float:
    worst, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        time.sleep(0.001)
        worst = max(worst, time.perf_counter() - start)
    return worst


def start_source(source: Any) -> Any:
    source.sink(id)
    source.start()
    return source.stop


def start_feeding(source: Any) -> Any:
    """One task on the loop emits and emits, into a queue."""
    stopped: list[bool] = []
    source.buffer(4).sink(id)

    async def feed() -> None:
        while not stopped:
            await source.emit(1)

    source.emit(0)
    source._pipeline.loop.call_soon_threadsafe(
        lambda: running.append(asyncio.ensure_future(feed()))
    )
    return lambda: stopped.append(True)


running: list[Any] = []


@pytest.mark.parametrize("way", ["from_iterable", "queue", "emit_many"])
def test_a_busy_background_pipeline_lets_other_threads_have_their_turn(way: str) -> None:
    if way == "from_iterable":
        stop = start_source(Stream.from_iterable(itertools.count()))
    elif way == "queue":
        stop = start_feeding(Stream[int](asynchronous=False))
    else:
        source = Stream[int](asynchronous=False)
        source.sink(id)
        thread = in_thread(lambda: source.emit_many(range(3_000_000)))
        stop = thread.join
    time.sleep(0.02)
    best = min(worst_nap(0.25) for _ in range(3))  # the machine has other things to do
    stop()
    assert best < 0.1


# --- ruling 6: one loop -------------------------------------------------------------------------


@pytest.mark.parametrize("join", [Stream.zip, Stream.union, Stream.connect])
def test_pipelines_of_two_running_loops_cannot_be_connected(
    join: Callable[[Any, Any], Any],
) -> None:
    built: list[Stream[int]] = []
    ready, over = threading.Event(), threading.Event()
    seen: list[int] = []

    async def other() -> None:
        built.append(Stream(asynchronous=True))
        built[0].buffer(3).sink(seen.append)
        ready.set()
        while not over.is_set():
            await asyncio.sleep(0.01)
        await built[0].close()

    async def main() -> None:
        thread = threading.Thread(target=asyncio.run, args=(other(),))
        thread.start()
        try:
            await in_a_thread(ready.wait)
            source: Stream[int] = Stream(asynchronous=True)
            with pytest.raises(
                ValueError, match=r"loop must be one .* first\.sink\(second\.emit\)"
            ):
                join(source, built[0])
            source.sink(built[0].emit)
            for x in range(3):
                await source.emit(x)
            await source.close()
        finally:
            over.set()
            await in_a_thread(thread.join)

    really(main)
    assert seen == [0, 1, 2]


def test_a_pipeline_of_a_loop_that_has_ended_joins_another_one() -> None:
    async def build() -> Stream[int]:
        return Stream(asynchronous=True)

    async def main(old: Stream[int]) -> list[Any]:
        source: Stream[int] = Stream(asynchronous=True)
        seen = source.zip(old).sink_to_list()
        await source.emit(1)
        await old.emit(2)
        return seen

    assert asyncio.run(main(asyncio.run(build()))) == [(1, 2)]
