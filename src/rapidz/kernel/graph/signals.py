"""Control signals: flush and end, which travel in order with the elements.

A signal goes along the same edges as the elements and in order with them: a
node that has elements in flight acts after these.  A node with
several inputs acts once all of them have delivered it, save those that steer
it or are fed from downstream of it.  What a node does is in its hooks:
`Stream._emit_buffered` emits what it buffers, `Stream._on_end` frees what it
uses.

Elements that a flush sends round a cycle, by an edge or by an `emit` from
within, may come to rest where the signal has passed.  So a flush goes round
again while elements come back, and an end is sent when none do any more.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.node import Node, edges
from rapidz.kernel.protocol.push import Pending, exception_group, when_all
from rapidz.kernel.runtime.tasks import EagerTask, detach

if TYPE_CHECKING:
    from rapidz.kernel.graph.engine_node import EngineNode
    from rapidz.kernel.runtime.pipeline import Pipeline


class Signal(enum.Enum):
    """Control signal that a caller sends through a pipeline."""

    FLUSH = "flush"
    DRAIN = "drain"
    """A flush ahead of the end."""
    END = "end"


#: How often a signal goes round a cycle.
MAX_ROUNDS = 1000


class SignalBarrier:
    """Which inputs of a node have delivered which signal."""

    def __init__(self) -> None:
        self._flushed: Counter[int] = Counter()
        self._ended: set[int] = set()

    def ended(self, port: int) -> bool:
        """Return whether nothing comes at *port* any more."""
        return port in self._ended

    def complete(self, signal: Signal, port: int, awaited: list[int]) -> bool:
        """Note *signal* at *port*; return whether it has come to all that are *awaited*."""
        if signal is Signal.END:
            self._ended.add(port)
        else:
            self._flushed[port] += 1
        missing = [at for at in awaited if at not in self._ended]
        if signal is Signal.END:
            return not missing
        if any(not self._flushed[at] for at in missing):
            return False
        self._flushed.subtract(+self._flushed)
        return True


def _nothing() -> None:
    """Do nothing: the wave has ended before anything could wait for that."""


class SignalWave:
    """One signal on its way through a pipeline; every node acts on it once.

    *drained*: the nodes that have emitted already what they buffered.
    *ending*: the nodes that are about to get the end.
    """

    def __init__(
        self,
        signal: Signal,
        node: EngineNode,
        drained: frozenset[EngineNode] = frozenset(),
        ending: frozenset[EngineNode] = frozenset(),
    ) -> None:
        pipeline = node._pipeline
        self.signal = signal
        self.drained, self.ending = drained, ending
        self.hopeless = False
        """Whether elements would come back for ever."""
        self.errors: list[Exception] = []
        self.acted: set[EngineNode] = set()
        self.queued = 0
        """At how many nodes it waits behind elements."""
        self.through: Callable[[], object] = _nothing
        """Called when it has been everywhere, at last."""
        self.feedback = feedback_edges(pipeline, node)

    def queue(self, node: EngineNode) -> None:
        """Go on from *node* once the elements in flight there are through."""
        self.queued += 1

        def go_on() -> Pending:
            self.queued -= 1
            try:
                wait = _carry(self, node, in_turn=True)
            finally:
                if not self.queued:
                    self.through()
            if not self.feedback:
                return wait
            detach(node._pipeline, wait)  # what comes back may wait for the queue that calls this
            return None

        node._run_in_order(go_on)

    def reaches(self, down: EngineNode, port: int) -> bool:
        """Return whether *down* is to act, now that the signal has come to *port*."""
        if port in down._side_ports or (down, port) in self.feedback or down in self.acted:
            return False
        if len(down.upstreams) <= 1:
            return True
        awaited = [
            at
            for at, up in enumerate(down.upstreams)
            if at not in down._side_ports
            and (down, at) not in self.feedback
            and all(up is not other for other in down.upstreams[:at])  # once for each stream
        ]
        barrier: SignalBarrier = down._signal_barrier
        complete = barrier.complete(self.signal, port, awaited)
        if self.signal is Signal.END:
            down._on_input_end(port)
        return complete

    def act(self, node: EngineNode) -> Pending:
        """Let one node do what the signal says; a failure does not stop the wave."""
        self.acted.add(node)
        try:
            if node._ended or (node in self.drained and (self.hopeless or not node._buffered())):
                return None
            return node._emit_at_end() if node in self.ending else node._emit_buffered()
        except Exception as error:
            self.errors.append(error)
            return None
        finally:
            if self.signal is Signal.END and not node._ended:
                node._end()
            elif node in self.ending:
                node._stop_background_work()


def nodes_that_end(first: EngineNode) -> frozenset[EngineNode]:
    """Return the nodes that an end sent at *first* ends: all their inputs end."""
    feedback = feedback_edges(first._pipeline, first)
    found, ahead = {first}, [first]
    while ahead:
        for down, port in edges(ahead.pop()):
            if down in found or port in down._side_ports or (down, port) in feedback:
                continue
            if all(
                up in found or down._signal_barrier.ended(at)
                for at, up in enumerate(down.upstreams)
                if at not in down._side_ports and (down, at) not in feedback
            ):
                found.add(down)
                ahead.append(down)
    return frozenset(found)


def feedback_edges(pipeline: Pipeline, first: EngineNode) -> set[tuple[EngineNode, int]]:
    """Return the edges that lead back to a node on the way of an element."""
    feedback: set[tuple[EngineNode, int]] = set()
    done: set[EngineNode] = set()
    on_path: set[EngineNode] = set()
    nodes = [first, *sorted(pipeline.nodes, key=lambda node: len(node.upstreams))]
    for root in nodes:
        stack = [] if root in done else [(root, iter(edges(root)))]
        on_path.update(node for node, _ in stack)
        while stack:
            node, ahead = stack[-1]
            for down, port in ahead:
                if down in on_path:
                    feedback.add((down, port))
                elif down not in done:
                    on_path.add(down)
                    stack.append((down, iter(edges(down))))
                    break
            else:
                stack.pop()
                on_path.discard(node)
                done.add(node)
    return feedback


class DrainRounds:
    """A signal on its way from *node*, again and again while elements come back.

    An end goes ahead as a `Signal.DRAIN`, and goes through itself when nothing
    comes back any more.
    """

    def __init__(self, node: EngineNode, signal: Signal) -> None:
        self.node, self.signal = node, signal
        self.count = 0
        self._drained: frozenset[EngineNode] = frozenset()
        self._ending = nodes_that_end(node) if signal is Signal.END else frozenset[Any]()
        self._returned = 0
        self._wave: SignalWave | None = None

    def go(self) -> Pending:
        """Send the signal through, until it must wait behind elements or is done."""
        waits: list[Awaitable[object]] = []
        errors: list[Exception] = []
        while self._wave is None or self._goes_round():
            self.count += 1
            self._send(Signal.FLUSH if self.signal is Signal.FLUSH else Signal.DRAIN, waits, errors)
            if self._wave is not None and self._wave.queued:
                self._wave.through = self._later
                return self._outcome(waits, errors)
        if self.signal is Signal.END:
            self._drained = frozenset(self._wave.acted)
            self._send(Signal.END, waits, errors)
        return self._outcome(waits, errors)

    def _send(
        self, signal: Signal, waits: list[Awaitable[object]], errors: list[Exception]
    ) -> None:
        pipeline = self.node._pipeline
        self._returned = returned(pipeline)
        self._wave = wave = SignalWave(signal, self.node, self._drained, self._ending)
        wave.hopeless = self.count >= MAX_ROUNDS
        try:
            wait = pipeline.reentry.within(functools.partial(_carry, wave, self.node))
            if wait is not None:
                waits.append(wait)
        except Exception as error:
            errors.append(error)

    def _outcome(self, waits: list[Awaitable[object]], errors: list[Exception]) -> Pending:
        if waits:
            return self.node._pipeline.start(when_all(waits, errors))
        if errors:
            raise exception_group(errors, "branches")
        return None

    def _later(self) -> None:
        """Look, in a task of its own, what has come back: the signal has been everywhere.

        What called this may be the very queue that has to take what another round sends.
        """

        async def go_on() -> None:
            await asyncio.sleep(0)  # so that this queue is idle if nothing else is in it
            if (wait := self.go()) is not None:
                await wait

        EagerTask(go_on(), self.node._pipeline)

    def _goes_round(self) -> bool:
        """Return whether elements have come back that another round would send on."""
        wave = self._wave
        assert wave is not None
        came_back = returned(self.node._pipeline) != self._returned
        if self.signal is Signal.FLUSH and not came_back:
            return False
        rest = [node for node in wave.acted if not node._ended and _is_left(node, came_back)]
        if not rest:
            return False
        if self.count < MAX_ROUNDS:
            return True
        what = "close" if self.signal is Signal.END else "flush"
        warnings.warn(
            f"{self.node}: {what}: elements still come back after {self.count} rounds through "
            f"{described_cycle(wave, rest)}; what is left stays there",
            RuntimeWarning,
            stacklevel=2,
        )
        return False


def returned(pipeline: Pipeline) -> int:
    """Return how many elements have come back in *pipeline* so far."""
    return pipeline.trampoline.returned + pipeline.reentry.returned


def _is_left(node: EngineNode, came_back: bool) -> bool:
    """Return whether *node* has something that is in flight, or that a flush would emit.

    A class that does not count what it buffers has, if any element *came back*.
    """
    if node._has_elements_in_flight():
        return True
    own = type(node)
    if own._emit_buffered is Node._emit_buffered and own._emit_at_end is Node._emit_at_end:
        return False
    if type(node)._buffered is Node._buffered:
        return came_back
    return node._buffered() > 0


def described_cycle(wave: SignalWave, rest: list[EngineNode]) -> str:
    """Describe the cycle that *wave* went round, or where elements are if no edge closes it."""
    for down, port in wave.feedback:
        if down in wave.acted:
            return " → ".join(map(str, _path(down, down.upstreams[port])))
    return ", ".join(map(str, rest))


def _path(start: EngineNode, end: EngineNode) -> list[EngineNode]:
    """Return the nodes from *start* down to *end*."""
    came: dict[EngineNode, EngineNode | None] = {start: None}
    ahead = [start]
    for node in ahead:
        for down, _ in edges(node):
            if down not in came:
                came[down] = node
                ahead.append(down)
    path: list[EngineNode] = []
    at = end if end in came else None
    while at is not None:
        path.append(at)
        at = came[at]
    return path[::-1]


def refuse(node: EngineNode) -> None:
    """Let *node* take no more elements from outside: the end comes."""
    if not (node._ended or node._closing):
        node._closing = True
        node._invalidate()


def send(node: EngineNode, signal: Signal) -> Pending:
    """Send *signal* to *node* and all nodes downstream; return what to wait for."""
    if signal is Signal.END:
        refuse(node)
    return DrainRounds(node, signal).go()


def _carry(wave: SignalWave, node: EngineNode, *, in_turn: bool = False) -> Pending:
    """Carry *wave* on from *node*; *in_turn*: the elements in flight there have gone through."""
    waits: list[Awaitable[object]] = []
    stack = [node]
    while stack:
        at = stack.pop()
        if at._is_busy() and not (in_turn and at is node):
            wave.queue(at)
            continue
        if at not in wave.acted and (wait := wave.act(at)) is not None:
            waits.append(wait)
            if at._is_busy():  # it has more to emit than there is capacity for now
                wave.queue(at)
                continue
        stack.extend(down for down, port in reversed(edges(at)) if wave.reaches(down, port))
    errors, wave.errors = wave.errors, []
    if not waits and not errors:
        return None
    if waits:
        return node._pipeline.start(when_all(waits, errors))
    raise exception_group(errors, "branches")


def streams_of_failures(pipeline: Pipeline, *, ended: bool) -> list[EngineNode]:
    """Return the dead-letter streams; if *ended*, those that will get no failures any more."""
    senders: dict[EngineNode, list[EngineNode]] = {}
    for node in list(pipeline.nodes):
        sent_to = {node._errors, getattr(last(node._policy), "stream", None), *node._side_streams}
        for stream in sent_to:
            if stream is not None:
                senders.setdefault(stream, []).append(node)
    return [
        stream
        for stream, nodes in senders.items()
        if not stream._ended and not (ended and any(not node._ended for node in nodes))
    ]


def last(policy: Any) -> Any:
    """Return what a policy does at last, when all tries have failed."""
    return getattr(policy, "then", policy)
