"""Fused diamonds: joins whose inputs all come from one element, in one function.

If the branches of a fork lead through nodes that emit one for one to all inputs
of a join, the generated function keeps what comes out of each branch in a
variable and builds the tuple from these: nothing is queued.  Two things lead
back to the queues of the join: elements that wait there already, for which the
whole fork is run in its general form, and a branch that gives nothing, because
it failed or skipped the element, after which the others' go into their queues.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence, Sized
from typing import TYPE_CHECKING, Any, Final

from rapidz.kernel.compile.alignment import emits_one_for_one
from rapidz.kernel.compile.legacy import interpreted, overridden_emit
from rapidz.kernel.protocol.push import Pending, Push, Start, step_of, when_all

if TYPE_CHECKING:
    from rapidz.kernel.compile.compiler import Branch
    from rapidz.kernel.compile.fusion import FusedRun
    from rapidz.kernel.graph.stream import Stream


class _Missing:
    """Stands for what has not come out of a branch."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()


class FusedJoin:
    """A join that closes a diamond, and the branches of the fork that lead to it."""

    __slots__ = ("before", "node", "queues", "rest", "take")

    def __init__(
        self,
        node: Stream[Any],
        queues: Sequence[Sized],
        before: dict[int, tuple[Stream[Any], FusedRun]],
        rest: FusedRun,
        start: Start,
    ) -> None:
        self.node = weakref.ref(node)
        self.queues = queues
        """What must be empty for the tuple to be built at once."""
        self.before = {branch: (weakref.ref(up), run) for branch, (up, run) in before.items()}
        """By branch: the input of the join, and the nodes before it."""
        self.rest = rest
        """What comes after the join."""
        ports = [node.upstreams.index(up) for up, _ in before.values()]
        steps = [step_of(node.compile(node._outlet.send, port)).push for port in ports]
        self.take = queueing(steps, start)
        """Takes what came out of the branches, in their order, into the queues."""


def queueing(
    steps: Sequence[Push[Any]], start: Start
) -> Callable[[Sequence[Any], Sequence[Any]], Pending]:
    """Make the function that gives an incomplete row to the *steps* of a join."""

    def take(absent: Sequence[Any], row: Sequence[Any]) -> Pending:
        waits = [
            wait
            for step, nothing, x in zip(steps, absent, row, strict=True)
            if x is not nothing and (wait := step(x)) is not None
        ]
        if len(waits) <= 1:
            return waits[0] if waits else None
        return start(when_all(waits, []))

    return take


def joints(origin: Stream[Any], branches: Sequence[Branch], start: Start) -> list[FusedJoin]:
    """Find the joins all of whose inputs come from *branches* of *origin*."""
    found: dict[Stream[Any], dict[int, tuple[Stream[Any], int]]] = {}
    for index, branch in enumerate(branches):
        if (reached := _join_of(origin, branch)) is not None:
            join, upstream, at = reached
            found.setdefault(join, {})[index] = upstream, at
    made = []
    for join, inputs in found.items():
        queues = join._join_queues()
        complete = {up for up, _ in inputs.values()} == set(join.upstreams)
        if queues is None or not complete or not _fusable(join):
            continue
        before = {i: (up, _cut(branches[i].run, 0, at)) for i, (up, at) in inputs.items()}
        rest = _rest(join, [branches[i] for i in inputs])
        if rest is not None:
            made.append(FusedJoin(join, queues, before, rest, start))
    return made


def _join_of(origin: Stream[Any], branch: Branch) -> tuple[Stream[Any], Stream[Any], int] | None:
    """The join that *branch* leads to, the input by which, and its place in the run."""
    upstream = origin
    for at, (ref, _) in enumerate(branch.run.nodes):
        node = ref()
        if node is None:
            return None
        if node._is_join:
            return node, upstream, at
        if not emits_one_for_one(node):
            return None
        upstream = node
    if branch.edge is not None and branch.edge[0]._is_join and not branch.hops:
        return branch.edge[0], upstream, len(branch.run.nodes)
    return None


def _fusable(join: Stream[Any]) -> bool:
    return (
        join._fusible
        and not interpreted(join)
        and not overridden_emit(join)
        and not join._pipeline.tracked
        and not any(up._wraps_edges for up in join.upstreams)
    )


def _rest(join: Stream[Any], branches: Sequence[Branch]) -> FusedRun | None:
    """What comes after *join*; None if an element goes there by way of the trampoline."""
    for branch in branches:
        nodes = [ref() for ref, _ in branch.run.nodes]
        if join in nodes and not (branch.hops and nodes[-1] is join):
            after = _cut(branch.run, nodes.index(join) + 1, len(nodes))
            if after.nodes or branch is branches[-1]:
                after.tail = branch.run.tail
                return after
        elif join in nodes:
            return None
    after = _cut(branches[0].run, 0, 0)
    after.tail = join._outlet.send
    return after


def _cut(run: FusedRun, start: int, stop: int) -> FusedRun:
    """Some of the nodes of *run*, without what comes then."""
    part = type(run)()
    part.nodes = run.nodes[start:stop]
    return part
