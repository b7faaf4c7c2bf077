"""Sliding windows in slices: a row enters one slice, and a window merges its slices at its end."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.accumulators.registry import MERGEABLE
from rapidz.dataframe.incremental.event_windows.aligned import AlignedAggregate
from rapidz.dataframe.incremental.event_windows.base import Spec, TimedBatch
from rapidz.dataframe.incremental.event_windows.bins import EvenBins
from rapidz.dataframe.incremental.event_windows.pane_store import PaneStore
from rapidz.dataframe.incremental.event_windows.stamps import Stamps
from rapidz.dataframe.incremental.types import Bools, Frame, Ints

__all__ = ["SlicedAggregate", "can_be_sliced"]


def can_be_sliced(state: AlignedAggregate) -> bool:
    """Return whether all that a state aggregates can be merged: counts, sums, means and extrema."""
    if state.schema.open:
        return False
    plan = state._plan(state.schema.empty)
    finalizers = [one for one in plan.finalizers if one is not None]
    kinds = {one.kind for one in finalizers}
    whole = len(finalizers) == len(plan.finalizers) and not plan.counting
    texts = any(
        one.kind in ("min", "max") and isinstance(_dtype(plan, output.column), pd.StringDtype)
        for one, output in zip(finalizers, plan.spec.outputs, strict=False)
    )
    return whole and kinds <= MERGEABLE and not texts


def _dtype(plan: Any, column: Any) -> Any:
    return plan.empty.dtype if column is None else plan.empty[column].dtype


class SlicedAggregate(AlignedAggregate):
    """State of the aggregates of the rows of sliding windows, in slices that windows share.

    Parameters
    ----------
    example, spec, stamps, bins
        As in `AlignedAggregate`; the aggregates must be such as can be merged.
    """

    def __init__(self, example: Frame, spec: Spec, stamps: Stamps, bins: EvenBins) -> None:
        super().__init__(example, spec, stamps, bins)
        width = math.gcd(bins.size, bins.every)
        self.windows = bins
        self.slices = EvenBins(width, width, bins.origin)
        self._next: int | None = None
        """The first window that has not been closed."""

    def open_windows(self) -> list[tuple[int, int]]:
        """Return start and end of the windows that are open."""
        numbers = self._numbers(None)
        starts, ends = self.bins.starts(numbers), self.bins.ends(numbers)
        return list(zip(starts.tolist(), ends.tolist(), strict=True))

    def take(self, frame: Frame, times: Any, keys: Any, watermark: int) -> Bools | None:
        """Add the rows of a batch; return which of them are late, None if none is."""
        first = self.windows.first_open(watermark)
        self._next = first if self._next is None else max(self._next, first)
        return super().take(frame, times, keys, watermark)

    def _add(self, batch: TimedBatch, panes: Ints, first: int, bounds: tuple[int, int]) -> None:
        with np.errstate(all="ignore"):
            store = self._store_for(batch)
            rows = store.read(batch.frame, batch.keys, batch.times.data)
            self._commit(batch, store)
            store.add(rows, self.slices.panes(batch.times.data))

    # -- windows

    def _numbers(self, limit: int | None) -> Ints:
        """Return the windows over slices that have rows, those before *limit* alone."""
        store, bins = self.store, self.windows
        if store is None or not len(store.codes) or self._next is None:
            return np.empty(0, np.int64)
        starts = self.slices.starts(np.unique(store.codes.panes)) - bins.origin
        last = starts // bins.every
        overlap = -(-bins.size // bins.every)
        numbers = np.unique((last[:, None] - np.arange(overlap)).ravel())
        some = np.searchsorted(starts, numbers * bins.every)
        known = some < len(starts)
        known[known] = starts[some[known]] < numbers[known] * bins.every + bins.size
        known &= numbers >= self._next
        return numbers[known if limit is None else known & (numbers < limit)]

    def due(self) -> int | None:
        """Return the watermark at which the next window closes; None if none is open."""
        numbers = self._numbers(None)
        return self.windows.due(int(numbers[0])) if len(numbers) else None

    def close(self, watermark: int) -> Any:
        """Return the final rows of the windows that the watermark has passed; None if none is."""
        first, store = self.windows.first_open(watermark), self.store
        numbers = self._numbers(first)
        if store is None or not len(numbers):
            return None
        result = self._joined(store, numbers)
        self._next = first
        last = (self.slices.starts(store.codes.panes) - self.windows.origin) // self.windows.every
        gone = np.flatnonzero(last < first)
        if len(gone):
            store.remove(gone)
        return result

    def early(self) -> Any:
        """Return the present rows of all open windows; None if no window is open."""
        numbers = self._numbers(None)
        return None if self.store is None or not len(numbers) else self._joined(self.store, numbers)

    def _joined(self, store: PaneStore, numbers: Ints) -> Any:
        width = self.slices.size
        codes = store.below(int(store.codes.panes.max()) + 1)
        panes = store.codes.panes[codes]
        parts = []
        for number in numbers.tolist():
            start = number * self.windows.every // width
            low, high = np.searchsorted(panes, [start, start + self.windows.size // width])
            parts.append(self._window(store, number, codes[low:high], panes[low:high]))
        return parts[0] if len(parts) == 1 else pd.concat(parts)

    def _window(self, store: PaneStore, number: int, codes: Ints, panes: Ints) -> Any:
        """Return the rows of one window, of the codes of its slices in order."""
        keys, groups = self._in_order(store, store.codes.keys[codes])
        borders = np.flatnonzero(np.diff(panes, prepend=panes[0] - 1, append=panes[-1] + 1))
        rounds = [(codes[i:j], groups[i:j]) for i, j in pairwise(borders)]
        with np.errstate(all="ignore"):
            whole = store.merged(rounds, len(keys))
        index = self._index(
            np.array([number]), np.zeros(len(keys), np.int64), self._labels.of(keys)
        )
        return self._rows(whole, np.arange(len(keys)), index)

    def _in_order(self, store: PaneStore, keys: Ints) -> tuple[Ints, Ints]:
        """Return the different keys in the order of results, and the place of each among them."""
        if store.groups is None or not self.spec.sort:
            places, distinct = pd.factorize(keys)
            return np.asarray(distinct), places.astype(np.int64)
        order = store.groups.order()
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        ranks, places = np.unique(rank[keys], return_inverse=True)
        return order[ranks], places.astype(np.int64)
