"""Nodes of event time on frames: one that makes watermarks, and one of windows."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pandas as pd

from rapidz.dataframe.frames.row_times import RowTime
from rapidz.dataframe.incremental.event_windows.base import TimedAggregate
from rapidz.dataframe.incremental.event_windows.stamps import UNITS, Instants, Stamps
from rapidz.eventtime.clock import NEVER, joined
from rapidz.eventtime.domain import TimeDomain
from rapidz.eventtime.event_time import TimeDefinition, event_time
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.late import SendsLate
from rapidz.eventtime.time_node import TimeNode
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["WindowsOfFrames", "event_time_of_frames"]

#: Splits an element into rows, their timestamps and their keys.
Split: TypeAlias = "Callable[[Any], tuple[Any, Any, Any]]"
#: Makes a state for rows like these.
Make: TypeAlias = "Callable[[Any], TimedAggregate]"


class SendsLateRows(SendsLate[Any]):
    """Base class of the nodes that sort out late rows: a stream of frames of them, and a count."""

    examples: Any = None
    """The example of late rows, and the class of their collection."""

    def _send_rows(self, rows: Any, how: str) -> Pending:
        """Count *rows*, and send them to `late`; *how* says what is wrong with them."""
        self.late_count += len(rows)
        if self._late is not None and len(self._late.downstreams):
            return self._late._outlet.send(rows)
        if not self._told_late:
            self._told_late = True
            warnings.warn(
                f"{self}: {len(rows)} rows {how} and left out; attach a sink to `.late` to get "
                "all such rows, `.late_count` counts them",
                RuntimeWarning,
                stacklevel=2,
            )
        return None


class RowDomain(TimeDomain):
    """Time domain of rows: nanoseconds inside, times of pandas or numbers in messages."""

    of_rows: ClassVar[bool] = True

    __slots__ = ("_stamps",)

    def __init__(self, stamps: Stamps) -> None:
        super().__init__("event_time", "ns")
        self._stamps = stamps

    def to_ns(self, ts: Any) -> int:
        """Return an instant: of a number of nanoseconds, or of what `from_ns` returns."""
        if isinstance(ts, int):
            return ts
        times = pd.Index([ts])
        return int(Stamps("event_time", self._stamps.unit).read(times).data[0])

    def from_ns(self, ns: int) -> Any:
        """Return an instant as the rows have it."""
        return self._stamps.index(np.array([ns]), None)[0]

    def shown(self, ts: Any) -> Any:
        """Return a timestamp as a message shows it."""
        return self.from_ns(ts)

    def limit(self, ns: int) -> Any:
        """Return an instant to compare nanoseconds with."""
        return ns

    def delta(self, ns: int) -> Any:
        """Return a length of time, as the difference of two timestamps."""
        of_times = self._stamps.dtype is not None and self._stamps.dtype.kind == "M"
        return pd.Timedelta(ns, "ns") if of_times else ns / UNITS[self._stamps.unit]


class event_time_of_frames(event_time[Any], SendsLateRows):
    """Make watermarks of the timestamps of rows; the rows of a frame arrive together.

    Emits every frame as it is, without rows that are too far in the future, and then moves the
    watermark once: to the newest timestamp, less the lag.

    Parameters
    ----------
    reader : RowTime
        Where the timestamps are.
    lag, idle, ahead
        As for `event_time`.
    """

    def __init__(self, upstream: Stream[Any], reader: RowTime, **options: Any) -> None:
        self._stamps = Stamps("event_time", reader.unit)
        super().__init__(upstream, reader, unit="ns", **options)
        self._ahead, self._origin.ahead = self._origin.ahead, None
        self._domain = self._origin.domain = RowDomain(self._stamps)
        self.time_definition = TimeDefinition(self._timestamp, self._domain)

    def __str__(self) -> str:
        return f"<event_time: {short_repr(self._reader)}>"

    __repr__ = __str__

    @property
    def _reader(self) -> RowTime:
        reader: RowTime = self._timestamp.of
        return reader

    @property
    def watermark(self) -> Any:
        """The watermark as the source writes time; None before the first row."""
        if self._origin.bar is None:
            return None
        return self._domain.from_ns(self._origin.latest())

    def _can_inline(self) -> bool:
        return False

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        """Return the step: the frame first, then the watermark."""
        clock, graph, watch = self._origin, self._pipeline.time, self._origin.watch
        ref, reader = weakref.ref(self), self._reader

        def step(frame: Any) -> Pending:
            if (node := ref()) is None:
                return None
            frame, times, waits = node._read(frame)
            newest = None if times.bounds is None else times.bounds[1]
            reader.remember(frame, times)
            try:
                waits.append(push(frame))
            finally:
                reader.remember(frame, None)
                if newest is not None and (clock.bar is None or newest > clock.bar or clock.asleep):
                    clock.due = NEVER  # `tell` lets all nodes downstream ask anew
                    clock.take(newest)
                    clock.graph()
                    clock.open_boundaries(clock.said())
                    clock.tell()
            if graph is not None and graph.owed:
                waits += graph.take_owed()
            if watch is not None and newest is not None:
                watch.note()
            return joined(node, waits)

        return step

    def _read(self, frame: Any) -> tuple[Any, Instants, list[Any]]:
        """Return the rows that are not too far in the future, and their timestamps."""
        times = self._stamps.read(self._reader.column(frame, "event_time"))
        if self._ahead is None or times.bounds is None:
            return frame, times, []
        limit = self._origin._wall() + self._ahead
        if times.bounds[1] <= limit:
            return frame, times, []
        future = times.data > limit
        if times.valid is not None:
            future &= times.valid
        wait = self._send_rows(frame[future], "are further ahead than allowed")
        return frame[~future], times.chosen(~future), [wait]


class WindowsOfFrames(TimeNode[Any], SendsLateRows):
    """Windows of rows: emits a frame of final rows when the watermark passes windows.

    A flush sends the present rows of open windows to `early`, and leaves the windows open; the end
    of the stream closes them.

    Parameters
    ----------
    operator : str
        Its name, for errors.
    upstream : Stream
        Where elements come from.
    reader : RowTime or None
        Where timestamps are, if not where the nearest `event_time` found them.
    make : callable
        Makes the state, for rows like those of the first frame.
    split : callable
        Splits an element into rows, timestamps and keys.
    """

    _graphviz_shape = "octagon"
    _combines_elements: ClassVar[bool] = True
    _takes_frames: ClassVar[bool] = True

    def __init__(
        self,
        operator: str,
        upstream: Stream[Any],
        reader: RowTime,
        make: Make,
        split: Split,
        result_time: RowTime,
    ) -> None:
        self._operator, self._make, self._split = operator, make, split
        self._state: TimedAggregate | None = None
        self._early: Stream[Any] | None = None
        super().__init__(operator, [upstream], reader)
        # A row of a result is of the last instant before its window ends.
        self._clock.shift = 1
        self.time_definition = TimeDefinition(
            Getter(result_time, operator, "timestamp"), self._domain
        )

    def __str__(self) -> str:
        name = f"{self.name}; " if self.name else ""
        late = f", {self.late_count} late" if self.late_count else ""
        return f"<{name}{self._operator}: {self.open_count} open{late}>"

    __repr__ = __str__

    @property
    def open_count(self) -> int:
        """How many windows are open, each key counted."""
        return 0 if self._state is None else self._state.open_count

    def _buffered(self) -> int:
        return self.open_count

    def _open_windows(self) -> list[tuple[int, int]]:
        return [] if self._state is None else self._state.open_windows()

    @property
    def early(self) -> Stream[Any]:
        """The rows of open windows as they are at each flush: frames that are not final."""
        if self._early is None:
            self._early = Stream(stream_name=f"early of {self._operator}")
            self._pipeline.absorb(self._early._pipeline)
            self._side_streams = (*self._side_streams, self._early)
        return self._early

    # --- rows -------------------------------------------------------------------------------

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        ref = weakref.ref(self)

        def step(element: Any) -> Pending:
            node = ref()
            return None if node is None else node._take(element)

        return step

    def _take(self, element: Any) -> Pending:
        rows, times, keys = self._split(element)
        reached, waits = self._clock.arrived(), list[Any]()
        if self._state is None:
            self._state = self._make(rows.iloc[:0])
        state = self._state
        if (due := state.due()) is not None and due <= reached:
            waits.append(self._on_time(reached))
        late = state.take(rows, times, keys, reached)
        if (due := state.due()) is not None:
            self._clock.set_timer(due)
        if late is not None:
            waits.append(self._send_rows(self._late_rows(element)[late], "are late"))
        return joined(self, waits)

    def _late_rows(self, element: Any) -> Any:
        return element[0] if isinstance(element, tuple) else element

    # --- results ----------------------------------------------------------------------------

    def _on_time(self, t: int) -> Pending:
        state = self._state
        if state is None:
            return None
        rows = state.close(t)
        try:
            # Until then the watermark stays behind the windows that are emitted.
            return None if rows is None else self._emit_all([rows])
        finally:
            due = state.due()
            self._clock.timer = NEVER if due is None else due

    def _emit_early(self) -> Pending:
        if self._early is None or self._state is None or not len(self._early.downstreams):
            return None
        rows = self._state.early()
        return None if rows is None else self._early._outlet.send(rows)
