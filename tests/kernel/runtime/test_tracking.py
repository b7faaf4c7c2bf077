"""Reference counters: reports of failed elements, and their time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import Boom, printed_by, settle

from rapidz import BackPressureError, RefCounter, Retry, Stream


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


# --- what users see of tracked elements -----------------------------------------------------

joins = ("combine_latest", "zip", "zip_latest")

behind: dict[str, Callable[[Stream[Any], Callable[[Any], Any]], Stream[Any]]] = {
    "map": lambda joined, f: joined.map(f),
    "filter": lambda joined, f: joined.filter(f),
    "accumulate": lambda joined, f: joined.accumulate(lambda _, x: f(x), start=0),
    "partition": lambda joined, f: joined.partition(2, key=lambda x: bool(f(x))),
    "map behind slice": lambda joined, f: joined.slice(0).map(f),
}

policies_downstream: dict[str, Any] = {
    "raise": "raise",
    "skip": "skip",
    "send": "send",
    "retry": Retry(1, wait=0),
    "retry, then skip": Retry(1, wait=0, then="skip"),
    "retry, then send": Retry(1, wait=0, then="send"),
}


def emitted(
    join: str, operator: str, policy: str, inputs: list[tuple[int, bool]], *, tracked: bool
) -> list[str]:
    """What comes out behind *join*, what is sent to the errors, and what is raised."""
    sources = Stream[Any](), Stream[Any]()
    seen: list[str] = []
    calls = 0

    def fail_often(x: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise Boom(x)
        return x

    node = behind[operator](getattr(sources[0], join)(sources[1]), fail_often)
    node.on_error(policies_downstream[policy])
    if "send" in policy:
        node.errors.sink(lambda failure: seen.append(f"failure {failure.element!r}"))
    sink = node.sink(lambda x: seen.append(repr(x)))
    for number, (port, with_metadata) in enumerate(inputs):
        metadata = [{"ref": RefCounter()}] if tracked and with_metadata else None
        try:
            sources[port].emit(number, metadata=metadata)
        except Exception as error:
            seen.append(f"{error!r} {getattr(error, '__notes__', None)}")
    sink.destroy()
    return seen


@pytest.mark.parametrize("policy", policies_downstream)
@pytest.mark.parametrize("operator", behind)
@pytest.mark.parametrize("join", joins)
def test_elements_with_metadata_come_out_of_a_join_as_they_do_without(
    join: str, operator: str, policy: str
) -> None:
    inputs = [(1, True), (0, True)] * 8
    seen = emitted(join, operator, policy, inputs, tracked=True)
    assert seen == emitted(join, operator, policy, inputs, tracked=False)
    assert seen


@given(
    st.sampled_from(joins),
    st.sampled_from(list(behind)),
    st.sampled_from(list(policies_downstream)),
    st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_metadata_may_begin_at_any_element(
    join: str, operator: str, policy: str, inputs: list[tuple[int, bool]]
) -> None:
    seen = emitted(join, operator, policy, inputs, tracked=True)
    assert seen == emitted(join, operator, policy, inputs, tracked=False)


def test_a_note_shows_the_element_that_a_join_refused_and_not_its_record() -> None:
    first, second = Stream[int](), Stream[int]()
    node = first.zip(second, maxsize=1).sink(print)
    first.emit(15, metadata=[{"ref": RefCounter()}])
    with pytest.raises(BackPressureError) as caught:
        first.emit(16, metadata=[{"ref": RefCounter()}])
    assert caught.value.__notes__ == ["raised in <zip> for element 16"]
    node.destroy()


@pytest.mark.parametrize("operator", ["partition", "partition_unique"])
def test_a_note_shows_the_element_whose_key_failed_and_not_its_record(operator: str) -> None:
    source = Stream[int]()
    node = getattr(source, operator)(2, key=fail).sink(print)
    with pytest.raises(Boom) as caught:
        source.emit(5, metadata=[{"ref": RefCounter()}])
    assert caught.value.__notes__[0].endswith("for element 5")
    node.destroy()
