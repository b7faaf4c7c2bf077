"""Failure policies in random trees of nodes, against a model of which policy handles what.

What a node raises is a new exception, one object that all share, one that has been through another
pipeline, or comes out of an emit into another pipeline just now.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import Boom, CompiledNode, LegacyNode

from rapidz import Stream
from rapidz.testing import run

Policy = Literal["raise", "skip", "send"]
Raises = Literal["new", "shared", "used", "forwarded"]
Kind = Literal["map", "async", "own", "old", "filter", "accumulate"]

VALUES = 4


@dataclass
class Plan:
    """One node: how it works, when and how it fails, its policy, and what is downstream."""

    kind: Kind
    fails_for: frozenset[int]
    raises: Raises
    policy: Policy | None
    below: list[Plan] = field(default_factory=list)


def plan(below: st.SearchStrategy[list[Plan]]) -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        st.sampled_from(["map", "map", "async", "own", "old", "filter", "accumulate"]),
        st.frozensets(st.integers(0, VALUES - 1), max_size=3),
        st.sampled_from(["new", "shared", "used", "forwarded"]),
        st.sampled_from([None, None, "raise", "skip", "send"]),
        below,
    )


ends = plan(st.just([]))
middles = plan(st.lists(ends, max_size=2))
trees = st.lists(plan(st.lists(middles, max_size=2)), min_size=1, max_size=2)


class Rig:
    """The nodes that were built of a forest, and all that came of them."""

    def __init__(self, how: dict[str, Any]) -> None:
        self.source = Stream[int](**how)
        self.shared, self.used = Boom("shared"), Boom("used")
        self.other = Stream[int]()
        self.other.sink(self._raise_used)
        self.got: dict[int, list[Any]] = {}
        self.sent: dict[int, list[Any]] = {}
        self.nodes: dict[int, Stream[Any]] = {}
        self._numbers = itertools.count()
        with contextlib.suppress(Boom):
            self.other.emit(0)

    def _raise_used(self, x: Any) -> None:
        raise self.used

    def _failing(self, plan: Plan) -> Callable[..., Any]:
        def func(*args: Any) -> Any:
            x = args[-1]
            if x in plan.fails_for:
                if plan.raises == "forwarded":
                    self.other.emit(x)
                raise {"new": Boom(x), "shared": self.shared}.get(plan.raises, self.used)
            return True if plan.kind == "filter" else x

        return func

    def build(self, upstream: Stream[Any], plan: Plan) -> None:
        number, func = next(self._numbers), self._failing(plan)

        async def later(x: Any) -> Any:
            await asyncio.sleep(0)
            return func(x)

        makers: dict[str, Callable[[], Stream[Any]]] = {
            "map": lambda: upstream.map(func),
            "async": lambda: upstream.map(later),
            "own": lambda: CompiledNode(upstream, func),
            "old": lambda: LegacyNode(upstream, func),
            "filter": lambda: upstream.filter(func),
            "accumulate": lambda: upstream.accumulate(func, start=0),
        }
        node = self.nodes[number] = makers[plan.kind]()
        if plan.policy is not None:
            node.on_error(plan.policy)
        if plan.policy == "send":
            self.sent[number] = node.errors.map(lambda f: (f.element, id(f.node))).sink_to_list()
        self.got[number] = node.sink_to_list()
        for each in plan.below:
            self.build(node, each)


class Model:
    """Who handles what, in a few lines."""

    def __init__(self, forest: list[Plan]) -> None:
        self.got: dict[int, list[int]] = {}
        self.sent: dict[int, list[tuple[int, int]]] = {}
        self.skipped: Counter[int] = Counter()
        self.raised = 0
        self._forest = forest
        self._numbers: Iterator[int] = itertools.count()

    def emit(self, x: int) -> int:
        """Return how many failures come back."""
        self.raised, self._numbers = 0, itertools.count()
        for plan in self._forest:
            self._push(plan, x, None, passes=True)
        return self.raised

    def _push(self, plan: Plan, x: int, policy: tuple[Policy, int] | None, *, passes: bool) -> None:
        number = next(self._numbers)
        self.got.setdefault(number, [])
        if plan.policy is not None:
            policy = (plan.policy, number)
        if passes and x in plan.fails_for:
            passes = False
            self._settle(number, x, policy)
        elif passes:
            self.got[number].append(x)
        for each in plan.below:
            self._push(each, x, policy, passes=passes)

    def _settle(self, number: int, x: int, policy: tuple[Policy, int] | None) -> None:
        match policy:
            case None | ("raise", _):
                self.raised += 1
            case ("skip", _):
                self.skipped[number] += 1
            case ("send", owner):
                self.sent.setdefault(owner, []).append((x, number))


def leaves(error: BaseException | None) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [] if error is None else [error]


def without_async(plan: Plan) -> Plan:
    kind: Kind = "map" if plan.kind == "async" else plan.kind
    below = [without_async(each) for each in plan.below]
    return Plan(kind, plan.fails_for, plan.raises, plan.policy, below)


@settings(max_examples=50, deadline=None)
@given(trees, st.lists(st.integers(0, VALUES - 1), max_size=4), st.booleans())
def test_every_failure_is_handled_by_the_policy_of_its_node_and_no_other(
    forest: list[Plan], elements: list[int], asynchronous: bool
) -> None:
    if not asynchronous:
        forest = [without_async(plan) for plan in forest]

    async def go() -> None:
        rig, model = Rig({"asynchronous": True} if asynchronous else {}), Model(forest)
        for plan in forest:
            rig.build(rig.source, plan)
        for x in elements:
            error: BaseException | None = None
            try:
                wait: Any = rig.source.emit(x)
                if wait is not None:
                    await wait
            except (Boom, ExceptionGroup) as failure:
                error = failure
            assert len(leaves(error)) == model.emit(x)
        if asynchronous:
            await rig.source.join()
        if elements:
            assert rig.got == model.got
        numbers = {id(node): number for number, node in rig.nodes.items()}
        assert {
            owner: sorted((x, numbers[node]) for x, node in sent)
            for owner, sent in rig.sent.items()
            if sent
        } == {owner: sorted(sent) for owner, sent in model.sent.items()}
        skipped = {number: node.skipped for number, node in rig.nodes.items()}
        assert {n: count for n, count in skipped.items() if count} == dict(model.skipped)

    run(go())
