"""Reference counters: reports of failed elements, and their time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

import pytest
from tests.support import Boom, printed_by, settle

from rapidz import RefCounter, Stream


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """Reports that come only with a garbage collection come too late."""
    gc.disable()
    yield
    gc.enable()


def fail(x: object) -> None:
    raise Boom(x)


async def fail_later(x: object) -> None:
    await asyncio.sleep(0)
    raise Boom(x)


async def pass_later(x: object) -> object:
    await asyncio.sleep(0)
    return x


async def told(
    build: Callable[[Stream[Any]], object], policy: Literal["raise", "skip"] | None
) -> list[str]:
    """Reports to the counter of one element until the pipeline is idle."""
    words: list[str] = []
    source = Stream[Any](asynchronous=True)
    build(source)
    if policy is not None:
        source.on_error(policy)
    counter = RefCounter(
        cb=lambda: words.append("done"), on_failure=lambda error: words.append("failed")
    )
    with suppress(Boom):
        await settle(source.emit(5, metadata=[{"ref": counter}]))
    with suppress(Boom):
        await settle(source.join())
    await asyncio.sleep(5)
    assert counter.count == 0
    return words


policies = pytest.mark.parametrize("policy", [None, "raise", "skip"])

failing: dict[str, Callable[[Stream[Any]], object]] = {
    "map_async": lambda s: s.map_async(fail_later).sink(fail),
    "partition": lambda s: s.partition(2, key=fail).sink(fail),
    "partition with a timeout": lambda s: s.partition(2, key=fail, timeout=1).sink(fail),
    "partition_unique": lambda s: s.partition_unique(2, key=fail).sink(fail),
    "timed_window_unique": lambda s: s.timed_window_unique(1, key=fail).sink(str),
}


@policies
@pytest.mark.parametrize("name", failing)
async def test_the_counter_hears_of_a_function_that_failed(
    name: str, policy: Literal["raise", "skip"] | None
) -> None:
    assert await told(failing[name], policy) == ["failed"]


above: dict[str, Callable[[Stream[Any]], Stream[Any]]] = {
    "map_async": lambda s: s.map_async(pass_later),
    "sliding_window": lambda s: s.sliding_window(1),
    "buffer": lambda s: s.buffer(2),
    "delay": lambda s: s.delay(1),
    "rate_limit": lambda s: s.rate_limit(1),
    "latest": lambda s: s.latest(),
    "partition": lambda s: s.partition(1),
    "partition with a timeout": lambda s: s.partition(2, timeout=1),
    "partition_unique": lambda s: s.partition_unique(1),
    "timed_window": lambda s: s.timed_window(1, emit_empty=False),
    "zip": lambda s: s.zip(s.map(str)),
}


@policies
@pytest.mark.parametrize("name", above)
async def test_the_counter_is_told_of_a_sink_that_failed(
    name: str, policy: Literal["raise", "skip"] | None
) -> None:
    assert await told(lambda source: above[name](source).sink(fail), policy) == ["failed"]


def test_a_program_ends_whose_elements_are_collected_at_its_end() -> None:
    """Nothing starts a thread then, which on Python 3.11 would never run."""
    program = """
import asyncio, gc
from rapidz import RefCounter, Stream
asyncio.run(asyncio.sleep(0))
gc.disable()
source = Stream()
pairs = source.partition(2)
pairs.cycle = pairs
source.emit(1, metadata=[{"ref": RefCounter(cb=print)}])
del source, pairs
print("end")
"""
    assert printed_by(program) == ["end"]


def test_an_element_that_is_emitted_at_the_end_of_a_program_starts_no_loop() -> None:
    program = """
import asyncio, sys
from rapidz import Stream
asyncio.run(asyncio.sleep(0))
class Last:
    def __init__(self):
        self.source, self.cycle = Stream(), self
        self.seen = self.source.buffer(2).sink_to_list()
    def __del__(self, out=sys.stdout, finalizing=sys.is_finalizing):
        try:
            self.source.emit(1)
        except RuntimeError as error:
            out.write(f"{finalizing()} {type(error).__name__}\\n")
            out.flush()
import gc
gc.disable()
Last()
"""
    assert printed_by(program) == ["True NoLoop"]
