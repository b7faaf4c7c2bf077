"""Extents of windows: all rows, the last rows, or a range of the index.

The three classes are plain data. `index_numbers` turns an index into numbers, which compare fast.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.types import Numbers
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["AllRows", "LastRows", "Extent", "Span", "index_numbers", "same_clock"]


@dataclass(frozen=True, slots=True)
class AllRows:
    """All rows since the start (expanding window); no row expires or is late."""


@dataclass(frozen=True, slots=True)
class LastRows:
    """The last `n` rows (count-based window), as `.iloc[-n:]` of all rows; no row is late.

    >>> LastRows(0)
    Traceback (most recent call last):
    ValueError: LastRows: n must be a whole number above 0, got 0
    """

    n: int

    def __post_init__(self) -> None:
        whole = isinstance(self.n, numbers.Integral) and not isinstance(self.n, bool)
        if not whole or self.n < 1:
            kind = ValueError if whole else TypeError
            raise kind(f"LastRows: n must be a whole number above 0, got {short_repr(self.n)}")


@dataclass(frozen=True, slots=True)
class Span:
    """Rows whose index is greater than the newest index minus `value` (range window).

    The range is half open: with "2h" the row that is exactly two hours old is outside. `value`
    is a length of time (anything that `pandas.Timedelta` reads) for an index of times, and a
    number for an index of numbers. Rows are sorted by index, rows of equal index by arrival. A
    row that is older than the window when it arrives is late.

    >>> Span("2h").value
    Timedelta('0 days 02:00:00')
    >>> Span(-1)
    Traceback (most recent call last):
    ValueError: Span: value must be a length of time or a number above 0, got -1
    """

    value: Any

    def __post_init__(self) -> None:
        value: Any = self.value
        if isinstance(value, bool) or value is None:
            raise TypeError(
                f"Span: value must be a length of time or a number, got {short_repr(value)}"
            )
        if not isinstance(value, numbers.Real):
            try:
                value = pd.Timedelta(value)
            except (ValueError, TypeError) as problem:
                raise type(problem)(
                    f"Span: value must be a length of time or a number, "
                    f"got {short_repr(self.value)}"
                ) from problem
            object.__setattr__(self, "value", value)
        nothing: Any = pd.Timedelta(0) if isinstance(value, pd.Timedelta) else 0
        if not value > nothing:
            raise ValueError(
                f"Span: value must be a length of time or a number above 0, "
                f"got {short_repr(self.value)}"
            )

    @property
    def timed(self) -> bool:
        """Whether the value is a length of time."""
        return isinstance(self.value, pd.Timedelta)

    @property
    def length(self) -> float | int:
        """The value in the numbers of `index_numbers`: nanoseconds, or as given."""
        if isinstance(self.value, pd.Timedelta):
            return int(self.value.as_unit("ns").value)
        length: float | int = self.value
        return length


Extent = AllRows | LastRows | Span


def same_clock(what: str, known: pd.Index[Any], new: pd.Index[Any]) -> None:
    """Refuse an index whose labels cannot be compared with those before.

    >>> times = pd.DatetimeIndex(["2030-01-01"])
    >>> same_clock("window", times.tz_localize("UTC"), times)
    Traceback (most recent call last):
    TypeError: window: index must hold times with a time zone, as before, got times without one
    """
    before, now = _clock(known), _clock(new)
    if before != now:
        now = "times without one" if before == ZONED and now == NAIVE else now
        raise TypeError(f"{what}: index must hold {before}, as before, got {now}")


ZONED, NAIVE = "times with a time zone", "times without a time zone"


def _clock(index: pd.Index[Any]) -> str:
    if isinstance(index, pd.DatetimeIndex):
        return NAIVE if index.tz is None else ZONED
    return "lengths of time" if isinstance(index, pd.TimedeltaIndex) else "numbers"


def index_numbers(index: pd.Index[Any], span: Span) -> Numbers:
    """Return the index as numbers: nanoseconds for times, numbers as they are.

    >>> index_numbers(pd.Index([1, 2]), Span("1h"))
    Traceback (most recent call last):
    TypeError: window: index must hold times for a span of time, got int64
    """
    timed = isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex))
    if span.timed and not timed:
        raise TypeError(f"window: index must hold times for a span of time, got {index.dtype}")
    if not span.timed and (
        not pd.api.types.is_numeric_dtype(index.dtype) or pd.api.types.is_bool_dtype(index.dtype)
    ):
        raise TypeError(f"window: index must hold numbers for a span of numbers, got {index.dtype}")
    if index.hasnans:
        raise ValueError("window: index must have no missing values, got a missing one")
    if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        return index.as_unit("ns").asi8
    return index.to_numpy()
