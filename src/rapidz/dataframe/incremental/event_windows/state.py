"""Event-time windows: aggregates of the rows of each window, taken once the watermark has passed.

Rows of a batch count as arriving together: which of them are late is decided by the watermark
before the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.event_windows.bins import Bins
from rapidz.dataframe.incremental.event_windows.fill import filled
from rapidz.dataframe.incremental.event_windows.layout import KeyLabels, Layout
from rapidz.dataframe.incremental.event_windows.pane_store import PaneStore
from rapidz.dataframe.incremental.event_windows.stamps import Stamps
from rapidz.dataframe.incremental.groups.keys import GivenKeys, GroupKeys
from rapidz.dataframe.incremental.pandas_fallback import GroupByOptions
from rapidz.dataframe.incremental.plan import Plan
from rapidz.dataframe.incremental.types import Bools, Frame, Ints

__all__ = ["WindowAggregate"]


class WindowAggregate:
    """State of the aggregates of the rows of event-time windows, by key.

    `take` adds rows, and returns which of them are late; `close` returns the rows of the windows
    that the watermark has passed, which are final, and forgets them.

    Parameters
    ----------
    example : DataFrame or Series
        Rows of the right columns and dtypes.
    how : str, list, dict or callable
        The aggregates, as in `create_aggregate`.
    bins : Bins
        The windows.
    layout : Layout
        The index of results.
    stamps : Stamps
        The kind of the timestamps.
    keyed : bool
        Whether rows are grouped by keys, which `take` gets.
    omit : sequence of labels
        Columns that are not aggregated: times and keys.
    sort, dropna : bool
        As in pandas' groupby.
    options : mapping
        Those of the aggregate.
    """

    def __init__(
        self,
        example: Frame,
        how: Any,
        bins: Bins,
        layout: Layout,
        stamps: Stamps,
        *,
        keyed: bool = False,
        omit: Sequence[Any] = (),
        sort: bool = True,
        dropna: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.schema = Schema(example)
        self.how, self.bins, self.layout, self.stamps = how, bins, layout, stamps
        self.sort, self.dropna, self.omit = sort, dropna, list(omit)
        self.shares, self.options = _shares(how, options or {})
        self.keys = GroupKeys(GivenKeys() if keyed else None, example)
        self.store: PaneStore | None = None
        self._labels = KeyLabels(None)
        self._last: int | None = None
        """The last window that was closed, with rows."""
        if not self.schema.open:
            self._plan(example)

    def _plan(self, sample: Frame) -> Plan:
        grouping = GroupByOptions(sort=True, dropna=False, observed=True)
        # Windows are groups, with keys or without.
        every = GroupKeys(self.omit or GivenKeys(), sample)
        return Plan(sample, self.how, every, grouping, self.options, sliding=False)

    # -- rows

    def take(self, frame: Frame, times: Any, keys: Any, watermark: int) -> Bools | None:
        """Add the rows of a batch; return which of them are late, None if none is.

        *times* are their timestamps, a column or an index; without one a row is late.  If it
        raises, the state does not change.
        """
        frame, schema = self.schema.read(frame)
        columns = self.keys.read(frame, keys)
        instants, valid = self.stamps.read(times)
        if not len(frame):
            return None
        some = instants if valid is None else instants[valid]
        if not len(some):
            return np.ones(len(frame), bool)
        self.bins.prepare(int(some.min()), int(some.max()), self.stamps.dtype)
        panes, first = self.bins.panes(instants), self.bins.first_open(watermark)
        late = self._late(panes, valid, first)
        if late is not None:
            kept = ~late
            frame, columns = frame[kept], [key[kept] for key in columns]
            instants, panes = instants[kept], panes[kept]
        if len(frame):
            self._add(frame, schema, columns, instants, panes, first)
        return late

    def _late(self, panes: Ints, valid: Bools | None, first: int) -> Bools | None:
        if valid is not None:
            return ~valid | (panes < first)
        if int(panes.min()) >= first:
            return None
        return panes < first

    def _add(
        self,
        frame: Frame,
        schema: Schema,
        keys: Sequence[pd.Series[Any]],
        instants: Ints,
        panes: Ints,
        first: int,
    ) -> None:
        with np.errstate(all="ignore"):
            # Everything that can fail comes before the first change of the state.
            store = self._store_for(frame, keys, schema)
            rows = store.read(frame, keys, instants)
            positions, windows = self.bins.expand(panes, instants, first)
            if store is not self.store:
                self.store, self._labels = store, KeyLabels(store.groups)
            self.schema = schema
            self.keys.remember(keys)
            store.add(rows, windows, positions)

    def _store_for(self, frame: Frame, keys: Sequence[pd.Series[Any]], schema: Schema) -> PaneStore:
        """Return the store; another one of the same panes if these rows have other dtypes."""
        store = self.store
        if store is None:
            plan = self._plan(frame)
            return PaneStore(plan, frame, keys, sort=self.sort, dropna=self.dropna)
        if schema is self.schema and self.keys.fit(keys):
            return store
        return store.widen(self._plan(frame), schema, frame, keys)

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
        with np.errstate(all="ignore"):
            if not self.layout.fills:
                return self._rows(store, codes, self._index(numbers, windows, labels))
            before = numbers[0] - 1 if self._last is None else self._last
            every = np.arange(min(before, numbers[0] - 1) + 1, numbers[-1] + 1)
            places = np.full(len(every), -1, np.int64)
            places[numbers - every[0]] = np.arange(len(numbers))
            rows = self._rows(store, codes, pd.RangeIndex(len(codes)))
            index = self._index(every, np.arange(len(every)), [])
            return self._filled(rows, store.plan, places, index)

    def _index(self, numbers: Ints, windows: Ints, keys: Any) -> pd.Index[Any]:
        starts = self.stamps.index(self.bins.starts(numbers), None)
        ends = self.stamps.index(self.bins.ends(numbers), None)
        return self.layout.index(starts, ends, windows, keys)

    def _rows(self, store: PaneStore, codes: Ints, index: pd.Index[Any]) -> Any:
        if self.shares is None:
            return store.result(codes, index)
        plans = [store.plan.with_option("q", share) for share in self.shares]
        rows = [store.with_plan(plan).result(codes, index) for plan in plans]
        both = pd.concat(rows, keys=self.shares)
        both = both.reorder_levels([*range(1, both.index.nlevels), 0])
        return both.iloc[np.arange(len(both)).reshape(len(rows), -1).T.ravel()]

    def _filled(self, rows: Any, plan: Plan, places: Ints, index: pd.Index[Any]) -> Any:
        return filled(rows, plan, places, index)


def _shares(how: Any, options: Mapping[str, Any]) -> tuple[list[float] | None, dict[str, Any]]:
    """Return the list of quantiles if there is one, and the options of the first of them."""
    asked = options.get("q")
    if how != "quantile" or not isinstance(asked, (list, tuple, np.ndarray, pd.Index)):
        return None, dict(options)
    shares = [float(share) for share in asked]
    return shares, {**options, "q": shares[0]}
