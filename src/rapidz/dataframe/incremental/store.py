"""The rows of a window as codes, columns and folds, and the result that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from rapidz.dataframe.incremental.windows.rows import WindowRows

__all__ = ["Step", "Store"]

# Groups that have left a window are forgotten when they are more than half of many.
MANY = 64


@dataclass(frozen=True, slots=True)
class Step:
    """What a batch will change, computed before anything is changed."""

    change: WindowChange
    codes: Ints | None
    values: dict[Any, ColumnValues]
    rows: WindowRows | None
    slow: PandasResults


class Store:
    """All that is kept of the rows in a window."""

    def __init__(self, plan: Plan, frame: Frame, keys: Sequence[pd.Series[Any]]) -> None:
        self.plan = plan
        self.columns: dict[Any, GroupedColumn] = plan.columns()
        self.size_dtype = plan.size_dtype(frame) if plan.spec.shape == "whole" else None
        self.dtypes = plan.dtypes(frame)
        self.count_dtype = None
        if plan.counts_values:
            self.count_dtype = frame.iloc[:1].value_counts().dtype
        self.missing = plan.missing(frame)
        self.form = (None, None) if plan.grouped else results.form_of(plan.spec, frame)
        self.groups: GroupEncoder | None = None
        if plan.grouped and not plan.by_pandas and not plan.counting:
            options = plan.grouping
            self.groups = GroupEncoder(keys, sort=options.sort, dropna=options.dropna)
        self.held = 0
        self.sizes = RowCount()
        self.codes = RingBuffer(np.int64)
        self.rows = WindowRows(frame.iloc[:0], [key.iloc[:0] for key in keys])
        self.slow = PandasResults()
        self._index: tuple[Ints, pd.Index[Any]] | None = None
        self._resize()

    def widened(
        self, plan: Plan, schema: Schema, frame: Frame, keys: Sequence[pd.Series[Any]]
    ) -> Store:
        """The same rows, for frames and keys of wider dtypes from now on."""
        store = Store(plan, frame, keys)
        store.held, store.sizes, store.codes = self.held, self.sizes, self.codes
        if plan.holds_rows:
            store.rows = self.rows.fitted(schema, keys)
        if self.groups is not None:
            store.groups = self.groups.widened(keys)
        store._resize()
        labels = store._labels(store.codes.view(), store.held)
        for label, column in store.columns.items():
            column.convert(self.columns.get(label), labels, store.held)
        return store

    def prepare(self, change: WindowChange, frame: Frame, keys: Sequence[pd.Series[Any]]) -> Step:
        """Compute what a batch changes; raises before anything has changed."""
        rows, slow = None, self.slow
        if self.plan.holds_rows:
            rows = self.rows.after(change, frame, keys)
            slow = self.plan.of_rows(rows)
        values = {
            label: column.read(column_of(frame, label)) for label, column in self.columns.items()
        }
        codes = None if self.groups is None else self.groups.encode(keys)
        return Step(change, codes, values, rows, slow)

    def commit(self, step: Step) -> None:
        """Take the batch."""
        if step.rows is not None:
            self.rows = step.rows
        self.slow = step.slow
        self._resize()
        change = step.change
        if change.expired:
            self._drop(change.expired)
        if change.moved:
            self._insert(step)
        elif change.entered:
            self._add(step)
        self.held += change.entered - change.expired
        if self.plan.sliding:
            labels = None
            for column in self.columns.values():
                if any(
                    accumulator.needs_recompute() for accumulator in column.accumulators.values()
                ):
                    labels = labels or self._labels(self.codes.view(), self.held)
                    column.recompute(labels)
            self._compact()

    def _width(self) -> int:
        return 1 if self.groups is None else len(self.groups)

    def _resize(self) -> None:
        width = self._width()
        self.sizes.resize(width)
        for column in self.columns.values():
            column.resize(width)

    def _labels(self, codes: Ints, size: int) -> GroupCodes:
        if self.groups is None:
            return GroupCodes.ungrouped(ungrouped_rows(size))
        return GroupCodes(codes, len(self.groups))

    def _drop(self, count: int) -> None:
        if count == self.held:
            for column in self.columns.values():
                column.clear(self._width())
            self.sizes.reset(self._width())
        else:
            labels = self._labels(self.codes.view()[:count], count)
            for column in self.columns.values():
                column.drop(count, labels)
            self.sizes.drop(self.codes.view(), labels.rows)
        if self.groups is not None:
            self.codes.drop(count)

    def _add(self, step: Step) -> None:
        codes = np.empty(0, np.int64) if step.codes is None else step.codes
        labels = self._labels(codes, step.change.entered)
        for label, column in self.columns.items():
            column.add(step.values[label], labels)
        self.sizes.add(codes, labels.rows)
        if self.plan.sliding and self.groups is not None:
            self.codes.append(codes)

    def _insert(self, step: Step) -> None:
        change = step.change
        codes = np.empty(0, np.int64) if step.codes is None else step.codes
        moved = self.codes.view()[len(self.codes) - change.moved :].copy()
        merged = codes
        if self.groups is not None:
            merged = change.merged(moved, codes)
            self.codes.cut(change.moved)
            self.codes.append(merged)
        new = self._labels(codes, change.entered)
        old = self._labels(moved, change.moved)
        together = self._labels(merged, change.entered + change.moved)
        for label, column in self.columns.items():
            column.insert(step.values[label], change, new, old, together)
        self.sizes.add(codes, new.rows)

    def _compact(self) -> None:
        if self.groups is None or len(self.groups) < MANY:
            return
        live = self.sizes.number > 0
        if np.count_nonzero(live) * 2 > len(live):
            return
        codes = np.flatnonzero(live).astype(np.int64)
        new_code = np.full(len(live) + 1, -1, np.int64)  # the last place is that of code -1
        new_code[codes] = np.arange(len(codes))
        self.codes.replace(new_code[self.codes.view()])
        self.groups.select(codes)
        self.sizes.select_groups(codes)
        for column in self.columns.values():
            column.select_groups(codes)
        self._index = None

    # -- results

    def result(self) -> Any:
        """The present result."""
        spec = self.plan.spec
        if self.plan.counts_values:
            return self._counts()
        if self.plan.counting or (self.plan.by_pandas and spec.shape == "whole"):
            return self.slow.whole
        if not self.plan.grouped:
            return self._reduced()
        if self.groups is None:
            arrays = [self.slow.values[number] for number in range(len(spec.outputs))]
            return results.grouped(
                spec, self.plan.empty, arrays, self.slow.whole.index, self.plan.labels
            )
        order = self._order()
        index = self._keys(order)
        if spec.shape == "whole":
            name = self.plan.empty.name if isinstance(self.plan.empty, pd.Series) else None
            sizes = as_dtype(self.sizes.number[order], None, self.size_dtype)
            return pd.Series(sizes, index=index, name=name, copy=False)
        arrays = []
        for number in range(len(spec.outputs)):
            if number in self.slow.values:
                arrays.append(self.slow.values[number])
                continue
            values, valid = self._reading(number)
            chosen = None if valid is None else valid[order]
            arrays.append(as_dtype(values[order], chosen, self.dtypes[number]))
        return results.grouped(spec, self.plan.empty, arrays, index, self.plan.labels)

    def _reading(self, number: int) -> Any:
        found = self.plan.finalizers[number]
        assert found is not None
        if found.kind == SIZE:
            return self.sizes.number, None
        accumulator = self.columns[self.plan.spec.outputs[number].column].accumulators[found.kind]
        return found.result(accumulator)

    def _reduced(self) -> Any:
        spec = self.plan.spec
        if spec.shape == "whole":
            return self.held * self.plan.width
        return results.reduced(spec, self.plan.empty, self._values(), self.form)

    def _values(self) -> list[Any]:
        slow = self.slow.values
        numbers = range(len(self.plan.spec.outputs))
        return [slow[number] if number in slow else self._scalar(number) for number in numbers]

    def row(self) -> Any:
        """The aggregates of a frame by column as one row, each in its own dtype."""
        return self.plan.row(self._values(), self.dtypes)

    def _counts(self) -> Any:
        column = self.columns[None]
        accumulator = column.accumulators["distinct"]
        assert isinstance(accumulator, DistinctCounts)
        return value_counts(accumulator, column.codec, self.plan.empty.name, self.count_dtype)

    def _scalar(self, number: int) -> Any:
        numbers, valid = self._reading(number)
        if valid is not None and not valid[0]:
            return self.missing[number]
        if numbers.dtype.kind == "f" and np.isnan(numbers[0]):
            return numbers[0]  # no number, but not missing either
        return as_dtype(numbers, valid, self.dtypes[number])[0]

    def _order(self) -> Ints:
        assert self.groups is not None
        order = self.groups.order()
        if not self.plan.sliding:
            return order
        if not self.plan.grouping.sort:
            codes, first = np.unique(self.codes.view(), return_index=True)
            codes = codes[np.argsort(first)]
            return codes[codes >= 0]
        live = self.sizes.number[order] > 0
        return order if live.all() else order[live]

    def _keys(self, order: Ints) -> pd.Index[Any]:
        assert self.groups is not None
        if self._index is None or not np.array_equal(self._index[0], order):
            self._index = order, self.groups.index(order)
        return self._index[1]
