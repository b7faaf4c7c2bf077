"""Alignment of joins: an element that fails in one branch is dropped with its partners.

The inputs of a join are *aligned* if they come from one node, their *origin*,
through nodes that emit one for one (`Stream._emits_one_for_one`): the n-th
outcome of each then belongs to the n-th element of the origin.  An outcome is
an element, or the loss of one.

A node whose function failed for good reports the *loss* (`report_loss`).  Like a
signal it travels along the edges, in order with the elements and through every
queue, but only along those that lead to an aligned join.  The map of these
edges is made when the first element fails after an edit of the graph: without
failures alignment costs nothing but one look into an empty list in the join.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rapidz.kernel.compile.legacy import interpreted, overridden_emit
from rapidz.kernel.protocol.push import Pending, Push

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import PipelineContext
    from rapidz.kernel.protocol.node import Node

Edge: TypeAlias = "tuple[Node, int]"


class _Lost:
    """Stands in the queue of a join for an element that was lost in its branch."""

    def __repr__(self) -> str:
        return "LOST"


LOST: Final[Any] = _Lost()


class Alignment:
    """Which inputs of which joins are aligned, and the edges to them; refers to nodes weakly."""

    def __init__(self, joins: Iterable[Node]) -> None:
        self._groups: weakref.WeakKeyDictionary[Node, list[weakref.WeakSet[Node]]]
        self._groups = weakref.WeakKeyDictionary()
        self._ways: weakref.WeakKeyDictionary[Node, dict[tuple[weakref.ref[Node], int], None]]
        self._ways = weakref.WeakKeyDictionary()
        origins: dict[Node, Node] = {}
        for join in joins:
            by_origin: dict[Node, list[Node]] = {}
            for up in dict.fromkeys(join.upstreams):
                by_origin.setdefault(_origin(up, origins), []).append(up)
            aligned = {origin: ups for origin, ups in by_origin.items() if len(ups) > 1}
            self._groups[join] = [weakref.WeakSet(ups) for ups in aligned.values()]
            for origin, ups in aligned.items():
                self._trace(join, ups, origin)

    def groups(self, join: Node) -> list[list[Any]]:
        """Return the groups of aligned inputs of *join*, each in the order of its ports."""
        return [
            [up for up in dict.fromkeys(join.upstreams) if up in group]
            for group in self._groups.get(join, ())
        ]

    def group(self, join: Node, upstream: Node) -> list[Any]:
        """Return the inputs of *join* that are aligned with *upstream*, itself included."""
        return next((group for group in self.groups(join) if upstream in group), [])

    def edges_from(self, node: Node) -> list[Edge]:
        """Return the edges along which the loss of an element at *node* travels."""
        found = ((ref(), port) for ref, port in self._ways.get(node, ()))
        return [(down, port) for down, port in found if down is not None]

    def _trace(self, join: Node, inputs: Iterable[Node], origin: Node) -> None:
        """Note the edges between *origin* and *join*; what *origin* loses is lost for all alike."""
        stack = [(up, (weakref.ref(join), join.upstreams.index(up))) for up in inputs]
        while stack:
            node, edge = stack.pop()
            known = self._ways.setdefault(node, {})
            if node is origin or edge in known:
                continue
            known[edge] = None
            here = weakref.ref(node)
            stack.extend((up, (here, node.upstreams.index(up))) for up in node._aligned_with())


def alignment_of(pipeline: PipelineContext) -> Alignment:
    """Return which inputs of joins are aligned, as the graph is now."""
    known = pipeline.alignment
    if known is None or known[0] != pipeline.edits:
        known = pipeline.alignment = pipeline.edits, Alignment(pipeline.joins)
    alignment: Alignment = known[1]
    return alignment


def _origin(node: Node, origins: dict[Node, Node]) -> Node:
    """Return the furthest node upstream that *node* emits one for one with, perhaps itself."""
    stack, waiting = [node], set[Any]()
    while stack:
        at = stack[-1]
        if at in origins:
            stack.pop()
            continue
        followed = at._aligned_with() if emits_one_for_one(at) else []
        missing = [up for up in followed if up not in origins]
        if missing and at not in waiting:
            waiting.add(at)
            stack.extend(missing)
            continue
        found = {origins.get(up) for up in followed}  # None: a cycle without an entrance
        origin = found.pop() if len(found) == 1 else None
        origins[at] = at if origin is None else origin
    return origins[node]


def emits_one_for_one(node: Node) -> bool:
    """Return whether *node* emits one element for each that comes, unless it fails or skips.

    The class that says so must not be older than the class that does the work.
    """
    if interpreted(node) or overridden_emit(node):
        return False
    for cls in type(node).__mro__:
        names = vars(cls)
        if "_emits_one_for_one" in names:
            return bool(names["_emits_one_for_one"])
        if "compile" in names or "inline" in names:
            return False
    return False


def report_loss(node: Node, skipped: bool = False) -> None:
    """Report to the aligned joins downstream that *node* has lost an element.

    *skipped*: its function returned `SKIP`, a loss for joins that say so (`_drops_skipped`).
    """
    pipeline = node._pipeline
    if not pipeline.joins:
        return
    alignment = alignment_of(pipeline)
    stack = alignment.edges_from(node)
    while stack:
        down, port = stack.pop()
        if down._is_busy():
            down._run_in_order(functools.partial(_carry_loss, down, port, skipped))
        elif not down._is_join:
            stack.extend(alignment.edges_from(down))
        elif down._drops_skipped or not skipped:
            down._on_partner_lost(port)


def _carry_loss(node: Node, port: int, skipped: bool) -> Pending:
    """Carry a loss on through *node*: what came before it is through."""
    if not node._is_join:
        report_loss(node, skipped)
    elif node._drops_skipped or not skipped:
        node._on_partner_lost(port)
    return None


class LossTally:
    """The outcomes of one aligned input, counted, and those whose partner was lost."""

    def __init__(self) -> None:
        self.count = 0
        self._due: set[int] = set()
        """What has yet to come here and is to be dropped then, by number."""
        self._peers: weakref.WeakSet[LossTally] = weakref.WeakSet()
        self.came_before: Callable[[int], None] | None = None
        """Called with the number of an element that came before its partner was lost."""

    def loses(self) -> None:
        """Count a loss, and have the partners dropped."""
        self.count += 1
        self._due.discard(self.count)
        for peer in self._peers:
            if peer.count < self.count:
                peer._due.add(self.count)
            elif peer.came_before is not None:
                peer.came_before(self.count)

    def withdraws(self, number: int) -> None:
        """Have the partners of an element dropped that had come here already."""
        for peer in self._peers:
            if peer.count < number:
                peer._due.add(number)

    def dropping(self, step: Push[Any]) -> Push[Any]:
        """Count what *step* gets, and keep elements from it whose partner was lost."""
        due = self._due

        def counted(x: Any) -> Pending:
            self.count += 1
            if due and self.count in due:
                due.discard(self.count)
                return None
            return step(x)

        return counted

    @staticmethod
    def align(tallies: list[LossTally]) -> None:
        """Count *tallies* together from now on."""
        for tally in tallies:
            peers = {other for other in tallies if other is not tally}
            if peers == set(tally._peers):
                continue
            tally._peers = weakref.WeakSet(peers)
            tally.count = max(other.count for other in tallies)
            tally._due.clear()
