"""map_async: several calls at once, results in order."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    AsyncForm,
    Boom,
    add,
    async_forms,
    begin,
    bounded,
    double,
    fail_on,
    noted,
    refused,
    send,
    settle,
    turns,
)

from rapidz import Stream, map_async
from rapidz.testing import record, run

durations = st.lists(st.integers(0, 8).map(lambda quarters: quarters / 4), max_size=10)


@given(durations, st.integers(1, 4))
def test_map_async_runs_at_most_parallelism_calls_and_keeps_the_order(
    times: list[float], parallelism: int
) -> None:
    """Defect D6: `parallelism=1,2,4` ran 2, 3, 5 at once: right is a real semaphore."""
    running = most = 0

    async def call(x: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(times[x])
        running -= 1
        return x

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.map_async(call, parallelism=parallelism))
            for x in range(len(times)):
                await send(source, x)
        return seen

    seen = run(go())
    assert [x for _, x in seen] == list(range(len(times)))
    assert [instant for instant, _ in seen] == sorted(instant for instant, _ in seen)
    assert most == min(parallelism, len(times))


def test_map_async_uses_all_of_its_parallelism() -> None:
    async def call(x: int) -> int:
        await asyncio.sleep(1)
        return 2 * x

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.map_async(call, parallelism=2))
            for x in range(5):
                await send(source, x)
        return seen

    assert run(go()) == [(1.0, 0), (1.0, 2), (2.0, 4), (2.0, 6), (3.0, 8)]


def test_map_async_keeps_a_quick_result_until_its_turn() -> None:
    async def call(x: int) -> int:
        await asyncio.sleep(3 - x)
        return x

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.map_async(call, parallelism=3))
            for x in range(3):
                await send(source, x)
        return seen

    assert run(go()) == [(3.0, 0), (3.0, 1), (3.0, 2)]


def test_map_async_applies_back_pressure_at_its_parallelism() -> None:
    async def call(x: int) -> int:
        await asyncio.sleep(1)
        return x

    async def go() -> list[bool]:
        async with Stream[int](asynchronous=True) as source:
            source.map_async(call, parallelism=2).sink(lambda _: None)
            waits = [begin(source, x) for x in range(6)]
            await turns()
            return [wait.done() for wait in waits]

    done = run(go())
    assert done[-1] is False, "an emitter far ahead of the calls must wait"
    assert done == sorted(done, reverse=True)


def test_map_async_passes_on_back_pressure_of_its_sink() -> None:
    async def call(x: int) -> int:
        return x

    async def go() -> bool:
        gate = asyncio.Event()

        async def stuck(_: int) -> None:
            await gate.wait()

        async with Stream[int](asynchronous=True) as source:
            source.map_async(call, parallelism=2).sink(stuck)
            waits = []
            for x in range(10):
                waits.append(begin(source, x))
                await turns()
            held = not waits[-1].done()
            gate.set()
        return held

    assert run(go())


def test_map_async_hands_its_further_arguments_to_the_function() -> None:
    async def call(x: int, y: int, z: int = 0) -> int:
        return 100 * x + 10 * y + z

    async def go() -> list[int]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.map_async(call, 2, z=3).sink_to_list()
            await send(source, 1)
        return seen

    assert run(go()) == [123]


@pytest.mark.parametrize("form", async_forms)
def test_map_async_takes_every_form_of_async_function(form: AsyncForm) -> None:
    """Ruling 7 (docs/rulings.md)."""

    async def go() -> list[int]:
        async with Stream[int](asynchronous=True) as source:
            seen: list[int] = source.map_async(form(double), parallelism=2).sink_to_list()
            for x in range(5):
                await send(source, x)
        return seen

    assert run(go()) == [0, 2, 4, 6, 8]


def test_map_async_drains_at_the_end() -> None:
    """Defect D6: `asyncio.run` ended with 4 of 5 delivered; ruling 4 (docs/rulings.md)."""

    async def call(x: int) -> int:
        await asyncio.sleep(1)
        return x

    async def go() -> list[int]:
        source = Stream[int](asynchronous=True)
        seen = source.map_async(call, parallelism=5).sink_to_list()
        for x in range(5):
            source.emit(x)
        await settle(source.close())
        return seen

    assert run(go()) == list(range(5))


def test_map_async_passes_a_flush_on_in_order() -> None:
    async def call(x: int) -> int:
        await asyncio.sleep(1)
        return x

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            seen: list[Any] = source.map_async(call, parallelism=4).partition(3).sink_to_list()
            await send(source, 0)
            await settle(source.flush())
            await send(source, 1)
            await settle(source.join())
            assert seen == [(0,)]
        return seen

    assert run(go()) == [(0,), (1,)]


async def failure_of_one(source: Stream[int]) -> Boom:
    """Emit numbers of which 1 fails; return its failure."""
    await send(source, 0)
    await send(source, 1)
    with pytest.raises(Boom) as caught:
        await settle(source.join())
    for x in range(2, 8):
        await send(source, x)
    return caught.value


def test_map_async_lives_on_after_its_function_failed() -> None:
    """Defect D5: logged and skipped in one case, dead in the other; right: one policy."""

    async def call(x: int) -> int:
        await asyncio.sleep(1)
        return int(fail_on(1)(x))

    async def go() -> tuple[list[int], Boom]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.map_async(call, parallelism=2, stream_name="careful").sink_to_list()
            failure = await failure_of_one(source)
        return seen, failure

    seen, failure = run(go())
    assert seen == [0, *range(2, 8)]
    assert noted(failure, "map_async", "careful", "call", "1")


def test_map_async_lives_on_after_a_failure_downstream() -> None:
    """Defect D5: [0] delivered, emit 4 onward timed out; right: the same policy."""

    async def call(x: int) -> int:
        return x

    async def go() -> tuple[list[int], Boom]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.map_async(call, parallelism=2).map(fail_on(1)).sink_to_list()
            failure = await failure_of_one(source)
        return seen, failure

    seen, failure = run(go())
    assert failure.subject == 1
    assert seen == [0, *range(2, 8)]


def test_map_async_accepts_stop_on_exception() -> None:
    """The spelling of streamz; with it, the failure ends the calls and is still raised."""

    async def call(x: int) -> int:
        return int(fail_on(1)(x))

    async def go() -> list[int]:
        source = Stream[int](asynchronous=True)
        seen = source.map_async(call, stop_on_exception=True).sink_to_list()
        await send(source, 0)
        await send(source, 1)
        with pytest.raises(Boom):
            await settle(source.join())
        await settle(source.close())
        return seen

    assert run(go()) == [0]


def test_map_async_may_be_stopped_before_it_started() -> None:
    """Defect D7: `map_async(...).stop()` before start: TypeError; right: no-op."""
    source: Any = Stream()
    node: Any = source.map_async(double)
    node.stop()
    node.destroy()


def test_map_async_does_not_spin_while_it_waits() -> None:
    """Defect D6 (docs/rulings.md): 1.5 s CPU in 2.0 s."""

    async def call(x: int) -> int:
        await asyncio.sleep(0.3)
        return x

    def go() -> float:
        with Stream[int](asynchronous=False) as source:
            source.map_async(call, parallelism=1).sink(lambda _: None)
            start = time.process_time()
            for x in range(3):
                source.emit(x)
            source.join()
            return time.process_time() - start

    assert bounded(go) < 0.3


def test_map_async_follows_a_new_function_and_new_arguments() -> None:
    """Ruling 20 (docs/rulings.md)."""

    async def total(x: int, y: int) -> int:
        return add(x, y)

    async def go() -> list[int]:
        async with Stream[int](asynchronous=True) as source:
            node: Any = source.map_async(total, 1)
            seen: list[int] = node.sink_to_list()
            await send(source, 0)
            await settle(source.join())
            node.args = (10,)
            await send(source, 0)
            await settle(source.join())
            node.func = functools.partial(total, 100)
            node.args = ()
            await send(source, 0)
        return seen

    assert run(go()) == [1, 10, 100]


@pytest.mark.parametrize("parallelism", [0, -1, 1.5, "2", None, True])
def test_map_async_refuses_a_parallelism_that_is_no_positive_integer(parallelism: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(
        lambda s: s.map_async(double, parallelism=parallelism),
        "map_async",
        "parallelism",
        parallelism,
    )


@pytest.mark.parametrize("func", [3, None])
def test_map_async_refuses_what_cannot_be_called(func: object) -> None:
    refused(lambda s: s.map_async(func), "map_async", "func", func)


async def double_later(x: int) -> int:
    await asyncio.sleep(1)
    return 2 * x


class EmittedTo(map_async[Any]):
    """Gets an element as soon as it has an edge, as from another thread."""

    def _build(self, *args: Any, **kwargs: Any) -> None:
        super()._build(*args, **kwargs)
        self.upstreams[0].emit(1)


async def test_map_async_takes_an_element_as_soon_as_it_has_an_edge() -> None:
    async with Stream[int](asynchronous=True) as source:
        seen = EmittedTo(source, double_later).sink_to_list()
        await settle(source.join())
    assert seen == [2]
