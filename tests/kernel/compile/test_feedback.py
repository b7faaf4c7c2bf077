"""Feedback by `emit`: depth first as far as old pipelines could go, then one by one, never lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import bounded, settle

from rapidz import Stream
from rapidz.testing import run


def by_method(source: Stream[int], stream: Stream[int]) -> None:
    stream.sink(source.emit)


def by_lambda(source: Stream[int], stream: Stream[int]) -> None:
    stream.sink(lambda x: source.emit(x))


def by_another_pipeline(source: Stream[int], stream: Stream[int]) -> None:
    other = Stream[int](asynchronous=source._pipeline.asynchronous)
    stream.sink(other.emit)
    other.sink(source.emit)


def by_emit_many(source: Stream[int], stream: Stream[int]) -> None:
    stream.sink(lambda x: source.emit_many([x]))


Feedback = Callable[[Stream[int], Stream[int]], None]

#: Rounds for each way: many times the recursion limit, in about a second.
ROUNDS: dict[Feedback, int] = {
    by_method: 20_000,
    by_lambda: 20_000,
    by_another_pipeline: 4_000,
    by_emit_many: 4_000,
}

ways = pytest.mark.parametrize(
    "feed_back", [by_method, by_lambda, by_another_pipeline, by_emit_many]
)


def counting(source: Stream[int], feed_back: Feedback, rounds: int) -> list[int]:
    feed_back(source, source.filter(lambda x: x < rounds).map(lambda x: x + 1))
    return source.sink_to_list()


@ways
def test_feedback_by_emit_goes_any_number_of_rounds(feed_back: Feedback) -> None:
    source = Stream[int]()
    seen = counting(source, feed_back, ROUNDS[feed_back])
    source.emit(0)
    assert sorted(seen) == list(range(ROUNDS[feed_back] + 1))


@ways
def test_feedback_by_emit_goes_any_number_of_rounds_in_a_loop(feed_back: Feedback) -> None:
    async def go() -> list[int]:
        source = Stream[int](asynchronous=True)
        seen = counting(source, feed_back, ROUNDS[feed_back])
        await settle(source.emit(0))
        await settle(source.join())
        return seen

    assert sorted(run(go())) == list(range(ROUNDS[feed_back] + 1))


@ways
def test_feedback_by_emit_goes_any_number_of_rounds_in_the_background(feed_back: Feedback) -> None:
    def go() -> list[int]:
        source = Stream[int](asynchronous=False)
        seen = counting(source, feed_back, ROUNDS[feed_back])
        source.emit(0)
        source.join()
        return seen

    assert sorted(bounded(go, 60)) == list(range(ROUNDS[feed_back] + 1))


@ways
@pytest.mark.parametrize("rounds", [1, 3, 40])
def test_few_rounds_of_feedback_by_emit_are_depth_first(feed_back: Feedback, rounds: int) -> None:
    source = Stream[int]()
    seen = counting(source, feed_back, rounds)
    source.emit(0)
    assert seen == list(range(rounds, -1, -1))


def test_beyond_the_depth_elements_fed_back_are_taken_up_in_order() -> None:
    source, seen = Stream[int](), list[int]()

    def twice(x: int) -> None:
        seen.append(x)
        if x < 200:
            source.emit(x + 1)
        if x == 66:
            source.emit(1000)

    source.sink(twice)
    source.emit(0)
    assert seen == [*range(68), 1000, *range(68, 201)]


def test_a_deep_stack_of_the_user_is_no_recursion_error() -> None:
    source = Stream[int]()
    seen = counting(source, by_lambda, 2000)

    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        else:
            source.emit(0)

    deep(sys.getrecursionlimit() - 250)
    assert sorted(seen) == list(range(2001))


def test_feedback_through_a_legacy_node_goes_any_number_of_rounds() -> None:
    class Old(Stream[Any]):
        def update(self, x: int, who: Any = None) -> Any:
            return self._emit(x)

    source = Stream[int]()
    seen = counting(source, lambda s, stream: by_method(s, Old(Old(stream))), 2000)
    source.emit(0)
    assert sorted(seen) == list(range(2001))


def test_a_failure_in_a_late_round_reaches_the_emitter_once() -> None:
    source, seen = Stream[int](), list[int]()

    def step(x: int) -> None:
        if x == 150:
            raise ValueError(x)
        seen.append(x)
        source.emit(x + 1)

    source.sink(step)
    with pytest.raises(ValueError, match="150"):
        source.emit(0)
    assert seen == list(range(150))
    source.join()


class Interruption(BaseException):
    pass


def interrupted_at(bad: int, seen: list[int]) -> Callable[[int], int]:
    def check(x: int) -> int:
        if x == bad and x not in seen:
            seen.append(x)
            raise Interruption
        seen.append(x)
        return x

    return check


def queueing(source: Stream[int], seen: list[int], bad: int) -> None:
    """0 comes back as 1, and that as 2 to 9, which wait for each other."""
    again = {0: [1], 1: list(range(2, 10))}
    fed_back = source.map(interrupted_at(bad, seen)).map(lambda x: again.get(x, [])).flatten()
    fed_back.connect(source)


@pytest.mark.parametrize("call", ["emit", "emit_many", "flush", "join", "close"])
@pytest.mark.parametrize("bad", [2, 5, 9])
def test_an_interruption_loses_no_element_that_an_edge_has_fed_back(bad: int, call: str) -> None:
    source, seen = Stream[int](), list[int]()
    queueing(source, seen, bad)
    with pytest.raises(Interruption):
        source.emit(0)
    arguments = {"emit": (100,), "emit_many": ([100],)}.get(call, ())
    getattr(source, call)(*arguments)
    assert seen == [*range(10), *([100] if arguments else [])]
    if call != "close":
        source.emit(200)
        assert seen[-1] == 200


def test_an_interruption_loses_no_element_fed_back_in_a_loop() -> None:
    async def go() -> list[int]:
        source, seen = Stream[int](asynchronous=True), list[int]()
        queueing(source, seen, 5)
        with pytest.raises(Interruption):
            await settle(source.emit(0))
        await settle(source.join())
        return seen

    assert run(go()) == list(range(10))


def test_an_interruption_loses_no_element_that_was_emitted_from_within() -> None:
    source, seen = Stream[int](), list[int]()

    def step(x: int) -> None:
        seen.append(x)
        if x < 70:
            source.emit(x + 1)
        if x == 70:  # so deep that all of these wait
            for y in range(100, 110):
                source.emit(y)
        if x == 103 and seen.count(103) == 1:
            raise Interruption

    source.sink(step)
    with pytest.raises(Interruption):
        source.emit(0)
    source.join()
    assert sorted(seen) == [*range(71), *range(100, 110)]
    source.emit(200)
    assert seen[-1] == 200
