"""Custom timed nodes: order, back pressure, failures, the end, other loops."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from tests.support import Boom, feed, gaps

from rapidz import Failure, Retry, Sink, Stream
from rapidz.kernel.graph.timed_node import TimedNode
from rapidz.testing import check_operator, record, run


class debounce(TimedNode[int]):
    """Emit an element once no other has come for a while."""

    def __init__(self, upstream: Any, interval: float, **kwargs: Any) -> None:
        self.interval = interval
        self.waiting: list[int] = []
        super().__init__(upstream, **kwargs)

    def on_element(self, x: int) -> None:
        self.waiting = [x]
        self.set_timer(self.interval)

    def on_timer(self, name: Any) -> Any:
        return self.on_flush()

    def on_flush(self) -> Any:
        waiting, self.waiting = self.waiting, []
        return [self.push(x) for x in waiting]


def debounced(arrivals: list[tuple[float, int]], interval: float) -> list[tuple[float, int]]:
    later = [*(at for at, _ in arrivals), float("inf")][1:]
    pairs = zip(arrivals, later, strict=False)
    return [(at + interval, x) for (at, x), after in pairs if at + interval < after]


@given(gaps)
def test_a_timer_fires_after_its_time_unless_it_is_set_again(distances: list[float]) -> None:
    times = [sum(distances[: i + 1]) for i in range(len(distances))]
    arrivals = [(at, x) for x, at in enumerate(times)]

    async def main() -> list[tuple[float, int]]:
        source = Stream[int](asynchronous=True)
        seen = record(debounce(source, 1.125))
        await feed(source, arrivals)
        await source.join()
        return list(seen)

    assert run(main()) == debounced(arrivals, 1.125)


async def test_join_waits_for_a_timer_and_close_flushes_instead() -> None:
    now = asyncio.get_running_loop().time
    source = Stream[int](asynchronous=True)
    seen = debounce(source, 5).sink_to_list()
    await source.emit(1)
    assert seen == []
    await source.join()
    assert (seen, now()) == ([1], 5)
    await source.emit(2)
    await source.close()
    assert (seen, now()) == ([1, 2], 5)
    await asyncio.sleep(20)
    assert seen == [1, 2]


async def test_elements_and_timers_exclude_each_other_and_keep_their_order() -> None:
    inside: list[str] = []
    log: list[Any] = []

    class slow(TimedNode[int]):
        async def on_element(self, x: int) -> None:
            assert not inside
            inside.append("element")
            self.set_timer(0.5, name=x)
            await asyncio.sleep(1)
            log.append(x)
            inside.clear()

        async def on_timer(self, name: Any) -> None:
            assert not inside
            inside.append("timer")
            await asyncio.sleep(1)
            log.append(f"timer {name}")
            inside.clear()

    source = Stream[int](asynchronous=True)
    node = slow(source)
    node.sink_to_list()
    for x in range(3):
        source.emit(x)
    await source.join()
    assert [entry for entry in log if isinstance(entry, int)] == [0, 1, 2]
    assert [entry for entry in log if isinstance(entry, str)] == [f"timer {x}" for x in range(3)]


async def test_what_is_pushed_applies_back_pressure() -> None:
    gate = asyncio.Event()

    async def write(_: int) -> None:
        await gate.wait()

    source = Stream[int](asynchronous=True)
    TimedNode[int](source).sink(write)
    first = asyncio.ensure_future(source.emit(1))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not first.done()
    gate.set()
    await first


class failing(TimedNode[Any]):
    """Sets a timer for each element, and fails when the timer of "bad" comes."""

    def __init__(self, upstream: Any, heals: int = 99, **kwargs: Any) -> None:
        self.failures, self.heals = 0, heals
        super().__init__(upstream, **kwargs)

    def on_element(self, x: Any) -> None:
        self.set_timer(1, name=x)

    def on_timer(self, name: Any) -> Any:
        if name == "bad" and self.failures < self.heals:
            self.failures += 1
            raise Boom(name)
        return self.push(name)


async def test_what_fails_in_a_timer_is_raised_later_and_the_node_lives_on() -> None:
    source = Stream[str](asynchronous=True)
    seen = failing(source).sink_to_list()
    await source.emit("bad")
    with pytest.raises(Boom) as caught:
        await source.join()
    assert any("failing" in note and "bad" in note for note in caught.value.__notes__)
    await source.emit("good")
    await source.join()
    assert seen == ["good"]


async def test_what_fails_in_a_timer_goes_to_the_policy() -> None:
    source = Stream[str](asynchronous=True)
    node = failing(source)
    failures: list[Failure] = []
    node.errors.sink(failures.append)
    seen = node.sink_to_list()
    for x in ("bad", "good"):
        await source.emit(x)
    await source.join()
    assert seen == ["good"]
    assert [(f.element.name, type(f.exception)) for f in failures] == [("bad", Boom)]


async def test_what_fails_in_a_timer_can_be_tried_again() -> None:
    source = Stream[str](asynchronous=True)
    seen = failing(source, heals=2).on_error(Retry(times=3, wait=1)).sink_to_list()
    await source.emit("bad")
    await source.join()
    assert seen == ["bad"]


async def test_a_failure_downstream_is_not_that_of_the_node() -> None:
    source = Stream[str](asynchronous=True)
    node = failing(source).on_error("skip")
    below = node.map(lambda x: 1 / 0)
    below.on_error("raise").sink_to_list()
    await source.emit("good")
    with pytest.raises(ZeroDivisionError):
        await source.join()
    assert node.skipped == 0


async def test_a_task_keeps_join_waiting_and_its_failure_is_reported() -> None:
    class enriching(TimedNode[int]):
        def on_element(self, x: int) -> None:
            self.start_task(self.fetch(x))

        async def fetch(self, x: int) -> None:
            await asyncio.sleep(3 - x)
            if x == 2:
                raise Boom(x)
            self.push(x)

    source = Stream[int](asynchronous=True)
    seen = enriching(source).sink_to_list()
    for x in range(3):
        await source.emit(x)
    with pytest.raises(Boom):
        await source.join()
    assert seen == [1, 0]


async def test_a_task_that_is_endless_is_cancelled_at_the_end() -> None:
    ended: list[str] = []

    class polling(TimedNode[int]):
        def on_element(self, x: int) -> None:
            self.start_task(self.poll())

        async def poll(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

    source = Stream[int](asynchronous=True)
    polling(source).sink_to_list()
    await source.emit(1)
    await asyncio.sleep(1)
    await source.close()
    assert ended == ["cancelled"]


async def test_a_timer_can_be_cancelled() -> None:
    source = Stream[str](asynchronous=True)
    node = failing(source)
    seen = node.sink_to_list()
    await source.emit("a")
    assert node.cancel_timer("a")
    assert not node.cancel_timer("a")
    await source.join()
    assert seen == []


def test_timers_that_an_ended_loop_has_left_are_set_again() -> None:
    source = Stream[int](asynchronous=True)
    seen = debounce(source, 0.01).sink_to_list()

    async def first() -> None:
        await source.emit(1)

    async def second() -> None:
        source.emit(2)
        await source.join()

    asyncio.run(first())
    asyncio.run(second())
    assert seen == [2]


def test_a_blocking_pipeline_runs_timers_in_the_background() -> None:
    source = Stream[int]()
    seen = debounce(source, 0.01).sink_to_list()
    source.emit_many([1, 2, 3])
    source.join()
    assert seen == [3]


async def test_an_element_with_metadata_arrives_as_it_is() -> None:
    source = Stream[int](asynchronous=True)
    got: list[Any] = []

    class plain(TimedNode[int]):
        def on_element(self, x: int) -> Any:
            got.append(x)
            return self.push(x)

    seen = plain(source).sink_to_list()
    await source.emit(1, metadata=[{"n": 1}])
    assert (got, seen) == ([1], [1])


async def test_an_unreferenced_node_is_collected_with_its_timer() -> None:
    source = Stream[int](asynchronous=True)
    node = debounce(source, 5)
    await source.emit(1)
    ref = weakref.ref(node)
    del node
    gc.collect()
    assert ref() is None


def test_a_sink_may_have_timers_too() -> None:
    written: list[list[int]] = []

    class batches(TimedNode[int], Sink[int]):
        def __init__(self, upstream: Any, **kwargs: Any) -> None:
            self.batch: list[int] = []
            super().__init__(upstream, **kwargs)

        def on_element(self, x: int) -> None:
            self.batch.append(x)
            if len(self.batch) == 1:
                self.set_timer("1s")

        def on_timer(self, name: Any) -> None:
            self.on_flush()

        def on_flush(self) -> None:
            if self.batch:
                written.append(self.batch)
                self.batch = []

    async def main() -> None:
        async with Stream[int](asynchronous=True) as source:
            batches(source)
            for x in range(5):
                await source.emit(x)
                await asyncio.sleep(0.3)

    run(main())
    assert written == [[0, 1, 2, 3], [4]]
    check_operator(batches)


async def test_a_bad_time_is_refused() -> None:
    node = debounce(Stream[int](asynchronous=True), 1)
    with pytest.raises(ValueError, match="debounce: after must be"):
        node.set_timer(-1)


class waiting_for_more(TimedNode[int]):
    """Collect elements until none has come for a while."""

    def __init__(self, upstream: Any, interval: float, **kwargs: Any) -> None:
        self.interval = interval
        self.kept: list[int] = []
        super().__init__(upstream, **kwargs)

    def on_element(self, x: int) -> None:
        self.kept.append(x)
        self.set_timer(self.interval)

    def on_timer(self, name: Any) -> Any:
        return self.on_flush()

    def on_flush(self) -> Any:
        kept, self.kept = self.kept, []
        return [self.push(x) for x in kept]


@pytest.mark.parametrize(("end", "wanted"), [("close", 5), ("flush", 500)])
async def test_an_end_goes_round_a_cycle_until_a_timed_node_is_empty(end: str, wanted: int) -> None:
    source = Stream[int](asynchronous=True)
    node = waiting_for_more(source, wanted)
    seen = node.sink_to_list()
    node.filter(lambda x: x > 0).map(lambda x: x - 1).connect(source)
    await source.emit(4)
    await getattr(source, end)()
    assert seen == [4, 3, 2, 1, 0]
    await source.close()


async def test_a_close_ends_a_timer_that_sets_itself_faster_than_a_sink_writes() -> None:
    now = asyncio.get_running_loop().time
    written: list[Any] = []

    class heartbeat(TimedNode[Any]):
        def on_element(self, x: Any) -> Any:
            self.set_timer(1)
            return self.push(x)

        def on_timer(self, name: Any) -> Any:
            self.set_timer(1)
            return self.push("beat")

    async def write(x: Any) -> None:
        await asyncio.sleep(10)
        written.append(x)

    source = Stream[Any](asynchronous=True)
    heartbeat(source).sink(write)
    await source.emit("x")
    await asyncio.sleep(30)
    await source.close()
    assert written[0] == "x"
    assert now() <= 80


async def test_a_close_ends_an_endless_task_and_loses_none_of_its_elements() -> None:
    now = asyncio.get_running_loop().time
    written, pushed = list[int](), list[int]()

    class counter(TimedNode[int]):
        def on_element(self, x: int) -> None:
            self.start_task(self.count())

        async def count(self) -> None:
            while True:
                pushed.append(len(pushed))
                if (wait := self.push(pushed[-1])) is not None:
                    await wait

    async def write(x: int) -> None:
        await asyncio.sleep(1)
        written.append(x)

    source = Stream[int](asynchronous=True)
    counter(source).sink(write)
    await source.emit(0)
    await asyncio.sleep(3.5)
    await source.close()
    assert written == pushed
    assert now() < 6


async def test_a_task_that_fails_goes_to_the_policy() -> None:
    class work(TimedNode[int]):
        def on_element(self, x: int) -> None:
            self.start_task(self.answer(x))

        async def answer(self, x: int) -> None:
            await asyncio.sleep(1)
            if x % 2:
                raise Boom(x)
            self.push(x)

    for policy in ("skip", "send", Retry(2, wait=1, then="skip")):
        source = Stream[int](asynchronous=True)
        node = work(source).on_error(policy)
        failures = node.errors.sink_to_list() if policy == "send" else None
        seen = node.sink_to_list()
        await source.emit_many(range(4))
        await source.join()
        assert seen == [0, 2]
        if failures is None:
            assert node.skipped == 2
        else:
            assert [(type(f.exception), f.node) for f in failures] == [(Boom, node)] * 2
        await source.close()


async def test_a_task_that_is_no_coroutine_is_refused_and_nothing_waits_for_it() -> None:
    class work(TimedNode[Any]):
        def on_element(self, x: Any) -> None:
            self.start_task(x)

    source = Stream[Any](asynchronous=True)
    work(source).sink_to_list()
    for x in (1, None, print):
        with pytest.raises(TypeError, match="work: coroutine must be"):
            await source.emit(x)
    await source.close()


async def test_an_element_waits_for_a_flush_that_is_awaited() -> None:
    log: list[Any] = []

    class slow(TimedNode[int]):
        def on_element(self, x: int) -> Any:
            log.append(x)
            return self.push(x)

        async def on_flush(self) -> None:
            log.append("begin")
            await asyncio.sleep(5)
            log.append("end")

    source = Stream[int](asynchronous=True)
    slow(source).sink_to_list()
    flushing = source.flush()
    await source.emit(1)
    await flushing
    assert log == ["begin", "end", 1]
    await source.close()


def test_a_join_in_the_next_loop_waits_for_timers_of_the_last_one() -> None:
    for build, expected in (
        (lambda s: waiting_for_more(s, 0.01), [1, 2]),
        (lambda s: s.partition(3, timeout=0.01), [(1, 2)]),
        (lambda s: s.timed_window(0.01, emit_empty=False), [[1, 2]]),
    ):
        source = Stream[int](asynchronous=True)
        seen = build(source).sink_to_list()

        async def first(source: Any = source) -> None:
            await source.emit_many([1, 2])

        async def second(source: Any = source) -> None:
            await source.join()

        asyncio.run(first())
        assert seen == []
        asyncio.run(second())
        assert seen == expected


def test_a_timer_may_be_set_from_a_thread() -> None:
    source = Stream[int](asynchronous=False)
    node = waiting_for_more(source, 30)
    seen = node.sink_to_list()
    source.emit(1)
    node.set_timer(0.01)
    source.join(10)
    assert seen == [1]
    node.set_timer(30)
    assert node.cancel_timer()
    source.join(10)
    assert not node.cancel_timer()
    source.close()
