"""Fused diamonds: joins whose inputs all come from one element, in one function.

If the branches of a fork lead through nodes that emit one for one to all inputs
of a join, the generated function keeps what comes out of each branch in a
variable and builds the tuple from these: nothing is queued.  Two things lead
back to the queues of the join: elements that wait there already, for which the
whole fork is run in its general form, and a branch that gives nothing, because
it failed or skipped the element, after which the others' go into their queues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rapidz.kernel.compile.intermediate import Branch, FusedJoin, FusedRun
from rapidz.kernel.compile.legacy import interpreted, overridden_emit
from rapidz.kernel.compile.loss_alignment import emits_one_for_one
from rapidz.kernel.protocol.node import Node
from rapidz.kernel.protocol.push import Pending, Push, Start, step_of, when_all


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


def fused_joins(origin: Node, branches: Sequence[Branch], start: Start) -> list[FusedJoin]:
    """Find the joins all of whose inputs come from *branches* of *origin*."""
    found: dict[Node, dict[int, tuple[Node, int]]] = {}
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
        before = {i: (up, branches[i].run.part(0, at)) for i, (up, at) in inputs.items()}
        rest = _rest(join, [branches[i] for i in inputs])
        if rest is not None:
            ports = [join.upstreams.index(up) for up, _ in before.values()]
            steps = [step_of(join.compile(join._outlet.send, port)).push for port in ports]
            made.append(FusedJoin(join, queues, before, rest, queueing(steps, start)))
    return made


def _join_of(origin: Node, branch: Branch) -> tuple[Node, Node, int] | None:
    """Return the join that *branch* leads to, its input, and its place in the run, if any."""
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
    if branch.edge is not None and branch.edge[0]._is_join and not branch.by_trampoline:
        return branch.edge[0], upstream, len(branch.run.nodes)
    return None


def _fusable(join: Node) -> bool:
    return (
        join._fusible
        and not interpreted(join)
        and not overridden_emit(join)
        and not join._pipeline.tracked
        and join._clock is None
        and not any(up._wraps_edges for up in join.upstreams)
    )


def _rest(join: Node, branches: Sequence[Branch]) -> FusedRun | None:
    """Return what comes after *join*; None if elements reach that by the trampoline."""
    for branch in branches:
        nodes = [ref() for ref, _ in branch.run.nodes]
        if join in nodes and not (branch.by_trampoline and nodes[-1] is join):
            after = branch.run.part(nodes.index(join) + 1, len(nodes))
            if after.nodes or branch is branches[-1]:
                after.tail = branch.run.tail
                return after
        elif join in nodes:
            return None
    after = branches[0].run.part(0, 0)
    after.tail = join._outlet.send
    return after
