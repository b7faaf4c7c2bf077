"""Scatter to lanes, and gather: keyed operators on workers, order kept for each key."""

from __future__ import annotations

import asyncio
import functools
import warnings
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from rapidz.eventtime.clock import END
from rapidz.eventtime.event_time import TimeDefinition, definitions_upstream
from rapidz.eventtime.keyed.keyed_stream import KeyedStream
from rapidz.eventtime.keys import key_reader
from rapidz.eventtime.late import SendsLate
from rapidz.eventtime.time_graph import give_clock
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime.failures import BackPressureError, Retry
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.in_flight_token import InFlightToken
from rapidz.kernel.runtime.queue import QueueDrainer
from rapidz.kernel.runtime.tasks import EagerTask
from rapidz.kernel.runtime.tracked_element import TrackedElement, unbox
from rapidz.parallel.backends.registry import find_backend
from rapidz.parallel.lanes.delivery import LaneDelivery
from rapidz.parallel.lanes.key_groups import KEY_GROUPS, LaneFinder
from rapidz.parallel.lanes.lane_checks import check_node, check_scatter, time_of
from rapidz.parallel.lanes.lane_queue import LaneQueue
from rapidz.parallel.lanes.lane_stream import LaneStream
from rapidz.parallel.lanes.lanes_clock import LanesClock
from rapidz.parallel.lanes.program import LaneHead, LaneProgram, LaneStep, apply_step
from rapidz.parallel.lanes.runtime import Signal
from rapidz.parallel.lanes.workers import LaneWorkers
from rapidz.parallel.wire.chain import OperatorSpec


class lane_scatter(Stream[Any]):
    """Divide the elements of a keyed stream among lanes, each with the state of its own keys.

    What is called on the `LaneStream` that `scatter` returns runs on workers, as far as `gather`.
    Elements of one key go to one lane, in order, by a hash of the key that is the same in every
    process.  The results are emitted by the streams that `gather` returns, as they arrive.  Event
    time goes with the elements: a lane sees the watermark as it was when each element came,
    and its results leave when it has passed; behind the lanes the watermark is the least of
    all.  Applies back pressure while a lane has as many elements waiting as go in two batches.

    Inputs are kept here until a snapshot of the lane contains them, so the loss of a worker
    loses nothing, and no result comes twice.  Failures go to the policies in the lane, else to
    that of this node or the nearest upstream.

    Parameters
    ----------
    backend, client, batch
        As for `scatter`.
    partitions : int, optional
        How many lanes; as many as tasks can run at the same time by default.
    """

    _graphviz_shape = "hexagon"
    _keeps_elements: ClassVar[bool] = True
    _fusible: ClassVar[bool] = False
    _attributes_failures: ClassVar[bool] = True
    _emits_one_for_one: ClassVar[bool] = False

    def __init__(
        self,
        upstream: KeyedStream[Any, Any],
        backend: Any = "dask",
        *,
        client: Any = None,
        partitions: int | None = None,
        batch: int | str = "auto",
        **kwargs: Any,
    ) -> None:
        check_scatter(upstream, partitions, batch)
        self._backend = find_backend(backend, client)
        getter, time = upstream.key_getter, time_of(upstream)
        for each in (("key_by", getter), ("event_time", time and time.getter)):
            if each[1] is not None:
                self._backend.check_operator(OperatorSpec(each[0], (each[1].of,), {}))
        count = min(self._backend.slots(), KEY_GROUPS) if partitions is None else partitions
        self._program = LaneProgram(getter.of, time, count)
        self._template: list[Any] = [LaneHead(getter.of, time)]
        """The nodes of a lane, built here for what they check and say; no element reaches them."""
        self._key, self._find = key_reader("scatter", getter), LaneFinder(count)
        self._lanes = [LaneQueue(lane, batch) for lane in range(count)]
        self._workers = LaneWorkers(self, self._backend)
        self._delivery = LaneDelivery(self)
        self._late_counts: dict[int, int] = {}
        self._outlets: dict[int, weakref.ref[Stream[Any]]] = {}
        """By number of the output: the stream that its elements go to."""
        self._started = False
        self._drainer = QueueDrainer()
        self._gate = Gate(shared=False)
        self._gate.capacity_owners = self._drainer.capacity_owners
        self._outside: list[int] = []
        """The watermarks of the elements at the gate."""
        self._barriers: list[Callable[[], Pending]] = []
        """Signals that wait until the lanes are through, the first of them perhaps at work."""
        self._at_barrier = False
        self._token = InFlightToken()
        self._snapshot_failed = False
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, **kwargs)
        self._timed = time is not None
        if self._timed:
            give_clock(self, LanesClock(self))

    def __str__(self) -> str:
        name = f"{self.name}; " if self.name else ""
        lanes = self.__dict__.get("_lanes", ())
        return f"<{name}scatter: {len(lanes)} lanes>"

    __repr__ = __str__

    # --- construction of the lanes --------------------------------------------------------------

    def _add_step(
        self, parent: int, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> int:
        """Add an operator to the lanes; refuse what cannot run in one."""
        self._check_not_started(method)
        self._backend.check_operator(OperatorSpec(method, args, kwargs))
        step = LaneStep(parent, method, args, kwargs)
        node = apply_step(self._template[parent], step, 0, 1)
        try:
            check_node(method, node)
        except Exception:
            self._template = self._program.build(0)
            raise
        self._template.append(node)
        return self._program.add(*step)

    def _check_not_started(self, what: str) -> None:
        if self._started:
            raise RuntimeError(
                f"{what}: lanes must be complete before the first element, got {self} with elements"
            )

    def _gather(self, step: int, **kwargs: Any) -> lane_gather:
        self._check_not_started("gather")
        output = self._program.lead_out(step)
        node = lane_gather(self, **kwargs)
        found = definitions_upstream([self._template[step]])
        if found:
            node.time_definition = found[0]
        self._outlets[output] = weakref.ref(node)
        return node

    def _side_stream(self, step: int, name: str) -> Stream[Any]:
        """Return the stream, of this process, of what leaves the lanes besides the results."""
        for at, output in enumerate(self._program.outputs):
            if output == (step, name) and (stream := self._outlets[at]()) is not None:
                return stream
        self._check_not_started(name)
        stream = Stream(stream_name=f"{name} of {self._template[step]}")
        self._pipeline.absorb(stream._pipeline)
        self._side_streams = (*self._side_streams, stream)
        self._outlets[self._program.lead_out(step, name)] = weakref.ref(stream)
        return stream

    def _start(self) -> None:
        """Begin: no operator can be added from now on."""
        if not any(not output.stream for output in self._program.outputs):
            raise RuntimeError(f"scatter: lanes must lead to gather(), got {self} without")
        for at, node in enumerate(self._template):
            if isinstance(node, SendsLate) and node._clock is not None:
                self._side_stream(at, "late")
        policy = self._effective_policy
        self._program.retry = policy if isinstance(policy, Retry) else None
        self._started = True

    # --- elements -------------------------------------------------------------------------------

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        ref, read, find, clock = weakref.ref(self), self._key, self._find, self._clock
        gate = self._gate
        arrived = clock.arrived if self._timed else None
        self._drainer.resume(self._delivery.carry, self._pipeline)
        self._pump()

        def step(x: Any) -> Pending:
            node = ref()
            if node is None:
                return None
            if not node._started:
                node._start()
            lane = node._lanes[find(read(unbox(x)))]
            t = None if arrived is None else arrived()
            if not gate.line and not node._full(lane):
                return node._admit(x, lane, t)
            if t is not None:
                node._outside.append(t)
            full = functools.partial(node._full, lane)
            admit = functools.partial(node._admit_waiting, x, lane, t)
            return gate.enter(node._pipeline, full, admit, _refuse)

        return step

    def _full(self, lane: LaneQueue) -> bool:
        return bool(self._barriers) or lane.full()

    def _admit(self, x: Any, lane: LaneQueue, t: int | None) -> Pending:
        if type(x) is TrackedElement:
            x = TrackedElement(x.x, x.metadata)
        lane.add(x, t)
        self._token.begin(self._pipeline)
        if lane.batch is None and not self._workers.scheduled:
            self._workers.schedule()
        return None

    def _admit_waiting(self, x: Any, lane: LaneQueue, t: int | None) -> Pending:
        if t is not None:
            self._outside.remove(t)
        return self._admit(x, lane, t)

    def _least_waiting(self, arrived: int) -> int:
        """Return the watermark that no element at the gate is behind, at most *arrived*."""
        return min(arrived, self._outside[0]) if self._outside else arrived

    def _let_in(self) -> None:
        """Let elements in that wait at the gate, as long as there is capacity."""
        while self._gate.line and not self._barriers:
            if any(lane.full() for lane in self._lanes):
                return
            self._gate.open(self._pipeline)

    # --- progress -------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send the next batch of each lane that is ready; note when all are through."""
        for lane in self._lanes:
            if lane.is_ready():
                lane.take_batch()
                self._workers.send(lane)
        self._let_in()
        if self._lanes_busy():
            self._token.begin(self._pipeline)
        elif self._barriers:
            self._run_barrier()
        else:
            self._token.end(self._pipeline)
            self._delivery.release_waiters()

    def _lanes_busy(self) -> bool:
        return any(not lane.is_idle() for lane in self._lanes)

    def _delivered(self) -> Pending:
        """Go on after downstream has taken the results of a batch."""
        wait: Pending = None
        if self._timed:
            self._clock.look_at_lanes()
            wait = self._clock.tell()
        self._pump()
        return wait

    # --- signals --------------------------------------------------------------------------------

    def _has_in_flight(self) -> bool:
        return self._lanes_busy() or self._drainer.running or bool(self._barriers)

    def _queue_action(self, action: Callable[[], Pending]) -> bool:
        if not (self._has_in_flight() or self._gate.line):
            return False
        if self._gate.line:
            self._gate.queue(self._pipeline, functools.partial(self._add_barrier, action), _refuse)
        else:
            self._add_barrier(action)
        return True

    def _add_barrier(self, action: Callable[[], Pending]) -> None:
        self._barriers.append(action)
        self._token.begin(self._pipeline)
        self._workers.schedule()

    def _run_barrier(self) -> None:
        """Do what waits until the lanes are through; elements wait at the gate meanwhile."""
        if self._at_barrier:
            return
        self._at_barrier = True
        EagerTask(self._pass_barrier(self._barriers[0]), self._pipeline)

    async def _pass_barrier(self, action: Callable[[], Pending]) -> None:
        try:
            await asyncio.sleep(0)  # so that the queue of results is idle
            if (wait := action()) is not None:
                await wait
        finally:
            self._barriers.remove(action)
            self._at_barrier = False
            self._workers.schedule()

    def _emit_buffered(self) -> Pending:
        return self._signal("flush")

    def _emit_at_end(self) -> Pending:
        return self._signal("")

    def _signal(self, signal: Signal) -> Pending:
        """Send a flush, or the end of event time, to all lanes; return what is done at the end."""
        if not self._started:
            return None
        for lane in self._lanes:
            if signal:
                lane.add_signal(signal)
            elif self._timed and lane.until < END:
                lane.until, lane.due = END, min(lane.due, END)
        if not self._lanes_busy():
            return None
        wait = self._pipeline.running_on.create_future()
        self._delivery.when_idle(wait)
        self._pump()
        return wait

    # --- for the engine ---------------------------------------------------------------------------

    def _warn_of_snapshot(self, error: str) -> None:
        """Warn, once, that the state of lanes cannot be pickled."""
        if not self._snapshot_failed:
            self._snapshot_failed = True
            warnings.warn(
                f"{self}: the state of a lane cannot be pickled, so all its elements are kept "
                f"here, to be taken in again if the worker is lost: {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    def _buffered(self) -> int:
        return sum(lane.count() for lane in self._lanes) + self._gate.waiting()

    def _on_end(self) -> None:
        self._workers.close()

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._token = InFlightToken()
        self._drainer.running = self._at_barrier = False
        self._workers.scheduled = False
        self._barriers.clear()
        self._gate.admit_all()
        self._outside.clear()
        self._workers.watch_again()


class lane_gather(Stream[Any]):
    """Return the results of the lanes of a keyed stream to the process.

    Emits them as they arrive, in order for each key.  Applies back pressure to the lanes until
    downstream has capacity.
    """

    _graphviz_shape = "hexagon"
    _emits_one_for_one: ClassVar[bool] = False
    time_definition: TimeDefinition

    def __init__(self, upstream: lane_scatter, **kwargs: Any) -> None:
        super().__init__(upstream, **kwargs)


def _refuse() -> Exception:
    return BackPressureError("a lane is at capacity, and only this caller could free some")


def scatter_lanes(
    upstream: KeyedStream[Any, Any],
    backend: Any = "dask",
    *,
    client: Any = None,
    partitions: int | None = None,
    batch: int | str = "auto",
    **kwargs: Any,
) -> LaneStream:
    """Divide the elements of a keyed stream among lanes on workers.

    Returns a `LaneStream`: the keyed operators that are called on it run in the lanes, as far as
    `gather`.  See `lane_scatter`.

    Parameters
    ----------
    backend, client, batch
        As for `scatter`.
    partitions : int, optional
        How many lanes; as many as tasks can run at the same time by default.

    >>> from rapidz import Stream
    >>> source = Stream()
    >>> lanes = source.key_by(0).scatter("thread", partitions=2)
    >>> totals = lanes.accumulate(lambda total, x: total + x[1], start=0).gather()
    >>> seen = totals.sink_to_list()
    >>> source.emit_many([("a", 1), ("b", 2), ("a", 3)])
    >>> source.close()
    >>> sorted(seen)
    [('a', 1), ('a', 4), ('b', 2)]
    """
    node = lane_scatter(
        upstream, backend, client=client, partitions=partitions, batch=batch, **kwargs
    )
    return LaneStream(node, 0)
