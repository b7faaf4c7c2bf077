"""Shutdown: flush, close, join and exit deliver what is in flight."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.compat.seed_examples import DASK_EXAMPLES
from tests.parallel import functions as f
from tests.support import bounded, printed_by, settle

from rapidz import Stream, StreamClosed


@pytest.mark.parametrize("end", ["flush", "join", "close"])
def test_the_end_waits_for_what_is_in_flight(end: str, backend: Any) -> None:
    source: Any = Stream()
    seen = source.scatter(backend).map(f.slow_if_even).buffer(50).gather().sink_to_list()
    source.emit_many(range(10))
    getattr(source, end)()
    if end == "flush":
        source.join()
    assert seen == list(range(10))
    source.close()


@pytest.mark.parametrize("end", ["flush", "close"])
def test_a_flush_arrives_behind_what_is_in_flight(end: str, backend: Any) -> None:
    source: Any = Stream()
    node = source.scatter(backend).map(f.slow_if_even).partition(4)
    seen = node.map(f.number).buffer(50).gather().sink_to_list()
    source.emit_many(range(10))
    getattr(source, end)()
    source.join()
    assert seen == [0 + 1 + 2 + 3, 4 + 5 + 6 + 7, 8 + 9]
    source.close()


HOLDERS: dict[str, Any] = {
    "partition": (lambda s: s.partition(5), [(0, 1, 2)]),
    "partition key": (lambda s: s.partition(5, key=f.third), [(0,), (1,), (2,)]),
    "partition_unique": (lambda s: s.partition_unique(5), [(0, 1, 2)]),
    "collect": (lambda s: s.collect(), [(0, 1, 2)]),
    "timed_window": (lambda s: s.timed_window(3600), [[0, 1, 2]]),
    "timed_window_unique": (lambda s: s.timed_window_unique(3600), [[0, 1, 2]]),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_every_operator_that_buffers_elements_emits_them_at_the_end(
    name: str, backend: Any
) -> None:
    build, wanted = HOLDERS[name]
    for buffer in (None, 10):
        source: Any = Stream()
        node = build(source.scatter(backend).map(f.number))
        if buffer:
            node = node.buffer(buffer)
        seen = node.gather().sink_to_list()
        source.emit_many(range(3))
        source.flush()
        source.join()
        again = [tuple(x) if isinstance(x, list) else x for x in seen]
        assert [x for x in again if x] == [tuple(x) for x in wanted]
        source.close()


def test_a_flush_is_no_end(backend: Any) -> None:
    source: Any = Stream()
    seen = source.scatter(backend).partition(2).buffer(5).gather().sink_to_list()
    source.emit(1)
    source.flush()
    source.emit_many([2, 3])
    source.close()
    assert seen == [(1,), (2, 3)]


def test_totals_go_on_after_a_flush(backend: Any) -> None:
    source: Any = Stream()
    node = source.scatter(backend).accumulate(f.add)
    seen = node.buffer(5).gather().sink_to_list()
    source.emit_many([1, 2])
    source.flush()
    source.emit(3)
    source.close()
    assert seen == [1, 3, 6]
    assert node.state == 6


def test_after_close_nothing_goes_in(backend: Any) -> None:
    source: Any = Stream()
    seen = source.scatter(backend).map(f.inc).buffer(5).gather().sink_to_list()
    source.emit(1)
    source.close()
    source.close()
    with pytest.raises(StreamClosed):
        source.emit(2)
    assert seen == [2]


def test_leaving_a_with_block_waits(backend: Any) -> None:
    with Stream[int]() as made:
        source: Any = made
        seen = source.scatter(backend).map(f.slow_if_even).buffer(9).gather().sink_to_list()
        source.emit_many(range(9))
    assert seen == list(range(9))


def test_leaving_an_async_with_block_waits(backend: Any) -> None:
    async def go() -> list[int]:
        async with Stream[int](asynchronous=True) as made:
            source: Any = made
            node = source.scatter(backend).map(f.slow_if_even)
            seen: list[int] = node.buffer(9).gather().sink_to_list()
            for x in range(9):
                source.emit(x)
        return seen

    assert bounded(lambda: asyncio.run(go())) == list(range(9))


def test_join_times_out_and_loses_nothing() -> None:
    go_on = threading.Event()

    def wait(x: int) -> int:
        assert go_on.wait(20)
        return x

    source: Any = Stream()
    seen = source.scatter("thread").map(wait).buffer(5).gather().sink_to_list()
    source.emit_many([1, 2])
    with pytest.raises(TimeoutError):
        source.join(0.02)
    with pytest.raises(TimeoutError):
        source.close(0.02)
    go_on.set()
    source.close()
    assert seen == [1, 2]


def test_a_pool_of_the_users_own_is_left_running() -> None:
    with ThreadPoolExecutor(1) as pool:
        source: Any = Stream()
        source.scatter(pool).map(f.inc).gather().sink_to_list()
        source.emit(1)
        source.close()
        assert pool.submit(f.inc, 1).result() == 2


def test_a_client_of_the_users_own_is_left_open(client: Any) -> None:
    source: Any = Stream()
    source.scatter(client=client).map(f.inc).gather().sink_to_list()
    source.emit(1)
    source.close()
    assert client.submit(f.inc, 1).result(10) == 2


def test_futures_on_the_cluster_are_released(client: Any) -> None:
    source: Any = Stream()
    node = source.scatter(client=client).map(f.inc).accumulate(f.add)
    seen = node.map(f.double).buffer(50).gather().sink_to_list()
    before = len(client.futures)
    source.emit_many(range(500))
    source.join()
    assert len(seen) == 500
    assert len(client.futures) - before < 10, "results are released as they are gathered"
    source.close()


def test_the_processes_of_a_stream_end_with_it() -> None:
    import multiprocessing

    before = set(multiprocessing.active_children())
    source: Any = Stream()
    seen = source.scatter("process").map(f.inc).buffer(5).gather().sink_to_list()
    source.emit_many(range(5))
    own = set(multiprocessing.active_children()) - before
    source.close()
    assert seen == [1, 2, 3, 4, 5]
    for process in own:
        process.join(10)
        assert not process.is_alive()


PREAMBLE = """
import time
from rapidz import Stream

def increment(x):
    time.sleep(0.01)
    return x + 1
"""


@pytest.mark.parametrize("backend", ["thread", "process"])
def test_a_program_that_simply_ends_delivers_all(backend: str) -> None:
    lines = printed_by(
        f"""{PREAMBLE}
if __name__ == "__main__":
    source = Stream()
    source.scatter({backend!r}).map(increment).buffer(5).gather().sink(print)
    for x in range(10):
        source.emit(x)
""",
    )
    assert lines == [str(x) for x in range(1, 11)]


def test_a_program_that_simply_ends_delivers_all_through_an_executor() -> None:
    lines = printed_by(
        f"""{PREAMBLE}
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(2)
source = Stream()
source.scatter(pool).map(increment).buffer(50).gather().sink(print)
source.emit_many(range(10))
"""
    )
    assert lines == [str(x) for x in range(1, 11)]


def test_the_asynchronous_example_prints_all_ten_before_its_loop_ends() -> None:
    """As it stands, Dask takes ten seconds more to end it: see the tests of the seed."""
    pytest.importorskip("distributed")
    at_once = "import os, sys; sys.stdout.flush(); os._exit(0)"
    lines = printed_by(DASK_EXAMPLES["asynchronous dask"] + at_once, 40)
    assert lines == [str(x) for x in range(1, 11)]


def test_an_asynchronous_client_works_inside_its_loop() -> None:
    distributed = pytest.importorskip("distributed")

    async def go() -> list[int]:
        async with (
            distributed.Client(
                processes=False, asynchronous=True, n_workers=1, dashboard_address=":0"
            ) as client,
            Stream[int](asynchronous=True) as made,
        ):
            source: Any = made
            seen: list[int] = (
                source.scatter(client=client).map(f.inc).buffer(4).gather().sink_to_list()
            )
            for x in range(10):
                await settle(source.emit(x))
            await settle(source.join())
            return seen

    assert bounded(lambda: asyncio.run(go()), 30) == list(range(1, 11))


def test_an_unscattered_branch_is_not_kept_waiting_at_the_end(backend: Any) -> None:
    source: Any = Stream()
    plain = source.map(f.double).sink_to_list()
    seen = source.scatter(backend).map(f.inc).buffer(5).gather().sink_to_list()
    source.emit_many(range(3))
    source.close()
    assert plain == [0, 2, 4]
    assert seen == [1, 2, 3]


def test_two_streams_on_one_backend_end_on_their_own(backend: Any) -> None:
    one: Any = Stream()
    two: Any = Stream()
    first = one.scatter(backend).map(f.inc).buffer(5).gather().sink_to_list()
    second = two.scatter(backend).map(f.inc).buffer(5).gather().sink_to_list()
    one.emit(1)
    two.emit(1)
    one.close()
    two.emit(2)
    two.close()
    assert (first, second) == ([2], [2, 3])


def test_a_scattered_pipeline_is_collected_when_dropped() -> None:
    import gc
    import weakref

    source: Any = Stream()
    node = source.scatter("thread").map(f.inc)
    gathered = node.buffer(3).gather()
    seen: list[int] = []
    sink = gathered.sink(seen.append)
    source.emit(1)
    source.join()
    sink.destroy()
    dead = weakref.ref(node)
    del node, gathered, sink
    gc.collect()
    assert dead() is None
    source.close()
    assert seen == [2]


def test_an_edit_while_elements_are_in_flight_loses_none(backend: Any) -> None:
    """Engine rule 1 (docs/rulings.md)."""
    source: Any = Stream()
    node = source.scatter(backend).map(f.slow_if_even).accumulate(f.add)
    seen = node.buffer(50).gather().sink_to_list()
    source.emit_many(range(5))
    beside = node.map(f.inc).gather().sink_to_list()
    source.emit_many(range(5, 10))
    source.close()
    totals = [sum(range(x + 1)) for x in range(10)]
    assert seen == totals
    assert beside == [x + 1 for x in totals[5:]]


def test_reconfiguration_applies_from_the_next_element_on(backend: Any) -> None:
    """Ruling 20 (docs/rulings.md)."""
    source: Any = Stream()
    node = source.scatter(backend).map(f.plus, 1, factor=1)
    seen = node.buffer(50).gather().sink_to_list()
    source.emit(0)
    source.join()
    node.kwargs["factor"] = 10
    source.emit(0)
    source.join()
    node.args = (2,)
    source.emit(0)
    source.join()
    node.func = f.add
    node.kwargs = {}
    source.emit(0)
    source.close()
    assert seen == [1, 10, 20, 2]


def test_a_task_may_build_and_run_a_scattered_pipeline_of_its_own() -> None:
    def inner(count: int) -> int:
        source = Stream[int]()
        seen = source.scatter("thread").map(abs).buffer(3).gather().sink_to_list()
        source.emit_many(range(count))
        source.close(10)
        return sum(seen)

    source = Stream[int]()
    sums = source.scatter("thread", batch=1).map(inner).buffer(50).gather().sink_to_list()
    source.emit_many(range(20))
    source.close(30)
    assert sums == [sum(range(count)) for count in range(20)]
