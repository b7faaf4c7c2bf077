"""What travels beside the elements: flush and end.

A signal goes along the same edges as the elements and in order with them: a
node that still has elements under way takes it up behind these.  A node with
several inputs acts once all of them have delivered it.  What a node does is in
its hooks: `Stream._flush_held` gives up what it holds, `Stream._finish` frees
what it uses.
"""

from __future__ import annotations

import enum
import functools
from collections import Counter
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from rapidz.kernel.compiler import edges
from rapidz.kernel.push import Pending, when_all

if TYPE_CHECKING:
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

    def complete(self, node: Stream[Any], signal: Signal, port: int) -> bool:
        """Note that *signal* came in at *port*; whether it has come in at all of them."""
        if signal is Signal.END:
            self._ended.add(port)
        else:
            self._flushed[port] += 1
        awaited = [at for at in forward_ports(node) if at not in self._ended]
        if signal is Signal.END:
            return not awaited
        if any(not self._flushed[at] for at in awaited):
            return False
        self._flushed.subtract(+self._flushed)
        return True


def forward_ports(node: Stream[Any]) -> list[int]:
    """The ports of *node* that steer nothing and are not fed from what lies below it."""
    ports = [port for port in range(len(node.upstreams)) if port not in node.side_ports]
    if len(ports) <= 1:
        return ports
    below: set[Any] = set()
    stack = [node]
    while stack:
        for down in stack.pop().downstreams:
            if down not in below:
                below.add(down)
                stack.append(down)
    return [port for port in ports if node.upstreams[port] not in below]


def send(node: Stream[Any], signal: Signal, *, in_turn: bool = False) -> Pending:
    """Give *signal* to *node* and all below it; return what to wait for.

    *in_turn* says that all elements under way in *node* are through.
    """
    waits: list[Awaitable[object]] = []
    stack = [node]
    while stack:
        at = stack.pop()
        if at._busy() and not (in_turn and at is node):
            at._in_turn(functools.partial(send, at, signal, in_turn=True))
            continue
        if (wait := act(at, signal)) is not None:
            waits.append(wait)
        stack.extend(
            down
            for down, port in reversed(edges(at))
            if port not in down.side_ports
            and (len(down.upstreams) <= 1 or down._arrivals.complete(down, signal, port))
        )
    if len(waits) <= 1:
        return waits[0] if waits else None
    return node._pipeline.start(when_all(waits, []))


def act(node: Stream[Any], signal: Signal) -> Pending:
    """Let one node do what *signal* says."""
    if signal is Signal.END:
        if node._ended:
            return None
        wait = node._flush_held()
        node._end()
        return wait
    return node._flush_held()
