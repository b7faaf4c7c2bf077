"""End signals: every path emits what it buffers, and every node ends."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from tests.support import Boom, booms, bounded, printed_by, send, settle

from rapidz import Stream, StreamClosed
from rapidz.testing import run

ends = pytest.mark.parametrize("end", ["flush", "close"])


def fail(x: object) -> None:
    raise Boom(x)


def less(x: int) -> int:
    return x - 1


async def less_later(x: int) -> int:
    return x - 1


def positive(x: int) -> bool:
    return x > 0


def round_and_round(
    end: str, *, aside: bool = False, asynchronous: bool | None = None
) -> list[int]:
    """What comes of 5 in a pipeline that leads back to its source, or to an entrance *aside*."""

    def go() -> list[int]:
        source = Stream[int](asynchronous=asynchronous)
        entrance = Stream[int](asynchronous=asynchronous) if aside else source
        numbers = source.union(entrance) if aside else source
        lower: Any = less if asynchronous is None else less_later
        again: Stream[int] = numbers.map(lower).filter(positive)
        seen = again.sink_to_list()
        again.connect(entrance)
        source.emit(5)
        if asynchronous is not None:
            source.join(2)
        getattr(source, end)()
        source.close()
        return seen

    return bounded(go, 5)


@ends
def test_the_end_goes_round_a_feedback_edge_and_returns(end: str) -> None:
    assert round_and_round(end) == [4, 3, 2, 1]


@ends
def test_the_end_goes_round_a_feedback_edge_into_the_middle(end: str) -> None:
    assert round_and_round(end, aside=True) == [4, 3, 2, 1]


@ends
def test_the_end_goes_round_a_feedback_edge_in_a_loop(end: str) -> None:
    assert round_and_round(end, asynchronous=False) == [4, 3, 2, 1]


@ends
def test_the_end_goes_round_a_cycle_whose_queue_feeds_a_join(end: str) -> None:
    async def go() -> list[int]:
        source = Stream[int](asynchronous=True)
        numbers: Stream[int] = source
        for _ in range(2):
            numbers = numbers.zip(numbers.buffer(1), maxsize=1).pluck(0)
        again = numbers.partition(3).flatten()
        seen = again.sink_to_list()
        again.filter(positive).map(less).connect(source)
        await source.emit(1)
        await source.emit(1)
        await settle(getattr(source, end)())
        await settle(source.close())
        return seen

    assert run(go()) == [1, 1, 0, 0]


@ends
def test_every_branch_is_flushed_although_one_of_them_fails(end: str) -> None:
    source = Stream[int]()
    source.partition(2).sink(fail)
    seen = source.partition(2).sink_to_list()
    source.emit(1)
    with pytest.raises(Boom):
        getattr(source, end)()
    assert seen == [(1,)]


@ends
async def test_every_branch_is_flushed_in_a_loop_although_one_of_them_fails(end: str) -> None:
    source = Stream[int](asynchronous=True)
    source.partition(2).sink(fail)
    seen = source.partition(2).sink_to_list()
    await send(source, 1)
    with pytest.raises(Boom):
        await settle(getattr(source, end)())
    assert seen == [(1,)]


@ends
def test_every_branch_that_fails_at_the_end_is_reported(end: str) -> None:
    source = Stream[int]()
    source.partition(2).sink(fail)
    source.partition(3).sink(fail)
    source.emit(1)
    with pytest.raises(ExceptionGroup) as caught:
        getattr(source, end)()
    assert [boom.subject for boom in booms(caught.value)] == [(1,), (1,)]


def test_every_branch_has_ended_although_one_of_them_fails() -> None:
    source = Stream[int]()
    middle = source.map(less)
    source.partition(2).sink(fail)
    seen = middle.sink_to_list()
    source.emit(1)
    with pytest.raises(Boom):
        source.close()
    for node in (source, middle):
        with pytest.raises(StreamClosed):
            node.emit(2)
    source.close()
    assert seen == [0]


def test_a_close_that_fails_releases_the_sinks_of_every_branch() -> None:
    def closed() -> list[weakref.ref[Any]]:
        source = Stream[int]()
        pairs = source.partition(2)
        sinks: list[Stream[Any]] = [pairs.sink(fail), pairs.sink(repr), source.sink(repr)]
        source.emit(1)
        with pytest.raises(Boom):
            source.close()
        return [weakref.ref(node) for node in (source, *sinks)]

    gone = closed()
    gc.collect()
    assert [node() for node in gone] == [None] * 4


def test_a_dead_letter_stream_emits_what_it_buffers_at_the_end() -> None:
    source = Stream[int]()
    node = source.map(fail)
    node.sink(fail)
    seen = node.errors.partition(10).sink_to_list()
    source.emit(0)
    source.flush()
    source.emit(1)
    source.close()
    assert [[failure.element for failure in batch] for batch in seen] == [[0], [1]]


def test_the_sinks_of_a_dead_letter_stream_are_released_at_the_end() -> None:
    def closed() -> list[weakref.ref[Any]]:
        source = Stream[int]()
        node = source.map(fail)
        sink = node.errors.sink(repr)
        source.close()
        return [weakref.ref(node) for node in (source, sink)]

    gone = closed()
    gc.collect()
    assert [node() for node in gone] == [None, None]


def test_elements_emitted_without_waiting_arrive_before_the_program_ends() -> None:
    program = """
from rapidz import Stream
source = Stream(asynchronous=False)
source.rate_limit(0.05).sink(print)
for x in range(4):
    source.emit(x, asynchronous=True)
"""
    assert printed_by(program) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("first", ["early", "late"])
def test_what_a_pipeline_sends_to_another_arrives_before_exit(first: str) -> None:
    ways = {
        "early": "early.delay(0.05).sink(late.emit)",
        "late": "late.delay(0.15).sink(print)",
    }
    second = "late" if first == "early" else "early"
    program = f"""
from rapidz import Stream
{first} = Stream(asynchronous=False)
{second} = Stream(asynchronous=False)
{ways[first]}
{ways[second]}
for x in range(3):
    early.emit(x)
"""
    assert printed_by(program) == ["0", "1", "2"]


def test_a_sink_may_still_work_in_a_thread_when_the_program_ends() -> None:
    program = """
import asyncio, time
from rapidz import Stream
def write(x):
    time.sleep(0.02)
    print(x)
async def sink(x):
    await asyncio.to_thread(write, x)
source = Stream(asynchronous=False)
source.buffer(10).sink(sink)
for x in range(4):
    source.emit(x)
"""
    assert printed_by(program) == ["0", "1", "2", "3"]


@ends
def test_a_flush_of_many_elements_passes_a_queue_of_capacity_one(
    end: str,
) -> None:
    source = Stream[int]()
    by_parity = source.partition(9, key=lambda x: x % 3)
    seen = by_parity.rate_limit(0.001).sink_to_list()
    source.emit_many(range(3))
    getattr(source, end)()
    source.join()
    assert seen == [(0,), (1,), (2,)]


INTERRUPTED = """
import asyncio, os, signal, threading, time
from rapidz import Stream
inside, ready, leave = threading.Event(), threading.Event(), threading.Event()
async def fail(x):
    inside.set()
    while not leave.is_set():
        await asyncio.sleep(0.001)
    raise ValueError(x)
source = Stream(asynchronous=False)
def interrupt():
    inside.wait(10)
    ready.wait(10)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
{before}
try:
    ready.set()
    {waits}
except KeyboardInterrupt as interruption:
    kept = interruption  # whose traceback refers to the call
    print("interrupted")
leave.set()
try:
    source.{again}()
except ValueError as error:
    print("failed for", error)
"""


@pytest.mark.parametrize("again", ["join", "close"])
@pytest.mark.parametrize(
    ("before", "waits"),
    [
        ("source.sink(fail)", "source.emit(1)"),
        ("source.sink(fail)", "source.emit_many([1])"),
        ("source.buffer(2).sink(fail); source.emit(1)", "source.join()"),
        ("source.buffer(2).sink(fail); source.emit(1)", "source.close()"),
    ],
)
def test_what_fails_after_an_interruption_is_kept(before: str, waits: str, again: str) -> None:
    program = INTERRUPTED.format(before=before, waits=waits, again=again)
    assert printed_by(program) == ["interrupted", "failed for 1"]


@pytest.mark.parametrize("policy", ["skip", "send"])
def test_a_group_of_failures_of_a_users_own_is_one_failure(policy: Any) -> None:
    def fail(x: int) -> None:
        raise ExceptionGroup("mine", [ValueError(x), KeyError(x)])

    source = Stream[int]()
    node = source.map(fail).on_error(policy)
    failures = node.errors.sink_to_list() if policy == "send" else []
    assert node.sink_to_list() == []
    source.emit(1)
    source.close()
    assert node.skipped == (policy == "skip")
    assert [type(failure.exception) for failure in failures] == [ExceptionGroup] * len(failures)
