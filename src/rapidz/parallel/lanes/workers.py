"""Lane workers: batches are sent to the workers of their lanes, again if a worker is lost."""

from __future__ import annotations

import contextlib
import pickle
import weakref
from concurrent.futures import CancelledError
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.parallel.backends.protocol import TaskRejected
from rapidz.parallel.lanes.runtime import (
    LaneReport,
    StateMissing,
    forget_lane,
    run_pickled_task,
    run_task,
)
from rapidz.parallel.scheduling.errors import WorkerDied, WorkersGone
from rapidz.parallel.wire.pickling import dumps, dumps_by_value

if TYPE_CHECKING:
    from rapidz.parallel.lanes.lane_queue import LaneQueue

#: How often a batch may end its worker before it is divided, and an element before it fails.
MOST_DEATHS: Final = 2
MOST_DEATHS_ALONE: Final = 4
#: The pauses before a batch that no worker could take is sent again, in seconds.
FIRST_PAUSE: Final = 0.05
MOST_PAUSES: Final = 10


class LaneWorkers:
    """Workers of the lanes of one node: a lane keeps to one worker, as far as the backend can.

    Parameters
    ----------
    node : lane_scatter
        The node.
    backend : Backend
        Where its lanes run.
    """

    def __init__(self, node: Any, backend: Any) -> None:
        if not hasattr(backend, "open_lane"):
            raise TypeError(
                "scatter: backend must have open_lane(lane) for keyed lanes, "
                f"got {short_repr(backend)} without"
            )
        self._ref = weakref.ref(node)
        self._backend = backend
        self._open: dict[int, Any] = {}
        self.scheduled = False
        """Whether lanes are looked at in the next turn of the loop."""
        self._pauses: dict[int, int] = {}

    @cached_property
    def _program(self) -> Any:
        """The program as tasks have it."""
        node = self._ref()
        assert node is not None
        return dumps_by_value(node._program) if self._backend.crosses_process else node._program

    def _worker(self, lane: LaneQueue) -> Any:
        worker = self._open.get(lane.lane)
        if worker is None:
            worker = self._open[lane.lane] = self._backend.open_lane(lane.lane)
        return worker

    def schedule(self) -> None:
        """Look at the lanes in the next turn of the loop: elements of this turn go together."""
        node = self._ref()
        if node is not None and not self.scheduled:
            self.scheduled = True
            node._pipeline.running_on.call_soon(_pump, self._ref)

    # --- batches ------------------------------------------------------------------------------

    def send(self, lane: LaneQueue) -> None:
        """Send the batch of *lane* that is in flight."""
        node = self._ref()
        if node is None:
            return
        crosses = self._backend.crosses_process
        worker = self._worker(lane)
        try:
            task = lane.task(node._program.uid, self._program, crosses=crosses)
            data = dumps(task) if crosses else task
        except Exception as error:
            self._drop_unpicklable(lane, error)
            return
        try:
            future = worker.submit_call(run_pickled_task if crosses else run_task, data, lane.lane)
        except TaskRejected:
            self._pause(lane)
            return
        except Exception as error:
            self._give_up(lane, WorkersGone(f"{self._backend.name}: {error}"))
            return
        lane.future = future
        self._watch(lane, future)

    def _watch(self, lane: LaneQueue, future: Any) -> None:
        future.add_done_callback(partial(_on_done, self._ref, lane))

    def watch_again(self) -> None:
        """Wait for what is in flight on the loop that the pipeline has now."""
        node = self._ref()
        for lane in node._lanes if node is not None else ():
            if lane.future is not None:
                self._watch(lane, lane.future)

    def done(self, lane: LaneQueue, future: Any) -> None:
        """Take in what a batch has resulted in."""
        if lane.future is not future:
            return
        node = self._ref()
        if node is None:
            return
        if future.cancelled() or future.exception() is not None:
            self._lost(lane, future)
        else:
            result = future.result()
            report = pickle.loads(result) if isinstance(result, bytes) else result
            if isinstance(report, StateMissing):
                lane.knows_state = False
                self.send(lane)
            else:
                self._take(lane, report)
        node._pump()

    def _take(self, lane: LaneQueue, report: LaneReport) -> None:
        node = self._ref()
        assert node is not None
        self._pauses.pop(lane.lane, None)
        kept, lane.kept = lane.kept, []
        lane.take_report(report)
        if report.snapshot_error:
            node._warn_of_snapshot(report.snapshot_error)
        node._delivery.put(lane, report, kept)

    # --- losses ---------------------------------------------------------------------------------

    def _lost(self, lane: LaneQueue, future: Any) -> None:
        """Act on the failure of a whole batch: its worker has been lost, or cannot run it."""
        worker = self._worker(lane)
        error = _error_of(future)
        kind = worker.classify_failure(future, error)
        lane.knows_state, lane.future = False, None
        if kind == "retry":
            self._pause(lane)
        elif kind == "unavailable":
            self._give_up(lane, WorkersGone(worker.describe_failure(error)))
        elif kind == "isolate":
            self._died(lane, worker, error)
        else:
            self._drop_batch(lane, error)

    def _died(self, lane: LaneQueue, worker: Any, error: BaseException) -> None:
        lane.deaths += 1
        batch = lane.batch
        alone = batch is not None and len(batch.elements) == 1
        if lane.deaths >= (MOST_DEATHS_ALONE if alone else MOST_DEATHS):
            if alone:
                died = WorkerDied(f"the element ended its worker: {worker.describe_failure(error)}")
                node = self._ref()
                if node is not None:
                    node._delivery.drop(lane.drop_element(), died)
            else:
                lane.split()
        self.send(lane)

    def _pause(self, lane: LaneQueue) -> None:
        """Send the batch again after a pause, which doubles."""
        node, count = self._ref(), self._pauses.get(lane.lane, 0)
        if node is None:
            return
        if count >= MOST_PAUSES:
            self._give_up(lane, WorkersGone(f"{self._backend.name}: no worker takes a batch"))
            return
        self._pauses[lane.lane] = count + 1
        pause = min(FIRST_PAUSE * 2**count, 2.0)
        node._pipeline.running_on.call_later(pause, _resend, self._ref, lane)

    def _give_up(self, lane: LaneQueue, error: Exception) -> None:
        """Let the elements of *lane* fail: there is no worker for them."""
        self._drop_batch(lane, error)
        node = self._ref()
        if node is not None:
            kept, lane.elements = lane.elements, []
            lane.times = []
            node._delivery.drop(kept, error)

    def _drop_batch(self, lane: LaneQueue, error: BaseException) -> None:
        node = self._ref()
        if node is None:
            return
        failure = error if isinstance(error, Exception) else RuntimeError(str(error))
        kept, lane.kept = lane.kept, []
        lane.batch, lane.future, lane.knows_state = None, None, False
        lane.due = max(lane.due, lane.until + 1)
        node._delivery.drop(kept, failure)

    def _drop_unpicklable(self, lane: LaneQueue, error: Exception) -> None:
        """Let the elements fail that cannot be sent, and send the others."""
        node, batch = self._ref(), lane.batch
        if node is None or batch is None:
            return
        good = [at for at, x in enumerate(batch.elements) if _is_sendable(x)]
        if len(good) == len(batch.elements):
            self._drop_batch(lane, error)
            return
        bad = set(range(len(batch.elements))).difference(good)
        cause = TypeError(f"the element cannot be sent: {error}")
        node._delivery.drop([lane.kept[at] for at in sorted(bad)], cause)
        lane.kept = [lane.kept[at] for at in good]
        lane.batch = batch._replace(
            elements=[batch.elements[at] for at in good],
            times=[batch.times[at] for at in good] if batch.times else [],
        )
        self.send(lane)

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Let the lanes go: no element comes any more."""
        node = self._ref()
        if node is not None:
            for lane in node._lanes:
                forget_lane((node._program.uid, lane.lane))
                lane.begin()
        workers, self._open = self._open, {}
        for lane_number, worker in workers.items():
            if node is not None and worker is self._backend and worker.crosses_process:
                with contextlib.suppress(Exception):  # it is gone, and the lane with it
                    worker.submit_call(forget_lane, (node._program.uid, lane_number), lane_number)
            worker.close_lane()
        self._backend.close()


def _error_of(future: Any) -> BaseException:
    if future.cancelled():
        return CancelledError()
    error: BaseException = future.exception()
    return error


def _is_sendable(x: Any) -> bool:
    try:
        dumps(x)
    except Exception:
        return False
    return True


def _pump(ref: Any) -> None:
    if (node := ref()) is not None:
        node._workers.scheduled = False
        node._pump()


def _resend(ref: Any, lane: LaneQueue) -> None:
    if (node := ref()) is not None and lane.batch is not None and lane.future is None:
        node._workers.send(lane)


def _on_done(ref: Any, lane: LaneQueue, future: Any) -> None:
    """Take up the outcome of a task on the loop of the pipeline, from any thread."""
    if (node := ref()) is None:
        return
    with contextlib.suppress(RuntimeError):  # that loop has ended: the next one looks again
        node._pipeline.running_on.call_soon_threadsafe(node._workers.done, lane, future)
