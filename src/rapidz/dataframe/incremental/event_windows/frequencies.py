"""Frequencies of pandas: the bins of `resample` and of a `Grouper`, for rows still to come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.event_windows.bins import FAR, Bins, EvenBins
from rapidz.dataframe.incremental.types import Ints
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["CalendarBins", "LocalBins", "bins_of_frequency"]

DAY = 86_400_000_000_000
#: Frequencies of the calendar; those in the second set are labelled by their last day.
BEGINNINGS, ENDINGS = {"D", "MS", "QS", "YS"}, {"ME", "QE", "YE", "W"}


def bins_of_frequency(
    operator: str, freq: Any, closed: Any, label: Any, origin: Any, offset: Any
) -> tuple[Bins, str]:
    """Return the bins that `resample` has, and which side of a bin labels it.

    Bins must not depend on the first row, which may be yet to come: a length that does not divide
    a day needs an *origin*.

    >>> bins_of_frequency("resample", "15min", None, None, "start_day", None)[1]
    'left'
    >>> bins_of_frequency("resample", "7h", None, None, "start_day", None)
    Traceback (most recent call last):
    ...
    ValueError: resample: origin must be 'epoch' or a timestamp for a freq that does not divide a \
day, as its bins would depend on the first row, got freq='7h' and origin='start_day'
    """
    try:
        step: Any = pd.tseries.frequencies.to_offset(freq)
    except (ValueError, TypeError) as problem:
        raise ValueError(
            f"{operator}: freq must be a frequency, got {short_repr(freq)}"
        ) from problem
    for argument, side in (("closed", closed), ("label", label)):
        if side not in (None, "left", "right"):
            raise ValueError(
                f"{operator}: {argument} must be 'left' or 'right', got {short_repr(side)}"
            )
    if step is None or step.n < 1:
        raise ValueError(f"{operator}: freq must be above 0, got {short_repr(freq)}")
    length = isinstance(step, pd.offsets.Tick) and step.rule_code != "D"  # a day, before pandas 3
    if length or not _is(origin, "start_day") or _length(offset):
        return _even(operator, freq, step, closed, label, origin, offset)
    return _calendar(operator, freq, step, closed, label)


def _even(
    operator: str, freq: Any, step: Any, closed: Any, label: Any, origin: Any, offset: Any
) -> tuple[Bins, str]:
    day = step.rule_code == "D"
    if not day and not isinstance(step, pd.offsets.Tick):
        raise ValueError(
            f"{operator}: origin and offset must be left out for a freq of the calendar, "
            f"got freq={short_repr(freq)}"
        )
    size = step.n * DAY if day else int(step.nanos)
    local = _is(origin, "start_day")
    if local and DAY % size:
        raise ValueError(
            f"{operator}: origin must be 'epoch' or a timestamp for a freq that does not divide "
            "a day, as its bins would depend on the first row, "
            f"got freq={short_repr(freq)} and origin={short_repr(origin)}"
        )
    start = 0
    if not local and not _is(origin, "epoch"):
        try:
            start = int(pd.Timestamp(origin).as_unit("ns").value)
        except (ValueError, TypeError) as problem:
            raise ValueError(
                f"{operator}: origin must be 'start_day', 'epoch' or a timestamp, "
                f"got {short_repr(origin)}"
            ) from problem
    kind = LocalBins if local else EvenBins
    begin = (start + _length(offset)) % size
    return kind(size, size, begin, closed == "right"), label or "left"


def _is(origin: Any, word: str) -> bool:
    return isinstance(origin, str) and origin == word


def _length(offset: Any) -> int:
    return 0 if offset is None else int(pd.Timedelta(offset).as_unit("ns").value)


def _calendar(operator: str, freq: Any, step: Any, closed: Any, label: Any) -> tuple[Bins, str]:
    code = step.rule_code.split("-")[0]
    side = "right" if code in ENDINGS else "left"
    if code not in BEGINNINGS | ENDINGS or step.n != 1:
        known = ", ".join(sorted(BEGINNINGS | ENDINGS))
        raise ValueError(
            f"{operator}: freq must be a length of time, or one of {known}, as other bins would "
            f"depend on the first row, got {short_repr(freq)}"
        )
    if closed not in (None, side):
        raise ValueError(
            f"{operator}: closed must be {short_repr(side)} for freq={short_repr(freq)}, "
            f"got {short_repr(closed)}"
        )
    return CalendarBins(step, side == "right"), label or side


class LocalBins(EvenBins):
    """Even bins that begin at midnight where the times are: of the first day that has rows."""

    _placed = False

    def prepare(self, low: int, high: int, dtype: Any) -> None:
        """Place the bins in the zone of the times."""
        if self._placed:
            return
        self._placed = True
        if isinstance(dtype, pd.DatetimeTZDtype):
            local = pd.Timestamp(low, unit="ns", tz="UTC").tz_convert(dtype.tz)
            midnight = (
                local.tz_localize(None)
                .normalize()
                .tz_localize(dtype.tz, ambiguous=True, nonexistent="shift_forward")
            )
            self.origin = (int(midnight.as_unit("ns").value) + self.origin) % self.every


class CalendarBins(Bins):
    """Days, weeks, months, quarters or years, in the zone of the times.

    Parameters
    ----------
    step : pandas offset
        From the beginning of a bin to the next; or, with *ends*, from the last day to the next.
    ends : bool
        Whether *step* is to the last day of a bin.
    """

    def __init__(self, step: Any, ends: bool) -> None:
        self.step, self.by_end = step, ends
        self._first = 0
        """The number of the first bin that is known."""
        self._edges: Ints = np.empty(0, np.int64)
        """Where bins begin; the last one is where the last bin ends."""
        self._labels: Ints = np.empty(0, np.int64)

    def prepare(self, low: int, high: int, dtype: Any) -> None:
        """Compute the bins between two instants."""
        edges = self._edges
        if len(edges) and edges[0] <= low and high < edges[-1]:
            return
        low, high = (
            (min(low, int(edges[0])), max(high, int(edges[-1]))) if len(edges) else (low, high)
        )
        zone = dtype.tz if isinstance(dtype, pd.DatetimeTZDtype) else None
        first, last = (_local(instant, zone) for instant in (low, high))
        days = pd.date_range(
            self.step.rollback(first) - self.step,
            self.step.rollforward(last) + 2 * self.step,
            freq=self.step,
        )
        known = self._edges
        self._labels = _instants(days, zone)
        self._edges = _instants(days + pd.Timedelta(days=1), zone) if self.by_end else self._labels
        if len(known):
            self._first -= int(np.searchsorted(self._edges, known[0]))

    def panes(self, times: Ints) -> Ints:
        """Return the number of the bin of each row."""
        return np.searchsorted(self._edges, times, side="right") - 1 + self._first

    def first_open(self, watermark: int) -> int:
        """Return the number of the first bin that ends after the watermark."""
        at = min(max(watermark, -FAR), FAR)
        place = int(np.searchsorted(self._edges, at, side="right")) - 1
        return max(place, 0) + self._first

    def expand(self, panes: Ints, times: Ints, first: int) -> tuple[Ints | None, Ints]:
        """Return None and the bins: a row is in one."""
        return None, panes

    def starts(self, numbers: Ints) -> Ints:
        """Return the labels of the left side of bins."""
        labels: Ints = self._labels[numbers - self._first]
        return labels

    def ends(self, numbers: Ints) -> Ints:
        """Return the labels of the right side of bins."""
        labels: Ints = self._labels[numbers - self._first + 1]
        return labels

    def due(self, number: int) -> int:
        """Return the watermark at which a bin closes."""
        return int(self._edges[number - self._first + 1])

    def closings(self, labels: Ints, side: str) -> Ints:
        """Return the watermarks at which bins close, by the labels of one side."""
        places = np.searchsorted(self._labels, labels) + (side == "start")
        edges: Ints = self._edges[places]
        return edges


def _local(instant: int, zone: Any) -> pd.Timestamp:
    moment = pd.Timestamp(instant, unit="ns", tz="UTC")
    return (moment if zone is None else moment.tz_convert(zone)).tz_localize(None).normalize()


def _instants(days: pd.DatetimeIndex, zone: Any) -> Ints:
    if zone is not None:
        days = days.tz_localize(
            zone, ambiguous=np.ones(len(days), bool), nonexistent="shift_forward"
        )
    return np.asarray(days.as_unit("ns").asi8)
