"""Feedback: an emit by a function downstream of the node that it emits to; never awaited.

Such an element may have to queue behind the very element whose function emits
it, at any queue on the way, so to wait for it is to wait for oneself.  Like an
edge that leads back it has no back pressure.  An emit that closes no cycle is
waited for as from outside.

Who emits is read off the stack, and off the tasks that wait for the caller
(`rapidz.kernel.runtime.wait_for_graph`).  This happens only where an emit would have to wait.
"""

from __future__ import annotations

import sys
import weakref
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.node import Node, edges
from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.pipeline_lock import called_by_interrupt
from rapidz.kernel.runtime.stack_frames import is_fused, is_of_library
from rapidz.kernel.runtime.tasks import EagerTask, detach
from rapidz.kernel.runtime.wait_for_graph import (
    LOOP_CALLBACK_CODE,
    awaited_in,
    describe_task,
    is_top_level,
    task_code_ids,
    task_of_caller,
    waiting,
)

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import PipelineContext

_emits: weakref.WeakKeyDictionary[Node, weakref.WeakSet[Node]] = weakref.WeakKeyDictionary()
"""Into which streams the functions of a node emit and wait: edges of the wait-for graph."""


class Version:
    """Counts what changes the wait-for graph of nodes: edits, and the first emits that wait."""

    now = 0


def without_feedback(node: Node, wait: Pending) -> Pending:
    """Return what an emit into *node* waits for: nothing if it is feedback; *wait* is detached."""
    if wait is None or not is_feedback(node):
        return wait
    detach(node._pipeline, wait)
    return None


def is_feedback(node: Node) -> bool:
    """Return whether the caller is, or is waited for by, a function downstream of *node*."""
    if not (found := callers()):
        return False
    downstream = _waits_for(node)
    if any(caller in downstream for caller in found):
        return True
    emitted = _emits.setdefault(found[0], weakref.WeakSet())
    if node not in emitted:
        emitted.add(node)
        Version.now += 1
    return False


def callers() -> list[Node]:
    """Return the nodes whose functions run, and wait for the code that asks, innermost first."""
    found: list[Node] = []
    frame: FrameType | None = sys._getframe(2)
    driven = False
    while frame is not None and (code := frame.f_code) is not LOOP_CALLBACK_CODE:
        if is_of_library(frame):
            driven = driven or id(code) in task_code_ids
            if (node := _node_of(frame)) is not None:
                found.append(node)
        frame = frame.f_back
    if driven or not is_top_level():
        for one in waiting():
            if isinstance(one, EagerTask):
                found += _nodes_in(one)
    return found


def function_within(pipeline: PipelineContext) -> str | None:
    """Describe the function of *pipeline* that runs and waits for the code that asks, if any.

    A plain function is found on the stack, an asynchronous one among what waits.
    Signal handlers and finalizers, which interrupt whatever runs, are none.
    """
    frame: FrameType | None = sys._getframe(1)
    if called_by_interrupt(frame):
        return None
    running = task_of_caller(pipeline)
    while frame is not None and (code := frame.f_code) is not LOOP_CALLBACK_CODE:
        if is_of_library(frame):
            node = frame.f_locals["self"] if code in flushes else _node_of(frame)
            if node is not None and node._pipeline.is_one_with(pipeline):
                about = "" if code in flushes else _element_of(frame)
                return f"{node._describe()}{about}"
        frame = frame.f_back
    if running is not None:
        return describe_task(running)
    return "one of its functions" if pipeline.lock.is_on_stack() else None


#: The code in which nodes are flushed by functions of theirs: its `self` is the node.
flushes: set[CodeType] = set()


def _element_of(frame: FrameType) -> str:
    values = frame.f_locals
    return f" with element {short_repr(values['x'])}" if "x" in values else ""


def _nodes_in(running: EagerTask) -> list[Node]:
    """Return the nodes whose functions *running* is in."""
    nodes = [node for node, _ in [running.about()] if node is not None]
    at: Any = running._driven
    while at is not None:
        frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None)
        if frame is not None and (node := _node_of(frame)) is not None:
            nodes.append(node)
        at = awaited_in(at)
    return nodes[::-1]


def _node_of(frame: FrameType) -> Node | None:
    """Return the node whose step *frame* runs, if it tells."""
    code = frame.f_code
    free = code.co_freevars  # to look at these is cheap, to look at values is not
    if is_fused(frame):
        if "attribute_line" not in free:
            return None
        table = frame.f_locals["attribute_line"].args[0]
        at = frame.f_lineno - 2  # the first line is that of `make`
        ref = table[at] if at < len(table) else None
    elif ("ref" in free or "ref" in code.co_varnames) and is_of_library(frame):
        ref = frame.f_locals.get("ref")
    else:
        return None
    node = ref() if isinstance(ref, weakref.ref) else None
    return node if isinstance(node, Node) else None


def _waits_for(node: Node) -> weakref.WeakSet[Node]:
    """Return the nodes that an element emitted into *node* may have to wait for."""
    cached = node._wait_for_cache
    if cached is None or cached[0] != Version.now:
        node._wait_for_cache = cached = Version.now, _reached_from(node)
    return cached[1]


def _reached_from(node: Node) -> weakref.WeakSet[Node]:
    """Follow edges, emits that wait, and from a join that waits for partners all of its inputs."""
    reached: weakref.WeakSet[Node] = weakref.WeakSet()
    stack = [down for down, _ in edges(node)]
    while stack:
        at = stack.pop()
        if at in reached:
            continue
        reached.add(at)
        stack.extend(down for down, _ in edges(at))
        stack.extend(_emits.get(at, ()))
        if at._waits_for_partners:
            stack.extend(_upstream_of(at))
    return reached


def _upstream_of(node: Node) -> set[Node]:
    found: set[Node] = set()
    stack = [node]
    while stack:
        ahead = [up for up in stack.pop().upstreams if up is not None and up not in found]
        found.update(ahead)
        stack += ahead
    return found
