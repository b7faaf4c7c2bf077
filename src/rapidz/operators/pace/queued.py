"""Operators with a queue: `buffer` and `latest`, and their base class."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from rapidz.kernel.compile.legacy import interpreted
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.checks import check_count, check_queue
from rapidz.kernel.protocol.push import Pending, Push, Step
from rapidz.kernel.runtime.failures import BackPressureError
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.loop import new_condition
from rapidz.kernel.runtime.queue import QueueDrainer, SignalMark, elements_in


class Queued(Stream[T]):
    """Base class of the operators with a queue: it is drained by a task of its own."""

    _keeps_elements: ClassVar[bool] = True

    def __init__(self, upstream: Stream[Any], **kwargs: Any) -> None:
        self._make_queue()
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, **kwargs)

    def _make_queue(self) -> None:
        """Make the queue and its gate: before the node has edges, by which elements arrive."""
        self._drainer = QueueDrainer()
        self._gate = Gate(shared=False)
        self._gate.capacity_owners = self._drainer.capacity_owners

    @property
    def queue(self) -> Any:
        """The buffered elements, in order."""
        return vars(self).get("queue", self._drainer.entries)

    @queue.setter
    def queue(self, queue: Any) -> None:
        """Adopt the bound and the elements of another queue.

        A user's class that overrides `update` stores the queue itself.
        """
        if interpreted(self):
            vars(self)["queue"] = queue
            return
        check_queue(type(self).__name__, queue)
        self._set_bound(queue.maxsize)
        while not queue.empty():
            self.update(queue.get_nowait())

    def _set_bound(self, maxsize: int) -> None:
        """Limit the queue to *maxsize* elements; 0 for no limit."""

    def _has_in_flight(self) -> bool:
        return self._drainer.running or super()._has_in_flight()

    def _queue_action(self, action: Callable[[], Pending]) -> bool:
        entries = self._drainer.entries
        if self._gate.line:  # elements wait at the gate: the action is queued behind them
            self._gate.queue(
                self._pipeline, lambda: entries.append(SignalMark(action)), refuse_at_capacity
            )
            return True
        if self._drainer.running:
            entries.append(SignalMark(action))
            return True
        return super()._queue_action(action)

    def _buffered(self) -> int:
        return elements_in(self.queue) + self._gate.waiting()

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._drainer.running = False
        self._gate.admit_all()


def report_withdrawals(node: Queued[Any]) -> None:
    """Report an element that is withdrawn at the gate of *node*, in its place in the order."""
    lost = node._loss_reporter()
    if lost is None:
        return
    gate, drainer, pipeline = node._gate, node._drainer, node._pipeline

    def report() -> Pending:
        lost()
        return None

    def admit() -> Pending:
        if drainer.running:
            drainer.entries.append(SignalMark(report))
            return None
        return report()

    gate.withdrawn = lambda at: gate.queue_at(pipeline, at, admit)


def refuse_at_capacity() -> Exception:
    """Return the error for an element that can never be taken."""
    return BackPressureError("the queue is at capacity, and only this caller could drain it")


@Stream.register_api()
class buffer(Queued[T]):
    """Buffer elements in a queue, so that the upstream does not wait for downstream.

    Emits asynchronously, in order, as soon as downstream has capacity.  Applies
    back pressure while *n* elements are buffered.  An exception downstream is
    pending for the next emitter, and the queue continues.

    Parameters
    ----------
    n : int
        Capacity of the queue in elements, at least 1.

    >>> source = Stream()
    >>> elements = source.buffer(2).sink_to_list()
    >>> source.emit_many(range(3))
    >>> source.join()
    >>> elements
    [0, 1, 2]
    """

    _passes_elements: ClassVar[bool] = True

    _graphviz_shape = "diamond"
    _emits_one_for_one: ClassVar[bool] = True

    maxsize: LiveAttribute[int] = LiveAttribute()

    def __init__(self, upstream: Stream[T], n: int, **kwargs: Any) -> None:
        check_count("buffer", "n", n)
        self.maxsize = n
        super().__init__(upstream, **kwargs)

    def _set_bound(self, maxsize: int) -> None:
        self.maxsize = maxsize or sys.maxsize

    def compile(self, push: Push[T], port: int = 0) -> Push[Any] | Step:
        drainer, gate, maxsize = self._drainer, self._gate, self.maxsize
        drainer.gate = gate
        report_withdrawals(self)
        pipeline, outlet = self._pipeline, self._outlet
        entries, line = drainer.entries, gate.line

        def carry(x: T) -> Pending:
            if line:
                gate.open(pipeline)
            return outlet.send(x)

        drainer.resume(carry, pipeline)

        def step(x: T) -> Pending:
            if len(entries) < maxsize and not line:
                if drainer.running:
                    entries.append(x)
                    return None
                return drainer.put(x, carry, pipeline)
            return gate.enter(
                pipeline,
                lambda: len(entries) >= maxsize,
                lambda: drainer.put(x, carry, pipeline),
                refuse_at_capacity,
            )

        return step


@Stream.register_api()
class latest(Queued[T]):
    """Buffer only the newest element; drop those that it replaces.

    Emits the newest element as soon as downstream has capacity.  The last one
    always arrives.  Never applies back pressure.  In other libraries: conflate.

    >>> source = Stream()
    >>> newest = source.latest().sink_to_list()
    >>> source.emit("now")
    >>> source.join()
    >>> newest
    ['now']
    """

    _passes_elements: ClassVar[bool] = True

    _graphviz_shape = "octagon"

    def __init__(self, upstream: Stream[T], **kwargs: Any) -> None:
        super().__init__(upstream, **kwargs)

    @functools.cached_property
    def condition(self) -> Any:
        """A Tornado condition, for subclasses that override `update`."""
        return new_condition()

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        drainer, outlet, pipeline = self._drainer, self._outlet, self._pipeline
        entries = drainer.entries

        def carry(x: T) -> Pending:
            return outlet.send(x)

        drainer.resume(carry, pipeline)

        def step(x: T) -> Pending:
            if entries and type(entries[-1]) is not SignalMark:
                entries[-1] = x
                return None
            return drainer.put(x, carry, pipeline)

        return step
