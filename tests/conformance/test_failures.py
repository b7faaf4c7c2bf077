"""The matrix: every operator x where it fails x what is to be done x how it runs.

One element is 103, and the function of one node fails on it: the operator's own, one above or one
below. Whatever the policy, nothing may hang, every element is delivered or its failure is seen, and
the state of the operator is as if its own function had never been called with what it failed on.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pytest
from tests.conformance.table import CASES, Case, flat
from tests.support import Boom, booms, bounded, same, send, settle

from rapidz import Failure, Retry, Stream
from rapidz.testing import run
from rapidz.testing.background import virtual_background

Place: TypeAlias = Literal["own", "above", "below"]
Policy: TypeAlias = Literal["default", "raise", "skip", "send", "retry"]
Way: TypeAlias = Literal["sync", "async", "threaded"]

PLACES: tuple[Place, ...] = ("own", "above", "below")
POLICIES: tuple[Policy, ...] = ("default", "raise", "skip", "send", "retry")
WAYS: tuple[Way, ...] = ("sync", "async", "threaded")
BAD = 103


class Trap:
    """A function that fails on whatever carries 103; *heals* after so many failures."""

    def __init__(self, heals: int | None) -> None:
        self.heals = heals
        self.raised: list[Boom] = []

    def __call__(self, x: Any) -> Any:
        if BAD in flat([x]) and (self.heals is None or len(self.raised) < self.heals):
            boom = Boom(x)
            self.raised.append(boom)
            raise boom
        return x


@dataclass
class Cell:
    """One cell of the matrix."""

    case: Case
    place: Place
    policy: Policy
    way: Way

    def __str__(self) -> str:
        return f"{self.case.name}-{self.place}-{self.policy}-{self.way}"


def cells() -> list[Cell]:
    everything = itertools.product(CASES, PLACES, POLICIES, WAYS)
    return [
        Cell(case, place, policy, way)
        for case, place, policy, way in everything
        if not (place == "own" and not case.own) and not (place == "below" and case.ends)
    ]


class Rig:
    """The pipeline of one cell, and all that was seen of it."""

    def __init__(self, cell: Cell, source: Stream[int]) -> None:
        self.cell, self.source = cell, source
        self.trap = Trap(2 if cell.policy == "retry" else None)
        self.delivered: list[Any] = []
        self.raised: list[Boom] = []
        self.sent: list[Failure] = []
        if cell.policy == "retry":
            # A plain call has no virtual time to wait in.
            source.on_error(Retry(times=3, wait=0 if cell.way == "sync" else 1))
        elif cell.policy != "default":
            source.on_error(cell.policy)
        if cell.policy == "send":
            source.errors.sink(self.sent.append)
        self.failing = self._build()

    def _build(self) -> Any:
        case, place, trap = self.cell.case, self.cell.place, self.trap
        top: Any = self.source.map(trap if place == "above" else same)
        node = case.build(top, self._own(), 1.0)
        if not case.ends:
            bottom = node.map(trap if place == "below" else same)
            bottom.sink(self.delivered.append)
            if place == "below":
                return bottom
        return top if place == "above" else node

    def _own(self) -> Callable[[Any], Any]:
        trap = self.trap if self.cell.place == "own" else same
        deliver = self.delivered.append if self.cell.case.ends else same

        def own(x: Any) -> Any:
            trap(x)
            deliver(x)
            return x

        async def awaited(x: Any) -> Any:
            await asyncio.sleep(0.25)
            return own(x)

        return awaited if self.cell.case.awaits and self.cell.way != "sync" else own

    def taken(self, x: int, failure: Exception) -> bool:
        """Note *failure*, which emit(x) raised, and tell whether x was taken all the same.

        A failure of an element emitted earlier was kept: then x was not taken.
        """
        found = booms(failure)
        self.raised += found
        return x in flat(boom.subject for boom in found)

    def check(self) -> None:
        self._check_delivered()
        self._check_failures()

    def _check_delivered(self) -> None:
        cell, feed = self.cell, list(self.cell.case.feed)
        good = [x for x in feed if x != BAD]
        if cell.policy == "retry":
            wanted = cell.case.model(feed)
        elif cell.place == "below":
            wanted = [y for y in cell.case.model(feed) if BAD not in flat([y])]
        else:
            wanted = cell.case.model(good)
        if not cell.case.loose:
            assert self.delivered == wanted
            return
        arrived = flat(self.delivered)
        if cell.place == "below" and cell.policy != "retry":
            arrived += flat(boom.subject for boom in self.trap.raised)
            wanted = feed
        assert sorted(arrived) == sorted(flat(wanted))

    def _check_failures(self) -> None:
        failures = [id(boom) for boom in self.trap.raised]
        policy = self.cell.policy
        assert failures, "the trap was never sprung"
        if policy in ("default", "raise"):
            assert sorted(map(id, self.raised)) == sorted(failures), "each raised once"
        else:
            assert not self.raised
        if policy == "skip":
            assert self.failing.skipped == len(failures), "skipped in silence"
        if policy == "send":
            assert [id(failure.exception) for failure in self.sent] == failures
            assert all(failure.node is self.failing for failure in self.sent)
            assert all(failure.attempts == 1 for failure in self.sent)
            assert all(BAD in flat([failure.element]) for failure in self.sent)
        if policy == "retry":
            assert len(failures) == 2


async def inside_a_loop(cell: Cell) -> Rig:
    rig = Rig(cell, Stream(asynchronous=True))
    for x in cell.case.feed:
        for _ in range(10):
            try:
                await send(rig.source, x)
            except Exception as failure:
                if not rig.taken(x, failure):
                    continue
            break
        else:
            pytest.fail(f"{x} is never taken")
        try:
            await settle(rig.source.join())
        except Exception as failure:
            rig.raised += booms(failure)
        if cell.case.loose:
            await asyncio.sleep(1.5)
    try:
        await settle(rig.source.close())
    except Exception as failure:
        rig.raised += booms(failure)
    await settle(rig.source.close())
    return rig


def from_a_thread(cell: Cell) -> Rig:
    """Emit with plain calls; a loop, where one is needed, runs in the background."""
    virtual = cell.way == "threaded" or cell.case.timed
    with virtual_background() if virtual else nullcontext() as clock:
        rig = Rig(cell, Stream(asynchronous=False) if cell.way == "threaded" else Stream())
        for x in cell.case.feed:
            for _ in range(10):
                try:
                    rig.source.emit(x)
                except Exception as failure:
                    if not rig.taken(x, failure):
                        continue
                break
            else:
                pytest.fail(f"{x} is never taken")
            try:
                rig.source.join()
            except Exception as failure:
                rig.raised += booms(failure)
            if cell.case.loose and clock is not None:
                clock.let_pass(1.5)
        try:
            rig.source.close()
        except Exception as failure:
            rig.raised += booms(failure)
        rig.source.close()
    return rig


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_a_failure_neither_hangs_nor_is_lost(cell: Cell) -> None:
    """Promise 3, rulings 1, 2 and 3, defects D1 to D5 (docs/rulings.md)."""
    if cell.way == "async":
        rig = run(inside_a_loop(cell), limit=100_000)
    else:
        rig = bounded(lambda: from_a_thread(cell))
    rig.check()


def test_the_nearest_upstream_policy_applies_whichever_input_has_it() -> None:
    source = Stream[int]()
    failures = source.errors.sink_to_list()
    doubled = source.map(lambda x: 2 * x)
    skipping = source.filter(lambda x: x > 0).on_error("skip")
    both = doubled.union(skipping).map(lambda x: 1 // (x - 2))
    seen = both.sink_to_list()
    source.emit_many([1, 3])
    assert (seen, failures) == ([-1, 0, 1], [])
    assert both.skipped == 1
