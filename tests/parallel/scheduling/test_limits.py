"""Limits: memory, weight, and values that cannot be pickled."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any, cast

import pytest
from tests.parallel import functions as f

from rapidz import Stream
from rapidz.testing import VirtualLoop


class Counted:
    """Knows how many of its kind are alive."""

    alive = most = 0
    lock = threading.Lock()

    def __init__(self) -> None:
        with Counted.lock:
            Counted.alive += 1
            Counted.most = max(Counted.most, Counted.alive)

    def __del__(self) -> None:
        with Counted.lock:
            Counted.alive -= 1


def test_a_buffer_bounds_how_many_results_are_kept() -> None:
    Counted.most = 0
    source = Stream[int]()
    results = source.scatter("thread", batch=1).map(lambda _: Counted()).buffer(20).gather()
    node = results.sink(lambda x: None)
    source.emit_many(range(1000))
    source.close(30)
    assert Counted.most <= 60
    assert Counted.alive <= 1  # a worker may still hold the last one in its hands
    node.destroy()


def test_every_failure_of_unawaited_emits_is_raised_in_the_end() -> None:
    async def main() -> int:
        source = Stream[int](asynchronous=True)
        shown = source.scatter("thread").map(f.raises).gather().sink_to_list()
        for x in range(3):
            source.emit(x)
        try:
            await source.join()
        except ExceptionGroup as group:
            return len(group.exceptions) + len(shown)
        return 0

    assert asyncio.run(main()) == 3


async def test_so_it_is_without_workers() -> None:
    async def fails(x: int) -> int:
        raise ValueError(x)

    source = Stream[int](asynchronous=True)
    mapped = source.map(fails).sink_to_list()
    for x in range(3):
        source.emit(x)
    with pytest.raises(ExceptionGroup) as raised:
        await source.join()
    assert (len(raised.value.exceptions), mapped) == (3, [])
    assert isinstance(asyncio.get_running_loop(), VirtualLoop)


@pytest.mark.parametrize("end", ["flush", "close"])
def test_without_order_the_end_waits_for_all_that_is_in_flight(end: str) -> None:
    async def main() -> list[int]:
        source = Stream[int](asynchronous=True)
        scattered = source.scatter("thread", batch=1, ordered=False)
        pairs = scattered.map(f.slow_if_even).collect().gather().sink_to_list()
        for x in range(5):
            source.emit(x)
        await getattr(source, end)()
        await source.join()
        return sorted(x for pair in pairs for x in pair)

    assert asyncio.run(main()) == list(range(5))


class Unweighable:
    def __sizeof__(self) -> int:
        raise RuntimeError("no")


def recursive() -> list[Any]:
    element: list[Any] = []
    element.append(element)
    return element


def deep() -> Any:
    element: Any = []
    for _ in range(3000):
        element = [element]
    return element


@pytest.mark.parametrize("element", [recursive(), deep(), Unweighable(), [[[0] * 99] * 99] * 99])
def test_an_element_that_cannot_be_weighed_goes_through(element: Any) -> None:
    source = Stream[Any]()
    seen = source.scatter("thread").map(type).buffer(2).gather().sink_to_list()
    source.emit(element)
    source.close(10)
    assert seen == [type(element)]


def test_a_result_that_cannot_travel_fails_alone(backend: Any) -> None:
    source = Stream[int]()
    mapped = source.scatter(backend, batch=10).map(f.lock_of_two)
    failures = mapped.errors.sink_to_list()
    seen = mapped.buffer(20).gather().map(type).sink_to_list()
    source.emit_many(range(10))
    source.close(30)
    if isinstance(backend, ProcessPoolExecutor):
        assert seen == [int] * 9
        assert [failure.element for failure in failures] == [2]
    else:  # nothing leaves the process
        assert seen == [int, int, type(threading.Lock()), *[int] * 7]


def test_what_cannot_be_unpickled_is_a_failure_with_its_own_error() -> None:
    source = Stream[Any]()
    mapped = source.scatter("process", batch=1).map(type)
    failures = mapped.errors.sink_to_list()
    seen = mapped.buffer(20).gather().sink_to_list()
    source.emit_many([1, f.Stubborn(), 3])
    source.close(30)
    assert seen == [int, int]
    assert [str(failure.exception) for failure in failures] == ["stays where it is"]


def test_an_argument_that_cannot_travel_is_refused_when_built() -> None:
    source = Stream[int]()
    scattered = source.scatter("process")
    with pytest.raises(TypeError, match=r"map: args\[0\] must be something that can be sent"):
        scattered.map(f.plus, cast(Any, threading.Lock()))
    assert list(scattered.downstreams) == []
    source.close()


def test_a_large_argument_travels_once(backend: Any) -> None:
    source = Stream[int]()
    large = bytes(1 << 20)
    seen = (
        source.scatter(backend, batch=1).map(f.length_of, large).buffer(9).gather().sink_to_list()
    )
    source.emit_many(range(20))
    source.close(30)
    assert seen == [1 << 20] * 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_may_use_a_stream_that_its_parent_has_used() -> None:
    from tests.support import printed_by

    program = """
import os
from rapidz import Stream
source = Stream()
seen = source.scatter("thread").map(abs).buffer(5).gather().sink_to_list()
source.emit(-1)
source.join()
child = os.fork()
if not child:
    source.emit(-2)
    source.join(10)
    print(seen, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert printed_by(program) == ["[1, 2]"]


@pytest.mark.parametrize("length", [1, 3])
def test_elements_that_come_together_go_through_a_chain_together(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No handle is made for each of them: that costs several times what is to be done."""
    from rapidz.parallel.scheduling.batcher import Batcher

    alone: list[Any] = []
    add = Batcher.add

    def noting(batcher: Batcher, x: Any) -> Any:
        alone.append(x)
        return add(batcher, x)

    monkeypatch.setattr(Batcher, "add", noting)
    source: Any = Stream()
    node = source.scatter("thread")
    for _ in range(length):
        node = node.map(abs)
    seen = node.buffer(1000).gather().sink_to_list()
    source.emit_many(range(500))
    source.close()
    assert seen == list(range(500))
    assert len(alone) < 10
