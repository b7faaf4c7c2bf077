"""ParallelStream: a stream whose elements are elsewhere."""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, ClassVar

from rapidz.kernel.compile import alignment
from rapidz.kernel.compile.legacy import interpreted
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.push import Pending, Push, Start
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.tasks import SerialQueue, detached_push, run_async, wait_for
from rapidz.parallel.backends.client_loop import bind_to_loop, emit_on_pipeline_loop
from rapidz.parallel.backends.registry import find_backend
from rapidz.parallel.nodes.reconvergence import (
    allowance_below,
    meet_in_disorder,
    one_branch_after_the_other,
)
from rapidz.parallel.nodes.resolution import (
    Allowance,
    brought,
    conclude,
    each_of,
    in_order,
    new_line,
    settled,
)
from rapidz.parallel.scheduling.dispatcher import Dispatcher
from rapidz.parallel.scheduling.handles import HANDLES, LocalHandle, iter_handles
from rapidz.parallel.wire.containers import CONTAINERS, rebuild


class ParallelStream(Stream[T]):
    """A stream whose elements are on a cluster or in a pool, until `gather` brings them back.

    What its nodes pass to each other stands for elements; functions are sent
    to where these are.  Sinks, and node classes of one's own, get futures.

    Parameters
    ----------
    *args, **kwargs
        As for `Stream`.
    backend : str, Executor, client or callable
        As for `scatter`; only for a node with nothing scattered above it.
    """

    _attributes_failures: ClassVar[bool] = True
    _fusible: ClassVar[bool] = False
    _wraps_edges: ClassVar[bool] = True
    _remote: ClassVar[bool] = True
    _accepts_handles: ClassVar[bool] = True
    _allowance: Allowance | None = None
    """What a buffer grants to nodes above it."""
    _settles: ClassVar[bool] = False
    """Whether the node must know which elements are there."""
    _asks: ClassVar[bool] = False
    """Whether the node has something computed from elements, such as a key."""
    _is_entry = False
    """Whether elements enter here by hand: then the nodes below are a chain of their own."""

    _dispatcher: Dispatcher

    def __init__(self, *args: Any, backend: Any = "dask", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._join_dispatcher(lambda: Dispatcher(find_backend(backend)))

    def _join_dispatcher(self, found: Callable[[], Dispatcher]) -> None:
        """Work with those that the nodes above work with, or with the dispatcher *found*."""
        self._fronts: dict[int, SerialQueue] = {}
        """Where elements wait before they enter, by port; -1 if all ports share one."""
        self._exits: dict[object, SerialQueue] = {}
        """Where they wait on their way out."""
        self._pipeline.require_loop()
        above = [up for up in self.upstreams if isinstance(up, ParallelStream)]
        try:
            self._dispatcher = above[0]._dispatcher if above else found()
            for up in above[1:]:
                self._check_same(up)
        except Exception:
            self.destroy()  # what is refused stays out of the graph
            raise

    def emit(self, x: T, asynchronous: bool = False, metadata: Any = None) -> Any:
        """Push one element into the pipeline, here: see `Stream.emit`."""
        self._enter()
        return super().emit(x, asynchronous, metadata)

    def emit_many(self, elements: Iterable[T]) -> Any:
        """Push *elements* one after the other, here: see `Stream.emit_many`."""
        self._enter()
        return super().emit_many(elements)

    def _enter(self) -> None:
        if not self._is_entry:
            self._is_entry = True
            if "_outlet" in vars(self):
                self._invalidate()

    def _check_same(self, upstream: ParallelStream[Any]) -> None:
        mine, theirs = self._dispatcher.backend, upstream._dispatcher.backend
        if not mine.shares_results(theirs):
            raise ValueError(
                f"{type(self).__name__}: backend must be the same for all inputs, got "
                f"{short_repr(mine)} and {short_repr(theirs)}; gather() one of them first"
            )

    def _check_edge(self, downstream: Stream[Any]) -> None:
        if isinstance(downstream, ParallelStream):
            if "_dispatcher" in vars(downstream):
                downstream._check_same(self)
        elif vars(type(downstream)).get("_needs_local_elements", False):
            name = type(downstream).__name__
            raise TypeError(
                f"{name}: upstream must not be scattered: call it as a method, {self}.{name}(...), "
                f"or gather() first"
            )

    @property
    def backend(self) -> str:
        """Where elements are: "dask", "thread", "process", or the name of an executor."""
        return self._dispatcher.backend.name

    @property
    def current_value(self) -> Any:
        """A future of the last element, from the first time this is asked for; None before."""
        handle = super().current_value
        if handle is None or not any(True for _ in iter_handles(handle)):
            return handle
        coroutine = brought(handle, self._here())
        values = asyncio.run_coroutine_threadsafe(coroutine, self._dispatcher.loop)
        future: Future[Any] = Future()
        values.add_done_callback(functools.partial(_pass_first_on, future))
        return future

    @current_value.setter
    def current_value(self, value: Any) -> None:
        self._recorded().value = value

    @property
    def default_client(self) -> Callable[[], Any]:
        """A function that returns the client or executor that tasks go to.

        It is the function that was given to `scatter`, if it was one.
        """
        return self._dispatcher.backend.client

    def _wrap_input(self, step: Push[Any], port: int) -> Push[Any]:
        if interpreted(self):
            return self._wrap_output_edge(step, self, port)
        if self._settles:
            one = len(self.upstreams) == 1
            front = self._front(port if one else -1)
            return settled(
                self._here(),
                front,
                self._pipeline,
                step,
                allowance_below(self),
                lost=self._lost_at(port),
                one_input=one,
            )
        return step

    def _lost_at(self, port: int) -> Callable[[], None]:
        """Make what is called, in its turn, for an element that failed on its way to *port*."""
        ref = weakref.ref(self)

        def lost() -> None:
            if (node := ref()) is None:
                return
            if node._is_join:
                node._on_partner_lost(port)
            else:  # it is in front of the node: behind what is in it, and on the way out
                Stream._run_in_order(node, node._report_on_the_way_out)

        return lost

    def _report_on_the_way_out(self) -> Pending:
        def report() -> Pending:
            alignment.report_loss(self)
            return None

        return self._after(list(self._exits.values()), report)

    def _wrap_output_edge(self, step: Push[Any], downstream: Stream[Any], port: int) -> Push[Any]:
        """Compile *step* of a node that knows nothing of handles: it gets futures."""
        dispatcher = self._here()
        if downstream._accepts_handles and downstream is not self:
            return step

        async def hand(handle: Any) -> None:
            await wait_for(step(await as_futures(handle, dispatcher)))

        def arrive(x: Any) -> Coroutine[Any, Any, None]:
            return each_of(x, conclude, hand)

        return in_order(self._exit((id(downstream), port)), self._pipeline, arrive)

    def _bind_to_loop(
        self, downstream: Stream[Any], call: Callable[[Any], Awaitable[Any]]
    ) -> Callable[[Any], Awaitable[Any]]:
        if self._dispatcher.backend.event_loop() is None:
            return call
        downstream._emit_on_other_loop = emit_on_pipeline_loop
        return bind_to_loop(call, self._dispatcher.backend)

    def _waits(self) -> bool:
        """Whether an element may have to wait in front of the node until more is known of it."""
        return self._settles

    def _multiplies(self) -> bool:
        """Whether several elements may come of one."""
        return False

    def _wrap_fan_out(self, pushes: list[Push[Any]], start: Start) -> Push[Any]:
        push = self._to_branches(pushes, start)
        return detached_push(self._pipeline, push) if self._is_entry else push

    def _to_branches(self, pushes: list[Push[Any]], start: Start) -> Push[Any]:
        if len(pushes) > 1 and self._dispatcher.ordered and meet_in_disorder(self):
            step = one_branch_after_the_other(pushes, self._exit("branches"), self._pipeline)
            return settled(self._here(), self._exit("all branches"), self._pipeline, step)
        return super()._wrap_fan_out(pushes, start)

    def _here(self) -> Dispatcher:
        """The dispatcher, told which pipeline it works for."""
        self._dispatcher.pipeline = self._pipeline
        return self._dispatcher

    def _wrap_policy(self, step: Push[Any], policy: Any) -> Push[Any]:
        own = self._settles or interpreted(self)  # what operators do is guarded on the workers
        return (
            super()._wrap_policy(step, policy)
            if own and self._effective_policy is not None
            else step
        )

    # --- elements that wait in front of the node ------------------------------------------

    def _front(self, port: int) -> SerialQueue:
        return self._fronts.setdefault(port, new_line(self._dispatcher))

    def _has_in_flight(self) -> bool:
        lines = (*self._fronts.values(), *self._exits.values())
        return any(line.busy() for line in lines) or super()._has_in_flight()

    def _buffered(self) -> int:
        lines = (*self._fronts.values(), *self._exits.values())
        return sum(line.count() for line in lines) + super()._buffered()

    def _run_in_order(self, action: Callable[[], Pending]) -> Pending:
        def on_the_way_out() -> Pending:
            return self._after(list(self._exits.values()), action)

        in_the_node = functools.partial(super()._run_in_order, on_the_way_out)
        return self._after(list(self._fronts.values()), in_the_node)

    def _after(self, lines: list[SerialQueue], action: Callable[[], Pending]) -> Pending:
        """Do *action* after what is in *lines*."""
        for at, line in enumerate(lines):
            if line.busy():
                turn = run_async(functools.partial(self._after, lines[at + 1 :], action))
                return line.enqueue(turn, self._pipeline)
        return action()

    def _exit(self, key: object) -> SerialQueue:
        return self._exits.setdefault(key, new_line(self._dispatcher))

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._fronts.clear()
        self._exits.clear()


def _pass_first_on(future: Future[Any], values: Future[list[Any]]) -> None:
    if (error := values.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(next(iter(values.result()), None))


async def as_futures(x: Any, dispatcher: Dispatcher) -> Any:
    """What users get for an element that is elsewhere: a future, or a container of futures."""
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
    (value,) = await brought(x, dispatcher)
    return dispatcher.backend.element_future(None, 0, value)
