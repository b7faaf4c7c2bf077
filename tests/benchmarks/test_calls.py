"""Call counts: the exact number of calls an element costs; times are not tested."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest
from benchmarks.calls import Calls, by_hand, count, through_emit, through_emit_many
from benchmarks.shapes import CHAIN, DIAMOND, FAN_OUT, SHAPES, Shape, Sink, increment
from benchmarks.sides import new_stream, release

HAND = {
    CHAIN.name: Calls(Fraction(4), Fraction(1)),
    FAN_OUT.name: Calls(Fraction(3), Fraction(3)),
    DIAMOND.name: Calls(Fraction(2), Fraction(1)),
}

EMIT_OVERHEAD = {CHAIN.name: 1, FAN_OUT.name: 1, DIAMOND.name: 1}
"""Python calls that `emit` adds to the user's own: itself."""

BULK_OVERHEAD = {CHAIN.name: 0, FAN_OUT.name: 0, DIAMOND.name: 0}
"""Python calls an element that `emit_many` adds: none."""

shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


def double_twice(n: int) -> int:
    return len([1] * n) * 2


def test_count_sees_python_functions_and_builtins_apart() -> None:
    def work() -> None:
        for n in range(3):
            double_twice(n)

    python, builtin = count(work)
    idle_python, idle_builtin = count(lambda: None)

    assert python - idle_python == 3
    assert builtin - idle_builtin == 3


@shapes
def test_a_loop_by_hand_calls_only_the_users_functions(shape: Shape) -> None:
    assert by_hand(shape) == HAND[shape.name]


@shapes
def test_emit_adds_no_more_calls_than_it_may(shape: Shape) -> None:
    assert through_emit(shape).python - HAND[shape.name].python <= EMIT_OVERHEAD[shape.name]


@shapes
def test_emit_many_adds_no_more_calls_than_it_may(shape: Shape) -> None:
    assert through_emit_many(shape).python - HAND[shape.name].python <= BULK_OVERHEAD[shape.name]


@shapes
def test_every_element_costs_the_same_calls(shape: Shape) -> None:
    for calls in (through_emit(shape), through_emit_many(shape)):
        assert calls.python.denominator == 1
        assert calls.builtin.denominator == 1


def chain_of(nodes: int) -> Shape:
    def build(source: Any, sink: Sink) -> list[Any]:
        node = source
        for _ in range(nodes):
            node = node.map(increment)
        return [node.sink(sink)]

    def loop(data: Iterable[int], sink: Sink) -> None:
        for x in data:
            for _ in range(nodes):
                x = increment(x)
            sink(x)

    return Shape(f"chain of {nodes}", loop, build)


def test_a_longer_linear_chain_adds_no_calls_but_the_users() -> None:
    short, long = (through_emit(chain_of(nodes)).python for nodes in (5, 25))
    assert long - short == 20


@pytest.mark.parametrize(
    ("nodes", "emit", "bulk"),
    [(1_000, 31, 30), pytest.param(10_000, 310, 309, marks=pytest.mark.slow)],
)
def test_a_chain_of_thousands_adds_two_calls_for_each_64_nodes(
    nodes: int, emit: int, bulk: int
) -> None:
    source = new_stream("rapidz")
    sinks = chain_of(nodes).build(source, id)
    source.emit(1)  # compiles the graph
    source.emit_many([1])
    one, two = count(lambda: source.emit(1)), count(lambda: (source.emit(1), source.emit(1)))
    many, more = count(lambda: source.emit_many([1])), count(lambda: source.emit_many([1, 2]))
    release("rapidz", source, sinks)

    assert (two[0] - one[0] - nodes, more[0] - many[0] - nodes) == (emit, bulk)
