"""Wrappers of compiled pushes: one ordered list, each with the reason for its place.

An element passes the wrappers of `WRAPPERS` from the last to the first: out of
the node upstream by ``send`` or ``push``, then into the ``step`` downstream.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from rapidz.kernel.compile.async_steps import queue_behind
from rapidz.kernel.compile.legacy import interpreted, overridden_emit, takes_keyword
from rapidz.kernel.protocol.node import Node
from rapidz.kernel.protocol.push import Pending, Push, await_result
from rapidz.kernel.runtime import attribution, failures
from rapidz.kernel.runtime.attribution import failure_test
from rapidz.kernel.runtime.tracked_element import current_metadata
from rapidz.kernel.runtime.tracking import boxing, unboxing


class WrapContext(NamedTuple):
    """Where a wrapper applies: a node, one of its inputs, the policy in force."""

    node: Node
    port: int = 0
    policy: Any = None


class Wrapper(NamedTuple):
    """One wrapper: what it wraps, why it stands where it does, and how it wraps."""

    name: str
    around: Literal["step", "push", "send"]
    reason: str
    wrap: Callable[[WrapContext, Push[Any]], Push[Any]]
    """Returns its argument where the wrapper does not apply."""


def wrap(
    around: Literal["step", "push", "send"], context: WrapContext, push: Push[Any]
) -> Push[Any]:
    """Wrap *push* by all that `WRAPPERS` has for it."""
    for wrapper in WRAPPERS:
        if wrapper.around == around:
            push = wrapper.wrap(context, push)
    return push


def _keep_order(context: WrapContext, step: Push[Any]) -> Push[Any]:
    """Queue elements behind those that came while the node's function was asynchronous."""
    node = context.node
    late = node._serial_queue.busy() and node._can_inline() and not interpreted(node)
    return queue_behind(node, step) if late else step


def _box(context: WrapContext, step: Push[Any]) -> Push[Any]:
    """Put elements into entries with their metadata, for a node that keeps elements."""
    node = context.node
    boxed = node._pipeline.tracked and node._keeps_elements and not interpreted(node)
    return boxing(step, failure_test(node)) if boxed else step


def _handle_failures(context: WrapContext, step: Push[Any]) -> Push[Any]:
    """Apply the policy in force, or attribute what the node raises."""
    node, policy = context.node, context.policy
    if policy is not None:
        return node._wrap_policy(step, policy)
    if node._attributes_failures:
        return step
    if node._pipeline.policies:
        return node._wrap_policy(step, failures.Raise())  # to find whether it fails itself
    return step if node._can_inline() or interpreted(node) else _attribute(node, step)


def _attribute(node: Node, step: Push[Any]) -> Push[Any]:
    """Attribute to *node*, of a class of a user, what its step raises at once."""
    ref = weakref.ref(node)

    def attributed(x: Any) -> Pending:
        since = attribution.last_serial
        try:
            return step(x)
        except Exception as error:
            node = ref()
            if attribution.is_attributed_to(error, node, x, since) and node is not None:
                node._report_loss()
            raise

    return attributed


def _wrap_input(context: WrapContext, step: Push[Any]) -> Push[Any]:
    return context.node._wrap_input(step, context.port)


def _wrap_output_edge(context: WrapContext, step: Push[Any]) -> Push[Any]:
    node, port = context.node, context.port
    upstream = node.upstreams[port] if port < len(node.upstreams) else None
    return step if upstream is None else upstream._wrap_output_edge(step, node, port)


def _mark_watermarks(context: WrapContext, step: Push[Any]) -> Push[Any]:
    """Let the watermark pass a node in its place among the elements that the node keeps."""
    clock = context.node._clock
    return step if clock is None else clock.wrap_step(step)


def _count_arrivals(context: WrapContext, step: Push[Any]) -> Push[Any]:
    """Count the elements that arrive, for a node whose counts were asked for."""
    arrivals = context.node._arrivals
    if arrivals is None or context.port not in arrivals:
        return step
    count = arrivals[context.port]

    def counted(x: Any) -> Pending:
        count[0] += 1
        return step(x)

    return counted


def _record(context: WrapContext, push: Push[Any]) -> Push[Any]:
    """Record the last element, for a node whose present value was asked for."""
    record = context.node._record
    if record is None:
        return push

    def recorded(x: Any) -> Pending:
        record.take(x)
        return push(x)

    return recorded


def _call_emit(context: WrapContext, push: Push[Any]) -> Push[Any]:
    """Call ``_emit`` of a native node whose class, or user, has replaced it."""
    node = context.node
    if not overridden_emit(node):
        return push
    ref, start = weakref.ref(node), node._pipeline.start

    def via_emit(x: Any) -> Pending:
        node = ref()
        return None if node is None else await_result(node._emit(x), start)

    def with_metadata(x: Any) -> Pending:
        node = ref()
        if node is None:
            return None
        return await_result(node._emit(x, metadata=current_metadata()), start)

    tracked = node._pipeline.tracked and takes_keyword(node._emit, "metadata")
    return with_metadata if tracked else via_emit


def _unbox(context: WrapContext, push: Push[Any]) -> Push[Any]:
    """Take elements out of their entries again, and release their metadata."""
    node = context.node
    if not (node._pipeline.tracked and node._keeps_elements):
        return push
    ref = weakref.ref(node)

    def still_kept(entry: Any) -> bool:
        node = ref()
        return node is not None and node._retains(entry)

    return unboxing(push, still_kept)


#: From the inside out: around what a node does, and around what it sends by.
WRAPPERS = (
    Wrapper("order", "step", "next to the step, which is all that must not overtake", _keep_order),
    Wrapper("boxing", "step", "inside of policies: these take entries apart themselves", _box),
    Wrapper("failures", "step", "around all that is the node's own work", _handle_failures),
    Wrapper("input", "step", "outside of policies: a retry does not enter again", _wrap_input),
    Wrapper(
        "output edge", "step", "outside of input: it is the upstream node's work", _wrap_output_edge
    ),
    Wrapper("watermarks", "step", "around all that may keep the element", _mark_watermarks),
    Wrapper("counting", "step", "outermost: whatever becomes of the element", _count_arrivals),
    Wrapper("recording", "push", "around all edges: it sees each element once", _record),
    Wrapper("_emit", "send", "around the edges: its elements are those of the node", _call_emit),
    Wrapper("unboxing", "send", "last: whatever takes the element further gets it bare", _unbox),
)
