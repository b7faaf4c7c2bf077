"""`rapidz.run` and `rapidz.run_async`: sources start, end, and everything emitted arrives."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import rapidz
from rapidz import Source, Stream
from rapidz.runner.pipeline_run import PipelineRun
from rapidz.sources.restart import Restart
from rapidz.testing import run as run_virtually

pytestmark = pytest.mark.filterwarnings("error")


class ticks(Source[int]):
    """Emit 0, 1, 2, ... one a second."""

    infinite = True

    async def run(self) -> None:
        n = 0
        while self._may_emit():
            await self.emit(n, asynchronous=True)
            n += 1
            await asyncio.sleep(1)


# --- blocking --------------------------------------------------------------------------------


def test_run_starts_waits_and_closes() -> None:
    source = Stream.from_iterable([1, 2, 3])
    pairs = source.partition(2).sink_to_list()
    assert rapidz.run(source) == "done"
    assert pairs == [(1, 2), (3,)]
    with pytest.raises(rapidz.StreamClosed):
        source.start()


def test_any_node_stands_for_its_pipeline() -> None:
    source = Stream.from_iterable([1, 2])
    node = source.map(str)
    seen = node.sink_to_list()
    assert rapidz.run(node) == "done"
    assert seen == ["1", "2"]


def test_several_pipelines_run_at_once_each_once() -> None:
    first, second = Stream.from_iterable("ab"), Stream.from_iterable("cd")
    seen: list[str] = []
    nodes = [source.sink(seen.append) for source in (first, second)]
    assert rapidz.run([first, nodes[0]], {"second": second}) == "done"
    assert sorted(seen) == ["a", "b", "c", "d"]


def test_a_source_that_runs_already_is_not_started_again() -> None:
    source = Stream.from_iterable([1, 2, 3])
    seen = source.sink_to_list()
    source.start()
    source.join()
    assert rapidz.run(source) == "done"
    assert seen == [1, 2, 3]


def test_without_streams_run_takes_the_sources_that_run(virtual_background: Any) -> None:
    source = ticks()
    seen = source.sink_to_list()
    source.start()
    assert rapidz.run(for_=2.5) == "time"
    assert seen[:2] == [0, 1]


def test_without_streams_and_sources_run_is_refused() -> None:
    with pytest.raises(ValueError, match="run: no stream was given, and no source is running"):
        rapidz.run()


@pytest.mark.parametrize("value", [3, [Stream(), 3], None, "source", lambda x: x])
def test_what_is_no_stream_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="run: streams must be streams, or lists of them, got "):
        rapidz.run(value)


def test_a_limit_of_time_must_be_an_interval() -> None:
    with pytest.raises(ValueError, match="run: for_ must be a number of seconds > 0"):
        rapidz.run(Stream(), for_=-1)
    with pytest.raises(ValueError, match=r"run: until_idle must be .*, got '5'"):
        rapidz.run(Stream(), until_idle="5")


def test_a_frame_stands_for_its_stream() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": [1, 2]})
    source = Stream.from_iterable([frame, frame])
    total = source.to_dataframe(example=frame).x.sum()
    seen = total.stream.sink_to_list()
    assert rapidz.run(total) == "done"
    assert seen[-1] == 6


async def test_run_is_refused_where_a_loop_is_running() -> None:
    with pytest.raises(RuntimeError, match=r"write `await rapidz\.run_async\(\.\.\.\)`"):
        rapidz.run(Stream())


def test_run_works_in_another_thread_without_signals() -> None:
    source = Stream.from_iterable([1, 2])
    seen = source.sink_to_list()
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(rapidz.run(source)))
    thread.start()
    thread.join()
    assert (reasons, seen) == (["done"], [1, 2])


def test_signal_handlers_are_those_from_before_after_a_run() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    rapidz.run(Stream.from_iterable([1]))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_an_asynchronous_pipeline_runs_on_the_background_loop() -> None:
    source = Stream.from_iterable([1, 2], asynchronous=True)
    seen = source.map(str).sink_to_list()
    assert rapidz.run(source) == "done"
    assert seen == ["1", "2"]


def test_a_loop_that_does_not_run_is_refused_and_named() -> None:
    loop = asyncio.new_event_loop()
    try:
        source = Stream.from_iterable([1], loop=loop)
        node = source.sink(print)
        with pytest.raises(RuntimeError, match="which does not run: build the pipeline without"):
            rapidz.run(source)
        node.destroy()
    finally:
        loop.close()


def invert(x: int) -> float:
    return 1 / x


# --- failures --------------------------------------------------------------------------------


def test_a_failure_is_raised_with_node_and_element() -> None:
    source = Stream.from_iterable([1, 0, 2])
    seen = source.map(invert, stream_name="inverse").sink_to_list()
    with pytest.raises(ZeroDivisionError) as caught:
        rapidz.run(source)
    assert "raised in <inverse; map: invert> for element 0" in caught.value.__notes__
    assert seen == [1.0]


def test_a_failing_source_ends_the_others_and_loses_nothing(virtual_background: Any) -> None:
    source, other = Stream.from_iterable([1, 0]), ticks()
    inverse = source.map(lambda x: 1 / x).sink_to_list()
    batches = other.partition(10).sink_to_list()
    with pytest.raises(ZeroDivisionError):
        rapidz.run(other, source)
    assert inverse == [1.0]
    assert batches in ([], [(0,)])
    assert other.state == "stopped"


def test_several_failures_are_a_group() -> None:
    numbers, texts = Stream.from_iterable([0]), Stream.from_iterable(["x"])
    nodes: list[Stream[Any]] = [
        numbers.map(invert).sink(print),
        texts.map(int).sink(print),
    ]
    with pytest.raises(ExceptionGroup, match="run: 2 failures") as caught:
        rapidz.run(nodes)
    kinds = sorted(type(error).__name__ for error in caught.value.exceptions)
    assert kinds == ["ValueError", "ZeroDivisionError"]


def test_failures_behind_a_queue_are_raised_at_the_end() -> None:
    source = Stream.from_iterable([1, 0, 2])
    seen = source.buffer(10).map(lambda x: 1 / x).sink_to_list()
    with pytest.raises(ZeroDivisionError):
        rapidz.run(source)
    assert seen == [1.0, 0.5]


def test_failures_with_a_policy_end_nothing() -> None:
    source = Stream.from_iterable([1, 0, 2])
    inverse = source.map(lambda x: 1 / x)
    letters = inverse.errors.partition(10).sink_to_list()
    seen = inverse.sink_to_list()
    assert rapidz.run(source) == "done"
    assert seen == [1.0, 0.5]
    assert [failure.element for (failure,) in letters] == [0]


def test_a_stop_that_raises_is_reported_and_the_rest_is_closed() -> None:
    class unstoppable(ticks):
        def stop(self) -> None:
            super().stop()
            if not self._closed:
                raise OSError("the line is dead")

    source, other = unstoppable(), ticks()
    seen, batches = source.sink_to_list(), other.partition(5).sink_to_list()
    with pytest.raises(OSError, match="the line is dead"):
        rapidz.run(source, other, for_=0.2)
    assert (seen, batches) == ([0], [(0,)])


# --- pipelines that emit to others -------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_pipelines_are_closed_after_those_that_emit_to_them(order: tuple[int, ...]) -> None:
    source: Stream[int] = Stream.from_iterable(range(5))
    middle: Stream[Any] = Stream()
    last: Stream[Any] = Stream()
    batches = last.partition(10).sink_to_list()

    def forward(batch: tuple[int, ...]) -> None:
        last.emit_many(batch)

    nodes = [source.partition(10).sink(middle.emit), middle.sink(forward)]
    streams = (source, middle, last)
    assert rapidz.run([streams[n] for n in order]) == "done"
    assert batches == [(0, 1, 2, 3, 4)]
    del nodes


def test_a_pipeline_without_a_source_is_closed_at_once() -> None:
    source: Stream[int] = Stream()
    pairs = source.partition(2).sink_to_list()
    source.emit(1)
    assert rapidz.run(source) == "done"
    assert pairs == [(1,)]


# --- awaited -----------------------------------------------------------------------------------


async def test_a_time_limit_stops_the_sources() -> None:
    source = ticks()
    batches = source.partition(2).sink_to_list()
    assert await rapidz.run_async(source, for_="4.5s") == "time"
    assert batches == [(0, 1), (2, 3), (4,)]
    assert asyncio.get_running_loop().time() == pytest.approx(4.5, abs=0.1)


async def test_an_idle_run_ends() -> None:
    async def numbers() -> AsyncIterator[int]:
        for n in range(3):
            yield n
            await asyncio.sleep(4)
        await asyncio.sleep(1000)

    source = Stream.from_async_iterable(numbers())
    seen = source.sink_to_list()
    assert await rapidz.run_async(source, until_idle="5s") == "idle"
    assert seen == [0, 1, 2]
    assert asyncio.get_running_loop().time() == pytest.approx(13, abs=0.2)


async def test_a_run_with_elements_in_flight_is_not_idle() -> None:
    class once(Source[int]):
        async def run(self) -> None:
            await self.emit(1, asynchronous=True)
            await asyncio.sleep(10_000)

    source = once()
    seen = source.delay(100).sink_to_list()
    assert await rapidz.run_async(source, until_idle="5s") == "idle"
    assert seen == [1]
    assert asyncio.get_running_loop().time() == pytest.approx(105, abs=0.5)


async def test_a_cancelled_run_stops_drains_and_is_cancelled() -> None:
    source = ticks()
    batches = source.delay(5).partition(100).sink_to_list()
    task = asyncio.create_task(rapidz.run_async(source))
    await asyncio.sleep(3.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert batches == [(0, 1, 2, 3)]


async def test_a_second_cancellation_abandons_the_drain() -> None:
    source = ticks()
    seen = source.delay(1000).sink_to_list()
    task = asyncio.create_task(rapidz.run_async(source))
    await asyncio.sleep(3.5)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(1)
    assert task.cancelled()
    assert asyncio.get_running_loop().time() < 10
    assert seen == []
    await source.join()


async def test_failures_of_a_cancelled_run_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    source = ticks()
    node = source.delay(5).map(lambda x: 1 / x).sink(print)
    task = asyncio.create_task(rapidz.run_async(source))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "ZeroDivisionError" in caplog.text
    del node


async def test_a_source_that_ignores_stop_is_left_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = asyncio.Event()

    class deaf(Source[int]):
        async def run(self) -> None:
            await self.emit(1, asynchronous=True)
            while not ended.is_set():
                try:
                    await ended.wait()
                except asyncio.CancelledError:
                    continue

    source = deaf()
    batches = source.partition(10).sink_to_list()
    assert await rapidz.run_async(source, for_=1) == "time"
    assert batches == [(1,)]
    assert "<deaf> has not ended 5 s after stop(): it is left behind" in caplog.text
    assert asyncio.get_running_loop().time() == pytest.approx(6, abs=0.2)
    ended.set()
    await asyncio.sleep(1)


async def test_a_slow_delivery_is_not_taken_for_a_source_that_ignores_stop() -> None:
    source = ticks()
    seen: list[int] = []

    async def slow(x: int) -> None:
        await asyncio.sleep(60)
        seen.append(x)

    node = source.sink(slow)
    assert await rapidz.run_async(source, for_=1) == "time"
    assert seen == [0]
    del node


async def test_a_source_that_waits_for_a_restart_is_stopped() -> None:
    class flaky(Source[int]):
        async def run(self) -> None:
            self.connected()
            await self.emit(1, asynchronous=True)
            raise ConnectionError("gone")

    source = flaky(restart=Restart(wait=1000, jitter=0))
    batches = source.partition(10).sink_to_list()
    assert await rapidz.run_async(source, for_=5) == "time"
    assert batches == [(1,)]
    assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.1)


async def test_elements_in_flight_are_acknowledged_before_the_end() -> None:
    acknowledged: list[int] = []

    class messages(Source[int]):
        async def run(self) -> None:
            for n in range(1000):
                await self.emit_tracked(n, done=functools.partial(self.acknowledge, n))
                await asyncio.sleep(0.1)

        async def acknowledge(self, n: int) -> None:
            await asyncio.sleep(0.5)
            acknowledged.append(n)

    source = messages()
    seen = source.delay(2, spaced=False).sink_to_list()
    assert await rapidz.run_async(source, for_=5) == "time"
    assert acknowledged == seen == list(range(len(seen)))
    assert len(seen) >= 50


async def test_a_long_drain_says_what_it_waits_for(caplog: pytest.LogCaptureFixture) -> None:
    source = ticks()

    async def write(x: int) -> None:
        await asyncio.sleep(25)

    node = source.buffer(10).sink(write, stream_name="slow")
    assert await rapidz.run_async(source, for_=1.5) == "time"
    notices = [record.message for record in caplog.records if "not ended" in record.message]
    assert len(notices) == 4
    assert notices[0].startswith("the run has not ended after 10 s; in flight: ")
    assert "<slow; sink: write> with element 0" in notices[0]
    assert "1 element in <buffer" in notices[0]
    del node


async def test_the_loop_of_the_caller_runs_the_pipelines() -> None:
    source = Stream.from_iterable([1])
    loops: list[Any] = []
    node = source.sink(lambda x: loops.append(asyncio.get_running_loop()))
    assert await rapidz.run_async(source) == "done"
    assert loops == [asyncio.get_running_loop()]
    del node


def test_a_run_on_a_loop_of_its_own_ends_with_it() -> None:
    async def main() -> Any:
        source = Stream.from_iterable([1, 2, 3])
        seen = source.buffer(2).sink_to_list()
        return await rapidz.run_async(source), seen

    assert run_virtually(main()) == ("done", [1, 2, 3])


# --- signals, in this process --------------------------------------------------------------------

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def endless(after: int, number: int, log: list[int]) -> Iterator[int]:
    n = 0
    while True:
        if n == after:
            os.kill(os.getpid(), number)
        log.append(n)
        yield n
        n += 1


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_and_drains(number: int) -> None:
    emitted: list[int] = []
    source = Stream.from_iterable(endless(1000, number, emitted))
    batches = source.partition(7).buffer(3).sink_to_list()
    assert rapidz.run(source) == "signal"
    assert [x for batch in batches for x in batch] == emitted


@posix
@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_second_signal_raises_at_once(
    number: int, kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    release, hanging, requested = threading.Event(), threading.Event(), threading.Event()
    request_end = PipelineRun.request_end

    def request(run: PipelineRun, *args: Any) -> None:
        request_end(run, *args)
        requested.set()

    monkeypatch.setattr(PipelineRun, "request_end", request)

    def hang(x: int) -> None:
        hanging.set()
        release.wait(30)

    source = Stream.from_iterable([1])
    node = source.sink(hang)

    def send() -> None:
        for moment in (hanging, requested):
            moment.wait(30)
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with pytest.raises(kind):
            rapidz.run(source)
        assert not release.is_set()
    finally:
        release.set()
        thread.join()
    source.join()
    del node


# --- the name itself -----------------------------------------------------------------------------


def test_import_rapidz_does_not_import_the_runner() -> None:
    script = """
import sys, rapidz
assert not [name for name in sys.modules if name.startswith(("rapidz.runner", "rapidz.cli"))]
assert rapidz.run.__module__ == rapidz.run_async.__module__ == "rapidz.runner"
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
