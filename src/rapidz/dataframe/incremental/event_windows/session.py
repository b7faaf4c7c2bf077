"""Session windows: by key, rows with no gap between them, aggregated when they close."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.event_windows.base import Spec, TimedAggregate, TimedBatch
from rapidz.dataframe.incremental.event_windows.layout import KeyLabels
from rapidz.dataframe.incremental.event_windows.pane_rows import PaneRows
from rapidz.dataframe.incremental.event_windows.pane_store import PaneStore
from rapidz.dataframe.incremental.event_windows.session_merge import Sessions, merge
from rapidz.dataframe.incremental.event_windows.stamps import Stamps
from rapidz.dataframe.incremental.groups.group_encoder import GroupEncoder
from rapidz.dataframe.incremental.types import Bools, Frame, Ints

__all__ = ["SessionAggregate"]

FAR = (1 << 63) - 1
NONE: Ints = np.empty(0, np.int64)


class SessionAggregate(TimedAggregate):
    """State of the aggregates of the rows of sessions, by key.

    A session keeps its rows until it closes, since an old row may join two sessions.

    Parameters
    ----------
    example, spec, stamps
        As in `TimedAggregate`.
    gap : int
        Nanoseconds without a row that end a session.
    """

    def __init__(self, example: Frame, spec: Spec, stamps: Stamps, gap: int) -> None:
        super().__init__(example, spec, stamps)
        self.gap = gap
        self.sessions = Sessions(NONE, NONE, NONE)
        self.rows = PaneRows(self.schema.empty)
        self._groups: GroupEncoder | None = None
        self._labels = KeyLabels(None)

    @property
    def open_count(self) -> int:
        """How many sessions are open."""
        return len(self.sessions.keys)

    def open_windows(self) -> list[tuple[int, int]]:
        """Return start and end of the sessions that are open."""
        ends = self.sessions.last + self.gap
        return list(zip(self.sessions.first.tolist(), ends.tolist(), strict=True))

    # -- rows

    def take(self, frame: Frame, times: Any, keys: Any, watermark: int) -> Bools | None:
        """Add the rows of a batch; return which of them are late, None if none is."""
        batch = self._read(frame, times, keys)
        if not len(batch.times.data):
            return None
        late = np.zeros(len(batch.times.data), bool)
        if batch.times.valid is not None:
            late |= ~batch.times.valid
            batch = batch.chosen(batch.times.valid)
        if len(batch.times.data):
            late[~late] = self._add(batch, watermark)
        return late if late.any() else None

    def _add(self, batch: TimedBatch, watermark: int) -> Bools:
        """Add rows; return which of them are late."""
        if batch.schema is not self.schema or not self.keys.fit(batch.keys):
            self._plan(batch.frame)  # refuses what cannot be aggregated
            self._widen(batch)
        codes = np.zeros(len(batch.times.data), np.int64)
        if self._groups is not None:
            codes = self._groups.encode(batch.keys)
        known = codes >= 0
        if not known.any():  # without a key
            return known
        limit = min(max(watermark, -FAR), FAR)
        merged = merge(self.sessions, codes[known], batch.times.data[known], self.gap, limit)
        self.sessions = merged.sessions
        if merged.absorbed is not None:
            self.rows.recode(merged.absorbed)
        codes[known] = merged.codes
        self.rows.add(batch.frame, codes, batch.times.data)
        if merged.absorbed is not None:
            self._select(np.flatnonzero(merged.live))
        late: Bools = known & (codes < 0)
        return late

    def _widen(self, batch: TimedBatch) -> None:
        self.schema = batch.schema
        self.rows = self.rows.cast(batch.schema)
        self.keys.remember(batch.keys)
        if not batch.keys:
            return
        if self._groups is None:
            spec = self.spec
            self._groups = GroupEncoder(batch.keys, sort=spec.sort, dropna=spec.dropna)
        else:
            self._groups = self._groups.widen(batch.keys)
        self._labels = KeyLabels(self._groups)

    def _select(self, codes: Ints) -> None:
        self.rows.select(codes)
        self.sessions = self.sessions.select(codes)
        groups = self._groups
        if groups is not None and len(groups) > 64 and len(groups) > 2 * len(codes):
            live, keys = np.unique(self.sessions.keys, return_inverse=True)
            groups.select(live)
            self.sessions = self.sessions._replace(keys=keys.astype(np.int64))

    # -- windows

    def due(self) -> int | None:
        """Return the watermark at which the next session closes; None if none is open."""
        return int(self.sessions.last.min()) + self.gap if self.open_count else None

    def close(self, watermark: int) -> Any:
        """Return the final rows of the sessions that the watermark has passed; None if none is."""
        limit = min(max(watermark, -FAR), FAR)
        ended = self.sessions.last + self.gap <= limit
        if not ended.any():
            return None
        result = self._result(np.flatnonzero(ended))
        self._select(np.flatnonzero(~ended))
        return result

    def early(self) -> Any:
        """Return the present rows of all open sessions; None if no session is open."""
        return self._result(np.arange(self.open_count)) if self.open_count else None

    def _result(self, codes: Ints) -> Any:
        codes = codes[self._order(codes)]
        chosen = self.sessions.select(codes)
        frame, places, times = self.rows.places_of(codes)
        with np.errstate(all="ignore"):
            store = PaneStore(self._plan(frame), frame, [], sort=False, dropna=True)
            store.add(store.read(frame, [], times), places)
        by_place = store.below(len(codes))
        parts = [self._part(chosen.first), self._part(chosen.last + self.gap)]
        index = self.spec.layout.index(parts[0], parts[1], self._labels.of(chosen.keys))
        return self._rows(store, by_place, index)

    def _part(self, instants: Ints) -> tuple[pd.Index[Any], Ints]:
        distinct, places = np.unique(instants, return_inverse=True)
        return self.stamps.index(distinct, None), places

    def _order(self, codes: Ints) -> Ints:
        """Return the order of results: by end, then by key, or by arrival."""
        ends = self.sessions.last[codes]
        if self._groups is None or not self.spec.sort:
            return np.argsort(ends, kind="stable")
        order = self._groups.order()
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return np.lexsort((rank[self.sessions.keys[codes]], ends))
