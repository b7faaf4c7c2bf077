"""Stores: what is kept of the rows in a window, and the result that it gives.

The plan says which one an aggregate needs: accumulators without groups or by group, the counts of
values, or the rows themselves where only pandas can compute the aggregate.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental import results
from rapidz.dataframe.incremental.accumulators.distinct import DistinctCounts, value_counts
from rapidz.dataframe.incremental.accumulators.grouped_column import GroupCodes, GroupedColumn
from rapidz.dataframe.incremental.accumulators.registry import SIZE
from rapidz.dataframe.incremental.accumulators.sums import RowCount
from rapidz.dataframe.incremental.columns.column_codec import ColumnValues, as_dtype
from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.groups.group_encoder import GroupEncoder
from rapidz.dataframe.incremental.groups.group_reduce import ungrouped_rows
from rapidz.dataframe.incremental.plan import PandasResults, Plan, column_of
from rapidz.dataframe.incremental.types import Frame, Ints
from rapidz.dataframe.incremental.windows.admission import WindowChange
from rapidz.dataframe.incremental.windows.ring_buffer import RingBuffer
from rapidz.dataframe.incremental.windows.row_window import WindowRows

__all__ = ["AccumulatorStore", "GroupStore", "RowStore", "Store", "ValueCountStore", "create_store"]

# Groups that have left a window are forgotten when they are more than half of so many.
MANY = 64

Keys: TypeAlias = "Sequence[pd.Series[Any]]"
Computed: TypeAlias = "tuple[WindowRows, PandasResults]"


class RowStore:
    """Row store: the rows themselves, aggregated by pandas after each batch."""

    def __init__(self, plan: Plan, frame: Frame, keys: Keys) -> None:
        self.plan = plan
        self.rows = WindowRows(frame.iloc[:0], [key.iloc[:0] for key in keys])
        self.computed = PandasResults()

    def prepare(self, change: WindowChange, frame: Frame, keys: Keys) -> Computed:
        """Compute what a batch changes; raise before anything has changed."""
        rows = self.rows.apply(change, frame, keys)
        return rows, self.plan.of_rows(rows)

    def commit(self, batch: Computed) -> None:
        """Take the batch."""
        self.rows, self.computed = batch

    def widen(self, plan: Plan, schema: Schema, frame: Frame, keys: Keys) -> RowStore:
        """Return a store of the same rows, for frames and keys of wider dtypes from now on."""
        store = RowStore(plan, frame, keys)
        store.rows = self.rows.cast(schema, keys)
        return store

    def with_plan(self, plan: Plan) -> RowStore:
        """Return a store of the same rows, read by another plan."""
        store = copy.copy(self)
        store.plan, store.computed = plan, plan.of_rows(self.rows)
        return store

    def result(self) -> Any:
        """Return the present result."""
        plan, computed = self.plan, self.computed
        if plan.spec.shape == "whole":
            return computed.whole
        arrays = [computed.values[number] for number in range(len(plan.spec.outputs))]
        return results.grouped(plan.spec, plan.empty, arrays, computed.whole.index, plan.labels)


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """What a batch will change in accumulators, computed before anything is changed."""

    change: WindowChange
    codes: Ints
    values: dict[Any, ColumnValues]
    computed: Computed | None


class AccumulatorStore:
    """Accumulators of each column without groups: every row has the code 0.

    Of outputs that have no accumulator the rows are kept besides.
    """

    def __init__(self, plan: Plan, frame: Frame, keys: Keys) -> None:
        self.plan = plan
        self.columns: dict[Any, GroupedColumn] = plan.columns()
        self.dtypes = plan.dtypes(frame)
        self.missing = plan.missing(frame)
        self.form = (None, None) if plan.grouped else results.form_of(plan.spec, frame)
        self.size = 0
        self.sizes = RowCount()
        self.row_store = RowStore(plan, frame, keys) if plan.holds_rows else None
        self._resize()

    def prepare(self, change: WindowChange, frame: Frame, keys: Keys) -> PendingBatch:
        """Compute what a batch changes; raise before anything has changed."""
        rows = self.row_store
        computed = None if rows is None else rows.prepare(change, frame, keys)
        values = {
            label: column.read(column_of(frame, label)) for label, column in self.columns.items()
        }
        return PendingBatch(change, self._encode(keys), values, computed)

    def commit(self, batch: PendingBatch) -> None:
        """Take the batch."""
        if self.row_store is not None and batch.computed is not None:
            self.row_store.commit(batch.computed)
        change = batch.change
        if change.expired:
            self._remove_oldest(change.expired)
        if change.moved:
            self._insert(batch)
        elif change.entered:
            self._append(batch)
        self.size += change.entered - change.expired
        if self.plan.sliding:
            self._recompute()

    def widen(self, plan: Plan, schema: Schema, frame: Frame, keys: Keys) -> AccumulatorStore:
        """Return a store of the same rows, for frames and keys of wider dtypes from now on."""
        store = type(self)(plan, frame, keys)
        store.size, store.sizes = self.size, self.sizes
        if store.row_store is not None and self.row_store is not None:
            store.row_store = self.row_store.widen(plan, schema, frame, keys)
        store._convert_groups(self, keys)
        codes = store._codes(0, store.size)
        for label, column in store.columns.items():
            column.convert(self.columns.get(label), codes, store.size)
        return store

    def with_plan(self, plan: Plan) -> AccumulatorStore:
        """Return a store of the same accumulators, read by another plan."""
        store = copy.copy(self)
        store.plan = plan
        if self.row_store is not None:
            store.row_store = self.row_store.with_plan(plan)
        return store

    # -- groups: all rows are of one

    def _width(self) -> int:
        return 1

    def _encode(self, keys: Keys) -> Ints:
        return np.empty(0, np.int64)

    def _group(self, codes: Ints, size: int) -> GroupCodes:
        """Return the groups of *size* rows that have these codes."""
        return GroupCodes.ungrouped(ungrouped_rows(size))

    def _codes(self, start: int, stop: int) -> GroupCodes:
        """Return the groups of some of the buffered rows."""
        return self._group(np.empty(0, np.int64), stop - start)

    def _merge_codes(self, batch: PendingBatch) -> tuple[GroupCodes, GroupCodes, GroupCodes]:
        """Return the groups of new rows, of those that they move, and of both merged."""
        entered, moved = batch.change.entered, batch.change.moved
        return self._codes(0, entered), self._codes(0, moved), self._codes(0, entered + moved)

    def _convert_groups(self, old: AccumulatorStore, keys: Keys) -> None:
        """Take over the groups of a store of narrower dtypes."""

    # -- changes

    def _resize(self) -> None:
        """Extend the accumulators to new groups."""
        groups = self._width()
        self.sizes.resize(groups)
        for column in self.columns.values():
            column.resize(groups)

    def _remove_oldest(self, count: int) -> None:
        if count == self.size:
            self.sizes.reset(self._width())
            for column in self.columns.values():
                column.reset(self._width())
            return
        codes = self._codes(0, count)
        for column in self.columns.values():
            column.remove_oldest(count, codes)
        self.sizes.remove(codes.rows.local, codes.rows)

    def _append(self, batch: PendingBatch) -> None:
        codes = self._group(batch.codes, batch.change.entered)
        for label, column in self.columns.items():
            column.add(batch.values[label], codes)
        self.sizes.add(batch.codes, codes.rows)

    def _insert(self, batch: PendingBatch) -> None:
        new, moved, merged = self._merge_codes(batch)
        for label, column in self.columns.items():
            column.insert(batch.values[label], batch.change, new, moved, merged)
        self.sizes.add(batch.codes, new.rows)

    def _recompute(self) -> None:
        """Add the buffered rows anew where rounding may have left an error."""
        columns = [column for column in self.columns.values() if column.needs_recompute()]
        codes = self._codes(0, self.size) if columns else None
        for column in columns:
            assert codes is not None
            column.recompute(codes)

    # -- results

    def result(self) -> Any:
        """Return the present result."""
        spec = self.plan.spec
        if spec.shape == "whole":
            return self.size * self.plan.width
        return results.reduced(spec, self.plan.empty, self._scalars(), self.form)

    def row(self) -> Any:
        """Return the aggregates of a frame by column as one row, each in its own dtype."""
        return self.plan.row(self._scalars(), self.dtypes)

    def _computed(self) -> dict[int, Any]:
        """Return the outputs that pandas has computed, by number."""
        return {} if self.row_store is None else self.row_store.computed.values

    def _finalize(self, number: int) -> Any:
        finalizer = self.plan.finalizers[number]
        assert finalizer is not None
        if finalizer.kind == SIZE:
            return self.sizes.number, None
        column = self.columns[self.plan.spec.outputs[number].column]
        return finalizer.result(column.accumulators[finalizer.kind])

    def _scalars(self) -> list[Any]:
        computed, numbers = self._computed(), range(len(self.plan.spec.outputs))
        return [computed[n] if n in computed else self._scalar(n) for n in numbers]

    def _scalar(self, number: int) -> Any:
        numbers, valid = self._finalize(number)
        if valid is not None and not valid[0]:
            return self.missing[number]
        if numbers.dtype.kind == "f" and np.isnan(numbers[0]):
            return numbers[0]  # NaN as a value, not as what is missing
        return as_dtype(numbers, valid, self.dtypes[number])[0]


class ValueCountStore(AccumulatorStore):
    """Counts of the values of a series, without groups, where no row leaves."""

    def __init__(self, plan: Plan, frame: Frame, keys: Keys) -> None:
        super().__init__(plan, frame, keys)
        self.count_dtype = frame.iloc[:1].value_counts().dtype

    def result(self) -> Any:
        column = self.columns[None]
        counts = column.accumulators["distinct"]
        assert isinstance(counts, DistinctCounts)
        return value_counts(counts, column.codec, self.plan.empty.name, self.count_dtype)


class GroupStore(AccumulatorStore):
    """Accumulators of each column by group, with the group codes of the rows that can leave."""

    def __init__(self, plan: Plan, frame: Frame, keys: Keys) -> None:
        options = plan.grouping
        self.groups = GroupEncoder(keys, sort=options.sort, dropna=options.dropna)
        self.codes = RingBuffer(np.int64)
        self.size_dtype = plan.size_dtype(frame) if plan.spec.shape == "whole" else None
        super().__init__(plan, frame, keys)

    def _width(self) -> int:
        return len(self.groups)

    def _encode(self, keys: Keys) -> Ints:
        return self.groups.encode(keys)

    def _group(self, codes: Ints, size: int) -> GroupCodes:
        return GroupCodes(codes, len(self.groups))

    def _codes(self, start: int, stop: int) -> GroupCodes:
        return GroupCodes(self.codes.view()[start:stop], len(self.groups))

    def _merge_codes(self, batch: PendingBatch) -> tuple[GroupCodes, GroupCodes, GroupCodes]:
        moved = self.codes.view()[len(self.codes) - batch.change.moved :].copy()
        merged = batch.change.merged(moved, batch.codes)
        self.codes.drop_newest(len(moved))
        self.codes.append(merged)
        of_group = functools.partial(GroupCodes, groups=len(self.groups))
        return of_group(batch.codes), of_group(moved), of_group(merged)

    def _convert_groups(self, old: AccumulatorStore, keys: Keys) -> None:
        assert isinstance(old, GroupStore)
        self.codes, self.groups = old.codes, old.groups.widen(keys)
        self._resize()

    def commit(self, batch: PendingBatch) -> None:
        self._resize()
        super().commit(batch)
        if self.plan.sliding:
            self._compact()

    def _remove_oldest(self, count: int) -> None:
        super()._remove_oldest(count)
        self.codes.drop_oldest(count)

    def _append(self, batch: PendingBatch) -> None:
        super()._append(batch)
        if self.plan.sliding:
            self.codes.append(batch.codes)

    def _compact(self) -> None:
        """Forget groups without rows once they are more than half of many."""
        live = self.sizes.number > 0
        if len(live) < MANY or np.count_nonzero(live) * 2 > len(live):
            return
        codes = np.flatnonzero(live).astype(np.int64)
        new_code = np.full(len(live) + 1, -1, np.int64)  # the last place is that of code -1
        new_code[codes] = np.arange(len(codes))
        self.codes.replace(new_code[self.codes.view()])
        self.groups.select(codes)
        self.sizes.select_groups(codes)
        for column in self.columns.values():
            column.select_groups(codes)

    def result(self) -> Any:
        spec, order = self.plan.spec, self._order()
        index = self.groups.index(order)
        if spec.shape == "whole":
            name = self.plan.empty.name if isinstance(self.plan.empty, pd.Series) else None
            sizes = as_dtype(self.sizes.number[order], None, self.size_dtype)
            return pd.Series(sizes, index=index, name=name, copy=False)
        arrays = [self._array(number, order) for number in range(len(spec.outputs))]
        return results.grouped(spec, self.plan.empty, arrays, index, self.plan.labels)

    def _array(self, number: int, order: Ints) -> Any:
        computed = self._computed()
        if number in computed:
            return computed[number]
        values, valid = self._finalize(number)
        chosen = None if valid is None else valid[order]
        return as_dtype(values[order], chosen, self.dtypes[number])

    def _order(self) -> Ints:
        """Return the codes of the groups that have rows, in the order of pandas."""
        order = self.groups.order()
        if not self.plan.sliding:
            return order
        if not self.plan.grouping.sort:
            codes, first = np.unique(self.codes.view(), return_index=True)
            codes = codes[np.argsort(first)]
            return codes[codes >= 0]
        live = self.sizes.number[order] > 0
        return order if live.all() else order[live]


#: Any of them; what `prepare` of one returns is what its `commit` takes.
Store: TypeAlias = Any

STORES: dict[str, type[AccumulatorStore] | type[RowStore]] = {
    "accumulators": AccumulatorStore,
    "groups": GroupStore,
    "counts": ValueCountStore,
    "rows": RowStore,
}


def create_store(plan: Plan, frame: Frame, keys: Keys) -> Store:
    """Return the store that a plan names, without rows."""
    return STORES[plan.storage](plan, frame, keys)
