"""Edits and reconfiguration of the graph while elements are in flight."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.support import Boom, begin, bounded, in_thread, send, settle, turns

from rapidz import BackPressureError, Stream, StreamClosed
from rapidz.kernel.compile.intermediate import FusedRun

Edit = Callable[[Stream[Any], Stream[Any], Stream[Any]], object]

edits: dict[str, Edit] = {
    "its edge is taken away": lambda a, b, node: a.disconnect(node),
    "the other edge is taken away": lambda a, b, node: b.disconnect(node),
    "the node is destroyed": lambda a, b, node: node.destroy(),
    "it is taken from its inputs": lambda a, b, node: node.destroy([a]),
}


@pytest.mark.parametrize("edit", edits)
async def test_an_element_that_waits_in_a_loop_is_released_when(edit: str) -> None:
    a, b = Stream[int](asynchronous=True), Stream[int](asynchronous=True)
    node = a.zip(b, maxsize=1)
    seen: list[Any] = node.sink_to_list()
    await send(a, 1)
    waiter = begin(a, 2)
    await turns()
    assert not waiter.done()
    edits[edit](a, b, node)
    await asyncio.wait([waiter], timeout=1)
    assert waiter.done(), "still waiting"
    with suppress(BackPressureError, StreamClosed):
        waiter.result()
    assert () not in seen


async def test_an_element_that_waits_in_a_loop_fails_when_both_inputs_end() -> None:
    a, b = Stream[int](asynchronous=True), Stream[int](asynchronous=True)
    seen: list[Any] = a.zip(b, maxsize=1).sink_to_list()
    await send(a, 1)
    waiter = begin(a, 2)
    await turns()
    closing = [asyncio.ensure_future(settle(stream.close())) for stream in (a, b)]
    await asyncio.wait([waiter], timeout=5)
    assert waiter.done(), "still waiting"
    with pytest.raises((BackPressureError, StreamClosed)):
        waiter.result()
    await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), 5)
    assert seen == []


def outcome_of_a_waiting_thread(edit: Edit) -> tuple[list[str], list[Any]]:
    """What an emit that waits returned or raised after *edit*, and what came out."""
    a, b = Stream[int](), Stream[int]()
    node = a.zip(b, maxsize=1)
    seen: list[Any] = node.sink_to_list()
    a.emit(1)
    done = threading.Event()
    outcome: list[str] = []

    def emit() -> None:
        try:
            a.emit(2)
            outcome.append("taken")
        except Exception as error:
            outcome.append(type(error).__name__)

    idle, thread = in_thread(functools.partial(done.wait, 20)), in_thread(emit)
    time.sleep(0.1)
    assert not outcome
    edit(a, b, node)
    thread.join(3)
    in_time = list(outcome)
    done.set()
    thread.join(5)
    idle.join(5)
    return in_time, seen


@pytest.mark.parametrize("edit", edits)
def test_a_thread_that_waits_is_released_when(edit: str) -> None:
    outcome, seen = bounded(lambda: outcome_of_a_waiting_thread(edits[edit]))
    assert outcome in (["taken"], ["BackPressureError"], ["StreamClosed"])
    assert () not in seen


def test_a_thread_that_waits_fails_when_both_inputs_end() -> None:
    def close(a: Stream[Any], b: Stream[Any], _: Stream[Any]) -> None:
        a.close()
        b.close()

    outcome, seen = bounded(lambda: outcome_of_a_waiting_thread(close))
    assert outcome in (["BackPressureError"], ["StreamClosed"])
    assert seen == []


def test_destroying_a_filled_zip_emits_nothing() -> None:
    a, b = Stream[int](), Stream[int]()
    node = a.zip(b)
    seen: list[Any] = node.sink_to_list()
    a.emit(1)
    node.destroy()
    assert seen == []


@pytest.fixture
def _many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_many_switches")
@pytest.mark.parametrize(
    ("asynchronous", "emits"), [pytest.param(None, 300, id="plain"), pytest.param(False, 40)]
)
def test_nodes_are_built_while_threads_emit(asynchronous: bool | None, emits: int) -> None:
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        failures, seen = bounded(lambda: emitting_and_building(asynchronous, emits))
        assert failures == []
        for number in range(3):
            mine = [x for thread, x in seen if thread == number]
            assert mine == list(range(emits))


def emitting_and_building(
    asynchronous: bool | None, emits: int
) -> tuple[list[Exception], list[tuple[int, int]]]:
    source = Stream[tuple[int, int]](asynchronous=asynchronous)
    seen: list[tuple[int, int]] = source.map(tuple).sink_to_list()  # type: ignore[assignment]
    failures: list[Exception] = []
    over = threading.Event()

    def emit(number: int) -> None:
        for x in range(emits):
            try:
                source.emit((number, x))
            except Exception as failure:
                failures.append(failure)

    def build() -> None:
        while not over.is_set():
            try:
                node = source.map(tuple)
                node.filter(None)
                node.sink(id).destroy()
                source.sink(id).destroy()
            except Exception as failure:
                failures.append(failure)

    builders = [in_thread(build) for _ in range(2)]
    emitters = [in_thread(functools.partial(emit, number)) for number in range(3)]
    for thread in emitters:
        thread.join(15)
    over.set()
    for thread in (*emitters, *builders):
        thread.join(5)
        assert not thread.is_alive()
    return failures, seen


async def later(x: int) -> int:
    await asyncio.sleep(0.01)
    return x


def at_once(x: int) -> int:
    return x


async def test_a_function_that_is_made_plain_keeps_the_order() -> None:
    source = Stream[int](asynchronous=True)
    node: Any = source.map(later)
    seen = node.sink_to_list()
    source.emit(1)
    source.emit(2)
    node.func = at_once
    source.emit(3)
    await settle(source.join())
    assert seen == [1, 2, 3]


async def test_a_function_that_is_made_async_and_plain_again_keeps_the_order() -> None:
    source = Stream[int]()
    node: Any = source.map(at_once)
    seen = node.sink_to_list()
    source.emit(1)
    node.func = later
    source.emit(2)
    source.emit(3)
    node.func = at_once
    source.emit(4)
    await settle(source.join())
    assert seen == [1, 2, 3, 4]


async def test_raised_parallelism_applies_from_the_next_element_on() -> None:
    now = peak = 0

    async def work(x: int) -> int:
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        await asyncio.sleep(1)
        now -= 1
        return x

    source = Stream[int](asynchronous=True)
    node: Any = source.map_async(work, parallelism=1)
    seen = node.sink_to_list()
    for x in range(10):
        source.emit(x)
    await asyncio.sleep(2.5)
    assert peak == 1
    node.parallelism = 10
    for x in range(10, 40):
        source.emit(x)
    await settle(source.join())
    assert peak == 10
    assert seen == list(range(40))


@pytest.mark.parametrize(
    ("before", "after", "instants"),
    [(0.5, 0.25, [0.5, 0.75, 1.0]), (0.25, 0.5, [0.25, 0.75, 1.25])],
)
async def test_an_interval_of_delay_applies_to_what_arrives_later(
    before: float, after: float, instants: list[float]
) -> None:
    source = Stream[int](asynchronous=True)
    node: Any = source.delay(before)
    seen: list[float] = []
    node.sink(lambda _: seen.append(asyncio.get_running_loop().time()))
    source.emit(0)
    node.interval = after
    source.emit(1)
    source.emit(2)
    await settle(source.join())
    assert seen == instants


def test_a_window_of_nothing_is_refused_and_the_node_works_on() -> None:
    source = Stream[int]()
    node: Any = source.sliding_window(2)
    seen = node.sink_to_list()
    source.emit(1)
    with pytest.raises(ValueError, match=r"sliding_window: n must be .+, got 0"):
        node.n = 0
    source.emit(2)
    assert node.n == 2
    assert seen == [(1, 2)]


def test_removing_an_input_raises_once_what_the_pair_made_possible_raises() -> None:
    a, b, c = Stream[int](), Stream[int](), Stream[int]()
    node = a.zip(b, c)
    seen: list[Any] = []

    def sink(x: Any) -> None:
        if x == (1, 1):
            raise Boom(x)
        seen.append(x)

    node.sink(sink)
    a.emit(1)
    b.emit(1)
    with pytest.raises(Boom):
        c.disconnect(node)
    c.disconnect(node)
    for x in (2, 3):
        a.emit(x)
        b.emit(x)
    assert seen == [(2, 2), (3, 3)]


def test_a_lossless_input_that_comes_back_keeps_its_meaning() -> None:
    a, b = Stream[Any](), Stream[Any]()
    node = a.zip_latest(b)
    seen: list[Any] = node.sink_to_list()
    a.emit(1)
    b.emit(2)
    a.disconnect(node)
    b.emit("b")
    a.connect(node)
    a.emit(9)
    assert seen == [(1, 2), (9, "b")]
    b.emit("c")
    a.emit(10)
    assert seen[2:] == [(10, "c")]


def test_an_edit_while_a_node_is_being_linked_is_not_lost() -> None:
    seen: list[tuple[str, int]] = []

    class Edited(Stream[Any]):
        """Gets another sink in the midst of being linked, as from another thread."""

        edited = False

        def _wrap_fan_out(self, pushes: Any, start: Any) -> Any:
            if not self.edited:
                self.edited = True
                self.sink(lambda x: seen.append(("late", x)))
            return super()._wrap_fan_out(pushes, start)

    source = Edited()
    source.sink(lambda x: seen.append(("first", x)))
    source.emit(1)
    assert seen == [("first", 1), ("late", 1)]


def test_downstreams_may_change_while_one_iterates_over_them() -> None:
    source = Stream[int]()
    nodes = [source.sink(print) for _ in range(3)]
    kept: list[Any] = []
    for node in source.downstreams:
        kept += [node, source.sink(print)]
        if node is nodes[0]:
            nodes[1].destroy()
            del nodes[1]
    assert kept[::2] == nodes
    assert len(source.downstreams) == 4


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("call", range(1, 5))
def test_a_branch_that_is_added_while_an_entry_is_compiled_gets_elements(
    call: int, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Stream[int]()
    node: Any = source.map(abs)
    seen, late, calls = node.sink_to_list(), list[int](), [0]
    inline = type(node).inline

    def inline_and_edit(self: Any, code: Any, port: int = 0) -> None:
        calls[0] += 1
        if calls[0] == call:
            in_thread(lambda: source.sink(late.append)).join(10)
        inline(self, code, port)

    monkeypatch.setattr(type(node), "inline", inline_and_edit)
    for x in range(4):
        if many:
            source.emit_many([x])
        else:
            source.emit(x)
    assert seen == [0, 1, 2, 3]
    assert late[-3:] == [1, 2, 3] or calls[0] < call


@pytest.mark.parametrize("many", [True, False])
def test_an_element_is_not_lost_while_another_thread_invalidates(many: bool) -> None:
    source = Stream[int]()
    seen = source.map(abs).sink_to_list()
    source._outlet.link()
    source._outlet.run = FusedRun()  # it has come so far
    if many:
        source.emit_many([1])
    else:
        source.emit(1)
    assert seen == [1]


def test_nodes_may_be_built_while_one_iterates_over_a_pipeline() -> None:
    source = Stream[int]()
    nodes = [source, *(source.map(abs) for _ in range(5))]
    found: list[Any] = []
    for node in source._pipeline.nodes:
        found.append(node)
        nodes.append(source.map(abs))
    assert set(found) == set(nodes[:6])
    assert set(source._pipeline.nodes) == set(nodes)
