"""Sub-pipelines: a graph of its own for each key, between two nodes of the pipeline."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Hashable
from typing import Any, ClassVar

from rapidz.eventtime.clock import EventClock
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


class SubPipelineHead(Stream[Any]):
    """The stream that a build function gets: the elements of one key."""


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
    """

    __slots__ = ("_build", "_hub", "_outlet")

    def __init__(self, build: Callable[..., Any], outlet: Any, hub: Stream[Any]) -> None:
        super().__init__(MISSING)
        self._build, self._outlet, self._hub = build, outlet, hub

    def first(self, key: Hashable) -> Any:
        """Build the sub-pipeline of *key*."""
        super().first(key)
        made = self._made(key)
        self[key] = made
        return made

    def _made(self, key: Hashable) -> SubPipeline:
        hub = self._hub
        needed = hub._pipeline.needs_loop
        head = SubPipelineHead(hub)
        head._unused = False
        try:
            node = self._build(head, key)
            if not isinstance(node, Stream):
                raise TypeError(f"pipelines: build must return a Stream, got {short_repr(node)}")
            if hub._pipeline.needs_loop and not needed and running_loop() is None:
                raise RuntimeError(
                    "pipelines: build must need no event loop unless ensure_io_loop=True, "
                    f"got {node} for key {short_repr(key)}"
                )
            last = None if node._is_end else SubPipelineExit(node, self._outlet)
        except BaseException:
            head.destroy()
            raise
        return SubPipeline(head, node, last)


def make_hub(node: Any, definition: Any) -> SubPipelineHub:
    """Return the hub of the sub-pipelines of *node*, with the time that *definition* says."""
    hub = SubPipelineHub()
    node._pipeline.absorb(hub._pipeline)
    if definition is not None:
        hub.time_definition = definition
        give_clock(hub, HubClock(hub, node._clock))
    return hub
