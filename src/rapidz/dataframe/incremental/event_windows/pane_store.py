"""Pane store: partial aggregates by pane and key, of which panes leave as a whole."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental import results
from rapidz.dataframe.incremental.accumulators.grouped_column import GroupCodes
from rapidz.dataframe.incremental.accumulators.registry import SIZE
from rapidz.dataframe.incremental.accumulators.sums import RowCount
from rapidz.dataframe.incremental.columns.column_codec import ColumnValues, as_dtype
from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.event_windows.pane_codes import PaneCodes
from rapidz.dataframe.incremental.event_windows.pane_column import PaneColumn
from rapidz.dataframe.incremental.event_windows.pane_rows import PaneRows
from rapidz.dataframe.incremental.groups.group_encoder import GroupEncoder
from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.plan import Plan, column_of
from rapidz.dataframe.incremental.types import Frame, Ints

__all__ = ["PaneStore", "ReadRows"]

# Keys without an open pane are forgotten when they are more than half of so many.
MANY = 64

Keys: TypeAlias = "Sequence[pd.Series[Any]]"


@dataclass(frozen=True, slots=True)
class ReadRows:
    """The rows of a batch, read before anything is changed."""

    frame: Frame
    times: Ints
    keys: Ints
    values: dict[Any, ColumnValues]


class PaneStore:
    """Accumulators of each column by pane and key.

    Of outputs that have no accumulator the rows are kept until their panes close.
    """

    def __init__(self, plan: Plan, frame: Frame, keys: Keys, *, sort: bool, dropna: bool) -> None:
        self.plan, self.sort = plan, sort
        self.groups = GroupEncoder(keys, sort=sort, dropna=dropna) if keys else None
        self.codes = PaneCodes()
        self._complete = all(_has_no_missing(key.dtype) for key in keys)
        """Whether no key can be missing."""
        self.sizes = RowCount()
        self.columns: dict[Any, PaneColumn] = {}
        for output, found in zip(plan.spec.outputs, plan.finalizers, strict=True):
            if found is not None and found.kind != SIZE:
                dtype = column_of(plan.empty, output.column).dtype
                self.columns.setdefault(output.column, PaneColumn(dtype)).need(found.kind)
        self.dtypes = plan.dtypes(frame)
        self.size_dtype = plan.size_dtype(frame) if plan.spec.shape == "whole" else None
        self.rows = PaneRows(plan.empty) if plan.holds_rows else None

    # -- rows enter

    def read(self, frame: Frame, keys: Keys, times: Ints) -> ReadRows:
        """Read the rows of a batch; raise before anything has changed."""
        values = {
            label: column.read(column_of(frame, label)) for label, column in self.columns.items()
        }
        none = np.zeros(len(frame), np.int64)
        return ReadRows(
            frame, times, none if self.groups is None else self.groups.encode(keys), values
        )

    def add(
        self,
        rows: ReadRows,
        panes: Ints,
        positions: Ints | None = None,
        bounds: tuple[int, int] | None = None,
    ) -> None:
        """Add rows, or those at some positions, each to its pane; *bounds* are those of panes."""
        keys = rows.keys if positions is None else rows.keys[positions]
        times = rows.times if positions is None else rows.times[positions]
        codes = self._encode(panes, keys, bounds)
        if self._complete:
            grouped = GroupCodes.ungrouped(GroupedRows(codes, len(self.codes)))
        else:
            grouped = GroupCodes(codes, len(self.codes))
        self.sizes.resize(len(self.codes))
        self.sizes.add(codes, grouped.rows)
        for label, column in self.columns.items():
            column.resize(len(self.codes))
            column.add_at(_at(rows.values[label], positions), grouped, times)
        if self.rows is not None:
            frame = rows.frame if positions is None else rows.frame.iloc[positions]
            self.rows.add(frame, codes, times)

    def _encode(self, panes: Ints, keys: Ints, bounds: tuple[int, int] | None) -> Ints:
        width = 1 if self.groups is None else len(self.groups)
        if self._complete or int(keys.min(initial=0)) >= 0:
            return self.codes.encode(panes, keys, width, bounds)
        known = keys >= 0
        codes = np.full(len(keys), -1, np.int64)
        codes[known] = self.codes.encode(panes[known], keys[known], width)
        return codes

    def widen(self, plan: Plan, schema: Schema, frame: Frame, keys: Keys) -> PaneStore:
        """Return a store of the same panes, for frames and keys of wider dtypes from now on."""
        drop = self.groups is None or self.groups.levels[0].dropna
        store = PaneStore(plan, frame, keys, sort=self.sort, dropna=drop)
        store.codes, store.sizes = self.codes, self.sizes
        if self.groups is not None:
            store.groups = self.groups.widen(keys)
        if self.rows is not None and store.rows is not None:
            store.rows = self.rows.cast(schema)
        every = GroupCodes(np.empty(0, np.int64), len(self.codes))
        for label, column in store.columns.items():
            column.resize(len(self.codes))
            column.convert(self.columns.get(label), every, 0)
        return store

    # -- panes leave

    def below(self, limit: int) -> Ints:
        """Return the codes of the panes below *limit*, in the order of results."""
        panes, keys = self.codes.panes, self.codes.keys
        if not len(panes) or int(panes.min()) >= limit:
            return np.empty(0, np.int64)
        if self.groups is not None and self.sort:
            order = self.groups.order()
            found = self.codes.in_order(limit, order)
            if found is not None:
                return found
            rank = np.empty(len(order), np.int64)
            rank[order] = np.arange(len(order))
            codes = np.flatnonzero(panes < limit)
            return codes[np.lexsort((rank[keys[codes]], panes[codes]))]
        codes = np.flatnonzero(panes < limit)
        return codes[np.argsort(panes[codes], kind="stable")]

    def remove(self, codes: Ints) -> None:
        """Forget these panes."""
        left = np.ones(len(self.codes), bool)
        left[codes] = False
        kept = np.flatnonzero(left)
        self.sizes.select_groups(kept)
        for column in self.columns.values():
            column.select_groups(kept)
        if self.rows is not None:
            self.rows.select(kept)
        self.codes.select(kept, self._keys_anew(kept))

    def _keys_anew(self, kept: Ints) -> Ints | None:
        """Return the keys of the pairs that stay, if keys without a pane are forgotten now."""
        groups = self.groups
        if groups is None or len(groups) < MANY or len(groups) < 2 * len(kept):
            return None
        keys = self.codes.keys[kept]
        used = np.zeros(len(groups), bool)
        used[keys] = True
        if 2 * np.count_nonzero(used) > len(groups):
            return None
        live = np.flatnonzero(used)
        new_key = np.full(len(groups), -1, np.int64)
        new_key[live] = np.arange(len(live))
        groups.select(live)
        return new_key[keys]

    def merged(self, rounds: Sequence[tuple[Ints, Ints]], width: int) -> PaneStore:
        """Return a store of *width* groups, to which the pairs of codes are added in turn.

        Each pair is of codes of this store, which differ, and of the groups that they add to.
        """
        store = copy.copy(self)
        store.sizes = RowCount(width)
        store.columns = {}
        for label, column in self.columns.items():
            empty = copy.copy(column)
            empty.accumulators = {}
            for kind, accumulator in column.accumulators.items():
                whole = copy.copy(accumulator)
                whole.reset(width)
                empty.accumulators[kind] = whole
            store.columns[label] = empty
        for codes, groups in rounds:
            store.sizes.merge_groups(self.sizes, codes, groups)
            for label, column in store.columns.items():
                for kind, accumulator in column.accumulators.items():
                    accumulator.merge_groups(self.columns[label].accumulators[kind], codes, groups)
        return store

    # -- results

    def result(self, codes: Ints, index: pd.Index[Any]) -> Any:
        """Return the aggregates of some panes, which *index* labels."""
        plan, spec = self.plan, self.plan.spec
        computed = None if self.rows is None else plan.of_rows(self.rows.rows_of(codes))
        if spec.shape == "whole" and plan.counting:
            assert computed is not None
            return _counted(computed.whole, index)
        if spec.shape == "whole":
            name = plan.empty.name if isinstance(plan.empty, pd.Series) else None
            sizes = as_dtype(self.sizes.number[codes], None, self.size_dtype)
            return pd.Series(sizes, index=index, name=name, copy=False)
        values = {} if computed is None else computed.values
        numbers = range(len(spec.outputs))
        arrays = [values[n] if n in values else self._array(n, codes) for n in numbers]
        return results.grouped(spec, plan.empty, arrays, index, plan.labels)

    def _array(self, number: int, codes: Ints) -> Any:
        finalizer = self.plan.finalizers[number]
        assert finalizer is not None
        if finalizer.kind == SIZE:
            return as_dtype(self.sizes.number[codes], None, self.dtypes[number])
        column = self.columns[self.plan.spec.outputs[number].column]
        values, valid = finalizer.result(column.accumulators[finalizer.kind])
        chosen = None if valid is None else valid[codes]
        return as_dtype(values[codes], chosen, self.dtypes[number])

    def with_plan(self, plan: Plan) -> PaneStore:
        """Return a store of the same panes, read by another plan."""
        store = copy.copy(self)
        store.plan = plan
        return store


def _has_no_missing(dtype: Any) -> bool:
    """Return whether no value of this dtype can be missing."""
    return isinstance(dtype, np.dtype) and dtype.kind in "iub"


def _at(values: ColumnValues, positions: Ints | None) -> ColumnValues:
    if positions is None:
        return values
    valid = None if values.valid is None else values.valid[positions]
    data: Any = values.data
    return ColumnValues(data[positions] if len(data) else data, valid)


def _counted(counts: Any, index: pd.Index[Any]) -> Any:
    """Return the counts of values by position with the labels of these positions."""
    places = counts.index.get_level_values(0).to_numpy()
    inner = counts.index.get_level_values(1)
    labels = index.take(places)
    levels = [labels.get_level_values(i) for i in range(labels.nlevels)]
    return counts.set_axis(pd.MultiIndex.from_arrays([*levels, inner]))
