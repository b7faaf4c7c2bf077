"""Intermediate representation: what the compiler finds in the graph before it writes functions.

Nodes are referred to weakly, so what was compiled keeps none of them alive.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence, Sized
from typing import Any, Final

from rapidz.kernel.protocol.node import Node
from rapidz.kernel.protocol.push import Pending, Push, Step, discard


class _Missing:
    """Stands for what has not come out of a branch."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()


class FusedRun:
    """Simple nodes in a row, each with the port it is entered by, and what comes next.

    That is a push (*tail*), several runs (*forks*), or nothing.  Some of the
    forks may meet again (*joins*).
    """

    __slots__ = ("counts_arrivals", "forks", "joins", "nodes", "push", "tail")

    def __init__(self) -> None:
        self.nodes: list[tuple[weakref.ref[Node], int]] = []
        self.tail: Push[Any] | None = None
        self.push: Push[Any] | None = None
        """The function that it was compiled to, if it is all that a node sends by."""
        self.forks: list[FusedRun] = []
        self.joins: list[FusedJoin] = []
        self.counts_arrivals = True
        """Whether nodes whose counts were asked for count; else what calls this does."""

    def part(self, start: int, stop: int) -> FusedRun:
        """Return some of the nodes, without what comes next."""
        part = FusedRun()
        part.nodes = self.nodes[start:stop]
        return part


class FusedJoin:
    """A join that closes a diamond, and the branches of the fork that lead to it."""

    __slots__ = ("before", "node", "queues", "rest", "take")

    def __init__(
        self,
        node: Node,
        queues: Sequence[Sized],
        before: dict[int, tuple[Node, FusedRun]],
        rest: FusedRun,
        take: Callable[[Sequence[Any], Sequence[Any]], Pending],
    ) -> None:
        self.node = weakref.ref(node)
        self.queues = queues
        """What must be empty for the tuple to be built at once."""
        self.before = {branch: (weakref.ref(up), run) for branch, (up, run) in before.items()}
        """By branch: the input of the join, and the nodes before it."""
        self.rest = rest
        """What comes after the join."""
        self.take = take
        """Puts what came out of the branches, in their order, into the queues."""


class Branch:
    """One edge of a node: the simple nodes it leads through, and what comes next."""

    __slots__ = ("by_trampoline", "depth", "edge", "is_feedback", "run", "step", "then", "up")

    def __init__(self) -> None:
        self.run = FusedRun()
        self.edge: tuple[Node, int] | None = None
        """The node, and its port, whose step ends the run."""
        self.step = Step(discard)
        """The step that ends the run, as it was compiled."""
        self.then: Node | None = None
        """The node that must be linked first, if any."""
        self.depth = 1
        self.up: Node | None = None
        """The node at the other end of that edge."""
        self.is_feedback = False
        """Whether the edge leads back, as it did when it was compiled before."""
        self.by_trampoline = False
        """Whether elements continue through the trampoline at the end of the run."""


def joined(branches: Sequence[Branch]) -> FusedRun:
    """Return all that is downstream of a node as one run."""
    if len(branches) == 1:
        return branches[0].run
    run = FusedRun()
    run.forks = [branch.run for branch in branches]
    return run
