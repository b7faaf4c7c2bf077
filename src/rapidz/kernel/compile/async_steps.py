"""Steps of asynchronous functions: awaited one element after the other, in order."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.push import Pending, Push, Start, exception_group, when_all
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.futures import as_coroutine
from rapidz.kernel.runtime.serial_queue import SerialQueue
from rapidz.kernel.runtime.tasks import EagerTask, exception_of
from rapidz.kernel.runtime.wait_for_graph import task_code_ids

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node


def bind_call(node: Node, call: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """Bind *call*, an asynchronous function of *node*, to the loop it must run on."""
    for at in (node, *node.upstreams):
        if at is not None and at._wraps_edges:
            bind_call: Callable[[Any], Awaitable[Any]] = at._bind_to_loop(node, call)
            return bind_call
    return call


def await_each(
    node: Node,
    call: Callable[[Any], Awaitable[Any]],
    then: Callable[[Any, Any], Pending] | None = None,
) -> Push[Any]:
    """Make the step of a node whose own function is asynchronous.

    It awaits ``call(x)`` and then does ``then(x, result)``, if there is that to
    do, for one element after the other.
    """
    line: SerialQueue = node._serial_queue
    pipeline, lost = node._pipeline, node._loss_reporter()
    function = AsyncFunction(node, bind_call(node, call), then)
    enqueue, work = line.enqueue, function.work
    if lost is not None:
        return lambda x: enqueue(work(x), pipeline, lost)

    def step(x: Any) -> Pending:
        if line.last is not None:
            return enqueue(work(x), pipeline)
        return CallTask(x, function)

    return step


class AsyncFunction:
    """An asynchronous function of a node, as it was compiled, and what is done with its results."""

    __slots__ = ("call", "line", "pipeline", "ref", "then")

    def __init__(
        self,
        node: Node,
        call: Callable[[Any], Awaitable[Any]],
        then: Callable[[Any, Any], Pending] | None,
    ) -> None:
        self.ref, self.line, self.pipeline = weakref.ref(node), node._serial_queue, node._pipeline
        self.call, self.then = call, then

    async def work(self, x: Any) -> None:
        """Do for *x* what is to be done, in any task."""
        ref, then, line = self.ref, self.then, self.line
        try:
            result = await self.call(x)
        except BaseException as error:
            attribute_failure(ref(), x, error)
            raise
        if then is not None and (wait := then(x, result)) is not None:
            line.emitted += 1
            try:
                await wait
            finally:
                line.emitted -= 1


class CallTask(EagerTask):
    """Task of `AsyncFunction.work` with nothing ahead of it in the queue.

    A caller that awaits it at once runs the function itself, with no coroutine in between.
    """

    def __init__(self, x: Any, function: AsyncFunction) -> None:
        self._x, self._function = x, function
        self._pipeline, self._serial_queue = pipeline, line = function.pipeline, function.line
        line.front = line.last = self  # before anything runs: an eager task ends at once
        pipeline.active.add(self)
        if pipeline.tracked:
            self.adopt()
        else:
            pipeline.run_unless_awaited(self)

    def _begin(self) -> Coroutine[Any, Any, object]:
        self.begun = True
        x, self._x = self._x, None
        return self._function.work(x)

    def __await__(self) -> Generator[Any, Any, None]:
        if self.begun:
            return (yield from self._watch())
        self.begun = self._claimed = True
        function = self._function
        try:
            try:
                called: Any = function.call(self._x)
                if type(called) is not CoroutineType:
                    called = as_coroutine(called)
                self._driven = called
                result = yield from called.__await__()
            except BaseException as error:
                attribute_failure(function.ref(), self._x, error)
                raise
            if function.then is not None:
                yield from self._hand_on(function, result)
        except BaseException as error:
            self._x = None
            self._on_end(error)
            raise
        self._x = None  # who keeps this does not keep the element
        self._on_end()

    def _hand_on(self, function: AsyncFunction, result: Any) -> Generator[Any, Any, None]:
        """Do with *result* what is to be done."""
        assert function.then is not None
        wait = function.then(self._x, result)
        if wait is not None:
            self._driven = None
            function.line.emitted += 1
            try:
                yield from wait.__await__()
            finally:
                function.line.emitted -= 1

    def about(self) -> tuple[Node | None, Any]:
        return (None if self._x is None else self._function.ref()), self._x


task_code_ids.add(id(CallTask.__await__.__code__))


def await_returned(node: Node) -> Callable[[Any, Awaitable[object]], Pending]:
    """Make what waits for an awaitable that the plain function of *node* returned for an element.

    Coroutines run one after the other, as those of an ``async def`` function do.
    Futures, which run by themselves, are awaited together.
    """
    line: SerialQueue = node._serial_queue
    ref, pipeline = weakref.ref(node), node._pipeline

    async def work(x: Any, coroutine: Awaitable[object]) -> None:
        try:
            await coroutine
        except BaseException as error:
            attribute_failure(ref(), x, error)
            raise

    def wait_for(x: Any, awaitable: Awaitable[object]) -> Pending:
        if inspect.iscoroutine(awaitable) and pipeline.runs_here():
            return line.enqueue(work(x, awaitable), pipeline)
        if (
            isinstance(awaitable, asyncio.Future)
            and awaitable.done()
            and exception_of(awaitable) is None
        ):
            return None  # as what an emit returns that need not wait
        return pipeline.start(awaitable)

    return wait_for


def starter(node: Node) -> Start:
    """Return what starts an awaitable that a plain function of *node* returned.

    Unlike that of the pipeline it lets the coroutine be known as one of *node*.
    """
    ref, start = weakref.ref(node), node._pipeline.start

    async def known(ref: weakref.ref[Node], coroutine: Awaitable[object]) -> None:
        await coroutine

    def begin(awaitable: Awaitable[object]) -> Pending:
        return start(known(ref, awaitable) if inspect.iscoroutine(awaitable) else awaitable)

    return begin


def attribute_failure(node: Node | None, x: Any, error: BaseException) -> None:
    """Blame *error* on *node*; report the loss of *x*, unless a policy may yet get it through."""
    attribute_to(error, node, x)
    if node is not None and (node._effective_policy is None or not isinstance(error, Exception)):
        node._report_loss()


def push_each(node: Node) -> Callable[[Iterable[Any]], Pending]:
    """Make a push for many elements at once, each as capacity allows.

    All of them are tried; then one failure is raised, or several as a group.
    """
    line: SerialQueue = node._serial_queue
    ref, pipeline, outlet = weakref.ref(node), node._pipeline, node._outlet

    async def rest(first: Pending, elements: Iterator[Any], errors: list[Exception]) -> None:
        wait = first
        while True:
            try:
                if wait is not None:
                    await wait
            except Exception as error:
                errors.append(error)
            wait = send(elements, errors)
            if wait is None:
                break
        if errors:
            raise exception_group(errors, "elements")

    def send(elements: Iterator[Any], errors: list[Exception]) -> Pending:
        """Push until one must be waited for."""
        while True:
            try:
                x = next(elements)
            except StopIteration:
                return None
            except Exception as error:
                attribute_to(error, ref(), elements)
                errors.append(error)
                return None
            try:
                if (wait := outlet.send(x)) is not None:
                    return wait
            except Exception as error:
                errors.append(error)

    def step(elements: Iterable[Any]) -> Pending:
        try:
            each = iter(elements)
        except Exception as error:
            attribute_to(error, ref(), elements)
            raise
        errors: list[Exception] = []
        if line.busy():
            return line.enqueue(rest(None, each, errors), pipeline)
        if (wait := send(each, errors)) is not None:
            return line.enqueue(rest(wait, each, errors), pipeline)
        if errors:
            raise exception_group(errors, "elements")
        return None

    return step


def push_all(node: Node, elements: Iterable[Any]) -> Pending:
    """Push *elements* at once, so that none which comes later gets before them.

    All of them are tried; then one failure is raised, or several as a group.
    """
    waits: list[Awaitable[object]] = []
    errors: list[Exception] = []
    for x in elements:
        try:
            if (wait := node._outlet.send(x)) is not None:
                waits.append(wait)
        except Exception as error:
            errors.append(error)
    if waits:
        return node._pipeline.start(when_all(waits, errors, "elements"))
    if errors:
        raise exception_group(errors, "elements")
    return None


def queue_behind(node: Node, step: Push[Any]) -> Push[Any]:
    """Make the step of a node some of whose elements are still in flight.

    They came when its function was asynchronous; what comes now must not
    overtake them.  Once they are through, the node is compiled anew.
    """
    line: SerialQueue = node._serial_queue
    ref, pipeline = weakref.ref(node), node._pipeline

    async def work(x: Any) -> None:
        if (wait := step(x)) is not None:
            await wait

    def careful(x: Any) -> Pending:
        if line.busy():
            return line.enqueue(work(x), pipeline)
        if (node := ref()) is not None:
            node._invalidate()
        return step(x)

    return careful
