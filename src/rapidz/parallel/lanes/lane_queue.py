"""Lane queue: what one lane is to take in, what it has in flight, and what may be taken in again.

Inputs are kept here until a snapshot that contains them is.  So the loss of a worker means that
the lane is built anew from the last snapshot, and takes in again what came after.
"""

from __future__ import annotations

from typing import Any

from rapidz.eventtime.clock import END, NEVER
from rapidz.kernel.runtime.tracked_element import unbox
from rapidz.parallel.lanes.runtime import LaneBase, LaneBatch, LaneReport, LaneTask, Signal
from rapidz.parallel.scheduling.batch_sizer import BatchSizer, count_by_bytes
from rapidz.parallel.wire.pickling import dumps

#: How many results of batches may wait for downstream, for a lane to get its next batch.
MOST_UNDELIVERED = 2
#: How many elements may wait for a lane, at least.
LEAST_CAPACITY = 256


class LaneQueue:
    """Inputs of one lane: elements that wait, the batch in flight, and those since a snapshot.

    Parameters
    ----------
    lane : int
        Which lane it is.
    batch : "auto" or int
        How many elements go in one batch at most.
    """

    def __init__(self, lane: int, batch: int | str) -> None:
        self.lane = lane
        self.sizer = BatchSizer(batch)
        self.begin()

    def begin(self) -> None:
        """Begin anew, without elements and without a state."""
        self.elements: list[Any] = []
        self.times: list[int] = []
        self.until = -END
        """The watermark that the lane is to come to."""
        self.signals: list[tuple[int, Signal]] = []
        """Signals, each behind so many of the elements that wait."""
        self.batch: LaneBatch | None = None
        """What is in flight."""
        self.kept: list[Any] = []
        """The elements of the batch in flight as they came, with their metadata."""
        self.retries: list[tuple[LaneBatch, list[Any]]] = []
        """Parts of a batch that has ended its worker: they come first."""
        self.deaths = 0
        """How often the batch in flight has ended its worker."""
        self.future: Any = None
        self._encoded: Any = None
        """The batch in flight as it was sent."""
        self.number = 0
        """The number of the last batch whose results are known."""
        self.snapshot: bytes | None = None
        self.snapshot_number = 0
        self.log: list[Any] = []
        """The batches since the snapshot, pickled."""
        self.knows_state = False
        """Whether a worker is known that has the lane."""
        self.undelivered = 0
        """How many batches have results that downstream has not taken."""
        self.due = NEVER
        """The watermark at which the lane has something to do, as far as is known."""
        self.sent = -END
        """The watermark that the last batch has."""
        self.reached = -END
        """The watermark behind the results that downstream has taken."""
        self.holds = NEVER
        """Results to come may be so old, however far the watermark comes."""

    # --- what waits ---------------------------------------------------------------------------

    def add(self, x: Any, t: int | None) -> None:
        """Add an element, at the watermark *t*; None without event time."""
        self.elements.append(x)
        if t is not None:
            self.times.append(t)
            self.until = max(self.until, t)

    def move(self, t: int) -> None:
        """Let the watermark come to *t* behind the elements."""
        self.until = max(self.until, t)

    def add_signal(self, signal: Signal) -> None:
        """Add a signal behind the elements."""
        self.signals.append((len(self.elements), signal))

    def full(self) -> bool:
        """Return whether no more elements should come for now."""
        return len(self.elements) >= max(LEAST_CAPACITY, 2 * self.sizer.most)

    def waits(self) -> bool:
        """Return whether there is something to take in."""
        return bool(
            self.elements or self.signals or self.retries or (self.until >= self.due > self.sent)
        )

    def is_idle(self) -> bool:
        """Return whether the lane has nothing to do, and downstream has all its results."""
        return self.batch is None and not self.undelivered and not self.waits()

    def is_ready(self) -> bool:
        """Return whether the next batch is to be sent."""
        return self.batch is None and self.undelivered < MOST_UNDELIVERED and self.waits()

    def count(self) -> int:
        """Return how many elements wait or are in flight."""
        retried = sum(len(batch.elements) for batch, _ in self.retries)
        flying = 0 if self.batch is None else len(self.batch.elements)
        return len(self.elements) + retried + flying

    # --- batches --------------------------------------------------------------------------------

    def take_batch(self) -> None:
        """Put the next elements in flight."""
        if self.retries:
            self.batch, self.kept = self.retries.pop(0)
            return
        size = min(len(self.elements), self.sizer.most)
        signal: Signal = ""
        if self.signals and self.signals[0][0] <= size:
            size, signal = self.signals.pop(0)
        kept = self.elements[:size]
        values = [unbox(x) for x in kept]
        fit = count_by_bytes(values)
        if fit < size:
            if signal:
                self.signals.insert(0, (size, signal))
            size, signal = fit, ""
            values, kept = values[:fit], kept[:fit]
        del self.elements[:size]
        times = self.times[:size]
        del self.times[:size]
        self.signals = [(at - size, each) for at, each in self.signals]
        # What waits has its own times: the watermark is then that of the last element.
        until = self.until if not self.elements else (times[-1] if times else self.sent)
        self.batch, self.kept, self.deaths = LaneBatch(values, times, until, signal), kept, 0

    def task(self, uid: str, program: Any, *, crosses: bool) -> LaneTask:
        """Return the task of the batch in flight."""
        assert self.batch is not None
        base = None
        if not self.knows_state:
            base = LaneBase(self.snapshot_number, self.snapshot, list(self.log))
        batch: Any = dumps(self.batch) if crosses else self.batch
        self._encoded = batch
        return LaneTask(self.lane, uid, program, self.number + 1, batch, base, crosses)

    def take_report(self, report: LaneReport) -> LaneBatch:
        """Take in what the batch in flight has resulted in; return the batch."""
        batch = self.batch
        assert batch is not None
        self.sizer.record(len(batch.elements), report.seconds)
        self.batch, self.future, self.deaths = None, None, 0
        self.number += 1
        self.knows_state = True
        self.sent = max(self.sent, batch.until)
        self.due, self.holds = report.due, report.holds
        self.undelivered += 1
        if isinstance(self._encoded, bytes):
            self.log.append(self._encoded)
        if report.snapshot is not None:
            self.snapshot, self.snapshot_number = report.snapshot, self.number
            self.log.clear()
        return batch

    def split(self) -> bool:
        """Divide the batch in flight; return whether that is possible."""
        batch, kept = self.batch, self.kept
        if batch is None or len(batch.elements) < 2:
            return False
        half = len(batch.elements) // 2
        times = batch.times
        first = LaneBatch(
            batch.elements[:half], times[:half], times[half - 1] if times else self.sent
        )
        second = batch._replace(elements=batch.elements[half:], times=times[half:])
        self.retries.insert(0, (second, kept[half:]))
        self.batch, self.kept, self.deaths = first, kept[:half], 1
        return True

    def drop_element(self) -> list[Any]:
        """Take the only element out of the batch in flight; return it as it was kept."""
        assert self.batch is not None
        kept, self.kept = self.kept, []
        self.batch = self.batch._replace(elements=[], times=[])
        self.deaths = 0
        return kept

    def watermark(self, arrived: int) -> int:
        """Return the watermark behind the lane, if that in front of it is *arrived*."""
        if self.is_idle() and arrived < self.due:
            return max(self.reached, min(arrived, self.holds))
        return self.reached
