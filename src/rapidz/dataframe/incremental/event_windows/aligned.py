"""Aligned event-time windows: aggregates of the rows of each, taken when the watermark has passed.

Rows of a batch count as arriving together: which of them are late is decided by the watermark
before the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.event_windows.base import Spec, TimedAggregate, TimedBatch
from rapidz.dataframe.incremental.event_windows.bins import Bins
from rapidz.dataframe.incremental.event_windows.fill import filled
from rapidz.dataframe.incremental.event_windows.layout import KeyLabels
from rapidz.dataframe.incremental.event_windows.pane_store import PaneStore
from rapidz.dataframe.incremental.event_windows.stamps import Stamps
from rapidz.dataframe.incremental.types import Bools, Frame, Ints

__all__ = ["AlignedAggregate"]


class AlignedAggregate(TimedAggregate):
    """State of the aggregates of the rows of windows that are the same for all keys.

    Parameters
    ----------
    example, spec, stamps
        As in `TimedAggregate`.
    bins : Bins
        The windows.
    """

    def __init__(self, example: Frame, spec: Spec, stamps: Stamps, bins: Bins) -> None:
        super().__init__(example, spec, stamps)
        self.bins = bins
        self.store: PaneStore | None = None
        self._labels = KeyLabels(None)
        self._last: int | None = None
        """The last window that was closed, with rows."""

    @property
    def open_count(self) -> int:
        """How many windows are open, each key counted."""
        return 0 if self.store is None else len(self.store.codes)

    def open_windows(self) -> list[tuple[int, int]]:
        """Return start and end of the windows that are open."""
        if self.store is None:
            return []
        numbers = np.unique(self.store.codes.panes)
        starts, ends = self.bins.starts(numbers), self.bins.ends(numbers)
        return list(zip(starts.tolist(), ends.tolist(), strict=True))

    # -- rows

    def take(self, frame: Frame, times: Any, keys: Any, watermark: int) -> Bools | None:
        """Add the rows of a batch; return which of them are late, None if none is."""
        batch = self._read(frame, times, keys)
        instants, valid = batch.times.data, batch.times.valid
        if not len(instants):
            return None
        if batch.times.bounds is None:
            return np.ones(len(instants), bool)
        self.bins.prepare(*batch.times.bounds, self.stamps.dtype)
        low, high = self.bins.panes(np.array(batch.times.bounds)).tolist()
        panes, first = self.bins.panes(instants), self.bins.first_open(watermark)
        if valid is None and low >= first:
            self._add(batch, panes, first, (low, high))
            return None
        late = panes < first if valid is None else ~valid | (panes < first)
        if not late.all():
            self._add(batch.chosen(~late), panes[~late], first, (max(low, first), high))
        return late

    def _add(self, batch: TimedBatch, panes: Ints, first: int, bounds: tuple[int, int]) -> None:
        with np.errstate(all="ignore"):
            # Everything that can fail comes before the first change of the state.
            store = self._store_for(batch)
            times = batch.times.data
            rows = store.read(batch.frame, batch.keys, times)
            positions, windows = self.bins.expand(panes, times, first)
            self._commit(batch, store)
            store.add(rows, windows, positions, bounds if positions is None else None)

    def _commit(self, batch: TimedBatch, store: PaneStore) -> None:
        """Take over what the rows of a batch have changed besides their panes."""
        if store is not self.store:
            self.store, self._labels = store, KeyLabels(store.groups)
        self.schema = batch.schema
        self.keys.remember(batch.keys)

    def _store_for(self, batch: TimedBatch) -> PaneStore:
        """Return the store; another one of the same panes if these rows have other dtypes."""
        store, frame, keys = self.store, batch.frame, batch.keys
        if store is None:
            spec = self.spec
            return PaneStore(self._plan(frame), frame, keys, sort=spec.sort, dropna=spec.dropna)
        if batch.schema is self.schema and self.keys.fit(keys):
            return store
        return store.widen(self._plan(frame), batch.schema, frame, keys)

    # -- windows

    def due(self) -> int | None:
        """Return the watermark at which the next window closes; None if none is open."""
        store = self.store
        if store is None or not len(store.codes):
            return None
        return self.bins.due(int(store.codes.panes.min()))

    def close(self, watermark: int) -> Any:
        """Return the final rows of the windows that the watermark has passed; None if none is."""
        store = self.store
        if store is None:
            return None
        codes = store.below(self.bins.first_open(watermark))
        if not len(codes):
            return None
        result = self._result(store, codes)
        self._last = int(store.codes.panes[codes[-1]])
        store.remove(codes)
        return result

    def early(self) -> Any:
        """Return the present rows of all open windows; None if no window is open."""
        store = self.store
        if store is None or not len(store.codes):
            return None
        return self._result(store, store.below(int(store.codes.panes.max()) + 1))

    def _result(self, store: PaneStore, codes: Ints) -> Any:
        panes = store.codes.panes[codes]
        new = np.r_[True, panes[1:] != panes[:-1]]
        numbers = panes[new]
        windows = np.cumsum(new) - 1
        labels = self._labels.of(store.codes.keys[codes])
        if not self.spec.layout.fills or store.plan.counting:
            return self._rows(store, codes, self._index(numbers, windows, labels))
        before = numbers[0] - 1 if self._last is None else self._last
        every = np.arange(min(before, numbers[0] - 1) + 1, numbers[-1] + 1)
        places = np.full(len(every), -1, np.int64)
        places[numbers - every[0]] = np.arange(len(numbers))
        index = self._index(every, np.arange(len(every)), [])
        known = index[places >= 0]
        return self._rows(store, codes, known, lambda rows: filled(rows, store.plan, places, index))

    def _index(self, numbers: Ints, windows: Ints, keys: Any) -> pd.Index[Any]:
        starts = self.stamps.index(self.bins.starts(numbers), None)
        ends = self.stamps.index(self.bins.ends(numbers), None)
        return self.spec.layout.index((starts, windows), (ends, windows), keys)
