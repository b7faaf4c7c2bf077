"""Operators that stay here and handle what stands for elements that are elsewhere.

They count, pair, order or time elements; before all but `union` and `buffer`
it must be known which elements there are (see `settling`).  They are the
operators of plain streams, and get handles for elements.
"""

from __future__ import annotations

import asyncio
import operator
import types
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from rapidz import operators as plain
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import Cell
from rapidz.kernel.protocol.push import Pending, Push, Step
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.pipeline import Pipeline
from rapidz.kernel.runtime.supervision import being_ended, record_outcome
from rapidz.kernel.runtime.tasks import wait_done, wait_for
from rapidz.operators.pace.queued import refuse_at_capacity as no_room
from rapidz.parallel.nodes.reconvergence import allowance_below
from rapidz.parallel.nodes.resolution import (
    Allowance,
    brought,
    conclude,
    each_of,
    in_order,
    keyed,
    there,
)
from rapidz.parallel.nodes.stream import ParallelStream
from rapidz.parallel.scheduling.batch_sizer import BatchSizer
from rapidz.parallel.scheduling.batcher import Batcher
from rapidz.parallel.scheduling.dispatcher import Dispatcher
from rapidz.parallel.scheduling.handles import HANDLES, HandleRange
from rapidz.parallel.wire.program import Chain, OperatorSpec


class Settled(ParallelStream[T]):
    """A node that counts, pairs, orders or times elements, wherever they are."""

    _settles: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(ParallelStream, self).__init__(*args, **kwargs)
        self._join_dispatcher(_no_dispatcher)


def _no_dispatcher() -> Dispatcher:
    raise TypeError("upstream must be scattered")


class Keyed(Settled[T]):
    """One that looks at a key of each element: computed there, and fetched."""

    _asks: ClassVar[bool] = True

    key: Any

    def _wrap_input(self, step: Push[Any], port: int) -> Push[Any]:
        if self.key is None:
            return super()._wrap_input(step, port)
        dispatcher, front, pipeline = self._here(), self._front(port), self._pipeline
        add = self._keys().add
        pack = Batcher(dispatcher, Chain([], "pack"), BatchSizer(dispatcher.batch)).add

        async def arrive(pair: tuple[Any, Any]) -> None:
            x, handle = pair

            async def enter(found: Any) -> None:
                whole = found if type(found) in HANDLES else pack(found)
                for key in await brought(handle if found is x else add(found), dispatcher):
                    await wait_for(step(keyed(whole, key)))

            await each_of(x, conclude, enter)

        later = in_order(front, pipeline, arrive)
        allowance = allowance_below(self) or Allowance(lambda: 0)
        return lambda x: allowance.take_over(later((x, add(x))))

    def _keys(self) -> Batcher:
        """The batcher that computes keys."""
        spec = (
            OperatorSpec("map", (self.key,), {})
            if callable(self.key)
            else OperatorSpec("pluck", (self.key,), {})
        )
        batcher = Batcher(
            self._dispatcher,
            Chain([spec], f"key-{type(self).__name__}"),
            BatchSizer(self._dispatcher.batch),
        )
        batcher.nodes = [weakref.ref(self)]
        return batcher

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any] | Step:
        if self.key is None:
            return super().compile(push, port)
        key = self.key
        vars(self)["key"] = operator.attrgetter("key")
        try:
            return super().compile(push, port)
        finally:
            vars(self)["key"] = key


def on_handles(plain_operator: type[Stream[Any]], kind: type[ParallelStream[Any]] = Settled) -> Any:
    """The *plain_operator* for scattered streams: it handles what stands for the elements."""
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
latest = on_handles(plain.latest)
zip = on_handles(plain.zip)
zip_latest = on_handles(plain.zip_latest)
combine_latest = on_handles(plain.combine_latest)
partition = on_handles(plain.partition, Keyed)
partition_unique = on_handles(plain.partition_unique, Keyed)
timed_window_unique = on_handles(plain.timed_window_unique, Keyed)
unique = on_handles(plain.unique, Keyed)


class Passing(Settled[T]):
    """A node that lets elements pass without a look at them."""

    _settles: ClassVar[bool] = False


union = on_handles(plain.union, Passing)


class Carrier:
    """Carries on what a buffer has held, and lets in what waits outside."""

    __slots__ = ("_gate", "_held", "_maxsize", "_outlet", "_pipeline")

    def __init__(
        self, outlet: Any, gate: Gate, held: Cell[int], maxsize: int, pipeline: Pipeline
    ) -> None:
        self._outlet, self._gate, self._pipeline = outlet, gate, pipeline
        self._held, self._maxsize = held, maxsize

    def __call__(self, x: Any) -> Any:
        if type(x) is HandleRange:
            return self._carry_all(x)
        self._freed(1)
        return self._outlet.send(x)

    async def _carry_all(self, span: HandleRange) -> None:
        outlet, task = self._outlet, asyncio.current_task()
        while (at := span.at) < span.stop:
            try:
                try:
                    many = outlet.push_many
                    wait = outlet.send(span.next()) if many is None else many(span)
                finally:
                    self._freed(span.at - at)
                if wait is not None:
                    await wait
            except BaseException as error:
                if being_ended(error, task):
                    raise
                record_outcome(self._pipeline, error)

    def _freed(self, count: int) -> None:
        self._held.value -= count
        while self._gate.line and self._held.value < self._maxsize:
            self._gate.open(self._pipeline)


@ParallelStream.register_api()
class buffer(Passing[T], plain.buffer[T]):
    """`rapidz.buffer`: how many elements may be under way, or done and not yet taken.

    If order does not matter, those go on first that are there first.
    """

    _emits_one_for_one: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._held = held = Cell(0)
        vacant = weakref.ref(self)
        self._allowance = Allowance(
            lambda: 0 if (node := vacant()) is None else node.maxsize - held.value
        )
        self._coming: set[Any] = set()
        """What is not there yet, and takes its place in the queue then."""
        super().__init__(*args, **kwargs)

    def _on_loop_changed(self) -> None:
        self._drainer.entries.clear()  # what was under way in the old loop was lost with it
        self._held.value = 0
        self._coming.clear()
        super()._on_loop_changed()

    def _buffered(self) -> int:
        return self._held.value + self._gate.waiting()

    def _has_in_flight(self) -> bool:
        return bool(self._coming) or super()._has_in_flight()

    def _queue_action(self, action: Callable[[], Pending]) -> bool:
        if not self._coming:
            return super()._queue_action(action)

        async def when_all_are_there() -> None:
            for running in list(self._coming):
                await wait_done(running)
            await wait_for(self._run_in_own_order(action))

        self._pipeline.start(when_all_are_there())
        return True

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any] | Step:
        conveyor, gate, maxsize, held = self._drainer, self._gate, self.maxsize, self._held
        conveyor.gate = gate
        pipeline, line = self._pipeline, gate.line
        carry = Carrier(self._outlet, gate, held, maxsize, pipeline)
        conveyor.resume(carry, pipeline)

        def put(x: Any) -> Pending:
            return conveyor.put(x, carry, pipeline)

        enter = put if self._dispatcher.ordered else self._when_there(put)

        def admit(x: Any) -> Pending:
            held.value += 1
            return enter(x)

        def step(x: Any) -> Pending:
            if held.value < maxsize and not line:
                return admit(x)
            return gate.enter(pipeline, lambda: held.value >= maxsize, lambda: admit(x), no_room)

        if self._dispatcher.ordered:

            def many(span: HandleRange) -> Pending:
                held.value += span.stop - span.at
                return put(span)

            return Step(step, many, lambda: 0 if line else maxsize - held.value)
        return step

    def _when_there(self, put: Callable[[Any], Pending]) -> Callable[[Any], Pending]:
        """Put elements into the queue as they are there, whatever their order."""
        pipeline, coming = self._pipeline, self._coming

        async def later(x: Any) -> None:
            await there(x)
            put(x)

        def enter(x: Any) -> Pending:
            running: Any = pipeline.start(later(x))
            coming.add(running)
            running.add_done_callback(coming.discard)
            return None

        return enter
