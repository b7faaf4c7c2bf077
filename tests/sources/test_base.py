"""Sources: states, start and stop, failures, back pressure, loops."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest
from tests.support import Boom, fail_on, noted, settle, turns
from tornado import gen

from rapidz import RefCounter, Retry, Stream, StreamClosed
from rapidz.sources import Source
from rapidz.testing import VirtualBackground, record


class counter(Source[int]):
    """One number a second; subclasses differ in the form of its turn."""

    def __init__(self, limit: int = 1000, **kwargs: Any) -> None:
        self.count = 0
        self.limit = limit
        super().__init__(**kwargs)

    def _run(self) -> Any:
        return self._turn_of_it()

    async def _turn_of_it(self) -> None:
        self.count += 1
        await asyncio.gather(*self._emit(self.count))
        if self.count >= self.limit:
            self.stop()
        await asyncio.sleep(1)


class tornado_counter(counter):
    @gen.coroutine
    def _run(self) -> Any:
        self.count += 1
        yield self._emit(self.count)
        yield gen.sleep(1)


class plain_counter(counter):
    def _run(self) -> Any:
        self.count += 1
        return [self._emit(self.count), asyncio.sleep(1)]


class finite(Source[Any]):
    def __init__(self, *items: Any, **kwargs: Any) -> None:
        self.items = items
        super().__init__(**kwargs)

    def run(self) -> Any:
        return self._all_of_it()

    async def _all_of_it(self) -> None:
        for item in self.items:
            await self.emit(item, asynchronous=True)


class finite_in_tornado(finite):
    @gen.coroutine
    def run(self) -> Any:
        for item in self.items:
            yield self.emit(item, asynchronous=True)


class finite_plain(finite):
    def run(self) -> Any:
        return [self._emit(item) for item in self.items]


# --- states ---------------------------------------------------------------------------------


async def test_source_goes_through_its_states() -> None:
    source = finite(1, 2, 3)
    seen = source.partition(2).sink_to_list()
    assert (source.state, source.started, source.stopped) == ("new", False, True)
    source.start()
    assert (source.state, source.started, source.stopped) == ("running", True, False)
    await settle(source.join())
    assert (source.state, source.started, source.stopped) == ("done", True, True)
    assert source.exception is None
    assert seen == [(1, 2), (3,)]


@pytest.mark.parametrize("manner", [finite, finite_in_tornado, finite_plain])
async def test_run_may_be_written_in_any_form(manner: type[finite]) -> None:
    source = manner(1, 2, 3)
    seen = source.sink_to_list()
    source.start()
    await settle(source.join())
    assert (seen, source.state) == ([1, 2, 3], "done")


@pytest.mark.parametrize("manner", [counter, tornado_counter, plain_counter])
async def test_a_turn_may_be_written_in_any_form(manner: type[counter]) -> None:
    source = manner()
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(2.5)
    source.stop()
    assert source.state == "stopped"
    await asyncio.sleep(5)
    assert seen == [1, 2, 3]


async def test_a_source_may_stop_itself() -> None:
    source = counter(3)
    seen = source.sink_to_list()
    source.start()
    await settle(source.join())
    assert (seen, source.state) == ([1, 2, 3], "stopped")


async def test_start_and_stop_may_be_repeated() -> None:
    source = counter()
    seen = record(source)
    source.stop()
    assert source.state == "new"
    for _ in range(3):
        source.start()
    await asyncio.sleep(1.5)
    source.stop()
    source.stop()
    await asyncio.sleep(1)
    source.start()
    await asyncio.sleep(1.5)
    source.stop()
    assert seen == [(0.0, 1), (1.0, 2), (2.5, 3), (3.5, 4)]


@pytest.mark.parametrize("manner", [counter, tornado_counter, plain_counter])
async def test_a_fast_stop_and_start_leaves_one_run(manner: type[counter]) -> None:
    source = manner()
    seen = record(source)
    source.start()
    await asyncio.sleep(0.25)
    for _ in range(3):
        source.stop()
        source.start()
    await asyncio.sleep(2.5)
    source.stop()
    assert [round(instant, 2) for instant, _ in seen] == [0, 0.25, 1.25, 2.25]


async def test_nothing_is_emitted_after_stop() -> None:
    class late(Source[int]):
        @gen.coroutine
        def run(self) -> Any:
            for n in range(5):
                yield gen.sleep(1)  # cannot be cancelled
                yield self._emit(n)

    source = late()
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(1.5)
    source.stop()
    await asyncio.sleep(5)
    assert seen == [0]


async def test_a_sink_may_stop_the_source() -> None:
    source: finite = finite(*range(1000))
    seen: list[int] = []

    def take(x: int) -> None:
        seen.append(x)
        if x == 2:
            source.stop()

    source.sink(take)
    source.start()
    await settle(source.join())
    assert (seen, source.state) == ([0, 1, 2], "stopped")


async def test_a_stop_delivers_the_element_in_flight() -> None:
    source = finite(0, 1, 2)
    seen = record(source.map(_slowly))
    source.start()
    await asyncio.sleep(1.5)
    source.stop()
    assert source.state == "stopped"
    await settle(source.join())
    assert seen == [(1.0, 0), (2.0, 1)]


async def _slowly(x: int) -> int:
    await asyncio.sleep(1)
    return x


async def test_join_waits_for_a_source_until_it_stops() -> None:
    source = counter()
    source.sink(lambda _: None)
    source.start()
    with pytest.raises(TimeoutError):
        await source.join(timeout=5)
    asyncio.get_running_loop().call_later(5, source.stop)
    await source.join()
    assert asyncio.get_running_loop().time() == 10


async def test_start_and_stop_reach_a_source_from_downstream() -> None:
    source = counter()
    node = source.map(lambda x: x)
    seen = node.sink_to_list()
    node.start()
    await asyncio.sleep(1.5)
    node.stop()
    await asyncio.sleep(2)
    assert seen == [1, 2]


async def test_source_may_start_when_it_is_built() -> None:
    source = finite(1, 2, start=True)
    seen = source.sink_to_list()
    await settle(source.join())
    assert seen == [1, 2]


async def test_source_that_has_no_run_is_an_entrance() -> None:
    source = Source[int]()
    seen = source.sink_to_list()
    source.start()
    await turns()
    assert source.state == "running"
    await settle(source.emit(1))
    await settle(source.join())
    source.stop()
    assert (seen, source.state) == ([1], "stopped")


async def test_a_class_that_overrides_stop_goes_on_after_its_run() -> None:
    class server(Source[int]):
        async def run(self) -> None:
            self.listening = True

        def stop(self) -> None:
            self.listening = False
            super().stop()

    source = server()
    seen = source.partition(2).sink_to_list()
    source.start()
    await turns()
    assert (source.state, source.listening) == ("running", True)
    source._emit(1)
    assert seen == []
    await settle(source.close())
    assert (source.state, source.listening, seen) == ("stopped", False, [(1,)])


# --- the end --------------------------------------------------------------------------------


async def test_start_after_the_end_begins_anew() -> None:
    source = finite(1, 2, 3)
    seen = source.partition(2).sink_to_list()
    for _ in range(2):
        source.start()
        await settle(source.join())
    assert seen == [(1, 2), (3,), (1, 2), (3,)]


async def test_start_after_the_end_begins_anew_next_to_another_source() -> None:
    short, long = finite("a"), counter()
    node = short.union(long)
    seen = node.sink_to_list()
    short.start()
    long.start()
    await asyncio.sleep(0.5)
    short.start()
    await asyncio.sleep(0.1)
    assert (seen, node._ended) == (["a", 1, "a"], False)
    await settle(long.close())
    assert node._ended


async def test_the_end_comes_after_the_last_of_all_sources() -> None:
    first, second = finite(1, 2, 3), finite("a")
    seen = first.union(second).partition(5).sink_to_list()
    first.start()
    await settle(first.join())
    assert seen == []
    second.start()
    await settle(second.join())
    assert seen == [(1, 2, 3, "a")]


async def test_close_stops_a_source_for_good() -> None:
    source = counter()
    seen = source.partition(10).sink_to_list()
    source.start()
    await asyncio.sleep(1.5)
    await settle(source.close())
    await settle(source.close())
    assert (seen, source.state) == ([(1, 2)], "stopped")
    with pytest.raises(StreamClosed):
        source.start()


# --- failures -------------------------------------------------------------------------------


async def test_a_failure_of_the_source_is_pending_and_reported() -> None:
    class breaks(Source[int]):
        async def run(self) -> None:
            await self.emit(1, asynchronous=True)
            raise Boom("unplugged")

    source = breaks(stream_name="device")
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(1)
    assert (seen, source.state, source.stopped) == ([1], "failed", True)
    assert isinstance(source.exception, Boom)
    assert noted(source.exception, "device")
    with pytest.raises(Boom):
        await source.join()
    await settle(source.join())


async def test_a_failure_downstream_ends_the_run_and_start_goes_on() -> None:
    source = counter()
    seen = source.map(fail_on(2)).sink_to_list()
    source.start()
    await asyncio.sleep(5)
    assert (seen, source.state) == ([1], "failed")
    with pytest.raises(Boom):
        await source.join()
    source.start()
    assert (source.state, source.exception) == ("running", None)
    await asyncio.sleep(1.5)
    source.stop()
    assert seen == [1, 3, 4]


async def test_a_downstream_failure_with_a_policy_leaves_the_source_running() -> None:
    source = counter(3)
    node = source.map(fail_on(2)).on_error("skip")
    seen = node.sink_to_list()
    source.start()
    await settle(source.join())
    assert (seen, source.state) == ([1, 3], "stopped")


async def test_a_failure_behind_a_queue_is_none_of_the_source() -> None:
    source = counter(3)
    seen = source.buffer(5).map(fail_on(2)).sink_to_list()
    source.start()
    with pytest.raises(Boom):
        await source.join()
    assert (seen, source.state) == ([1, 3], "stopped")


@pytest.mark.parametrize("policy", ["skip", "send", Retry(times=2, wait=1)])
async def test_a_policy_on_a_source_is_for_one_turn(policy: Any) -> None:
    class flaky(counter):
        async def _run(self) -> None:
            self.count += 1
            if self.count == 2:
                raise Boom(2)
            await asyncio.gather(*self._emit(self.count))
            if self.count == 3:
                self.stop()
            await asyncio.sleep(1)

    source = flaky()
    source.on_error(policy)
    failures = source.errors.sink_to_list() if policy == "send" else []
    seen = record(source)
    source.start()
    await settle(source.join())
    assert source.state == "stopped"
    if isinstance(policy, Retry):
        assert seen == [(0.0, 1), (2.0, 3)]
    else:
        assert seen == [(0.0, 1), (1.0, 3)]
    assert [failure.node for failure in failures] == ([source] if policy == "send" else [])


async def test_a_failing_flush_at_the_end_fails_the_source() -> None:
    source = finite(1)
    source.partition(2).sink(lambda _: 1 / 0)
    source.start()
    with pytest.raises(ZeroDivisionError):
        await source.join()
    assert source.state == "failed"


async def test_what_is_cancelled_by_others_is_a_failure() -> None:
    class waits(Source[int]):
        async def run(self) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

    source = waits()
    source.start()
    with pytest.raises(RuntimeError, match="cancelled"):
        await source.join()
    assert source.state == "failed"


# --- back pressure, loops, metadata ------------------------------------------------------------


@pytest.mark.parametrize("manner", [counter, finite])
async def test_slow_sinks_apply_back_pressure_to_a_source(manner: Any) -> None:
    source = counter(3) if manner is counter else finite(1, 2, 3)
    began: list[float] = []

    async def slow(_: int) -> None:
        began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3)

    source.sink(slow)
    source.start()
    await settle(source.join())
    assert began == ([0, 4, 8] if manner is counter else [0, 3, 6])


def test_without_a_loop_a_source_runs_in_the_background(
    virtual_background: VirtualBackground,
) -> None:
    source = counter(3)
    seen = record(source)
    source.start()
    source.join()
    assert seen == [(0.0, 1), (1.0, 2), (2.0, 3)]
    assert source.asynchronous is False
    source.limit = 5
    source.start()
    source.close()
    with pytest.raises(StreamClosed):
        source.start()


def test_stop_from_another_thread(virtual_background: VirtualBackground) -> None:
    source = counter()
    seen = source.sink_to_list()
    source.start()
    virtual_background.let_pass(1.5)
    source.stop()
    source.join()
    virtual_background.let_pass(5)
    assert seen == [1, 2]


def test_a_source_that_never_waits_can_be_stopped_from_another_thread() -> None:
    class busy(Source[int]):
        async def run(self) -> None:
            while True:
                await self.emit(1, asynchronous=True)

    source = busy()
    source.sink(lambda _: None)
    source.start()
    time.sleep(0.02)
    source.stop()
    source.join(timeout=10)
    assert source.state == "stopped"


def test_a_source_runs_again_on_another_loop() -> None:
    source = counter()
    seen = source.sink_to_list()

    async def main() -> None:
        source.start()
        await turns()

    for _ in range(2):
        asyncio.run(main())
        assert source.state == "stopped"
    assert seen == [1, 2]


async def test_metadata_of_a_source_are_released() -> None:
    counters = [RefCounter() for _ in range(2)]

    class tracked(Source[int]):
        async def run(self) -> None:
            for n, ref in enumerate(counters):
                await self.emit(n, asynchronous=True, metadata=[{"ref": ref}])

    source = tracked()
    seen = source.map(_slowly).sink_to_list()
    source.start()
    await settle(source.join())
    assert (seen, [ref.count for ref in counters]) == ([0, 1], [0, 0])
    assert all(ref.told for ref in counters)


# --- old manners --------------------------------------------------------------------------------


async def test_stopped_may_be_set_by_hand() -> None:
    class by_hand(finite):
        async def run(self) -> None:
            await self._all_of_it()
            self.stopped = True

    source = by_hand(1)
    seen = source.partition(2).sink_to_list()
    source.start()
    await settle(source.join())
    assert (seen, source.state) == ([], "stopped")
    source.start()
    await settle(source.join())
    assert seen == [(1, 1)]


async def test_a_class_may_have_a_start_of_its_own() -> None:
    class polled(Source[int]):
        def __init__(self, **kwargs: Any) -> None:
            self.stopped = True
            super().__init__(ensure_io_loop=True, **kwargs)

        @gen.coroutine
        def do_poll(self) -> Any:
            for n in range(3):
                if self.stopped:
                    return
                yield self._emit(n)
                yield gen.sleep(1)

        def start(self) -> None:
            if self.stopped:
                self.stopped = False
                assert self.loop is not None
                self.loop.add_callback(self.do_poll)

    source = polled(asynchronous=True)
    seen = source.sink_to_list()
    source.start()
    assert source.state == "running"
    await asyncio.sleep(1.5)
    source.stop()
    await asyncio.sleep(5)
    assert (seen, source.stopped) == ([0, 1], True)


# --- the end of the program -----------------------------------------------------------------------


def test_at_exit_finite_sources_end_and_the_others_are_stopped() -> None:
    script = (
        "import asyncio\n"
        "from rapidz import Stream\n"
        "import rapidz.sources\n"
        "ticks = Stream.from_periodic(lambda: 1, 0.01, start=True)\n"
        "async def slow(x):\n"
        "    await asyncio.sleep(0.05)\n"
        "    print(x, flush=True)\n"
        "source = Stream.from_iterable(range(3))\n"
        "source.sink(slow)\n"
        "source.start()\n"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=50
    )
    assert (done.stdout.split(), done.stderr) == (["0", "1", "2"], "")
    assert time.monotonic() - began < 8


def test_a_source_is_nothing_but_a_stream_to_the_rest() -> None:
    assert isinstance(Stream.from_iterable([]), Source)
    assert str(Source(stream_name="x")) == "<x; Source>"


async def test_a_source_that_starts_after_a_failure_loses_no_element() -> None:
    class emits(Source[int]):
        n = 0

        async def run(self) -> None:
            while self.n < 5:
                self.n += 1
                await self.emit(self.n, asynchronous=True)

    def check(x: int) -> int:
        if x == 2:
            raise ValueError(x)
        return x

    source = emits()
    seen = source.map(check).sink_to_list()
    source.start()
    while source.state == "running":
        await asyncio.sleep(0)
    assert source.state == "failed"
    source.start()
    with pytest.raises(ValueError, match="2"):  # kept for `join`
        await source.join()
    assert (seen, source.state) == ([1, 3, 4, 5], "done")
    await source.join()


async def test_failures_that_nothing_joined_are_raised_together() -> None:
    class emits(Source[int]):
        n = 0

        async def run(self) -> None:
            self.n += 1
            await self.emit(self.n, asynchronous=True)

    source = emits()

    def refuse(x: int) -> None:
        raise ValueError(x)

    source.sink(refuse)
    for _ in range(2):
        source.start()
        while source.state == "running":
            await asyncio.sleep(0)
    with pytest.raises(ExceptionGroup) as caught:
        await source.join()
    assert [error.args for error in caught.value.exceptions] == [(1,), (2,)]
