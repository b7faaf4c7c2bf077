"""Kinds of event-time windows of frames: tumbling, sliding, session, and those of frequencies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd

from rapidz.dataframe.incremental.event_windows.aligned import AlignedAggregate
from rapidz.dataframe.incremental.event_windows.base import Spec, TimedAggregate
from rapidz.dataframe.incremental.event_windows.bins import Bins, EvenBins
from rapidz.dataframe.incremental.event_windows.frequencies import bins_of_frequency
from rapidz.dataframe.incremental.event_windows.layout import Level
from rapidz.dataframe.incremental.event_windows.session import SessionAggregate
from rapidz.dataframe.incremental.event_windows.sliced import SlicedAggregate, can_be_sliced
from rapidz.dataframe.incremental.event_windows.stamps import Stamps
from rapidz.eventtime.domain import nanoseconds
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["WindowKind", "frequency", "session", "sliding", "tumbling"]

#: Makes a state for rows like an example.
Make: TypeAlias = "Callable[[Any, Spec, Stamps], TimedAggregate]"
#: Returns the watermarks at which windows close, by the labels that results have of them.
Closings: TypeAlias = "Callable[[Any], Any]"


@dataclass(frozen=True)
class WindowKind:
    """What windows of one kind are.

    Parameters
    ----------
    operator : str
        The method that asks for them, for errors.
    text : str
        How long they are, for display.
    build : callable
        Returns what makes a state, and what reads the labels of its results.
    levels : tuple
        Which labels of windows the index of results has.
    named : bool
        Whether that index is called as the timestamps are, as in pandas.
    fills : bool
        Whether windows without rows between others have a result, if there are no keys.
    """

    operator: str
    text: str
    build: Callable[[], tuple[Make, Closings]]
    levels: tuple[Level, ...] = ("start", "end")
    named: bool = False
    fills: bool = False


def _aligned(operator: str, text: str, make_bins: Callable[[], Bins], **options: Any) -> WindowKind:
    level = options.get("levels", ("end",))[-1]

    def build() -> tuple[Make, Closings]:
        bins = make_bins()

        def make(example: Any, spec: Spec, stamps: Stamps) -> AlignedAggregate:
            state = AlignedAggregate(example, spec, stamps, bins)
            overlap = isinstance(bins, EvenBins) and bins.size > bins.every
            if overlap and isinstance(bins, EvenBins) and can_be_sliced(state):
                return SlicedAggregate(example, spec, stamps, bins)
            return state

        return make, lambda labels: bins.closings(labels, level)

    return WindowKind(operator, text, build, **options)


def tumbling(size: Interval, offset: Interval = 0) -> WindowKind:
    """Return windows of one size, one after the other.

    >>> tumbling("1h").text
    "'1h'"
    """
    length = _length("tumbling", "size", size)
    start = nanoseconds(offset, operator="tumbling", argument="offset", signed=True) % length
    return _aligned("tumbling", short_repr(size), lambda: EvenBins(length, length, start))


def sliding(size: Interval, every: Interval, offset: Interval = 0) -> WindowKind:
    """Return windows of one size that begin every so often, and overlap."""
    length, step = _length("sliding", "size", size), _length("sliding", "every", every)
    if step > length:
        raise ValueError(
            f"sliding: every must be at most size, got every={short_repr(every)} and "
            f"size={short_repr(size)}"
        )
    start = nanoseconds(offset, operator="sliding", argument="offset", signed=True) % step
    text = f"{short_repr(size)}, every={short_repr(every)}"
    return _aligned("sliding", text, lambda: EvenBins(length, step, start))


def session(gap: Interval) -> WindowKind:
    """Return windows of rows of a key that follow each other closely."""
    length = _length("session", "gap", gap)

    def make(example: Any, spec: Spec, stamps: Stamps) -> SessionAggregate:
        return SessionAggregate(example, spec, stamps, length)

    return WindowKind("session", short_repr(gap), lambda: (make, lambda labels: labels))


def frequency(
    operator: str, freq: Any, closed: Any, label: Any, origin: Any, offset: Any
) -> WindowKind:
    """Return the bins of a frequency of pandas."""
    _, side = bins_of_frequency(operator, freq, closed, label, origin, offset)
    level: Level = "start" if side == "left" else "end"

    def bins() -> Bins:  # each state has its own: they learn the zone
        return bins_of_frequency(operator, freq, closed, label, origin, offset)[0]

    text = short_repr(freq if isinstance(freq, str) else getattr(freq, "freqstr", str(freq)))
    return _aligned(operator, text, bins, levels=(level,), named=True, fills=True)


def _length(operator: str, argument: str, value: Any) -> int:
    return nanoseconds(value, operator=operator, argument=argument)


def kind_of_grouper(grouper: pd.Grouper) -> WindowKind:
    """Return the bins of a `pandas.Grouper` that has a frequency."""
    one: Any = grouper
    if one.level is not None:
        raise ValueError(f"groupby: Grouper must have no level, got {short_repr(one.level)}")
    return frequency("groupby", one.freq, one.closed, one.label, one.origin, one.offset)
