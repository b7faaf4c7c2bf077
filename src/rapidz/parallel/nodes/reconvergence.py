"""Reconvergence: branches of a scattered node that meet again, with the order of elements kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.context import RuntimeContext
from rapidz.kernel.protocol.node import edges
from rapidz.kernel.protocol.push import Pending, Push, exception_group, when_all
from rapidz.kernel.runtime.futures import wait_for
from rapidz.kernel.runtime.serial_queue import SerialQueue
from rapidz.operators import zip as plain_zip
from rapidz.parallel.nodes.credits import Credits


def _walk_downstream(node: Stream[Any]) -> Iterator[Stream[Any]]:
    """Yield *node* and all nodes downstream of it, each once."""
    seen = {node}
    ahead = [node]
    while ahead:
        node = ahead.pop()
        yield node
        for down, _ in edges(node):
            if down not in seen:
                seen.add(down)
                ahead.append(down)


def needs_sequential_branches(node: Stream[Any]) -> bool:
    """Return whether branches of *node* meet again and may get out of order meanwhile.

    Where they are paired by `zip`, the order in which branches deliver does not matter.
    """
    branches = [set(_walk_downstream(down)) for down, _ in edges(node)]
    shared = {
        below for branch in branches for below in branch if sum(below in b for b in branches) > 1
    }
    alone = set().union(*branches) - shared
    meeting = [
        below for below in shared if any(up is node or up in alone for up in below.upstreams)
    ]
    if all(isinstance(below, plain_zip) for below in meeting):
        return False
    return bool(meeting) and (may_expand(node) or any(_may_queue(below) for below in alone))


def may_expand(node: Stream[Any]) -> bool:
    """Return whether a handle at *node* may stand for several elements."""
    seen: set[Stream[Any]] = set()
    ahead = [node]
    while ahead:
        at: Any = ahead.pop()
        if at not in seen and hasattr(at, "_may_expand"):
            seen.add(at)
            if at._may_expand():
                return True
            ahead.extend(up for up in at.upstreams if up is not None)
    return False


def _may_queue(node: Stream[Any]) -> bool:
    may_queue = getattr(node, "_may_queue", None)
    return may_queue() if may_queue is not None else node._accepts_handles


def credits_downstream(node: Stream[Any]) -> Credits | None:
    """Return the credits of the next buffer; None if none comes before the elements branch."""
    seen = {node}
    while len(below := edges(node)) == 1 and below[0][0] not in seen:
        node = below[0][0]
        if len(node.upstreams) > 1 and not isinstance(node, plain_zip):
            return None  # an element of another input must not overtake it
        seen.add(node)
        credits: Credits | None = getattr(node, "_credits", None)
        if credits is not None:
            return credits
    return None


def push_sequentially(
    pushes: Sequence[Push[Any]], queue: SerialQueue, pipeline: RuntimeContext
) -> Push[Any]:
    """Make a push that feeds each branch once the element is through the one before."""

    async def push_rest(x: Any, wait: Pending, rest: Sequence[Push[Any]]) -> None:
        errors: list[Exception] = []
        for push in (lambda _: wait, *rest):
            try:
                await wait_for(push(x))
            except Exception as error:
                errors.append(error)
        await when_all([], errors)

    def step(x: Any) -> Pending:
        if queue.busy():
            return queue.enqueue(push_rest(x, None, pushes), pipeline)
        errors: list[Exception] = []
        for at, push in enumerate(pushes, 1):
            try:
                wait = push(x)
            except Exception as error:
                errors.append(error)
                continue
            if wait is not None:
                first = when_all([wait], errors)
                return queue.enqueue(push_rest(x, first, pushes[at:]), pipeline)
        if errors:
            raise exception_group(errors, "branches")
        return None

    return step
