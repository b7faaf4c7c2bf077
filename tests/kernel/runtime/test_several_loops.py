"""Several loops: loops that end, wake-ups from other threads, and processes that fork."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.support import bounded, in_thread, printed_by, send, settle

from rapidz import Stream
from rapidz.kernel.graph.shutdown import EXIT_SECONDS
from rapidz.testing import VirtualLoop

Build = Callable[[Stream[Any]], Stream[Any]]


async def slow(x: Any) -> Any:
    await asyncio.sleep(0.25)
    return x


def short(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run *coroutine* as `asyncio.run` does, in virtual time; what it leaves is cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(coroutine)


def flat(seen: list[Any]) -> list[Any]:
    return [x for part in seen for x in (part if isinstance(part, (list, tuple)) else [part])]


builds: dict[str, Build] = {
    "buffer": lambda s: s.buffer(2).map(slow),
    "debounce": lambda s: s.debounce(0.25),
    "delay": lambda s: s.delay(0.25),
    "latest": lambda s: s.latest().map(slow),
    "map": lambda s: s.map(slow),
    "map_async": lambda s: s.map_async(slow, parallelism=2),
    "partition": lambda s: s.partition(10, timeout=0.25),
    "rate_limit": lambda s: s.rate_limit(0.25),
    "sample": lambda s: s.sample(0.25),
    "throttle": lambda s: s.throttle(0.25, "both"),
    "timed_window": lambda s: s.timed_window(0.25, emit_empty=False),
    "timed_window_unique": lambda s: s.timed_window_unique(0.25, emit_empty=False),
}

elements = ["a", "b", "c"]


async def second_run(source: Stream[Any]) -> None:
    for x in elements:
        await asyncio.wait_for(send(source, x), 10)
        await asyncio.sleep(1)
    await asyncio.wait_for(settle(source.join()), 10)


@pytest.mark.parametrize("asynchronous", [None, True])
@pytest.mark.parametrize("name", builds)
def test_a_pipeline_works_in_a_second_loop(name: str, asynchronous: bool | None) -> None:
    source = Stream[Any](asynchronous=asynchronous)
    seen = builds[name](source).sink_to_list()

    async def first_run() -> None:
        await send(source, 0)
        await asyncio.sleep(2)

    short(first_run())
    short(second_run(source))
    assert flat(seen) == [0, *elements]


@pytest.mark.parametrize("name", builds)
def test_a_pipeline_works_in_a_second_loop_after_one_that_ended_too_early(name: str) -> None:
    source = Stream[Any](asynchronous=True)
    seen = builds[name](source).sink_to_list()

    async def first_run() -> None:
        for x in range(4):
            source.emit(x)
        await asyncio.sleep(0.125)

    short(first_run())
    short(second_run(source))
    assert [x for x in flat(seen) if x in elements] == elements


@pytest.mark.parametrize("name", builds)
def test_join_waits_in_a_second_loop_for_all_that_is_delayed(name: str) -> None:
    source = Stream[Any](asynchronous=True)
    seen = builds[name](source).sink_to_list()

    async def emit_and_join(x: int) -> None:
        await send(source, x)
        await settle(source.join())

    short(send(source, 1))
    short(emit_and_join(2))
    assert flat(seen)[-1:] == [2]


def test_a_batch_begun_in_one_loop_times_out_in_the_next() -> None:
    source = Stream[int](asynchronous=True)
    seen = source.partition(3, timeout=0.25).sink_to_list()

    async def emit(x: int, seconds: float) -> None:
        await send(source, x)
        await asyncio.sleep(seconds)

    short(emit(1, 0))
    short(emit(2, 1))
    assert flat(seen) == [1, 2]


def test_a_sink_that_exits_the_program_leaves_other_pipelines_alone() -> None:
    program = """
from rapidz import Stream
other = Stream(asynchronous=False)
seen = other.sink_to_list()
other.emit(0)
failing = Stream(asynchronous=False)
def leave(x):
    raise SystemExit
failing.{way}.sink(leave)
try:
    failing.emit(1)
    failing.join(5)
except BaseException as error:
    print(type(error).__name__)
other.emit(1)
print(seen)
late = Stream(asynchronous=False)
seen = late.sink_to_list()
late.emit(2)
print(seen)
"""
    for way in ("filter(None)", "buffer(3)"):
        told, *others = printed_by(program.replace("{way}", way))
        assert others == ["[0, 1]", "[2]"]
        assert told == "SystemExit" or way == "buffer(3)"


def test_a_waiter_in_a_loop_is_woken_from_a_thread() -> None:
    async def go() -> float:
        a, b = Stream[int](), Stream[str]()
        seen = a.zip(b, maxsize=1).sink_to_list()
        await send(a, 1)
        wait: Any = a.emit(2)
        other = threading.Timer(0.05, b.emit, ["x"])
        other.start()
        since = time.monotonic()
        await asyncio.wait_for(wait, 3)  # a time-out would wake the loop as well
        took = time.monotonic() - since
        other.join()
        assert seen == [(1, "x")]
        return took

    assert bounded(lambda: asyncio.run(go())) < 1


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

FORK = """
import os, signal
from rapidz import Stream
{before}
child = os.fork()
if child == 0:
    signal.alarm(5)
    {inside}
    os._exit(0)
print(os.waitpid(child, 0)[1])
{after}
"""

DRAINED = """
source = Stream(asynchronous=False)
seen = source.buffer(5).sink_to_list()
source.emit(1)
source.join()
"""


@forks
@pytest.mark.parametrize(
    "inside",
    [
        "source.join(1)",
        "source.emit(2); source.join(1); assert seen == [1, 2]",
        "source.flush()",
        "source.close(1)",
        "source.connect(Stream()); source.emit(2)",
        "source.disconnect(list(source.downstreams)[0])",
        "source.map(str).sink(seen.append); source.emit(2); source.join(1); assert '2' in seen",
    ],
)
def test_a_pipeline_works_on_in_a_forked_child(inside: str) -> None:
    program = FORK.format(before=DRAINED, inside=inside, after="source.emit(3); source.join(1)")
    assert printed_by(program) == ["0"]


@forks
def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    before = """
import threading
inside, leave = threading.Event(), threading.Event()
def slow(x):
    if x == 1:
        inside.set()
        leave.wait(10)
source = Stream()
source.sink(slow)
thread = threading.Thread(target=source.emit, args=(1,))
thread.start()
inside.wait(10)
"""
    program = FORK.format(before=before, inside="source.emit(2)", after="leave.set()")
    assert printed_by(program) == ["0"]


@forks
def test_a_forked_child_does_not_wait_for_its_parents_elements() -> None:
    before = """
import asyncio, sys, threading
leave = threading.Event()
async def write(x):
    while not leave.is_set():
        await asyncio.sleep(0.01)
    print(x)
source = Stream(asynchronous=False)
source.buffer(1).sink(write)
source.emit(1)
"""
    program = FORK.format(before=before, inside="sys.exit(0)", after="leave.set(); source.join()")
    assert printed_by(program, EXIT_SECONDS - 1) == ["0", "1"]


async def busy(x: object) -> None:
    await asyncio.sleep(0.05)


def test_an_emit_that_waits_longer_than_a_look_does_not_time_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = concurrent.futures.Future.result

    def switched(self: concurrent.futures.Future[Any], timeout: float | None = None) -> Any:
        """As if the result came just after the time-out, before anybody looks at it."""
        try:
            return result(self, timeout)
        except TimeoutError:
            concurrent.futures.wait([self], 5)
            raise

    def go() -> None:
        with Stream[int](asynchronous=False) as source:
            source.sink(busy)
            for x in range(3):
                source.emit(x)

    monkeypatch.setattr(concurrent.futures.Future, "result", switched)
    bounded(go)


def test_many_threads_may_wait_for_slow_sinks() -> None:
    failures: list[BaseException] = []

    def emitting() -> None:
        source = Stream[int](asynchronous=False)
        source.sink(busy)
        try:
            for x in range(3):
                source.emit(x)
        except BaseException as failure:
            failures.append(failure)

    threads = [in_thread(emitting) for _ in range(20)]
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert failures == []


accounts: dict[str, Build] = {
    "buffer": lambda s: s.buffer(1).map(slow),
    "delay": lambda s: s.delay(0.01),
    "map": lambda s: s.map(slow),
    "map_async": lambda s: s.map_async(slow, parallelism=2),
    "map_async, one": lambda s: s.map_async(slow),
    "rate_limit": lambda s: s.rate_limit(0.01),
    "skip": lambda s: s.map(slow).on_error("skip"),
}


@pytest.mark.parametrize("name", accounts)
def test_each_element_goes_on_in_the_next_loop_or_is_reported_lost(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = Stream[Any](asynchronous=True)
    seen = accounts[name](source).sink_to_list()

    async def too_early() -> None:
        for x in range(4):
            source.emit(x)  # nobody awaits it
        await asyncio.sleep(0)

    async def closed() -> None:
        await asyncio.wait_for(source.close(), 10)

    short(too_early())
    early = len(seen)
    lost = queued = 0
    for record in caplog.records:
        words = record.getMessage().split()
        count = next(int(word) for word in words if word.isdigit())
        if "lost." in words:
            lost += count
        else:
            queued += count
    assert early + lost + queued == 4
    short(closed())
    assert len(seen) == early + queued
    assert seen == sorted(seen)
