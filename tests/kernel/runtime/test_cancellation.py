"""Ruling 22: to cancel one `emit(x)` withdraws x, and nothing else."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from tests.support import Boom, begin, send, settle, turns

from rapidz import BackPressureError, Stream

Build = Callable[[Stream[Any]], Stream[Any]]


class Sink:
    """An asynchronous function that takes its time, and notes whether it was ever entered twice."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.seen: list[Any] = []
        self.begun: list[Any] = []
        self.inside = self.most = 0

    async def __call__(self, x: Any) -> Any:
        self.begun.append(x)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(self.seconds)
            self.seen.append(x)
        finally:
            self.inside -= 1
        return x


async def emit_in_tasks(source: Stream[Any], elements: Iterable[Any]) -> list[asyncio.Task[None]]:
    """One task for each element, all of which have emitted."""
    tasks = [asyncio.create_task(send(source, x)) for x in elements]
    await turns(2)
    return tasks


async def timed_out(wait: Any, seconds: float) -> bool:
    """Await *wait* for so long, as a user does; return whether it timed out."""
    try:
        async with asyncio.timeout(seconds):
            await wait
    except TimeoutError:
        return True
    return False


def keep(total: int, x: int) -> int:
    return x


waiting: dict[str, Callable[[Stream[Any], Sink], Any]] = {
    "map": lambda s, f: s.map(f).sink_to_list(),
    "starmap": lambda s, f: s.map(lambda x: (x,)).starmap(f).sink_to_list(),
    "filter": lambda s, f: s.filter(f).sink_to_list(),
    "sink": lambda s, f: s.sink(f),
    "starsink": lambda s, f: s.map(lambda x: (x,)).starsink(f),
    "accumulate": lambda s, f: s.accumulate(folding(f), start=0).sink_to_list(),
    "with a policy": lambda s, f: s.sink(f).on_error("skip"),
    "map with a policy, then a sink": lambda s, f: s.map(same).on_error("skip").sink(f),
    "flatten": lambda s, f: s.map(lambda x: [x]).flatten().sink(f),
    "union": lambda s, f: s.union(Stream(asynchronous=True)).sink(f),
    "two branches": lambda s, f: (s.sink(f), s.map(same).sink(same)),
    "the second branch": lambda s, f: (s.sink(same), s.sink(f)),
    "below map": lambda s, f: s.map(same).sink(f),
}


async def same(x: Any) -> Any:
    return x


def folding(function: Any) -> Any:
    async def fold(_: Any, x: Any) -> Any:
        return await function(x)

    return fold


@pytest.mark.parametrize("cancelled", [1, 2, 4])
@pytest.mark.parametrize("node", waiting)
async def test_withdrawing_a_queued_emit_keeps_the_others_in_order_and_exclusive(
    node: str, cancelled: int
) -> None:
    sink = Sink()
    source = Stream[Any](asynchronous=True)
    _held = waiting[node](source, sink)
    tasks = await emit_in_tasks(source, range(1, 6))
    tasks[cancelled - 1].cancel()
    await turns()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle(source.close())
    assert sink.seen == [x for x in range(1, 6) if x != cancelled]
    assert sink.most == 1
    if cancelled > 1:
        assert cancelled not in sink.begun


async def test_all_who_wait_may_be_withdrawn_in_any_order() -> None:
    sink = Sink()
    source = Stream[Any](asynchronous=True)
    source.sink(sink)
    tasks = await emit_in_tasks(source, range(7))
    for i in (3, 2, 6, 4):
        tasks[i].cancel()
        await turns(1)
    await asyncio.gather(*tasks, return_exceptions=True)
    await send(source, 7)
    assert sink.seen == [0, 1, 5, 7]
    assert sink.most == 1


async def test_an_update_is_not_lost_when_a_waiter_is_cancelled() -> None:
    async def add(total: int, x: int) -> int:
        await asyncio.sleep(1)
        return total + x

    source = Stream[int](asynchronous=True)
    totals = source.accumulate(add, start=0).sink_to_list()
    tasks = await emit_in_tasks(source, [1, 2, 4, 8])
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert totals == [1, 5, 13]


async def test_a_coroutine_of_the_cancelled_element_ends_in_every_branch() -> None:
    first, second = Sink(), Sink(2)
    source = Stream[int](asynchronous=True)
    source.sink(first)
    source.sink(second)
    assert await timed_out(source.emit(1), 0.5)
    await send(source, 2)
    await settle(source.close())
    assert first.seen == second.seen == [2]
    assert second.begun == [1, 2]


gathering: dict[str, tuple[Build, list[Any]]] = {
    "partition": (lambda s: s.partition(2), [(0, 1), (2, 3)]),
    "partition by key": (lambda s: s.partition(2, key=lambda x: 0), [(0, 1), (2, 3)]),
    "partition, timed": (lambda s: s.partition(2, timeout=90), [(0, 1), (2, 3)]),
    "partition_unique": (lambda s: s.partition_unique(2), [(0, 1), (2, 3)]),
    "sliding_window": (lambda s: s.sliding_window(2), [(0, 1), (1, 2), (2, 3)]),
    "flattened": (lambda s: s.partition(2).flatten(), [0, 1, 2, 3]),
    "in a buffer": (lambda s: s.partition(2).buffer(1), [(0, 1), (2, 3)]),
    "with a policy": (lambda s: s.partition(2).on_error("skip"), [(0, 1), (2, 3)]),
    "rate_limit below": (lambda s: s.partition(2).rate_limit(0.1), [(0, 1), (2, 3)]),
}


@pytest.mark.parametrize("node", gathering)
async def test_a_batch_goes_on_when_the_emit_that_completed_it_is_cancelled(node: str) -> None:
    build, right = gathering[node]
    sink = Sink()
    source = Stream[int](asynchronous=True)
    build(source).sink(sink)
    for x in range(4):
        await timed_out(source.emit(x), 0.25)
    await settle(source.close())
    assert sink.seen == right
    assert sink.most == 1


async def test_a_batch_that_waits_for_capacity_is_not_withdrawn() -> None:
    sink = Sink()
    source = Stream[int](asynchronous=True)
    source.partition(2).buffer(1).sink(sink)
    for x in range(8):
        await timed_out(source.emit(x), 0.125)
    await settle(source.close())
    assert sink.seen == [(0, 1), (2, 3), (4, 5), (6, 7)]


pairing: dict[str, Callable[[Stream[Any], Stream[Any]], Stream[Any]]] = {
    "zip": lambda a, b: a.zip(b),
    "zip with a literal": lambda a, b: a.zip(b, "!").map(lambda x: x[:2]),
    "combine_latest": lambda a, b: a.combine_latest(b, emit_on=1),
    "zip_latest": lambda a, b: a.zip_latest(b),
}


@pytest.mark.parametrize("node", pairing)
async def test_a_pair_goes_on_when_one_of_its_emits_is_cancelled(node: str) -> None:
    sink = Sink()
    a, b = Stream[Any](asynchronous=True), Stream[Any](asynchronous=True)
    pairing[node](a, b).sink(sink)
    await send(a, 1)
    assert await timed_out(b.emit("x"), 0.5)
    await settle(a.join())
    assert sink.seen == [(1, "x")]


async def test_a_pair_goes_on_when_the_waiting_emit_is_cancelled_after_it() -> None:
    sink = Sink()
    a, b = Stream[Any](asynchronous=True), Stream[Any](asynchronous=True)
    a.zip(b, maxsize=1).sink(sink)
    await send(a, 1)
    waits = [begin(a, 2), begin(a, 3)]
    wait = begin(b, "x")
    await turns()
    waits[0].cancel()  # it was let in when 1 had found its partner
    waits[1].cancel()  # still outside: withdrawn
    await wait
    await send(b, "y")
    await send(a, 4)
    await send(b, "z")
    assert sink.seen == [(1, "x"), (2, "y"), (4, "z")]


async def test_what_waits_for_capacity_is_withdrawn_and_not_taken() -> None:
    sink = Sink()
    source = Stream[int](asynchronous=True)
    source.buffer(2).sink(sink)
    taken = [x for x in range(50) if not await timed_out(source.emit(x), 0.01)]
    await settle(source.close())
    assert taken == sink.seen == [0, 1, 2]


full: dict[str, Build] = {
    "buffer": lambda s: s.buffer(1),
    "map_async": lambda s: s.map_async(same, parallelism=2),
    "zip": lambda s: s.zip(s.map(lambda x: x).buffer(9), maxsize=9).pluck(0),
}


@pytest.mark.parametrize("node", full)
async def test_others_enter_when_one_that_waited_is_withdrawn(node: str) -> None:
    sink = Sink()
    source = Stream[int](asynchronous=True)
    full[node](source).sink(sink)
    tasks = await emit_in_tasks(source, range(6))
    for x in (3, 5):
        tasks[x].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle(source.close())
    assert sink.seen == [x for x in range(6) if not tasks[x].cancelled()]
    assert {0, 1, 2, 4} <= set(sink.seen)


async def test_flush_goes_on_when_it_is_cancelled() -> None:
    sink = Sink()
    source = Stream[int](asynchronous=True)
    source.partition(5, key=lambda x: x % 2).sink(sink)
    for x in range(4):
        await send(source, x)
    assert await timed_out(source.flush(), 0.5)
    await settle(source.join())
    assert sink.seen == [(0, 2), (1, 3)]


async def test_a_flush_of_collect_goes_on_when_it_is_cancelled() -> None:
    sink = Sink()
    source = Stream[int](asynchronous=True)
    collected = source.collect()
    collected.sink(sink)
    await send(source, 1)
    assert await timed_out(collected.flush(), 0.5)
    await settle(source.join())
    assert sink.seen == [(1,)]


@pytest.mark.parametrize("operator", ["timed_window", "timed_window_unique"])
async def test_a_flush_of_a_timed_window_goes_on_when_it_is_cancelled(operator: str) -> None:
    sink = Sink()
    source = Stream[int](asynchronous=True)
    getattr(source, operator)(10, emit_empty=False).sink(sink)
    await send(source, 1)
    for _ in range(3):
        assert await timed_out(source.flush(), 0.25)
    await send(source, 2)
    await settle(source.close())
    assert [list(x) for x in sink.seen] == [[1], [2]]
    assert sink.most == 1


async def test_a_cancelled_close_goes_on_and_leaves_no_warning() -> None:
    sink = Sink()
    source = Stream[int](asynchronous=True)
    source.partition(2).sink(sink)
    await send(source, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await timed_out(source.close(), 0.5)
    await asyncio.sleep(2)
    assert sink.seen == [(1,)]


async def test_a_cancelled_join_cancels_nothing() -> None:
    sink = Sink()
    source = Stream[int](asynchronous=True)
    source.buffer(9).sink(sink)
    for x in range(3):
        await send(source, x)
    assert await timed_out(source.join(), 0.5)
    await settle(source.join())
    assert sink.seen == [0, 1, 2]


async def test_a_cancelled_emit_many_takes_no_more_and_loses_none_taken() -> None:
    sink = Sink()
    source = Stream[int](asynchronous=True)
    source.partition(2).sink(sink)
    assert await timed_out(source.emit_many(range(10)), 1.5)
    await settle(source.join())
    assert sink.seen == [(0, 1), (2, 3)]


async def test_the_failure_of_a_batch_no_longer_awaited_is_pending() -> None:
    async def fail(x: Any) -> None:
        await asyncio.sleep(1)
        raise Boom(x)

    source = Stream[int](asynchronous=True)
    source.partition(2).sink(fail)
    await send(source, 0)
    assert await timed_out(source.emit(1), 0.5)
    await asyncio.sleep(1)
    with pytest.raises(Boom):
        await settle(source.join())


async def test_what_failed_in_one_branch_is_kept_when_another_is_cancelled() -> None:
    async def fail(x: Any) -> None:
        raise Boom(x)

    source = Stream[int](asynchronous=True)
    source.sink(fail)
    source.sink(Sink())
    assert await timed_out(source.emit(1), 0.5)
    with pytest.raises(Boom):
        await settle(source.join())


async def test_a_refused_unawaited_emit_is_reported() -> None:
    a, b = Stream[int](asynchronous=True), Stream[int](asynchronous=True)
    a.zip(b, maxsize=1).sink(print)
    await send(a, 1)
    a.emit(2)
    with pytest.raises(BackPressureError):
        await settle(b.close())
    await settle(a.close())


class Stop(BaseException):
    """Something that is no `Exception`."""


@pytest.mark.parametrize("stop", [Stop, asyncio.CancelledError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("branches", [2, 3, 4])
@pytest.mark.parametrize("fused", [True, False])
def test_all_branches_get_the_element_when_one_is_stopped(
    stop: type[BaseException], branches: int, fused: bool
) -> None:
    def raising(x: Any) -> None:
        raise stop

    seen: list[Any] = []
    source = Stream[Any]()
    (source.map(raising) if fused else source.flatten().map(raising)).sink(print)
    for _ in range(branches - 1):
        (source if fused else source.flatten()).sink(seen.append)
    with pytest.raises(stop):
        source.emit([1])
    assert seen == [[1] if fused else 1] * (branches - 1)


async def test_all_branches_get_the_element_when_an_awaited_one_is_stopped() -> None:
    async def raising(x: Any) -> None:
        await asyncio.sleep(1)
        raise Stop

    sink = Sink(2)
    source = Stream[int](asynchronous=True)
    source.sink(raising)
    source.sink(sink)
    with pytest.raises(Stop):
        await source.emit(1)
    assert sink.seen == [1]


async def fail_later(x: Any) -> None:
    await asyncio.sleep(1)
    raise Boom(x)


async def test_a_failure_is_pending_while_the_cancelled_task_is_referenced() -> None:
    source = Stream[int](asynchronous=True)
    source.partition(1).sink(fail_later)
    (task,) = await emit_in_tasks(source, [0])
    task.cancel()
    with pytest.raises(Boom):
        await settle(source.join())
    assert task.cancelled()
    await settle(source.close())


async def test_a_failure_that_somebody_else_awaits_too_is_theirs() -> None:
    source = Stream[int](asynchronous=True)
    source.partition(1).sink(fail_later)
    wait = source.emit(0)
    tasks = [asyncio.create_task(settle(wait)) for _ in range(2)]
    await turns()
    tasks[0].cancel()
    with pytest.raises(Boom):
        await tasks[1]
    await settle(source.close())


async def test_no_later_element_overtakes_what_a_flush_gives() -> None:
    source = Stream[int](asynchronous=True)
    seen: list[int] = []

    async def write(x: int) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    source.partition(2).buffer(1).flatten().sink(write)
    for x in range(9):
        source.emit(x)
    source.flush()
    for x in range(9, 18):
        source.emit(x)
    source.flush()
    for x in range(18, 22):
        source.emit(x)
    await source.close()
    assert seen == list(range(22))
