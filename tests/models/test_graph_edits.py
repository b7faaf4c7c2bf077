"""A graph that is edited at random while elements flow behaves as a simple interpreter does.

The model is a dict of nodes and a push that calls itself: no compiled step, no cache, nothing to
forget. Every delivery is noted with its sink in one list, so the order of branches is compared too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

import rapidz
from rapidz import Stream

Trace = list[tuple[int, Any]]

MOST_NODES = 25


@dataclass(eq=False)
class Model:
    """A node: what it is, where its elements come from, where they go, and its state."""

    kind: str
    number: int
    constant: int = 0
    up: list[Model] = field(default_factory=list)
    down: list[Model] = field(default_factory=list)
    total: int | None = None
    queues: dict[int, deque[Any]] = field(default_factory=dict)

    def arrive(self, x: Any, sender: Model | None, trace: Trace) -> None:
        if self.kind == "map":
            self.push((self.constant, x), trace)
        elif self.kind == "filter":
            if size(x) % 3 != self.constant:
                self.push(x, trace)
        elif self.kind == "accumulate":
            self.total = (self.total or 0) + size(x)
            self.push(self.total, trace)
        elif self.kind == "zip":
            assert sender is not None
            self.queues[id(sender)].append(x)
            self.pair(trace)
        elif self.kind == "sink":
            trace.append((self.number, x))
        else:
            self.push(x, trace)

    def push(self, x: Any, trace: Trace) -> None:
        for node in list(self.down):
            node.arrive(x, self, trace)

    def pair(self, trace: Trace) -> None:
        while self.up and all(self.queues[id(node)] for node in self.up):
            self.push(tuple(self.queues[id(node)].popleft() for node in self.up), trace)

    def attach(self, upstream: Model) -> None:
        self.up.append(upstream)
        upstream.down.append(self)
        self.queues[id(upstream)] = deque()

    def detach(self, upstream: Model, trace: Trace) -> None:
        if upstream not in self.up:
            return
        self.up.remove(upstream)
        upstream.down.remove(self)
        del self.queues[id(upstream)]
        if self.kind == "zip":
            self.pair(trace)

    def reaches(self, other: Model) -> bool:
        return self is other or any(node.reaches(other) for node in self.down)


def size(x: Any) -> int:
    """A number for whatever flows: numbers, and tuples of what flows."""
    return x if isinstance(x, int) else sum(map(size, x))


Pair = tuple[Stream[Any], Model]


def room(machine: Any) -> bool:
    # Every union may double what flows: a dozen of them in a row is enough.
    return bool(machine.count < MOST_NODES)


class GraphEdits(RuleBasedStateMachine):
    """The same edits and elements, to the library and to the model."""

    nodes = Bundle("nodes")
    """All that an edge may come from."""
    inner = Bundle("inner")
    """All that an edge may lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.real: Trace = []
        self.model: Trace = []
        self.count = 0
        self.roots: list[Stream[Any]] = []

    def _number(self) -> int:
        self.count += 1
        return self.count

    @precondition(room)
    @rule(target=nodes)
    def source(self) -> Pair:
        real: Stream[Any] = Stream()
        self.roots.append(real)
        return real, Model("source", self._number())

    @precondition(room)
    @rule(target=nodes, pair=nodes)
    def passing(self, pair: Pair) -> Any:
        """A bare Stream passes everything on; here as a union of one."""
        real: Any = pair[0].union()
        return self._added("union", real, [pair[1]], 0)

    @precondition(room)
    @rule(targets=(nodes, inner), pair=nodes, constant=st.integers(0, 3))
    def map(self, pair: Pair, constant: int) -> Any:
        real: Any = pair[0].map(lambda x: (constant, x))
        return self._added("map", real, [pair[1]], constant)

    @precondition(room)
    @rule(targets=(nodes, inner), pair=nodes, constant=st.integers(0, 2))
    def filter(self, pair: Pair, constant: int) -> Any:
        real: Any = pair[0].filter(lambda x: size(x) % 3 != constant)
        return self._added("filter", real, [pair[1]], constant)

    @precondition(room)
    @rule(targets=(nodes, inner), pair=nodes)
    def accumulate(self, pair: Pair) -> Any:
        real: Any = pair[0].accumulate(lambda total, x: total + size(x), start=0)
        return self._added("accumulate", real, [pair[1]], 0)

    @precondition(room)
    @rule(targets=(nodes, inner), first=nodes, second=nodes)
    def union(self, first: Pair, second: Pair) -> Any:
        if first[1] is second[1]:
            return multiple()
        real: Any = rapidz.union(first[0], second[0])
        return self._added("union", real, [first[1], second[1]], 0)

    @precondition(room)
    @rule(targets=(nodes, inner), first=nodes, second=nodes)
    def zip(self, first: Pair, second: Pair) -> Any:
        if first[1] is second[1]:
            return multiple()
        real: Any = rapidz.zip(first[0], second[0], maxsize=1_000_000)
        return self._added("zip", real, [first[1], second[1]], 0)

    @precondition(room)
    @rule(target=inner, pair=nodes)
    def sink(self, pair: Pair) -> Any:
        number = self._number()
        real: Any = pair[0].sink(lambda x: self.real.append((number, x)))
        model = Model("sink", number)
        model.attach(pair[1])
        return real, model

    def _added(self, kind: str, real: Stream[Any], upstreams: list[Model], constant: int) -> Pair:
        model = Model(kind, self._number(), constant)
        for upstream in upstreams:
            model.attach(upstream)
        return real, model

    @rule(upper=nodes, lower=inner)
    def connect(self, upper: Pair, lower: Pair) -> None:
        if lower[1].reaches(upper[1]) or upper[1] in lower[1].up:
            return
        upper[0].connect(lower[0])
        lower[1].attach(upper[1])

    @rule(upper=nodes, lower=inner)
    def disconnect(self, upper: Pair, lower: Pair) -> None:
        """Of strangers too: then it is a no-op (ruling 8)."""
        upper[0].disconnect(lower[0])
        lower[1].detach(upper[1], self.model)

    @rule(lower=inner, choice=st.integers(0, 3))
    def disconnect_an_edge(self, lower: Pair, choice: int) -> None:
        if lower[1].up:
            upstream = lower[1].up[choice % len(lower[1].up)]
            real = [u for u in lower[0].upstreams if u is not None][choice % len(lower[1].up)]
            real.disconnect(lower[0])
            lower[1].detach(upstream, self.model)

    @rule(pair=consumes(inner))
    def destroy(self, pair: Pair) -> None:
        pair[0].destroy()
        pair[0].destroy()
        for upstream in list(pair[1].up):
            pair[1].up.remove(upstream)
            upstream.down.remove(pair[1])
            del pair[1].queues[id(upstream)]

    @rule(pair=inner)
    def move_to_first(self, pair: Pair) -> None:
        rapidz.move_to_first(pair[0])
        for upstream in pair[1].up:
            upstream.down.remove(pair[1])
            upstream.down.insert(0, pair[1])

    @rule(pair=nodes, xs=st.lists(st.integers(0, 9), min_size=1, max_size=4))
    def emit(self, pair: Pair, xs: list[int]) -> None:
        """From outside, anywhere: what an inner node emits goes downstream."""
        for x in xs:
            assert pair[0].emit(x) is None
            pair[1].push(x, self.model)

    @rule(pair=nodes, xs=st.lists(st.integers(0, 9), max_size=6))
    def emit_many(self, pair: Pair, xs: list[int]) -> None:
        pair[0].emit_many(xs)
        for x in xs:
            pair[1].push(x, self.model)

    @invariant()
    def same_deliveries(self) -> None:
        assert self.real == self.model

    def teardown(self) -> None:
        for root in self.roots:
            root.close()


class ManyGraphEdits(GraphEdits):
    """The same for as long as somebody has patience."""


GraphEdits.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
ManyGraphEdits.TestCase.settings = settings(max_examples=4_000, stateful_step_count=60)

TestGraphEdits: Any = GraphEdits.TestCase
TestManyGraphEdits: Any = pytest.mark.soak(pytest.mark.timeout(1_800)(ManyGraphEdits.TestCase))
