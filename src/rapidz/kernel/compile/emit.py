"""Entry of elements: `emit`, compiled for the execution mode of the pipeline.

`Stream.emit` is found on the instance, as a function made for the node: in
a pipeline that needs no loop, the first run of nodes is inside it;
on a loop it checks the thread and returns what to await.  The rarer cases
(metadata, another thread, a blocking call) take `slow_path`: `EngineNode._emit_slow_path`
calls `PipelineExecution.run` (`runtime.execution`), where a blocking call waits.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from rapidz.kernel.compile.compiler import link
from rapidz.kernel.compile.feedback import is_feedback, without_feedback
from rapidz.kernel.compile.fusion import EDITED
from rapidz.kernel.compile.legacy import takes_keyword
from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.attribution import called_by_a_node
from rapidz.kernel.runtime.failed_task import FailedTask
from rapidz.kernel.runtime.failures import StreamClosed
from rapidz.kernel.runtime.pipeline_lock import ATOMIC
from rapidz.kernel.runtime.tasks import detach
from rapidz.kernel.runtime.tracking import tracked_push

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

Emit: TypeAlias = Callable[..., Any]


class Validity:
    """Validity flag of what was compiled: read with every element."""

    __slots__ = ("retired",)

    def __init__(self) -> None:
        self.retired = False


class CompiledEmit:
    """The compiled ways into one node, until the pipeline is edited."""

    def __init__(self, node: Node) -> None:
        self.validity = Validity()
        self._node = node
        self._bulk: Callable[[Iterator[Any]], Any] | None = None
        self.emit = self._make()
        self.compiled = self.emit != node._emit_slow_path

    def _make(self) -> Emit:
        node = self._node
        pipeline = node._pipeline
        slow_path = node._emit_slow_path
        if (
            node._closing
            or node._ended
            or pipeline.tracked
            or pipeline.records_emitters
            or pipeline.has_interrupted()
            or (pipeline.pending_failures and not pipeline.needs_loop)
            or not ATOMIC
        ):
            return slow_path
        if not pipeline.needs_loop:
            link(node)
            return node._outlet.fused(
                "emit",
                node,
                validity=self.validity,
                slow_path=slow_path,
                lock=pipeline.lock,
            )
        if pipeline.loop is None or not pipeline.runs_here():
            return slow_path
        link(node)
        return emit_on_loop(node, pipeline.loop, self.validity)

    def retire(self) -> None:
        """Something was edited: what was compiled here is not to be used again."""
        self.validity.retired = True

    def bulk(self) -> Callable[[Iterator[Any]], Any]:
        """Return the function that takes an iterator until it must wait or was retired."""
        if self._bulk is None:
            link(self._node)
            self._bulk = self._node._outlet.fused(
                "bulk", self._node, validity=self.validity, edited=EDITED
            )
        return self._bulk


def emit_on_loop(node: Node, loop: asyncio.AbstractEventLoop, validity: Validity) -> Emit:
    """Make the `emit` of a pipeline that runs on *loop*."""
    pipeline, push, slow_path = node._pipeline, node._outlet.send, node._emit_slow_path
    kept, lock, here = pipeline.pending_failures, pipeline.lock, loops.running_loop
    active = pipeline.active
    done = loop.create_future()
    done.set_result(None)

    def emit(x: Any, asynchronous: bool = False, metadata: Any = None) -> Any:
        if (
            validity.retired
            or lock.busy
            or metadata is not None
            or kept
            or here() is not loop
            or (asynchronous is not False and asynchronous is not True)
        ):
            return slow_path(x, asynchronous, metadata)
        idle = not active  # then this is called by no function that is in flight
        lock.busy = has_lock = True  # pyright: ignore[reportUnusedVariable] - interrupts look for it
        try:
            wait = push(x)
        except Exception as error:
            return pipeline.failed_awaitable(error)
        finally:
            lock.busy = has_lock = False  # noqa: F841 # pyright: ignore[reportUnusedVariable]
            if lock.waiters:
                lock.pass_on()
        if wait is None:
            return done
        return wait if idle else without_feedback(node, wait) or done

    return emit


def push_in(node: Node, x: Any, metadata: Any) -> Pending:
    """Take one element into *node*, the general way."""
    pipeline = node._pipeline
    if pipeline.pending_failures and not (loops.running_loop() is not None and is_feedback(node)):
        if loops.running_loop() is not None:
            return refuse_by_failure(node, x, metadata)
        pipeline.raise_pending()
    if node._ended or (node._closing and not called_by_a_node()):
        raise closed_error(node, x)
    return wait_unless_closing(node, pipeline.reentry.emit(push_with(node, metadata), x))


def wait_unless_closing(node: Node, wait: Pending) -> Pending:
    """Detach *wait* if it is feedback, or while *node* drains.

    It may be queued behind the element that would await it.
    """
    if not node._closing:
        return without_feedback(node, wait)
    detach(node._pipeline, wait)
    return None


def emit_within(node: Node, x: Any, asynchronous: bool, metadata: Any) -> Any:
    """Emit *x* in a step of the pipeline: a short way, for it may be many on the stack.

    What is kept is for those who emit from outside.
    """
    pipeline = node._pipeline
    if not (asynchronous or pipeline.needs_loop):
        if node._ended:
            raise closed_error(node, x)
        return pipeline.reentry.emit(push_with(node, metadata), x)
    try:
        if node._ended:
            raise closed_error(node, x)
        wait = pipeline.reentry.emit(push_with(node, metadata), x)
        return pipeline.as_awaitable(wait_unless_closing(node, wait))
    except Exception as error:
        return pipeline.failed_awaitable(error)


def emit_later(node: Node, x: Any, metadata: Any) -> None:
    """Take in *x*, which an interrupt has left behind; what fails is kept."""
    try:
        emit_within(node, x, False, metadata)
    except Exception as error:
        node._pipeline.record_failure(error)


def push_with(node: Node, metadata: Any) -> Callable[[Any], Pending]:
    """Return what takes an element with *metadata* into *node*."""
    if metadata is None and not node._pipeline.tracked:
        return node._outlet.send
    return functools.partial(push_tracked, node, metadata=metadata)


def closed_error(node: Node, x: Any) -> StreamClosed:
    """Return the error of an element that comes after the end."""
    return StreamClosed(f"{node}: the stream has ended; got {short_repr(x)}")


def refuse_by_failure(node: Node, x: Any, metadata: Any) -> Pending:
    """Report that an earlier element failed; take *x* only if the result is not awaited."""
    pipeline = node._pipeline
    push_late = functools.partial(push_tracked, node, x, metadata)
    return FailedTask(push_late, pipeline, pipeline.pending_failures[0])


def push_tracked(node: Node, x: Any, metadata: Any) -> Pending:
    """Push *x* downstream of *node*, with its metadata if elements are tracked."""
    pipeline = node._pipeline
    if node._ended:
        raise closed_error(node, x)
    if pipeline.tracked:
        given = metadata if isinstance(metadata, list) else [metadata] if metadata else []
        return tracked_push(lambda: node._outlet.send(x), given)
    return node._outlet.send(x)


def push_downstream(node: Node, x: Any, metadata: Any) -> Pending:
    """Push what an old node class emits, with the metadata that it hands on."""
    if metadata and not node._pipeline.tracked:
        node._pipeline.enable_tracking()
    push = node._outlet.push
    if not node._pipeline.tracked:
        return push(x)
    if metadata is None and takes_keyword(node.update, "metadata"):
        metadata = []  # it was given metadata and has dropped it
    if metadata is None:
        return push(x)
    return tracked_push(lambda: push(x), metadata)
