"""Sub-pipelines: a graph of its own for each key, between two nodes of the pipeline."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Hashable
from typing import Any, ClassVar

from rapidz.eventtime.clock import EventClock
from rapidz.eventtime.keyed.chain_record import ChainRecord, ChainShapes
from rapidz.eventtime.keyed.fused_chain import ChainStep
from rapidz.eventtime.keyed.recorded_stream import (
    SubPipelineHead,
    add_step,
    recorded_head,
    recorded_nodes,
)
from rapidz.eventtime.keyed.state import StateTable
from rapidz.eventtime.time_graph import give_clock
from rapidz.kernel.compile.intermediate import MISSING
from rapidz.kernel.graph import signals
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import Pending, Push, when_all
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.loop import running_loop


class SubPipelineHub(Stream[Any]):
    """Node upstream of all sub-pipelines: it brings them signals and time, but no elements."""

    time_definition: Any


class SubPipelineExit(Stream[Any]):
    """The end of a sub-pipeline: its elements leave by the outlet of the node that has it."""

    _is_end: ClassVar[bool] = True

    def __init__(self, upstream: Stream[Any], outlet: Any) -> None:
        self._target = outlet
        super().__init__(upstream)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        outlet = self._target

        def step(x: Any) -> Pending:
            wait: Pending = outlet.send(x)
            return wait

        return step


class HubClock(EventClock):
    """Clock of the hub: it is that of the node that has the sub-pipelines."""

    __slots__ = ("_parent",)

    def __init__(self, hub: Any, parent: EventClock) -> None:
        super().__init__(hub)
        self._parent = weakref.ref(parent)

    def arrived(self) -> int:
        parent = self._parent()
        return self.reached if parent is None else parent.arrived()

    def ask_inputs(self, t: int) -> None:
        node: Any = self._ref()
        if node is not None and (parent := self._parent()) is not None and parent.arrived() < t:
            parent.shift = node.time_definition.domain.tick
            parent.set_timer(t)


class FollowedRounds(signals.DrainRounds):
    """A signal on its way through sub-pipelines, which says when it has been everywhere."""

    _through: asyncio.Future[None] | None = None

    def send(self) -> Pending:
        """Send the signal; return what is done when it has been everywhere."""
        wait = self.go()
        if not self._is_queued():
            return wait
        pipeline = self.node._pipeline
        self._through = pipeline.running_on.create_future()
        return pipeline.start(when_all([each for each in (self._through, wait) if each], []))

    def go(self) -> Pending:
        wait = super().go()
        wave = self._wave
        if not self._is_queued():
            self._finish()
        elif wave is not None and wave.signal is signals.Signal.END:
            wave.through = self._finish
        return wait

    def _is_queued(self) -> bool:
        return self._wave is not None and self._wave.queued > 0

    def _finish(self) -> None:
        if self._through is not None and not self._through.done():
            self._through.set_result(None)


def send_signal(node: Any, signal: signals.Signal) -> Pending:
    """Send *signal* to *node* and all downstream; what is returned is done when it is through."""
    if signal is signals.Signal.END:
        signals.refuse(node)
    return FollowedRounds(node, signal).send()


class SubPipeline:
    """The graph of one key: where elements enter, what build returned, and where they leave."""

    __slots__ = ("exit", "head", "node")

    def __init__(self, head: Stream[Any], node: Stream[Any], exit: Stream[Any] | None) -> None:
        self.head, self.node, self.exit = head, node, exit

    def end(self) -> Pending:
        """End the stream: what is buffered is emitted, and the graph is released."""
        wait = send_signal(self.head, signals.Signal.END)
        self.head.destroy()
        return wait


class SubPipelineTable(StateTable):
    """Sub-pipelines by key, built when a key is first read.

    Parameters
    ----------
    build : callable
        ``build(stream, key)`` returns the node whose elements leave.
    outlet : Outlet
        Where they go.
    hub : Stream
        Upstream of all.
    steps : list of ChainStep, optional
        What *build* chains for every key, if that is known.
    """

    __slots__ = ("_build", "_hub", "_outlet", "_shapes", "_steps")

    def __init__(
        self,
        build: Callable[..., Any],
        outlet: Any,
        hub: Stream[Any],
        steps: list[ChainStep] | None = None,
    ) -> None:
        super().__init__(MISSING)
        self._steps = steps
        self._build, self._outlet, self._hub = build, outlet, hub
        self._shapes = ChainShapes()

    def first(self, key: Hashable) -> Any:
        """Build the sub-pipeline of *key*."""
        super().first(key)
        made = self._made(key)
        self[key] = made
        return made

    def _made(self, key: Hashable) -> SubPipeline | ChainRecord:
        if self._steps is not None:
            return self._shapes.record(self._steps)
        head: Any = recorded_head(self._hub)
        needed = self._hub._pipeline.needs_loop
        try:
            node: Any = self._build(head, key)
            _check_stream(node)
            nodes = recorded_nodes(node, head)
            if nodes is not None:
                steps = [ChainStep(*each.__dict__["_plan"][1:]) for each in nodes[-2::-1]]
                refs = [weakref.ref(each) for each in nodes]
                node = head = None
                nodes.clear()
                if (head := refs[-1]()) is None:  # nothing can tell the record from nodes
                    return self._shapes.record(steps)
                kept = [each for ref in refs if (each := ref()) is not None]
                node = kept[0]
                for step in steps[len(kept) - 1 :]:
                    node = add_step(node, step)
            self._check_loop(key, node, needed)
            last = None if node._is_end else SubPipelineExit(node, self._outlet)
        except BaseException:
            if isinstance(head, SubPipelineHead):
                head.destroy()
            raise
        return SubPipeline(head, node, last)

    def _check_loop(self, key: Hashable, node: Stream[Any], needed: bool) -> None:
        if node._pipeline.needs_loop and not needed and running_loop() is None:
            raise RuntimeError(
                "pipelines: build must need no event loop unless ensure_io_loop=True, "
                f"got {node} for key {short_repr(key)}"
            )


def _check_stream(node: Any) -> None:
    if not isinstance(node, Stream):
        raise TypeError(f"pipelines: build must return a Stream, got {short_repr(node)}")


def make_hub(node: Any, definition: Any) -> SubPipelineHub:
    """Return the hub of the sub-pipelines of *node*, with the time that *definition* says."""
    hub = SubPipelineHub()
    node._pipeline.absorb(hub._pipeline)
    if definition is not None:
        hub.time_definition = definition
        give_clock(hub, HubClock(hub, node._clock))
    return hub
