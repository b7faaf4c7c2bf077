"""Admission: which rows of a batch enter a window, which are late, and which expire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.types import Numbers, Positions
from rapidz.dataframe.incremental.windows.extents import (
    AllRows,
    Extent,
    LastRows,
    Span,
    index_numbers,
    same_clock,
)
from rapidz.dataframe.incremental.windows.lateness import LatenessRule, sort_positions
from rapidz.dataframe.incremental.windows.ring_buffer import RingBuffer

__all__ = ["WindowAdmission", "WindowChange"]


@dataclass(frozen=True, slots=True)
class WindowChange:
    """Change of a window by a batch, computed before anything is changed.

    `take` selects the rows that enter, in their order, and `late` the late rows. `expired` rows
    at the front leave. The last `moved` of the rows that stay are later than some of the new
    ones: `merge` sorts both, old ones before new ones.
    """

    take: slice | Positions
    entered: int
    late: slice | Positions = field(default_factory=lambda: slice(0, 0))
    expired: int = 0
    moved: int = 0
    merge: Positions | None = None
    stamps: Numbers | None = None
    index: pd.Index[Any] | None = None

    @property
    def in_time(self) -> bool:
        """Whether no row is late."""
        return isinstance(self.late, slice) or not len(self.late)

    def merged(self, old: Numbers, new: Numbers) -> Numbers:
        """Return the moved and the new rows in order."""
        both = np.concatenate([old, new])
        return both if self.merge is None else both[self.merge]


class WindowAdmission:
    """Admission control of a window, which needs only the number of its rows and their index."""

    def __init__(self, over: Extent) -> None:
        self.over = over
        self.held = 0
        self.newest: Any = None
        self.index: pd.Index[Any] | None = None
        """The index without labels, of a window by index."""
        self.stamps = RingBuffer("float64")

    @property
    def bounded(self) -> bool:
        """Whether rows ever leave."""
        return not isinstance(self.over, AllRows)

    def preview(self, index: pd.Index[Any]) -> WindowChange:
        """Return what a batch with this index changes, without changing it."""
        if isinstance(self.over, Span):
            return self._preview_span(self.over, index)
        if isinstance(self.over, LastRows):
            entered = min(len(index), self.over.n)
            expired = max(0, self.held + entered - self.over.n)
            return WindowChange(slice(len(index) - entered, None), entered, expired=expired)
        return WindowChange(slice(None), len(index))

    def _preview_span(self, span: Span, index: pd.Index[Any]) -> WindowChange:
        stamps, rule = index_numbers(index, span), LatenessRule(span.length)
        if self.index is not None:
            same_clock("window", self.index, index)
        order = sort_positions(stamps)
        if order is None:
            order = np.arange(len(stamps))
        else:
            stamps = stamps[order]
        late = 0
        newest = stamps[-1]
        if self.newest is not None:
            late = rule.count_outside(stamps, self.newest)
            newest = max(newest, self.newest)
        # Rows that are outside by a newer row of their own batch never enter, and are not late.
        stale = rule.count_outside(stamps, newest)
        entering = stamps[stale:]
        held = self.stamps.view()
        expired = rule.count_outside(held, newest)
        moved, merge = 0, None
        if len(entering) and len(held) > expired and entering[0] < held[-1]:
            first = max(expired, int(np.searchsorted(held, entering[0], side="right")))
            moved = len(held) - first
            merge = np.argsort(np.concatenate([held[first:], entering]), kind="stable")
        take, late_ones = order[stale:], order[:late]
        return WindowChange(
            take, len(entering), late_ones, expired, moved, merge, entering, index[:0]
        )

    def commit(self, change: WindowChange) -> None:
        """Apply a change."""
        self.held += change.entered - change.expired
        stamps = change.stamps
        if stamps is None:
            return
        self.index = change.index if self.index is None else self.index
        if not len(self.stamps) and len(stamps):
            self.stamps = RingBuffer(stamps.dtype)
        self.stamps.drop_oldest(change.expired)
        old = self.stamps.view()[len(self.stamps) - change.moved :].copy()
        self.stamps.drop_newest(change.moved)
        self.stamps.append(change.merged(old, stamps))
        if len(self.stamps):
            self.newest = self.stamps.view()[-1]
