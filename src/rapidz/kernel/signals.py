"""What travels beside the elements: flush and end.

A signal goes along the same edges as the elements and in order with them: a
node that still has elements under way takes it up behind these.  A node with
several inputs acts once all of them have delivered it, save those that steer
it or are fed from what lies below it.  What a node does is in its hooks:
`Stream._flush_held` gives up what it holds, `Stream._finish` frees what it
uses.
"""

from __future__ import annotations

import enum
import functools
from collections import Counter
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from rapidz.kernel.compiler import edges
from rapidz.kernel.push import Pending, group, when_all

if TYPE_CHECKING:
    from rapidz.kernel.pipeline import Pipeline
    from rapidz.kernel.stream import Stream


class Signal(enum.Enum):
    """What a pipeline is told from outside."""

    FLUSH = "flush"
    END = "end"


class Arrivals:
    """Which inputs of a node have delivered which signal."""

    def __init__(self) -> None:
        self._flushed: Counter[int] = Counter()
        self._ended: set[int] = set()

    def ended(self, port: int) -> bool:
        """Whether nothing comes at *port* any more."""
        return port in self._ended

    def complete(self, signal: Signal, port: int, awaited: list[int]) -> bool:
        """Note that *signal* came in at *port*; whether it has at all that are *awaited*."""
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


class Wave:
    """One signal on its way through a pipeline; every node acts on it once."""

    def __init__(self, signal: Signal, pipeline: Pipeline) -> None:
        self.signal = signal
        self.errors: list[Exception] = []
        self.acted: set[Stream[Any]] = set()
        self._feedback = feedback_edges(pipeline)

    def reaches(self, down: Stream[Any], port: int) -> bool:
        """Whether *down* is to act, now that the signal has come to *port*."""
        if port in down._side_ports or (down, port) in self._feedback or down in self.acted:
            return False
        if len(down.upstreams) <= 1:
            return True
        awaited = [
            at
            for at, up in enumerate(down.upstreams)
            if at not in down._side_ports
            and (down, at) not in self._feedback
            and all(up is not other for other in down.upstreams[:at])  # once for each stream
        ]
        complete = down._arrivals.complete(self.signal, port, awaited)
        if self.signal is Signal.END:
            down._input_ended(port)
        return complete

    def act(self, node: Stream[Any]) -> Pending:
        """Let one node do what the signal says; a failure does not stop the wave."""
        self.acted.add(node)
        try:
            return None if node._ended else node._flush_held()
        except Exception as error:
            self.errors.append(error)
            return None
        finally:
            if self.signal is Signal.END and not node._ended:
                node._end()


def feedback_edges(pipeline: Pipeline) -> set[tuple[Stream[Any], int]]:
    """The edges that lead back to where an element has been."""
    feedback: set[tuple[Stream[Any], int]] = set()
    done: set[Stream[Any]] = set()
    on_path: set[Stream[Any]] = set()
    nodes = sorted(pipeline.nodes, key=lambda node: len(node.upstreams))  # the sources first
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


def send(node: Stream[Any], signal: Signal) -> Pending:
    """Give *signal* to *node* and all below it; return what to wait for."""
    return _carry(Wave(signal, node._pipeline.root()), node)


def _carry(wave: Wave, node: Stream[Any], *, in_turn: bool = False) -> Pending:
    """Carry *wave* on from *node*; *in_turn*: all elements under way there are through."""
    waits: list[Awaitable[object]] = []
    stack = [node]
    while stack:
        at = stack.pop()
        if at._is_busy() and not (in_turn and at is node):
            at._in_turn(functools.partial(_carry, wave, at, in_turn=True))
            continue
        if at not in wave.acted and (wait := wave.act(at)) is not None:
            waits.append(wait)
            if at._is_busy():  # it has more to give up than there is room for now
                at._in_turn(functools.partial(_carry, wave, at, in_turn=True))
                continue
        stack.extend(down for down, port in reversed(edges(at)) if wave.reaches(down, port))
    errors, wave.errors = wave.errors, []
    if not waits and not errors:
        return None
    if waits:
        return node._pipeline.start(when_all(waits, errors))
    raise group(errors, "branches")


def streams_of_failures(pipeline: Pipeline, *, ended: bool) -> list[Stream[Any]]:
    """The streams that failures are sent down; if *ended*, those that will get none any more."""
    senders: dict[Stream[Any], list[Stream[Any]]] = {}
    for node in list(pipeline.nodes):
        for stream in {node._errors, getattr(last(node._policy), "stream", None)}:
            if stream is not None:
                senders.setdefault(stream, []).append(node)
    return [
        stream
        for stream, nodes in senders.items()
        if not stream._ended and not (ended and any(not node._ended for node in nodes))
    ]


def last(policy: Any) -> Any:
    """What a policy comes down to, when all tries have failed."""
    return getattr(policy, "then", policy)
