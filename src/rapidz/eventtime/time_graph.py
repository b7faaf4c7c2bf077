"""Time graph: which clocks of a pipeline feed which, through all nodes in between.

Only nodes that make time, use it, or could let elements and the watermark pass each
other have a clock; all others are looked through.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rapidz.eventtime.clock import BoundaryClock, EventClock
from rapidz.kernel.compile.compiler import Policies
from rapidz.kernel.compile.legacy import interpreted, overridden_emit
from rapidz.kernel.graph.signals import feedback_edges
from rapidz.kernel.protocol.node import Node, edges
from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.runtime.tasks import detach

if TYPE_CHECKING:
    from rapidz.kernel.runtime.pipeline import Pipeline


class TimeGraph:
    """Clocks of one pipeline; they are connected anew when they are used after an edit."""

    __slots__ = ("_connecting", "_version", "owed")

    def __init__(self) -> None:
        self._version = -1
        self._connecting = False
        self.owed: list[Any] = []
        """What the next element that gets a timestamp waits for besides itself."""

    # --- what there is to wait for ----------------------------------------------------------

    def owe(self, pipeline: Any, wait: Pending) -> None:
        """Let the next element that gets a timestamp wait for *wait* too.

        It results from what the watermark has set off where no caller could await it.
        """
        if wait is not None:
            self.owed = [each for each in self.owed if not each.done()]
            self.owed.append(detach(pipeline, wait))

    def take_owed(self) -> list[Any]:
        """Return what an element is to wait for besides itself."""
        owed, self.owed = self.owed, []
        return owed

    # --- connections ------------------------------------------------------------------------

    def refresh(self, pipeline: Any) -> None:
        """Connect the clocks anew if the graph was edited."""
        if self._version != pipeline.edits and not self._connecting:
            self._connecting = True
            try:
                self._connect(pipeline)
            finally:
                self._connecting = False
            for clock in _clocks(pipeline.nodes):
                clock.ask_again()

    def _connect(self, pipeline: Pipeline) -> None:
        ways = _Ways(pipeline)
        inputs, edited = ways.inputs_of_clocks()
        outputs: dict[EventClock, list[EventClock]] = {clock: [] for clock in inputs}
        for clock, above in inputs.items():
            for each in above:
                outputs.setdefault(each, []).append(clock)
        for clock, above in inputs.items():
            clock.connect(above, outputs[clock])
        if edited:
            pipeline.compiled = True
            pipeline.invalidate_all()
        self._version = pipeline.edits


def _clocks(nodes: Iterable[Any]) -> list[EventClock]:
    return [node._clock for node in list(nodes) if node._clock is not None]


class _Ways:
    """The ways of elements through a pipeline, as watermarks go: without feedback."""

    def __init__(self, pipeline: Pipeline) -> None:
        nodes = sorted(pipeline.nodes, key=lambda node: len(node.upstreams))
        self._policies = Policies()
        self._back = feedback_edges(pipeline, nodes[0]) if nodes else set()
        self._order = self._sorted(nodes)
        self._wanted = self._leading_to_time()

    def _ahead(self, node: Any) -> list[Any]:
        """Return the nodes that the elements of *node* go to, as far as time does."""
        return [
            down
            for down, port in edges(node)
            if port not in down._side_ports and (down, port) not in self._back
        ]

    def _sorted(self, nodes: list[Any]) -> list[Any]:
        """Return all nodes, each after those that feed it."""
        order: list[Any] = []
        seen: set[Any] = set()
        for root in nodes:
            stack = [] if root in seen else [(root, reversed(self._ahead(root)))]
            seen.add(root)
            while stack:
                node, ahead = stack[-1]
                for down in ahead:
                    if down not in seen:
                        seen.add(down)
                        stack.append((down, reversed(self._ahead(down))))
                        break
                else:
                    order.append(node)
                    stack.pop()
        return order[::-1]

    def _leading_to_time(self) -> set[Any]:
        """Return the nodes downstream of which some node uses time."""
        wanted: set[Any] = set()
        for node in reversed(self._order):
            if any(down in wanted or _uses_time(down) for down in self._ahead(node)):
                wanted.add(node)
        return wanted

    def inputs_of_clocks(self) -> tuple[dict[EventClock, list[EventClock]], bool]:
        """Return what feeds each clock; whether some node got a clock or lost it."""
        found: dict[EventClock, list[EventClock]] = {}
        passed: dict[Any, list[EventClock]] = {}
        edited = False
        for node in self._order:
            above = self._above(node, passed)
            clock = node._clock
            if clock is None or clock.is_boundary:
                needed = bool(above) and node in self._wanted and self._may_keep(node)
                if needed != (clock is not None):
                    clock = BoundaryClock(node) if needed else None
                    node._clock = clock
                    edited = True
            if clock is None:
                passed[node] = above
            else:
                found[clock] = above
                passed[node] = [clock]
        return found, edited

    def _above(self, node: Any, passed: dict[Any, list[EventClock]]) -> list[EventClock]:
        above: dict[EventClock, None] = {}
        for port, up in enumerate(node.upstreams):
            if up is not None and port not in node._side_ports and (node, port) not in self._back:
                above.update(dict.fromkeys(passed.get(up, ())))
        return list(above)

    def _may_keep(self, node: Node) -> bool:
        """Return whether elements may be in *node* while the watermark moves."""
        return (
            node._keeps_elements
            or node._waits_for_partners
            or not node._can_inline()
            or interpreted(node)
            or overridden_emit(node)
            or self._policies.of(node) is not None
        )


def _uses_time(node: Any) -> bool:
    clock = node._clock
    return clock is not None and not clock.is_boundary


def time_graph(node: Any) -> TimeGraph:
    """Return the graph of the clocks of the pipeline of *node*, made now if need be."""
    pipeline = node._pipeline
    if pipeline.time is None:
        pipeline.time = TimeGraph()
    graph: TimeGraph = pipeline.time
    return graph


def give_clock(node: Any, clock: EventClock) -> None:
    """Let *node* know of time: it is in the graph by now."""
    graph = time_graph(node)
    node._clock = clock
    graph._version = -1
    node._pipeline.compiled = True
    node._pipeline.invalidate_all()
