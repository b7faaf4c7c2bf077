"""accumulate (scan): a running state, emitted after every element."""

from __future__ import annotations

import asyncio
from itertools import accumulate as itertools_accumulate
from typing import Any

import pytest
from hypothesis import given
from tests.support import (
    AsyncForm,
    Boom,
    Way,
    add,
    async_forms,
    bounded,
    emitted,
    noted,
    numbers,
    refused,
    send,
    settle,
    ways,
)

from rapidz import SKIP, Stream
from rapidz.testing import record, run


@given(numbers, ways)
def test_accumulate_is_itertools_accumulate(xs: list[int], way: Way) -> None:
    assert emitted(lambda s: s.accumulate(add), xs, way) == list(itertools_accumulate(xs))


@given(numbers, ways)
def test_accumulate_with_a_start_emits_no_start(xs: list[int], way: Way) -> None:
    wanted = list(itertools_accumulate(xs, initial=100))[1:]
    assert emitted(lambda s: s.accumulate(add, start=100), xs, way) == wanted


@given(numbers, ways)
def test_accumulate_emits_the_result_beside_the_state(xs: list[int], way: Way) -> None:
    """With returns_state the function gives (state, result); with_state emits the pair."""

    def step(total: int, x: int) -> tuple[int, str]:
        return total + x, f"+{x}"

    totals = list(itertools_accumulate(xs, initial=0))[1:]
    results = [f"+{x}" for x in xs]
    got = emitted(lambda s: s.accumulate(step, start=0, returns_state=True), xs, way)
    assert got == results
    both = emitted(
        lambda s: s.accumulate(step, start=0, returns_state=True, with_state=True), xs, way
    )
    assert both == list(zip(totals, results, strict=True))


def test_accumulate_with_state_emits_the_state_twice_without_a_result() -> None:
    got = emitted(lambda s: s.accumulate(add, with_state=True), [2, 3])
    assert got == [(2, 2), (5, 5)]


def test_accumulate_takes_none_and_false_for_a_start() -> None:
    def count(state: Any, x: int) -> tuple[Any, int]:
        return (state, x)

    nothing: Any = None
    false: Any = False
    assert emitted(lambda s: s.accumulate(count, start=nothing), [1]) == [(None, 1)]
    assert emitted(lambda s: s.accumulate(count, start=false), [1]) == [(False, 1)]


def test_accumulate_hands_keyword_arguments_to_the_function() -> None:
    def scaled(total: int, x: int, factor: int = 1) -> int:
        return total + factor * x

    assert emitted(lambda s: s.accumulate(scaled, start=0, factor=10), [1, 2]) == [10, 30]


def test_scan_is_accumulate() -> None:
    assert emitted(lambda s: s.scan(add), [1, 2, 3]) == [1, 3, 6]


def test_accumulate_may_skip_and_keeps_its_state() -> None:
    """Ruling 15; defect D49 (docs/rulings.md): "one or zero"."""

    def only_rising(top: int, x: int) -> Any:
        return x if x > top else SKIP

    assert emitted(lambda s: s.accumulate(only_rising), [1, 3, 2, 5, 4]) == [1, 3, 5]


def test_accumulate_commits_the_state_beside_a_skipped_result() -> None:
    """The contract: (state, SKIP) commits the state and emits nothing."""

    def every_second(count: int, x: int) -> tuple[int, Any]:
        return count + 1, x if count % 2 else SKIP

    got = emitted(lambda s: s.accumulate(every_second, start=0, returns_state=True), range(6))
    assert got == [1, 3, 5]


@pytest.mark.parametrize("form", async_forms)
def test_accumulate_awaits_an_async_function_in_order(form: AsyncForm) -> None:
    """Ruling 7 (docs/rulings.md)."""
    wanted = [0, 1, 3, 6, 10]
    assert emitted(lambda s: s.accumulate(form(add)), range(5), "await") == wanted
    assert bounded(lambda: emitted(lambda s: s.accumulate(form(add)), range(5))) == wanted


def test_accumulate_never_runs_an_async_function_twice_at_once() -> None:
    """Unawaited emits are still folded one after the other."""

    async def slow(total: int, x: int) -> int:
        await asyncio.sleep(1)
        return total + x

    async def go() -> list[tuple[float, int]]:
        async with Stream[int](asynchronous=True) as source:
            seen = record(source.accumulate(slow, start=0))
            for x in range(1, 5):
                source.emit(x)
            await settle(source.join())
        return seen

    assert run(go()) == [(1.0, 1), (2.0, 3), (3.0, 6), (4.0, 10)]


def test_accumulate_folds_the_elements_of_every_stream_connected_to_it() -> None:
    """Only the reset stream resets: what `connect` adds is one more input."""
    with Stream[int]() as source, Stream[int]() as other:
        node = source.accumulate(add, start=0)
        seen = node.sink_to_list()
        other.connect(node)
        source.emit(1)
        other.emit(10)
        source.emit(100)
    assert seen == [1, 11, 111]


def test_accumulate_restores_its_start_on_an_element_of_the_reset_stream() -> None:
    with Stream[int]() as source, Stream[object]() as reset:
        seen = source.accumulate(add, start=10, reset_stream=reset).sink_to_list()
        source.emit(1)
        source.emit(2)
        reset.emit("anything")
        assert seen == [11, 13], "a reset emits nothing"
        source.emit(5)
    assert seen == [11, 13, 15]


def test_accumulate_without_a_start_begins_anew_after_a_reset() -> None:
    with Stream[int]() as source, Stream[object]() as reset:
        seen = source.accumulate(add, reset_stream=reset).sink_to_list()
        for x in (1, 2):
            source.emit(x)
        reset.emit(None)
        for x in (5, 6):
            source.emit(x)
    assert seen == [1, 3, 5, 11]


def test_accumulate_keeps_the_last_good_state_when_its_function_fails() -> None:
    """Ruling 3 (docs/rulings.md): a node commits its state when its own function returned."""

    def checked(total: int, x: int) -> int:
        if x == 3:
            raise Boom(x)
        return total + x

    with Stream[int]() as source:
        node = source.accumulate(checked, start=0, stream_name="careful")
        seen = node.sink_to_list()
        for x in (1, 2):
            source.emit(x)
        with pytest.raises(Boom) as caught:
            source.emit(3)
        source.emit(4)
    assert noted(caught.value, "accumulate", "careful", "checked", "3")
    assert seen == [1, 3, 7]


def test_accumulate_has_committed_when_downstream_fails() -> None:
    """Defect D18: "stage fails below accumulate"; ruling 3: the own function returned."""
    calls: list[int] = []

    def fails_once(total: int) -> int:
        calls.append(total)
        if len(calls) == 2:
            raise Boom(total)
        return total

    with Stream[int]() as source:
        seen = source.accumulate(add, start=0).map(fails_once).sink_to_list()
        source.emit(1)
        with pytest.raises(Boom):
            source.emit(10)
        source.emit(100)
    assert (seen, calls) == ([1, 111], [1, 11, 111])


def test_accumulate_reads_a_state_that_was_changed_in_place_or_assigned() -> None:
    """Ruling 20; ruling 21 (docs/rulings.md): `state` is cleared in place and reassigned."""

    def append(items: list[int], x: int) -> list[int]:
        items.append(x)
        return items

    with Stream[int]() as source:
        node: Any = source.accumulate(append, start=[])
        seen: list[list[int]] = node.map(list).sink_to_list()
        source.emit(1)
        node.state.clear()
        source.emit(2)
        assert node.state == [2]
        node.state = [9]
        source.emit(3)
        assert node.state == [9, 3]
    assert seen == [[1], [2], [9, 3]]


def test_accumulate_follows_new_configuration() -> None:
    """Ruling 20 (docs/rulings.md): func, kwargs, returns_state, with_state."""

    def scaled(total: int, x: int, factor: int = 1) -> int:
        return total + factor * x

    with Stream[int]() as source:
        node: Any = source.accumulate(scaled, start=0)
        seen: list[Any] = node.sink_to_list()
        source.emit(1)
        node.kwargs["factor"] = 10
        source.emit(1)
        node.func = lambda total, x, factor: total - x
        source.emit(1)
        node.with_state = True
        source.emit(1)
        node.with_state = False
        node.returns_state = True
        node.func = lambda total, x, factor: (total, "result")
        source.emit(1)
    assert seen == [1, 11, 10, (9, 9), "result"]


def test_accumulate_passes_on_back_pressure_of_its_sink() -> None:
    async def slow(_: int) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            source.accumulate(add).sink(slow)
            for x in range(3):
                await send(source, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 3.0


@pytest.mark.parametrize("func", [3, None])
def test_accumulate_refuses_what_cannot_be_called(func: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.accumulate(func), "accumulate", "func", func)


def test_accumulate_refuses_a_reset_stream_that_is_no_stream() -> None:
    refused(
        lambda s: s.accumulate(add, reset_stream="reset"), "accumulate", "reset_stream", "reset"
    )
