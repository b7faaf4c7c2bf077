"""Lane runtime: the operators of one lane in a worker, fed with batches in order.

A lane exists where its last batch ran.  A task says how many batches the lane must have taken in;
a worker that has no such lane answers `StateMissing`, and gets the last snapshot and the
batches since: it takes these in again, and drops the results, which are known.
"""

from __future__ import annotations

import dataclasses
import pickle
import threading
import time
from collections import OrderedDict
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from rapidz.eventtime.clock import END, NEVER
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.runtime.failures import interrupted
from rapidz.parallel.lanes.lane_failure import RAISED, UNHANDLED, LaneFailure
from rapidz.parallel.lanes.program import LaneProgram, Tagged, collect_outputs
from rapidz.parallel.wire.pickling import dumps

Signal: TypeAlias = Literal["", "flush"]

#: A snapshot may take this part of the time that the batches since the last one took.
SNAPSHOT_SHARE: Final = 0.1
#: How many programs a worker remembers.
_PROGRAMS: Final = 64


class LaneBatch(NamedTuple):
    """What a lane takes in at once: elements, each at the watermark as it was on arrival."""

    elements: list[Any]
    times: list[int]
    """The watermark at each element; empty where there is no event time."""
    until: int
    """The watermark after the elements."""
    signal: Signal = ""


class LaneTask:
    """One batch for a lane, and what is needed to run it, in a wrapping that Dask does not open.

    Parameters
    ----------
    lane : int
        Which lane.
    uid : str
        Which program it belongs to.
    program : LaneProgram or bytes
        The program, pickled if it goes to another process.
    number : int
        The number of the batch, from 1 on.
    batch : LaneBatch or bytes
        The batch, pickled if it goes to another process.
    base : LaneBase, optional
        What the lane begins with, if it may have to be built.
    snapshots : bool
        Whether snapshots are wanted.
    """

    __slots__ = ("base", "batch", "lane", "number", "program", "snapshots", "uid")

    def __init__(
        self,
        lane: int,
        uid: str,
        program: Any,
        number: int,
        batch: Any,
        base: LaneBase | None,
        snapshots: bool,
    ) -> None:
        self.lane, self.uid, self.program = lane, uid, program
        self.number, self.batch = number, batch
        self.base, self.snapshots = base, snapshots


class LaneBase(NamedTuple):
    """Where a lane begins: a snapshot, and the batches since."""

    number: int
    """The number of batches that the snapshot contains."""
    snapshot: bytes | None
    """None for a lane without elements."""
    batches: list[Any]


class LaneReport(NamedTuple):
    """What a batch has resulted in."""

    results: Any
    """What leaves the lane, in order: values, `Tagged` ones, `LaneFailure`; a list, or pickled."""
    due: int
    """The watermark at which the lane has something to do."""
    reached: int
    """The watermark behind the results."""
    holds: int
    """The lane's results to come may be so old, however far the watermark comes."""
    seconds: float
    snapshot: bytes | None
    snapshot_error: str


class StateMissing:
    """The worker has no such lane, or not in the state that the task needs."""


class Lane:
    """The operators of one lane, with the state of its keys.

    Parameters
    ----------
    program : LaneProgram
        What it runs.
    lane : int
        Which lane it is.
    """

    def __init__(self, program: LaneProgram, lane: int) -> None:
        self.number = 0
        """How many batches it has taken in."""
        self._collected: list[Any] = []
        results = program.build(lane)
        self._head: Any = results[0]
        self._nodes = [each for each in results if isinstance(each, Stream)]
        self._failures: Stream[Any] = Stream()
        self._failures.sink(self._take_failure)
        policy: Any = self._failures
        if program.retry is not None:
            policy = dataclasses.replace(program.retry, then=self._failures)
        self._head.on_error(policy)
        self._ends = [
            stream
            for stream, output in zip(
                collect_outputs(program, results, self._collected), program.outputs, strict=True
            )
            if not output.stream
        ]
        self._clock = self._head._clock
        self._seconds = self._worked = self._snapshot_took = 0.0

    def _take_failure(self, failure: Any) -> None:
        self._collected.append(
            LaneFailure(failure.element, failure.exception, failure.attempts, UNHANDLED)
        )

    # --- batches ------------------------------------------------------------------------------

    def run(self, batch: LaneBatch) -> list[Any]:
        """Take in *batch*; return what has left the lane."""
        began = time.perf_counter()
        if batch.times:
            self._take_timed(batch)
        else:
            for x in batch.elements:
                self._take(x)
        if self._clock is not None:
            self._move(batch.until)
        if batch.signal:
            self._guarded(self._head.flush)
        self.number += 1
        self._seconds = time.perf_counter() - began
        self._worked += self._seconds
        collected = self._collected[:]
        self._collected.clear()
        return collected

    def _take_timed(self, batch: LaneBatch) -> None:
        clock = self._clock
        reached = clock.reached
        for x, t in zip(batch.elements, batch.times, strict=True):
            if t > reached:
                reached = t
                if t >= clock.due:
                    self._move(t)
                else:
                    clock.reached = t
            self._take(x)

    def _take(self, x: Any) -> None:
        try:
            self._head.emit(x)
        except BaseException as error:
            self._fail(x, error)

    def _move(self, t: int) -> None:
        """Let the watermark come to *t*."""
        clock = self._clock
        if t <= clock.reached:
            return
        clock.reached = t
        self._guarded(clock._tell)

    def _guarded(self, action: Any) -> None:
        """Do what belongs to no element; what fails leaves the lane as a failure."""
        pipeline = self._head._pipeline
        try:
            action()
        except BaseException as error:
            self._fail(None, error)
        while pipeline.pending_failures:
            self._fail(None, pipeline.pending_failures.take())

    def _fail(self, x: Any, error: BaseException) -> None:
        failure = error if isinstance(error, Exception) else interrupted(error)
        for each in failure.exceptions if isinstance(failure, ExceptionGroup) else (failure,):
            self._collected.append(LaneFailure(x, each, 1, RAISED))

    # --- what is known of it afterwards ---------------------------------------------------------

    def report(self, results: list[Any], *, crosses: bool, snapshots: bool) -> LaneReport:
        """Return what *results* are sent with."""
        due, reached, holds = NEVER, END, NEVER
        if self._clock is not None:
            due, reached = self._clock.due, self._clock.reached
            for end in self._ends:
                found = _holds(end, {})
                holds = min(holds, found)
            reached = min(reached, holds)
        snapshot, error = None, ""
        if snapshots and self._worked * SNAPSHOT_SHARE >= self._snapshot_took:
            began = time.perf_counter()
            try:
                snapshot = self.snapshot()
            except Exception as failed:
                error = f"{type(failed).__name__}: {failed}"
            self._snapshot_took, self._worked = time.perf_counter() - began, 0.0
        data: Any = _pickled(results) if crosses else results
        return LaneReport(data, due, reached, holds, self._seconds, snapshot, error)

    def drop(self) -> None:
        """Drop the state: the lane goes on in another worker, or has ended."""
        self._head._pipeline.nodes.clear()  # the report at exit is not to count what it buffers

    # --- state ----------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Return the state of the lane, pickled."""
        states = [node._snapshot() for node in self._nodes]
        times = [_time_of(node._clock) for node in self._nodes]
        return dumps((self.number, states, times))

    def restore(self, snapshot: bytes) -> None:
        """Go on from a *snapshot*."""
        self.number, states, times = pickle.loads(snapshot)
        if self._clock is not None:
            self._clock.graph()  # which makes the clocks that are missing
        for node, time_ in zip(self._nodes, times, strict=True):
            for name in _TIMES:
                if name in time_ and hasattr(node._clock, name):
                    setattr(node._clock, name, time_[name])
        for node, state, time_ in zip(self._nodes, states, times, strict=True):
            if state is not None:
                node._restore(state)
            if node._clock is not None and not node._clock.is_boundary:
                node._clock.set_timer(time_.get("timer", NEVER))
                node._clock.ask_again()  # what is due already, too


def _holds(node: Any, known: dict[Any, int]) -> int:
    """Return how old what comes out of *node* may yet be, with the watermark at its end."""
    if node not in known:
        clock = node._clock
        own = NEVER if clock is None or clock.is_boundary else clock.timer - clock.shift
        known[node] = NEVER
        known[node] = min([own, *(_holds(up, known) for up in node.upstreams)])
    return known[node]


_TIMES: Final = ("reached", "_in_order", "_marked", "shift")


def _time_of(clock: Any) -> dict[str, int]:
    """Return the instants that a clock knows."""
    if clock is None:
        return {}
    names = _TIMES if clock.is_boundary else (*_TIMES, "timer")
    return {name: getattr(clock, name) for name in names if hasattr(clock, name)}


def _pickled(results: list[Any]) -> bytes:
    """Pickle *results*; one that cannot be pickled fails alone."""
    for each in results:
        if type(each) is LaneFailure:
            each.make_picklable()
    try:
        return dumps(results)
    except Exception:
        return dumps([_picklable(each) for each in results])


def _picklable(result: Any) -> Any:
    try:
        dumps(result)
    except Exception as error:
        value = result.x if type(result) is Tagged else result
        failure = LaneFailure(value, TypeError(f"the result cannot be sent: {error}"))
        failure.make_picklable()
        return failure
    return result


# --- in the worker ------------------------------------------------------------------------------

_lanes: dict[tuple[str, int], Lane] = {}
_programs: OrderedDict[str, LaneProgram] = OrderedDict()
_lock = threading.Lock()


def _program_of(task: LaneTask) -> LaneProgram:
    if not isinstance(task.program, bytes):
        return task.program  # type: ignore[no-any-return]
    with _lock:
        program = _programs.get(task.uid)
        if program is None:
            program = _programs[task.uid] = pickle.loads(task.program)
            while len(_programs) > _PROGRAMS:
                _programs.popitem(last=False)
        return program


def _load_batch(batch: Any) -> LaneBatch:
    loaded: LaneBatch = pickle.loads(batch) if isinstance(batch, bytes) else batch
    return loaded


def run_task(task: LaneTask) -> LaneReport | StateMissing:
    """Run one batch of a lane, which is built anew if the task says with what."""
    which = task.uid, task.lane
    lane = _lanes.pop(which, None)  # in no other hands meanwhile, and gone if this fails
    if lane is None or lane.number != task.number - 1:
        if lane is not None:
            lane.drop()
        if task.base is None:
            return StateMissing()
        lane = _build(task, task.base)
    results = lane.run(_load_batch(task.batch))
    report = lane.report(results, crosses=isinstance(task.batch, bytes), snapshots=task.snapshots)
    _lanes[which] = lane
    return report


def _build(task: LaneTask, base: LaneBase) -> Lane:
    lane = Lane(_program_of(task), task.lane)
    if base.snapshot is not None:
        lane.restore(base.snapshot)
    lane.number = base.number
    for batch in base.batches:
        lane.run(_load_batch(batch))
    return lane


def run_pickled_task(data: bytes) -> bytes:
    """Run the task in *data*; return its report, pickled."""
    return dumps(run_task(pickle.loads(data)))


def forget_lane(which: tuple[str, int]) -> None:
    """Drop a lane that has ended."""
    if (lane := _lanes.pop(which, None)) is not None:
        lane.drop()
