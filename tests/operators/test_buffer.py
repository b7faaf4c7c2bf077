"""buffer: a queue of capacity n between a fast and a slow part of a pipeline."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    Boom,
    Way,
    add,
    begin,
    bounded,
    fail_on,
    numbers,
    refused,
    send,
    settle,
    through,
    turns,
    ways,
)

from rapidz import RefCounter, Stream
from rapidz.testing import record, run


@given(numbers, st.integers(1, 4), ways)
def test_buffer_changes_neither_elements_nor_order(xs: list[int], n: int, way: Way) -> None:
    _, in_all = through(lambda s: s.buffer(n), xs, way)
    assert in_all == xs


@given(numbers, st.integers(1, 4))
def test_buffer_delivers_in_order_to_an_async_sink(xs: list[int], n: int) -> None:
    seen: list[int] = []

    async def slow(x: int) -> None:
        await asyncio.sleep(abs(x))
        seen.append(x)

    async def go() -> None:
        async with Stream[int](asynchronous=True) as source:
            source.buffer(n).sink(slow)
            for x in xs:
                await send(source, x)

    run(go())
    assert seen == xs


def test_buffer_keeps_n_elements_and_blocks_the_next() -> None:
    async def go() -> list[bool]:
        async with Stream[int](asynchronous=True) as source:
            gate = asyncio.Event()

            async def stuck(_: int) -> None:
                await gate.wait()

            source.buffer(2).sink(stuck)
            waits = []
            for x in range(5):
                waits.append(begin(source, x))
                await turns()
            done = [wait.done() for wait in waits]
            gate.set()
            await settle(source.join())
            assert all(wait.done() for wait in waits)
        return done

    # The first one is in the sink, two wait in the buffer.
    assert run(go()) == [True, True, True, False, False]


def test_buffer_decouples_a_producer_from_a_slow_sink() -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(1)

    async def go() -> tuple[float, float]:
        now = asyncio.get_running_loop().time
        async with Stream[int](asynchronous=True) as source:
            source.buffer(10).sink(slow)
            for x in range(5):
                await send(source, x)
            emitted_at = now()
            await settle(source.join())
            return emitted_at, now()

    assert run(go()) == (0.0, 5.0)


def test_buffer_drains_when_the_pipeline_closes() -> None:
    """Defect D12: "process ends with data held": 0 of 10 written; ruling 4 (docs/rulings.md)."""
    seen: list[int] = []

    async def slow(x: int) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    async def go() -> float:
        source = Stream[int](asynchronous=True)
        source.buffer(100).sink(slow)
        for x in range(10):
            await send(source, x)
        await settle(source.close())
        return asyncio.get_running_loop().time()

    assert run(go()) == 10.0
    assert seen == list(range(10))


def test_buffer_drains_at_the_exit_of_the_program() -> None:
    """Ruling 4 (docs/rulings.md): at interpreter exit running pipelines drain."""
    program = """
import asyncio
from rapidz import Stream

async def slow(x):
    await asyncio.sleep(0.01)
    print(x, flush=True)

source = Stream(asynchronous=False)
source.buffer(100).sink(slow)
for x in range(10):
    source.emit(x)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.split() == [str(x) for x in range(10)], done.stderr


def test_buffer_passes_a_flush_on_after_its_elements() -> None:
    """Engine rule 4: signals travel in order with the elements, through every queue."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            seen: list[Any] = source.buffer(10).partition(3).sink_to_list()
            for x in range(4):
                await send(source, x)
            await settle(source.flush())
            for x in range(4, 6):
                await send(source, x)
            await settle(source.join())
            assert seen == [(0, 1, 2), (3,)]
        return seen

    assert run(go()) == [(0, 1, 2), (3,), (4, 5)]


def test_buffer_lives_on_after_a_failure_downstream() -> None:
    """Defect D1: emit 5 hung for ever; ruling 1 (docs/rulings.md)."""

    async def go() -> tuple[list[int], Boom]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.buffer(3).map(fail_on(1)).sink_to_list()
            await send(source, 0)
            await send(source, 1)
            await turns()
            with pytest.raises(Boom) as caught:
                await send(source, 2)
            for x in range(3, 10):
                await send(source, x)
            await settle(source.join())
        return seen, caught.value

    seen, failure = run(go())
    assert failure.subject == 1
    assert seen == [0, *range(3, 10)], "the element whose emit raised a kept failure is not taken"


def test_buffer_lives_on_after_an_async_sink_failed() -> None:
    """Defect D4: "async `buffer(2)` + failing sink": the 4th emit blocked for ever."""
    seen: list[int] = []

    async def careful(x: int) -> None:
        await asyncio.sleep(1)
        if x == 1:
            raise Boom(x)
        seen.append(x)

    async def go() -> list[Boom]:
        failures: list[Boom] = []
        async with Stream[int](asynchronous=True) as source:
            source.buffer(2).sink(careful)
            for x in range(10):
                try:
                    await send(source, x)
                except Boom as boom:
                    failures.append(boom)
                    await send(source, x)
            await settle(source.join())
        return failures

    assert [failure.subject for failure in run(go())] == [1]
    assert seen == [0, *range(2, 10)]


@pytest.mark.parametrize("ending", ["join", "close"])
def test_buffer_keeps_a_failure_for_join_and_close(ending: str) -> None:
    """Ruling 1 (docs/rulings.md): raised by the next `emit`, `join` or `close`, once."""

    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.buffer(3).map(fail_on(1)).sink(lambda _: None)
        await send(source, 1)
        with pytest.raises(Boom):
            await settle(getattr(source, ending)())
        await settle(source.join())
        await settle(source.close())

    run(go())


def test_buffer_raises_a_kept_failure_in_the_thread_that_emits() -> None:
    """Defect D1 (docs/rulings.md), with the loop in the background."""

    def go() -> list[int]:
        source = Stream[int](asynchronous=False)
        seen = source.buffer(3).map(fail_on(1)).sink_to_list()
        source.emit(0)
        source.emit(1)
        with pytest.raises(Boom):
            source.join()
        for x in range(2, 10):
            source.emit(x)
        source.close()
        return seen

    assert bounded(go) == [0, *range(2, 10)]


def test_buffer_may_be_built_before_the_loop_runs() -> None:
    """Defect D22: built before `asyncio.run`: nothing was ever delivered; ruling 6."""
    source = Stream[int](asynchronous=True)
    node = source.buffer(3)

    async def go() -> list[tuple[float, int]]:
        async with source:
            seen = record(node)
            for x in range(3):
                await send(source, x)
        return seen

    assert run(go()) == [(0.0, 0), (0.0, 1), (0.0, 2)]


def test_buffer_does_not_hang_when_its_sink_is_destroyed() -> None:
    """Defect D13 (docs/rulings.md): `sink.destroy()` with 10 elements in the buffer above."""

    async def go() -> list[int]:
        seen: list[int] = []

        async def slow(x: int) -> None:
            await asyncio.sleep(1)
            seen.append(x)

        async with Stream[int](asynchronous=True) as source:
            node = source.buffer(10)
            sink: Any = node.sink(slow)
            for x in range(10):
                await send(source, x)
            sink.destroy()
            await settle(source.join())
            again = node.sink_to_list()
            await send(source, 10)
            await settle(source.join())
            assert again == [10]
        return seen

    seen = run(go())
    assert seen == list(range(len(seen))), "drained or discarded, but never out of order"


def test_buffer_keeps_its_elements_through_an_edit() -> None:
    async def go() -> tuple[list[int], list[int]]:
        async with Stream[int](asynchronous=True) as source:
            node = source.buffer(10)
            totals = node.accumulate(add)
            first = totals.sink_to_list()
            for x in range(3):
                source.emit(x)
            second = totals.sink_to_list()
            await settle(source.join())
        return first, second

    first, second = run(go())
    assert first == [0, 1, 3]
    assert second == first[-len(second) :]


def test_buffer_releases_a_counter_when_the_sink_is_done() -> None:
    """Ruling 13 (docs/rulings.md): not when the buffer took it."""

    async def go() -> tuple[list[float], list[float]]:
        now = asyncio.get_running_loop().time
        fired: list[float] = []
        finished: list[float] = []

        async def slow(_: int) -> None:
            await asyncio.sleep(1)
            finished.append(now())

        async with Stream[int](asynchronous=True) as source:
            source.buffer(10).sink(slow)
            for x in range(3):
                counter = RefCounter(cb=lambda: fired.append(now()))
                await settle(source.emit(x, metadata=[{"ref": counter}]))
        return fired, finished

    fired, finished = run(go())
    assert fired == finished == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None, True])
def test_buffer_refuses_an_n_that_is_no_positive_integer(n: object) -> None:
    """Defect D33: `buffer(0)` was accepted; ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.buffer(n), "buffer", "n", n)
