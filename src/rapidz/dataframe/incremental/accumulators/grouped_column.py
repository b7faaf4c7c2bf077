"""One column by group: its folds, and while rows can leave, the rows themselves."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.accumulators.accumulator import Accumulator, Recode
from rapidz.dataframe.incremental.accumulators.registry import create_accumulator
from rapidz.dataframe.incremental.columns.column_codec import ColumnCodec, ColumnValues, recode
from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Ints, Numbers
from rapidz.dataframe.incremental.windows.admission import WindowChange
from rapidz.dataframe.incremental.windows.ring_buffer import RingBuffer

__all__ = ["GroupedColumn", "GroupCodes"]

FLOATS = {"float", "moments", "sorted"}
# Folds that keep values of any kind, as objects where they are no numbers.
KEEPERS = {"first", "last", "distinct", "different", "min", "max"}


class GroupCodes:
    """The group codes of some rows; rows of code -1 belong to no group.

    >>> GroupCodes(np.array([0, -1, 1]), 2).rows.counts()
    array([1, 1])
    """

    def __init__(self, codes: Ints, groups: int) -> None:
        self.keep: Bools | None = None
        if len(codes) and codes.min() < 0:
            self.keep = codes >= 0
            codes = codes[self.keep]
        self.rows = GroupedRows(codes, groups)

    @classmethod
    def ungrouped(cls, rows: GroupedRows) -> GroupCodes:
        """Rows that need no codes."""
        labels = object.__new__(cls)
        labels.keep, labels.rows = None, rows
        return labels

    def valid(self, values: ColumnValues) -> tuple[Numbers, GroupedRows]:
        """The data that belongs to a group and is not missing, with its rows."""
        data, valid = values.data, values.valid
        empty = not len(data)
        if self.keep is not None:
            data = data if empty else data[self.keep]
            valid = None if valid is None else valid[self.keep]
        if valid is None or valid.all():
            return data, self.rows
        return data if empty else data[valid], self.rows.only(valid)


class GroupedColumn:
    """One column: folds by kind, and the values of the rows held if rows can leave."""

    def __init__(self, label: Any, dtype: Any, sliding: bool) -> None:
        self.label = label
        self.codec = ColumnCodec(dtype)
        self.sliding = sliding
        self.accumulators: dict[str, Accumulator] = {}
        self.data = (
            RingBuffer(self.codec.storage) if sliding and self.codec.kind != "other" else None
        )
        self.valid = RingBuffer(np.bool_) if sliding and self.codec.nullable else None

    def read(self, column: pd.Series[Any]) -> ColumnValues:
        """The column of a batch as arrays."""
        return self.codec.read(column, as_it_is=not self.sliding)

    def need(self, kind: str) -> None:
        """Keep a fold of this kind."""
        if kind in KEEPERS and self.codec.kind == "other" and not self.codec.objects:
            self.codec = ColumnCodec(self.codec.dtype, objects=True)
            self.data = RingBuffer(self.codec.storage) if self.sliding else None
        if kind not in self.accumulators:
            self.accumulators[kind] = create_accumulator(kind, self.codec, self.sliding)

    def held(self, start: int, stop: int) -> ColumnValues:
        """Values of rows held, counted from the oldest."""
        data = (
            np.empty(0, self.codec.storage) if self.data is None else self.data.view()[start:stop]
        )
        return ColumnValues(data, None if self.valid is None else self.valid.view()[start:stop])

    def resize(self, groups: int) -> None:
        """Make place for new groups."""
        for accumulator in self.accumulators.values():
            accumulator.resize(groups)

    def convert(self, old: GroupedColumn | None, labels: GroupCodes, held: int) -> None:
        """Know what a narrower column did, with rows that have these labels.

        What that was not there to know, of a column that had no values, stays unknown.
        """
        known = old is not None and (old.codec.kind == self.codec.kind or old.codec.kind != "other")
        if self.sliding:
            self._store(self._held_by(old if known else None, held))
            data, rows = labels.valid(self.held(0, held))
            for kind, accumulator in self.accumulators.items():
                accumulator.add(_typed(kind, data), rows)
        elif known and old is not None:
            for kind, accumulator in self.accumulators.items():
                before = old.accumulators.get(kind) or old.accumulators.get("whole")
                if before is not None:
                    accumulator.convert(before, self._move(old) if kind not in FLOATS else None)

    def _held_by(self, old: GroupedColumn | None, held: int) -> ColumnValues:
        if old is None:
            return ColumnValues(np.zeros(held, self.codec.storage), np.zeros(held, np.bool_))
        values, move = old.held(0, held), self._move(old)
        return ColumnValues(values.data if move is None else move(values.data), values.valid)

    def _move(self, old: GroupedColumn) -> Recode:
        same = old.codec.storage == self.codec.storage
        if same and (self.codec.kind != "time" or old.codec.dtype == self.codec.dtype):
            return None
        return functools.partial(recode, old=old.codec, new=self.codec)

    def select_groups(self, codes: Ints) -> None:
        """Forget all groups but these."""
        for accumulator in self.accumulators.values():
            accumulator.select_groups(codes)

    def reset(self, groups: int) -> None:
        """Forget all rows."""
        for accumulator in self.accumulators.values():
            accumulator.reset(groups)
        for buffer in (self.data, self.valid):
            if buffer is not None:
                buffer.drop_oldest(len(buffer))

    def remove_oldest(self, count: int, labels: GroupCodes) -> None:
        """Let the oldest rows go."""
        data, rows = labels.valid(self.held(0, count))
        for kind, accumulator in self.accumulators.items():
            accumulator.remove(_typed(kind, data), rows)
        for buffer in (self.data, self.valid):
            if buffer is not None:
                buffer.drop_oldest(count)

    def add(self, values: ColumnValues, labels: GroupCodes) -> None:
        """Take rows that come behind all others."""
        data, rows = labels.valid(values)
        for kind, accumulator in self.accumulators.items():
            accumulator.add(_typed(kind, data), rows)
        self._store(values)

    def insert(
        self,
        values: ColumnValues,
        change: WindowChange,
        new: GroupCodes,
        old: GroupCodes,
        together: GroupCodes,
    ) -> None:
        """Take rows that come before some of those held."""
        total = len(self.data if self.data is not None else self.valid or ())
        moved = self.held(total - change.moved, total)
        moved = ColumnValues(moved.data.copy(), None if moved.valid is None else moved.valid.copy())
        merged = self._merge(moved, values, change)
        ordered = {k: f for k, f in self.accumulators.items() if f.ordered}
        for kind, accumulator in ordered.items():
            data, rows = old.valid(moved)
            accumulator.retract(_typed(kind, data), rows)
        for kind, accumulator in self.accumulators.items():
            data, rows = together.valid(merged) if accumulator.ordered else new.valid(values)
            accumulator.add(_typed(kind, data), rows)
        for buffer in (self.data, self.valid):
            if buffer is not None:
                buffer.drop_newest(change.moved)
        self._store(merged)

    def _merge(
        self, moved: ColumnValues, values: ColumnValues, change: WindowChange
    ) -> ColumnValues:
        data = change.merged(moved.data, values.data) if self.data is not None else moved.data
        if self.valid is None or moved.valid is None:
            return ColumnValues(data, None)
        size = change.entered
        valid = np.ones(size, bool) if values.valid is None else values.valid
        return ColumnValues(data, change.merged(moved.valid, valid))

    def _store(self, values: ColumnValues) -> None:
        if self.data is not None:
            self.data.append(values.data)
        if self.valid is not None:
            size = len(values.data) if values.valid is None else len(values.valid)
            self.valid.append(np.ones(size, bool) if values.valid is None else values.valid)

    def needs_recompute(self) -> bool:
        """Return whether rounding may have left an error in an accumulator."""
        return any(accumulator.needs_recompute() for accumulator in self.accumulators.values())

    def recompute(self, labels: GroupCodes) -> None:
        """Add the rows held anew where rounding may have left a trace."""
        for kind, accumulator in self.accumulators.items():
            if accumulator.needs_recompute():
                data, rows = labels.valid(self.held(0, len(self.data or ())))
                accumulator.recompute(_typed(kind, data), rows)


def _typed(kind: str, data: Numbers) -> Numbers:
    return data.astype(np.float64) if kind in FLOATS and data.dtype.kind != "f" else data
