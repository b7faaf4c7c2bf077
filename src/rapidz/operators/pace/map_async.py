"""Concurrent calls of an asynchronous function: `map_async`."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute, LiveKwargs
from rapidz.kernel.protocol.checks import check_callable, check_count
from rapidz.kernel.protocol.push import SKIP, Pending, Push
from rapidz.kernel.protocol.signatures import check_arguments
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.bounded_tasks import BoundedTasks
from rapidz.kernel.runtime.failures import PolicyHandler, StreamClosed
from rapidz.kernel.runtime.supervision import being_ended, supervised
from rapidz.kernel.runtime.tracked_element import TrackedElement, mark_failed, rebox, unbox
from rapidz.operators.pace.queued import Queued, refuse_at_capacity, report_withdrawals


@Stream.register_api()
class map_async(Queued[T]):
    """Apply an asynchronous function to several elements concurrently, in order.

    Emits the results asynchronously, in the order of the elements.  Applies
    back pressure while *parallelism* elements are in flight.  A result of
    `SKIP` is not emitted.  An exception of the function is pending for the next
    emitter, unless a policy handles it, and the node continues.  In other
    libraries: mapAsync.

    Parameters
    ----------
    func : callable
        Called with the element; returns an awaitable.
    *args, **kwargs
        Passed to the function after the element.
    parallelism : int
        Maximum number of elements in flight, from the call of the function
        until downstream has taken the result; at least 1.
    stop_on_exception : bool
        Accept no more elements after the function has raised an exception.

    >>> import asyncio
    >>> async def double(x):
    ...     await asyncio.sleep(0)
    ...     return 2 * x
    >>> source = Stream()
    >>> doubled = source.map_async(double, parallelism=2).sink_to_list()
    >>> source.emit_many([1, 2])
    >>> source.join()
    >>> doubled
    [2, 4]
    """

    _emits_one_for_one: ClassVar[bool] = True
    _loses_queue_with_loop: ClassVar[bool] = True

    func: LiveAttribute[Callable[..., Any]] = LiveAttribute()
    args: LiveAttribute[tuple[Any, ...]] = LiveAttribute()
    kwargs: LiveAttribute[Mapping[str, Any]] = LiveAttribute()
    parallelism: LiveAttribute[int] = LiveAttribute()

    def __init__(
        self,
        upstream: Stream[Any],
        func: Callable[..., Any],
        *args: Any,
        parallelism: int = 1,
        stop_on_exception: bool = False,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_callable("map_async", "func", func)
        check_arguments(self, func, args, kwargs)
        check_count("map_async", "parallelism", parallelism)
        self.func, self.args, self.kwargs = func, args, LiveKwargs(kwargs)
        self.parallelism = parallelism
        self.stop_on_exception = stop_on_exception
        self._stopped_by: Cell[Exception | None] = Cell(None)
        super().__init__(upstream, stream_name=stream_name)

    def _make_queue(self) -> None:
        super()._make_queue()
        self._bounded = BoundedTasks(self.parallelism, self._drainer, self._gate)

    def _buffered(self) -> int:
        return self._bounded.pending() + self._gate.waiting()

    def _on_loop_changed(self) -> None:
        self._bounded.clear()
        super()._on_loop_changed()

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        pipeline, bounded, gate, stopped_by = (
            self._pipeline, self._bounded, self._gate, self._stopped_by,
        )  # fmt: skip
        calls, label = _AsyncCalls(self), str(self)
        carry = bounded.carrier(calls.consume, pipeline)
        report_withdrawals(self)
        bounded.limit = self.parallelism
        self._drainer.resume(carry, pipeline)
        bounded.admit_waiting(pipeline)

        def begin(x: Any) -> Pending:
            return bounded.submit(x, calls.call, carry, pipeline)

        def step(x: Any) -> Pending:
            if stopped_by.value is not None:
                raise StreamClosed(f"{label} has stopped on an exception") from stopped_by.value
            if not gate.line and not bounded.at_capacity():
                return begin(x)
            return gate.enter(pipeline, bounded.at_capacity, lambda: begin(x), refuse_at_capacity)

        return step


class _AsyncCalls:
    """Calls of the function of a `map_async`, and the delivery of their results."""

    def __init__(self, node: map_async) -> None:
        self._func, self._args, self._kwargs = node.func, node.args, node.kwargs
        self._pipeline, self._outlet, self._bounded = node._pipeline, node._outlet, node._bounded
        self._stop_on_exception, self._stopped_by = node.stop_on_exception, node._stopped_by
        self._node = weakref.ref(node)
        policy = node._effective_policy
        self._handler = None if policy is None else PolicyHandler(node, policy)

    async def call(self, x: Any) -> Any:
        """Call the function with an element: the body of its task."""
        task = asyncio.current_task()
        try:
            result = self._func(unbox(x), *self._args, **self._kwargs)
            return await result if inspect.isawaitable(result) else result
        except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
            if being_ended(error, task):
                raise
            raise supervised(error) from error  # a task cannot propagate these

    async def consume(self, x: Any, task: asyncio.Task[Any]) -> None:
        """Wait for the result of a call, and emit it, or apply the policy to its exception."""
        since = attribution.last_serial
        try:
            result = await self._result_of(task)
        except Exception as error:
            attribute_to(error, self._node(), unbox(x))
            if self._handler is None:
                self._fail(x, error)
                raise
            retry = self._handler.retry_async
            await retry(lambda x: self._pipeline.start(self._call_again(x)), x, error, since)
        else:
            await self._emit(x, result)

    async def _call_again(self, x: Any) -> None:
        await self._emit(x, await self._result_of(self.call(x)))

    async def _result_of(self, calling: Awaitable[Any]) -> Any:
        try:
            return await calling
        except Exception:
            raise  # a policy may retry the call
        except BaseException:
            self._report_loss()
            raise

    async def _emit(self, x: Any, result: Any) -> None:
        if result is not SKIP and (wait := self._outlet.send(rebox(x, result))) is not None:
            await self._bounded.deliver(wait)

    def _fail(self, x: Any, error: Exception) -> None:
        self._report_loss()
        self._stopped_by.value = error if self._stop_on_exception else None
        if type(x) is TrackedElement:
            mark_failed(x.metadata, error)

    def _report_loss(self) -> None:
        if (node := self._node()) is not None:
            node._report_loss()
