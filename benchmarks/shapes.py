"""Pipelines that are timed and counted, each with the same work written by hand.

The functions are plain Python functions, as a user's are; both ways call the same ones. The sink is
handed in, mostly a list's ``append``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Sink = Callable[[Any], object]


def increment(x: int) -> int:
    return x + 1


def wanted(x: int) -> bool:
    return x % 3 != 0


def double(x: int) -> int:
    return x * 2


def negate(x: int) -> int:
    return -x


def add(total: int, x: int) -> int:
    return total + x


@dataclass(frozen=True)
class Shape:
    """A pipeline: ``by_hand(data, sink)`` runs the loop, ``build(source, sink)`` adds the nodes.

    ``build`` returns the sink nodes; it takes a source of any library with streamz's interface.
    """

    name: str
    by_hand: Callable[[Iterable[int], Sink], None]
    build: Callable[[Any, Sink], list[Any]]


def chain_by_hand(data: Iterable[int], sink: Sink) -> None:
    total = 0
    for x in data:
        x = increment(x)
        if wanted(x):
            total = add(total, double(x))
            sink(total)


def build_chain(source: Any, sink: Sink) -> list[Any]:
    kept = source.map(increment).filter(wanted)
    return [kept.map(double).accumulate(add, start=0).sink(sink)]


def fan_out_by_hand(data: Iterable[int], sink: Sink) -> None:
    for x in data:
        sink(increment(x))
        sink(double(x))
        sink(negate(x))


def build_fan_out(source: Any, sink: Sink) -> list[Any]:
    return [source.map(function).sink(sink) for function in (increment, double, negate)]


def diamond_by_hand(data: Iterable[int], sink: Sink) -> None:
    for x in data:
        sink((increment(x), double(x)))


def build_diamond(source: Any, sink: Sink) -> list[Any]:
    return [source.map(increment).zip(source.map(double)).sink(sink)]


CHAIN = Shape("chain", chain_by_hand, build_chain)
FAN_OUT = Shape("fan-out", fan_out_by_hand, build_fan_out)
DIAMOND = Shape("diamond", diamond_by_hand, build_diamond)
SHAPES = (CHAIN, FAN_OUT, DIAMOND)
