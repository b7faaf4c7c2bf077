"""Event time of streaming frames: timestamps, windows, and the rows that are late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidz.dataframe.collection.example import Example
from rapidz.dataframe.collection.streaming import make_collection
from rapidz.dataframe.frames.base import BaseFrame, needs_index
from rapidz.dataframe.frames.event_windows import EventWindows
from rapidz.dataframe.frames.row_times import row_time
from rapidz.dataframe.frames.time_nodes import WindowsOfFrames, event_time_of_frames
from rapidz.dataframe.frames.window_kinds import frequency, session, sliding, tumbling
from rapidz.dataframe.incremental.columns.dtypes import is_object
from rapidz.dataframe.incremental.event_windows.stamps import UNITS, check_dtype_of_times
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["FrameTimeMethods"]

if TYPE_CHECKING:
    _Mixed = BaseFrame
else:
    _Mixed = object


class FrameTimeMethods(_Mixed):
    """Event time: windows whose rows are emitted once, when no more rows are expected.

    >>> import pandas as pd
    >>> from rapidz.dataframe import DataFrame
    >>> def rows(*pairs):
    ...     times, values = zip(*pairs)
    ...     return pd.DataFrame({"ts": pd.to_datetime(times), "x": values})
    >>> sdf = DataFrame(example=rows(("2030-05-01 10:00", 0)))
    >>> timed = sdf.event_time("ts", lag="10 min")
    >>> shown = timed.resample("1h").sum().stream.sink(print)
    >>> sdf.emit(rows(("2030-05-01 10:05", 1), ("2030-05-01 11:02", 2)))
    >>> sdf.emit(rows(("2030-05-01 10:58", 4), ("2030-05-01 11:10", 8)))
                         x
    ts
    2030-05-01 10:00:00  5
    """

    def event_time(
        self,
        on: Any = None,
        *,
        lag: Interval = 0,
        idle: Interval | None = None,
        ahead: Interval | None = None,
        unit: str = "s",
    ) -> Any:
        """Give rows the time at which they happened, and make watermarks of it.

        Emits every frame as it is.  Windows downstream (`tumbling`, `sliding`, `session`,
        `resample`, `groupby` with a `pandas.Grouper`) act when the watermark passes: it is *lag*
        behind the newest row.  The rows of a frame arrive together: the watermark moves after them.

        Parameters
        ----------
        on : label, optional
            The column of the timestamps, the index by default: datetimes, or numbers.
        lag : float, str or timedelta
            How far out of order rows of different frames may be.
        idle : float, str or timedelta, optional
            After so long without a frame others need not wait for this one.  Needs an event loop.
        ahead : float, str or timedelta, optional
            Rows whose time is further ahead of the clock of this machine go to `late`.
        unit : str
            What numbers count since 1970: ``"s"``, ``"ms"``, ``"us"``, ``"ns"`` or ``"min"``.

        >>> import pandas as pd
        >>> from rapidz.dataframe import Series
        >>> heat = Series(example=pd.Series([0.0], index=pd.DatetimeIndex(["2030-05-01"])))
        >>> hot = heat.event_time(lag="1 min").tumbling("1h").max().stream.sink(print)
        """
        inner = self._inner
        if inner._remote:
            raise ValueError(
                "event_time: must be called before scatter or after gather, as watermarks are of "
                f"this process, got {inner}"
            )
        if unit not in UNITS:
            raise ValueError(
                f"event_time: unit must be one of {', '.join(UNITS)}, got {short_repr(unit)}"
            )
        if on is None:
            needs_index(self, "event_time by the index")
        reader = row_time(on, unit)
        example = self._example.get()
        if example is not None:
            times = reader.column(example, "event_time")
            if len(times) or not is_object(times.dtype):
                check_dtype_of_times(times.dtype, "event_time")
        node = event_time_of_frames(inner, reader, lag=lag, idle=idle, ahead=ahead)
        node.examples = Example(None, _same, [self._example]), type(self)
        return make_collection(
            node, Example(None, _same, [self._example]), self._stream_type, type(self)
        )

    # --- windows ------------------------------------------------------------------------

    def tumbling(self, size: Interval, *, offset: Interval = 0, on: Any = None) -> EventWindows:
        """Divide event time into windows of one size, one after the other.

        Results have the index levels ``start`` and ``end``, and then those of the keys.

        Parameters
        ----------
        size : float, str or timedelta
            Length of a window, above 0: seconds, or a string such as ``"1h"``.
        offset : float, str or timedelta
            Windows begin at multiples of *size* since 1970, and this later.
        on : label, optional
            The column of the timestamps, if not that of `event_time`.
        """
        return EventWindows(self, tumbling(size, offset), on)

    def sliding(
        self, size: Interval, every: Interval, *, offset: Interval = 0, on: Any = None
    ) -> EventWindows:
        """Divide event time into windows of one size that begin every so often, and overlap.

        A row is in all windows over its timestamp; it is late if all of these have closed.

        Parameters
        ----------
        size, every : float, str or timedelta
            Length of a window, and how long after one the next begins: at most *size*.
        offset, on
            As for `tumbling`.
        """
        return EventWindows(self, sliding(size, every, offset), on)

    def session(self, gap: Interval, *, on: Any = None) -> EventWindows:
        """Group rows that follow each other closely: a window ends after a *gap* without any.

        With keys, each key has its own sessions.  A session keeps its rows until it closes.

        Parameters
        ----------
        gap : float, str or timedelta
            Seconds, or a string such as ``"15 min"``, above 0.
        on : label, optional
            As for `tumbling`.
        """
        return EventWindows(self, session(gap), on)

    def resample(
        self,
        rule: Any,
        *,
        on: Any = None,
        closed: str | None = None,
        label: str | None = None,
        origin: Any = "start_day",
        offset: Any = None,
    ) -> EventWindows:
        """Return the bins of a frequency, as `pandas.DataFrame.resample`.

        Needs an `event_time` upstream.  Bins without rows have a result too; it is emitted with
        the next bin that has rows, for only then do these bins exist in pandas.

        Parameters
        ----------
        rule : str, timedelta or offset
            The frequency: a length of time, ``"D"``, ``"W"``, or months, quarters and years by
            their first day (``"MS"``) or their last (``"ME"``).
        on : label, optional
            The column of the timestamps, if not that of `event_time`.
        closed, label, origin, offset
            As in pandas.  Bins must not depend on the first row: a length that does not divide
            a day needs *origin*, ``"epoch"`` or a timestamp.
        """
        return EventWindows(self, frequency("resample", rule, closed, label, origin, offset), on)

    # --- rows on the side -----------------------------------------------------------------

    @property
    def late(self) -> Any:
        """The rows that were late for windows, or further ahead than `event_time` allows.

        A streaming frame: it emits for frames that have such rows.  Windows and `event_time` have
        it; of other frames it is the column of this name, if there is one.
        """
        node = self._side_node(event_time_of_frames, WindowsOfFrames)
        if node is None:
            return self._column("late")
        known, kind = node.examples
        return make_collection(node.late, known, "streaming", kind)

    @property
    def late_count(self) -> Any:
        """How many rows were late so far; for frames without `late` the column of this name."""
        node = self._side_node(event_time_of_frames, WindowsOfFrames)
        return self._column("late_count") if node is None else node.late_count

    @property
    def early(self) -> Any:
        """The rows of open windows at each flush, which are not final.

        Snapshots, each of which replaces the one before.  For frames that are no results of
        windows the column of this name.
        """
        node = self._side_node(WindowsOfFrames)
        if node is None:
            return self._column("early")
        known = Example(None, _same, [self._example])
        return make_collection(node.early, known, "updating", None)

    def _column(self, name: str) -> Any:
        frame: Any = self
        return frame.__getattr__(name)

    def _side_node(self, *kinds: type) -> Any:
        node = self._eager
        return node if isinstance(node, kinds) else None


def _same(example: Any) -> Any:
    return example
