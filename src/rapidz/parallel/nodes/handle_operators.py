"""Handle operators: those that stay in the process, and process handles of elements.

They count, pair, order or time elements.  All but `union` and `buffer` get
only resolved handles (see `resolution`).  They inherit from the operators of
plain streams, and treat a handle like an element.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import operator
import types
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from rapidz import operators as plain
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import Cell
from rapidz.kernel.protocol.push import Pending, Push, Step
from rapidz.kernel.runtime.futures import wait_for
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.pipeline import Pipeline
from rapidz.kernel.runtime.supervision import being_ended, record_outcome
from rapidz.kernel.runtime.tasks import wait_done
from rapidz.operators.pace.queued import refuse_at_capacity
from rapidz.parallel.nodes.credits import Credits
from rapidz.parallel.nodes.queues import enqueue_each
from rapidz.parallel.nodes.reconvergence import credits_downstream
from rapidz.parallel.nodes.resolution import (
    fetch_values,
    push_resolved,
    resolve_element,
    wait_resolved,
)
from rapidz.parallel.nodes.stream import ParallelStream
from rapidz.parallel.scheduling.batch_sizer import BatchSizer
from rapidz.parallel.scheduling.batcher import Batcher
from rapidz.parallel.scheduling.dispatcher import Dispatcher
from rapidz.parallel.scheduling.handles import HANDLES, HandleRange
from rapidz.parallel.wire.chain import Chain, OperatorSpec


class HandleOperator(ParallelStream[T]):
    """Node that counts, pairs, orders or times elements by their resolved handles."""

    _resolves_input: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(ParallelStream, self).__init__(*args, **kwargs)
        self._join_dispatcher(_refuse_plain_upstream)


def _refuse_plain_upstream() -> Dispatcher:
    raise TypeError("upstream must be scattered")


class KeyedHandleOperator(HandleOperator[T]):
    """Node that reads a key of each element: the workers compute it, and it is fetched."""

    _computes_keys: ClassVar[bool] = True

    key: Any

    def _wrap_input(self, step: Push[Any], port: int) -> Push[Any]:
        if self.key is None:
            return super()._wrap_input(step, port)
        add = self._key_batcher().add
        dispatcher = self._dispatcher
        pack = Batcher(dispatcher, Chain([], "pack"), BatchSizer(dispatcher.batch)).add

        async def enter(pair: tuple[Any, Any]) -> None:
            x, key_handle = pair

            async def push(found: Any) -> None:
                whole = found if type(found) in HANDLES else pack(found)
                key_of_found = key_handle if found is x else add(found)
                for key in await fetch_values(key_of_found, dispatcher):
                    await wait_for(step(_with_key(whole, key)))

            await push_resolved(x, resolve_element, push)

        enter_later = enqueue_each(self._input_queue(port), self._pipeline, enter)
        credits = credits_downstream(self) or Credits(lambda: 0)
        return lambda x: credits.spend(enter_later((x, add(x))))

    def _key_batcher(self) -> Batcher:
        """Return the batcher that computes keys."""
        dispatcher = self._bound_dispatcher()
        spec = OperatorSpec("map" if callable(self.key) else "pluck", (self.key,), {})
        chain = Chain([spec], f"key-{type(self).__name__}")
        batcher = Batcher(dispatcher, chain, BatchSizer(dispatcher.batch))
        batcher.nodes = [weakref.ref(self)]
        return batcher

    def _compiled_key(self) -> Any:
        return None if self.key is None else operator.attrgetter("key")


def _with_key(x: Any, key: Any) -> Any:
    """Return a handle like *x* that knows its key."""
    handle = copy.copy(x)
    handle.key = key
    return handle


def on_handles(
    plain_operator: type[Stream[Any]], kind: type[ParallelStream[Any]] = HandleOperator
) -> Any:
    """Return the *plain_operator* for scattered streams, which gets handles for elements."""
    name = plain_operator.__name__
    doc = f"`rapidz.{name}`, on scattered elements."
    made = types.new_class(
        name,
        (kind, plain_operator),
        exec_body=lambda body: body.update(__module__=__name__, __doc__=doc),
    )
    return ParallelStream.register_api()(made)


slice = on_handles(plain.slice)
sliding_window = on_handles(plain.sliding_window)
collect = on_handles(plain.collect)
timed_window = on_handles(plain.timed_window)
delay = on_handles(plain.delay)
rate_limit = on_handles(plain.rate_limit)
debounce = on_handles(plain.debounce)
throttle = on_handles(plain.throttle)
sample = on_handles(plain.sample)
latest = on_handles(plain.latest)
zip = on_handles(plain.zip)
zip_latest = on_handles(plain.zip_latest)
combine_latest = on_handles(plain.combine_latest)
partition = on_handles(plain.partition, KeyedHandleOperator)
partition_unique = on_handles(plain.partition_unique, KeyedHandleOperator)
timed_window_unique = on_handles(plain.timed_window_unique, KeyedHandleOperator)
unique = on_handles(plain.unique, KeyedHandleOperator)


class PassThroughOperator(HandleOperator[T]):
    """Node that passes handles on, resolved or not."""

    _resolves_input: ClassVar[bool] = False


union = on_handles(plain.union, PassThroughOperator)


class BufferOutput:
    """Output of a buffer: pushes what is taken from it, and admits what waits upstream."""

    __slots__ = ("_gate", "_maxsize", "_outlet", "_pipeline", "_size")

    def __init__(
        self, outlet: Any, gate: Gate, size: Cell[int], maxsize: int, pipeline: Pipeline
    ) -> None:
        self._outlet, self._gate, self._pipeline = outlet, gate, pipeline
        self._size, self._maxsize = size, maxsize

    def __call__(self, x: Any) -> Any:
        if type(x) is HandleRange:
            return self._push_range(x)
        self._release(1)
        return self._outlet.send(x)

    async def _push_range(self, handles: HandleRange) -> None:
        outlet, task = self._outlet, asyncio.current_task()
        while (at := handles.at) < handles.stop:
            try:
                try:
                    many = outlet.push_many
                    wait = outlet.send(handles.next()) if many is None else many(handles)
                finally:
                    self._release(handles.at - at)
                if wait is not None:
                    await wait
            except BaseException as error:
                if being_ended(error, task):
                    raise
                record_outcome(self._pipeline, error)

    def _release(self, count: int) -> None:
        self._size.value -= count
        while self._gate.line and self._size.value < self._maxsize:
            self._gate.open(self._pipeline)


@ParallelStream.register_api()
class buffer(PassThroughOperator[T], plain.buffer[T]):
    """`rapidz.buffer`: how many elements may be in flight, or done and not yet taken.

    If order does not matter, elements leave in the order in which they are done.
    """

    _emits_one_for_one: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._size = Cell(0)
        """How many elements are in the buffer."""
        self._credits = Credits(functools.partial(_free_capacity, weakref.ref(self)))
        self._unresolved: set[Any] = set()
        """Elements that enter the queue once they are resolved."""
        super().__init__(*args, **kwargs)

    def _on_loop_changed(self) -> None:
        self._drainer.entries.clear()  # what was in flight in the old loop was lost with it
        self._size.value = 0
        self._unresolved.clear()
        super()._on_loop_changed()

    def _buffered(self) -> int:
        return self._size.value + self._gate.waiting()

    def _has_in_flight(self) -> bool:
        return bool(self._unresolved) or super()._has_in_flight()

    def _queue_action(self, action: Callable[[], Pending]) -> bool:
        if not self._unresolved:
            return super()._queue_action(action)

        async def act_when_resolved() -> None:
            for running in list(self._unresolved):
                await wait_done(running)
            await wait_for(self._run_in_own_order(action))

        self._pipeline.start(act_when_resolved())
        return True

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any] | Step:
        drainer, gate, maxsize, size = self._drainer, self._gate, self.maxsize, self._size
        drainer.gate = gate
        pipeline, line = self._pipeline, gate.line
        output = BufferOutput(self._outlet, gate, size, maxsize, pipeline)
        drainer.resume(output, pipeline)
        ordered = self._dispatcher.ordered

        def put(x: Any) -> Pending:
            return drainer.put(x, output, pipeline)

        put_or_wait = put if ordered else self._put_when_resolved(put)

        def admit(x: Any) -> Pending:
            size.value += 1
            return put_or_wait(x)

        def step(x: Any) -> Pending:
            if size.value < maxsize and not line:
                return admit(x)
            return gate.enter(
                pipeline, lambda: size.value >= maxsize, lambda: admit(x), refuse_at_capacity
            )

        def many(handles: HandleRange) -> Pending:
            size.value += handles.stop - handles.at
            return put(handles)

        return Step(step, many, lambda: 0 if line else maxsize - size.value) if ordered else step

    def _put_when_resolved(self, put: Callable[[Any], Pending]) -> Callable[[Any], Pending]:
        """Make a step that puts elements into the queue in the order in which they are done."""
        pipeline, unresolved = self._pipeline, self._unresolved

        async def put_later(x: Any) -> None:
            await wait_resolved(x)
            put(x)

        def enter(x: Any) -> Pending:
            running: Any = pipeline.start(put_later(x))
            unresolved.add(running)
            running.add_done_callback(unresolved.discard)
            return None

        return enter


def _free_capacity(ref: weakref.ref[buffer[Any]]) -> int:
    node = ref()
    return 0 if node is None else node.maxsize - node._size.value
