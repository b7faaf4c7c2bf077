"""Branches that meet again: what took longer in one must not be overtaken in the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.node import edges
from rapidz.kernel.protocol.push import Pending, Push, exception_group, when_all
from rapidz.kernel.runtime.pipeline import Pipeline
from rapidz.kernel.runtime.tasks import SerialQueue, wait_for
from rapidz.operators import zip as paired
from rapidz.parallel.nodes.resolution import Allowance


def reach(node: Stream[Any]) -> set[Stream[Any]]:
    """*node* and all below it."""
    found = {node}
    ahead = [node]
    while ahead:
        for down, _ in edges(ahead.pop()):
            if down not in found:
                found.add(down)
                ahead.append(down)
    return found


def meet_in_disorder(node: Stream[Any]) -> bool:
    """Whether branches of *node* meet again where order counts, and elements wait in one of them.

    Where they are paired by `zip`, what comes first by which branch does not matter.
    """
    branches = [reach(down) for down, _ in edges(node)]
    shared = {
        below for branch in branches for below in branch if sum(below in b for b in branches) > 1
    }
    alone = set().union(*branches) - shared
    meeting = [
        below for below in shared if any(up is node or up in alone for up in below.upstreams)
    ]
    if all(isinstance(below, paired) for below in meeting):
        return False
    return bool(meeting) and (multiplied(node) or any(_waits(below) for below in alone))


def multiplied(node: Stream[Any]) -> bool:
    """Whether a handle at *node* may stand for several elements."""
    seen: set[Stream[Any]] = set()
    ahead = [node]
    while ahead:
        at: Any = ahead.pop()
        if at not in seen and hasattr(at, "_multiplies"):
            seen.add(at)
            if at._multiplies():
                return True
            ahead.extend(up for up in at.upstreams if up is not None)
    return False


def _waits(node: Stream[Any]) -> bool:
    waits = getattr(node, "_waits", None)
    return waits() if waits is not None else node._accepts_handles


def allowance_below(node: Stream[Any]) -> Allowance | None:
    """What the next buffer grants to *node*; None if there is none before the elements part."""
    seen = {node}
    while len(below := edges(node)) == 1 and below[0][0] not in seen:
        node = below[0][0]
        if len(node.upstreams) > 1 and not isinstance(node, paired):
            return None  # what comes by another input must not overtake it
        seen.add(node)
        allowance: Allowance | None = getattr(node, "_allowance", None)
        if allowance is not None:
            return allowance
    return None


def one_branch_after_the_other(
    pushes: Sequence[Push[Any]], line: SerialQueue, pipeline: Pipeline
) -> Push[Any]:
    """Make a push that feeds a branch when the element is through the one before."""

    async def rest(x: Any, wait: Pending, further: Sequence[Push[Any]]) -> None:
        errors: list[Exception] = []
        for push in (lambda _: wait, *further):
            try:
                await wait_for(push(x))
            except Exception as error:
                errors.append(error)
        await when_all([], errors)

    def step(x: Any) -> Pending:
        if line.busy():
            return line.enqueue(rest(x, None, pushes), pipeline)
        errors: list[Exception] = []
        for at, push in enumerate(pushes, 1):
            try:
                wait = push(x)
            except Exception as error:
                errors.append(error)
                continue
            if wait is not None:
                return line.enqueue(rest(x, when_all([wait], errors), pushes[at:]), pipeline)
        if errors:
            raise exception_group(errors, "branches")
        return None

    return step
