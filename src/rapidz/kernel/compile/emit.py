"""Entry of elements: `emit` and `emit_many`, compiled for the execution mode of the pipeline.

`Stream.emit` is found on the instance, as a function made for the node: in
a pipeline that needs no loop, the first run of nodes is inside it;
on a loop it checks the thread and returns what to await.  The rarer cases
(metadata, another thread, a blocking call) take `slow_path`: `EngineNode._emit_slow_path`
calls `PipelineExecution.run` (`runtime.execution`), where a blocking call waits.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import operator
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sized
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeAlias

from rapidz.kernel.compile.compiler import link
from rapidz.kernel.compile.feedback import is_feedback, without_feedback
from rapidz.kernel.compile.fusion import EDITED
from rapidz.kernel.compile.legacy import takes_keyword
from rapidz.kernel.protocol.checks import check_elements
from rapidz.kernel.protocol.push import BulkSlice, Pending
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

#: At most so many elements go in before others have the loop.
BULK_CHUNK = 4096

#: Iterators that never wait for anything, and do not care in which thread they are.
_COLLECTIONS: list[Any] = [[], (), range(0), range(1 << 64), {}, {}.values(), {}.items(), set(), ""]
IN_MEMORY_ITERATORS = frozenset(type(iter(each)) for each in _COLLECTIONS)


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


# --- many -------------------------------------------------------------------------------


def emit_many(node: Node, elements: Iterable[Any]) -> Any:
    """Take *elements* into *node* one after the other, each as capacity allows.

    No more is taken from an iterator than is pushed.  One that may be slow, or
    belongs to a thread, is asked for elements in the thread that calls.
    """
    check_elements(elements)
    pipeline, rest = node._pipeline, iter(elements)
    if pipeline.lock.inside == get_ident():
        if pipeline.lock.defer(functools.partial(bulk_later, node, rest)):
            return pipeline.as_awaitable(None) if pipeline.needs_loop else None
        if pipeline.needs_loop and is_feedback(node):
            return bulk_fed_back(node, rest)
        return bulk_within(node, rest)
    sized = isinstance(elements, Sized)
    if not pipeline.needs_loop:
        if not sized:
            return _one_by_one(node, rest)
        lock = pipeline.lock
        if lock.is_taken() and lock.defer(functools.partial(bulk_later, node, rest)):
            return None
        with lock:
            pipeline.resume_interrupted()
            wait = pipeline.reentry.emit(functools.partial(take_bulk, node), rest)
        return None if wait is None else pipeline.start(_take_rest(node, wait, rest))
    if loops.running_loop() is not None and not pipeline.emit_blocks():
        if pipeline.runs_here() and pipeline.active and is_feedback(node):
            return bulk_fed_back(node, rest)
        return pipeline.run(lambda: pipeline.start(_take_all(node, rest, sized)))
    if sized or type(rest) in IN_MEMORY_ITERATORS:
        wait = pipeline.run(lambda: pipeline.start(_take_all(node, rest, sized)))
        return _waited(wait)
    wait = None
    for x in rest:
        wait = _waited(node.emit(x))
    return wait


def _waited(wait: Any) -> Any:
    """Wait for an element that is on its way to a loop; return what `emit` does."""
    if wait is not None:
        wait.result()
    return wait


def bulk_later(node: Node, rest: Iterator[Any]) -> None:
    """Take in *rest*, which an interrupt has left behind; what fails is kept."""
    try:
        bulk_within(node, rest)
    except Exception as error:
        node._pipeline.record_failure(error)


def bulk_within(node: Node, rest: Iterator[Any]) -> Any:
    """Take in *rest* in a step of the pipeline: see `emit_within`."""
    pipeline = node._pipeline
    try:
        wait = pipeline.reentry.emit(functools.partial(take_bulk, node), rest)
    except Exception as error:
        if pipeline.needs_loop:
            return pipeline.failed_awaitable(error)
        raise
    if wait is not None:
        wait = pipeline.start(_take_rest(node, wait, rest))
    return pipeline.as_awaitable(wait) if pipeline.needs_loop else wait


def bulk_fed_back(node: Node, rest: Iterator[Any]) -> Awaitable[object]:
    """Take in *rest*, each element at once, as nothing waits for feedback.

    So all of them are in the pipeline before an end can be sent through it.
    """
    pipeline = node._pipeline
    try:
        for x in rest:
            if node._ended:
                raise closed_error(node, x)
            if (wait := pipeline.reentry.emit(push_with(node, None), x)) is not None:
                detach(pipeline, wait)
    except Exception as error:
        return pipeline.failed_awaitable(error)
    return pipeline.as_awaitable(None)


def take_bulk(node: Node, elements: Iterator[Any]) -> Pending:
    """Take in *elements* until one must be waited for, or all are in."""
    while True:
        pipeline = node._pipeline
        if node._closing or node._ended or pipeline.tracked:
            for x in elements:
                if (wait := push_in(node, x, None)) is not None:
                    return wait
            return None
        pipeline.raise_pending()
        wait = node._compiled_entry().bulk()(elements)
        if wait is not EDITED:
            return wait  # type: ignore[no-any-return]


async def _take_rest(node: Node, wait: Awaitable[object], rest: Iterator[Any]) -> None:
    again: Pending = wait
    while again is not None:
        await again
        again = take_bulk(node, rest)


async def _take_all(node: Node, elements: Iterator[Any], sized: bool) -> None:
    """Take in all of *elements*, and let others have the loop now and then."""
    ended: list[bool] = []
    elements = itertools.chain(elements, _tell_end(ended))
    while not ended:
        some: Any = itertools.islice(elements, BULK_CHUNK)
        if sized:
            items = list(some)
            some = BulkSlice(items, 0, len(items))
        step = functools.partial(_take_together if sized else take_bulk, node)
        while (wait := node._pipeline.reentry.emit(step, some)) is not None:
            await wait
        if not ended:
            await asyncio.sleep(0)
            loops.let_others_run()


def _tell_end(ended: list[bool]) -> Iterator[Any]:
    ended.append(True)
    yield from ()


def _take_together(node: Node, rest: BulkSlice) -> Pending:
    """Take in the rest of a chunk, as much at once as the nodes downstream can."""
    pipeline = node._pipeline
    while rest.at < rest.stop:
        if not (node._ended or pipeline.tracked or node._outlet.linked):
            link(node)
        many = None if node._ended else node._outlet.push_many
        if many is None:
            left = iter(rest.items)
            left.__setstate__(rest.at)  # a copy of the rest for each that waits would be quadratic
            try:
                return take_bulk(node, left)
            finally:
                rest.at = rest.stop - operator.length_hint(left)
        pipeline.raise_pending()
        if (wait := many(rest)) is not None:
            return wait
    return None


def _one_by_one(node: Node, elements: Iterator[Any]) -> Pending:
    """Take in what may be slow to come: others get in between."""
    for x in elements:
        if (wait := node.emit(x)) is not None:
            return node._pipeline.start(_take_rest(node, wait, elements))
    return None
