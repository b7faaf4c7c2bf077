"""Base class of the nodes of scattered streams, whose elements are in a pool or on a cluster."""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any, ClassVar

from rapidz.kernel.compile import loss_alignment
from rapidz.kernel.compile.legacy import interpreted
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.push import Pending, Push, Start
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.futures import run_async, wait_for
from rapidz.kernel.runtime.serial_queue import SerialQueue
from rapidz.kernel.runtime.tasks import detached_push
from rapidz.parallel.backends.client_loop import bind_to_loop, emit_on_pipeline_loop
from rapidz.parallel.backends.registry import find_backend
from rapidz.parallel.nodes.credits import Credits
from rapidz.parallel.nodes.queues import enqueue_each, new_queue
from rapidz.parallel.nodes.reconvergence import (
    credits_downstream,
    needs_sequential_branches,
    push_sequentially,
)
from rapidz.parallel.nodes.resolution import (
    fetch_values,
    push_resolved,
    resolve_before,
    resolve_element,
)
from rapidz.parallel.scheduling.dispatcher import Dispatcher
from rapidz.parallel.scheduling.handles import HANDLES, LocalHandle, iter_handles
from rapidz.parallel.wire.containers import CONTAINERS, rebuild


class ParallelStream(Stream[T]):
    """Stream whose elements are on a cluster or in a pool, until `gather` brings them back.

    Its nodes push handles, which stand for elements; functions are sent to
    where these are.  Sinks, and node classes of users, get futures.

    Parameters
    ----------
    *args, **kwargs
        As for `Stream`.
    backend : str, Executor, client or callable
        As for `scatter`; only for a node with no scattered node upstream.
    """

    _attributes_failures: ClassVar[bool] = True
    _fusible: ClassVar[bool] = False
    _wraps_edges: ClassVar[bool] = True
    _remote: ClassVar[bool] = True
    _accepts_handles: ClassVar[bool] = True
    _credits: Credits | None = None
    """The credits that a buffer grants to nodes upstream."""
    _resolves_input: ClassVar[bool] = False
    """Whether handles must be resolved before they enter the node."""
    _computes_keys: ClassVar[bool] = False
    """Whether the node sends elements to the workers to compute something, such as a key."""
    _is_entry = False
    """Whether elements are emitted here: then the nodes downstream are a chain of their own."""

    _dispatcher: Dispatcher

    def __init__(self, *args: Any, backend: Any = "dask", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._join_dispatcher(lambda: Dispatcher(find_backend(backend)))

    def _join_dispatcher(self, make: Callable[[], Dispatcher]) -> None:
        """Use the dispatcher of the nodes upstream; *make* one if none is scattered."""
        self._input_queues: dict[int, SerialQueue] = {}
        """Queues in front of the node, by port; -1 if all ports share one."""
        self._output_queues: dict[object, SerialQueue] = {}
        """Queues behind the node."""
        self._pipeline.require_loop()
        above = [up for up in self.upstreams if isinstance(up, ParallelStream)]
        try:
            self._dispatcher = above[0]._dispatcher if above else make()
            for up in above[1:]:
                self._check_backend(up)
        except Exception:
            self.destroy()  # what is refused stays out of the graph
            raise

    def emit(self, x: T, asynchronous: bool = False, metadata: Any = None) -> Any:
        """Push one element into the pipeline at this node: see `Stream.emit`."""
        self._mark_entry()
        return super().emit(x, asynchronous, metadata)

    def emit_many(self, elements: Iterable[T]) -> Any:
        """Push *elements* into the pipeline at this node: see `Stream.emit_many`."""
        self._mark_entry()
        return super().emit_many(elements)

    def _mark_entry(self) -> None:
        if not self._is_entry:
            self._is_entry = True
            if "_outlet" in vars(self):
                self._invalidate()

    def _check_backend(self, upstream: ParallelStream[Any]) -> None:
        mine, theirs = self._dispatcher.backend, upstream._dispatcher.backend
        if not mine.shares_results(theirs):
            raise ValueError(
                f"{type(self).__name__}: backend must be the same for all inputs, got "
                f"{short_repr(mine)} and {short_repr(theirs)}; gather() one of them first"
            )

    def _check_edge(self, downstream: Stream[Any]) -> None:
        if isinstance(downstream, ParallelStream):
            if "_dispatcher" in vars(downstream):
                downstream._check_backend(self)
        elif vars(type(downstream)).get("_needs_local_elements", False):
            name = type(downstream).__name__
            if name in vars(ParallelStream):
                remedy = f"call it as a method, {self}.{name}(...), or gather() first"
            else:
                remedy = f"{name} does not support scattered streams; gather() first"
            raise TypeError(f"{name}: upstream must not be scattered: {remedy}")

    @property
    def backend(self) -> str:
        """Name of the backend: "dask", "thread", "process", or that of an executor."""
        return self._dispatcher.backend.name

    @property
    def current_value(self) -> Any:
        """Future of the last element, from the first use of this property on; None before."""
        handle = super().current_value
        if handle is None or not any(True for _ in iter_handles(handle)):
            return handle
        coroutine = fetch_values(handle, self._bound_dispatcher())
        values = asyncio.run_coroutine_threadsafe(coroutine, self._dispatcher.loop)
        future: Future[Any] = Future()
        values.add_done_callback(functools.partial(_set_first, future))
        return future

    @current_value.setter
    def current_value(self, value: Any) -> None:
        self._recorded().value = value

    @property
    def default_client(self) -> Callable[[], Any]:
        """Function that returns the client or executor that tasks go to.

        It is the function that was given to `scatter`, if it was one.
        """
        return self._dispatcher.backend.client

    def _wrap_input(self, step: Push[Any], port: int) -> Push[Any]:
        if interpreted(self):
            return self._wrap_output_edge(step, self, port)
        if not self._resolves_input:
            return step
        one_input = len(self.upstreams) == 1
        return self._resolve_before(step, port, port if one_input else -1, one_input)

    def _resolve_before(self, step: Push[Any], port: int, queue: int, one_input: bool) -> Push[Any]:
        """Make a step that resolves what arrives at *port*, in that one of the input queues."""
        return resolve_before(
            step,
            self._input_queue(queue),
            self._pipeline,
            ordered=self._bound_dispatcher().ordered,
            credits=credits_downstream(self),
            on_loss=functools.partial(_on_loss, weakref.ref(self), port),
            one_input=one_input,
        )

    def _report_loss_behind(self) -> Pending:
        """Report the loss of an element behind what is on its way out of the node."""

        def report() -> Pending:
            loss_alignment.report_loss(self)
            return None

        return self._after(list(self._output_queues.values()), report)

    def _wrap_output_edge(self, step: Push[Any], downstream: Stream[Any], port: int) -> Push[Any]:
        """Wrap the *step* of a node that does not accept handles: it gets futures."""
        dispatcher = self._bound_dispatcher()
        if downstream._accepts_handles and downstream is not self:
            return step

        async def push(handle: Any) -> None:
            await wait_for(step(await as_futures(handle, dispatcher)))

        queue = self._output_queue((id(downstream), port))
        begin = functools.partial(push_resolved, find=resolve_element, push=push)
        return enqueue_each(queue, self._pipeline, begin)

    def _bind_to_loop(
        self, downstream: Stream[Any], call: Callable[[Any], Awaitable[Any]]
    ) -> Callable[[Any], Awaitable[Any]]:
        if self._dispatcher.backend.event_loop() is None:
            return call
        downstream._emit_on_other_loop = emit_on_pipeline_loop
        return bind_to_loop(call, self._dispatcher.backend)

    def _may_queue(self) -> bool:
        """Return whether an element may wait in front of the node to be resolved."""
        return self._resolves_input

    def _may_expand(self) -> bool:
        """Return whether one element may result in several."""
        return False

    def _wrap_fan_out(self, pushes: list[Push[Any]], start: Start) -> Push[Any]:
        push = self._push_to_branches(pushes, start)
        return detached_push(self._pipeline, push) if self._is_entry else push

    def _push_to_branches(self, pushes: list[Push[Any]], start: Start) -> Push[Any]:
        ordered = self._dispatcher.ordered
        if len(pushes) > 1 and ordered and needs_sequential_branches(self):
            step = push_sequentially(pushes, self._output_queue("branches"), self._pipeline)
            queue = self._output_queue("all branches")
            return resolve_before(step, queue, self._pipeline, ordered=ordered)
        return super()._wrap_fan_out(pushes, start)

    def _bound_dispatcher(self) -> Dispatcher:
        """Return the dispatcher, bound to the present pipeline."""
        self._dispatcher.pipeline = self._pipeline
        return self._dispatcher

    def _wrap_policy(self, step: Push[Any], policy: Any) -> Push[Any]:
        # What operators do to elements is guarded on the workers.
        runs_here = self._resolves_input or interpreted(self)
        guarded = runs_here and self._effective_policy is not None
        return super()._wrap_policy(step, policy) if guarded else step

    # --- queues ---------------------------------------------------------------------------

    def _input_queue(self, port: int) -> SerialQueue:
        return self._input_queues.setdefault(port, new_queue(self._dispatcher.ordered))

    def _output_queue(self, key: object) -> SerialQueue:
        return self._output_queues.setdefault(key, new_queue(self._dispatcher.ordered))

    def _queues(self) -> list[SerialQueue]:
        return [*self._input_queues.values(), *self._output_queues.values()]

    def _has_in_flight(self) -> bool:
        return any(queue.busy() for queue in self._queues()) or super()._has_in_flight()

    def _buffered(self) -> int:
        return sum(queue.count() for queue in self._queues()) + super()._buffered()

    def _run_in_order(self, action: Callable[[], Pending]) -> Pending:
        def behind_outputs() -> Pending:
            return self._after(list(self._output_queues.values()), action)

        in_the_node = functools.partial(super()._run_in_order, behind_outputs)
        return self._after(list(self._input_queues.values()), in_the_node)

    def _after(self, queues: list[SerialQueue], action: Callable[[], Pending]) -> Pending:
        """Run *action* after what is in *queues*."""
        for at, queue in enumerate(queues):
            if queue.busy():
                turn = run_async(functools.partial(self._after, queues[at + 1 :], action))
                return queue.enqueue(turn, self._pipeline)
        return action()

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._input_queues.clear()
        self._output_queues.clear()


def _on_loss(ref: weakref.ref[ParallelStream[Any]], port: int) -> None:
    """Report, in order with the elements, one that failed before it entered the node."""
    node = ref()
    if node is None:
        return
    if node._is_join:
        node._on_partner_lost(port)
    else:  # behind what is in the node, and on its way out
        Stream._run_in_order(node, node._report_loss_behind)


def _set_first(future: Future[Any], values: Future[list[Any]]) -> None:
    if (error := values.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(next(iter(values.result()), None))


async def as_futures(x: Any, dispatcher: Dispatcher) -> Any:
    """Return what users get for a handle: a future, or a container of futures."""
    if type(x) in CONTAINERS:
        items = x.values() if type(x) is dict else x
        return rebuild(x, [await as_futures(item, dispatcher) for item in items])
    if type(x) is LocalHandle:
        return dispatcher.backend.element_future(None, 0, x.value)
    if type(x) not in HANDLES:
        return x
    task = x.task()
    if dispatcher.backend.supports_dependencies and task.ref is not None and not x.path():
        return dispatcher.backend.element_future(task.ref, x.root().index - task.start, None)
    (value,) = await fetch_values(x, dispatcher)
    return dispatcher.backend.element_future(None, 0, value)
