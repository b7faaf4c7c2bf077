"""Grouped column: the accumulators of one column, and its values while rows can leave."""

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

FLOATS = {"float sum", "moments", "sorted"}
# Accumulators of values of any kind, as objects if they are not numbers.
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
        """Return the codes of rows without groups."""
        codes = object.__new__(cls)
        codes.keep, codes.rows = None, rows
        return codes

    def valid(self, values: ColumnValues) -> tuple[Numbers, GroupedRows]:
        """Return the data that has a group and is not missing, with its rows."""
        data, valid = values.data, values.valid
        empty = not len(data)
        if self.keep is not None:
            data = data if empty else data[self.keep]
            valid = None if valid is None else valid[self.keep]
        if valid is None or valid.all():
            return data, self.rows
        return data if empty else data[valid], self.rows.only(valid)


class GroupedColumn:
    """Accumulators of one column by kind, and the buffered values if rows can leave."""

    def __init__(self, dtype: Any, sliding: bool) -> None:
        self.codec = ColumnCodec(dtype)
        self.sliding = sliding
        self.accumulators: dict[str, Accumulator] = {}
        self.data = (
            RingBuffer(self.codec.storage) if sliding and self.codec.kind != "other" else None
        )
        self.valid = RingBuffer(np.bool_) if sliding and self.codec.nullable else None

    def read(self, column: pd.Series[Any]) -> ColumnValues:
        """Return the column of a batch as arrays."""
        return self.codec.read(column, as_it_is=not self.sliding)

    def need(self, kind: str) -> None:
        """Add an accumulator of this kind unless there is one."""
        if kind in KEEPERS and self.codec.kind == "other" and not self.codec.objects:
            self.codec = ColumnCodec(self.codec.dtype, objects=True)
            self.data = RingBuffer(self.codec.storage) if self.sliding else None
        if kind not in self.accumulators:
            self.accumulators[kind] = create_accumulator(kind, self.codec, self.sliding)

    def buffered(self, start: int, stop: int) -> ColumnValues:
        """Return some of the buffered values, counted from the oldest."""
        data = (
            np.empty(0, self.codec.storage) if self.data is None else self.data.view()[start:stop]
        )
        return ColumnValues(data, None if self.valid is None else self.valid.view()[start:stop])

    def _buffers(self) -> list[RingBuffer]:
        return [buffer for buffer in (self.data, self.valid) if buffer is not None]

    def resize(self, groups: int) -> None:
        """Extend the accumulators to new groups."""
        for accumulator in self.accumulators.values():
            accumulator.resize(groups)

    def convert(self, old: GroupedColumn | None, codes: GroupCodes, size: int) -> None:
        """Take over the state of a narrower column, of rows that have these codes.

        A column that had no values has no state.
        """
        known = old is not None and (old.codec.kind == self.codec.kind or old.codec.kind != "other")
        if self.sliding:
            self._store(self._values_of(old if known else None, size))
            data, rows = codes.valid(self.buffered(0, size))
            for kind, accumulator in self.accumulators.items():
                accumulator.add(_typed(kind, data), rows)
        elif known and old is not None:
            for kind, accumulator in self.accumulators.items():
                before = old.accumulators.get(kind) or old.accumulators.get("integer sum")
                if before is not None:
                    accumulator.convert(before, self._move(old) if kind not in FLOATS else None)

    def _values_of(self, old: GroupedColumn | None, size: int) -> ColumnValues:
        if old is None:
            return ColumnValues(np.zeros(size, self.codec.storage), np.zeros(size, np.bool_))
        values, move = old.buffered(0, size), self._move(old)
        return ColumnValues(values.data if move is None else move(values.data), values.valid)

    def _move(self, old: GroupedColumn) -> Recode:
        same = old.codec.storage == self.codec.storage
        if same and (self.codec.kind != "time" or old.codec.dtype == self.codec.dtype):
            return None
        return functools.partial(recode, old=old.codec, new=self.codec)

    def select_groups(self, codes: Ints) -> None:
        """Keep only these groups."""
        for accumulator in self.accumulators.values():
            accumulator.select_groups(codes)

    def reset(self, groups: int) -> None:
        """Remove all rows."""
        for accumulator in self.accumulators.values():
            accumulator.reset(groups)
        for buffer in self._buffers():
            buffer.drop_oldest(len(buffer))

    def remove_oldest(self, count: int, codes: GroupCodes) -> None:
        """Remove the oldest rows."""
        data, rows = codes.valid(self.buffered(0, count))
        for kind, accumulator in self.accumulators.items():
            accumulator.remove(_typed(kind, data), rows)
        for buffer in self._buffers():
            buffer.drop_oldest(count)

    def add(self, values: ColumnValues, codes: GroupCodes) -> None:
        """Add rows after all others."""
        data, rows = codes.valid(values)
        for kind, accumulator in self.accumulators.items():
            accumulator.add(_typed(kind, data), rows)
        self._store(values)

    def insert(
        self,
        values: ColumnValues,
        change: WindowChange,
        new: GroupCodes,
        old: GroupCodes,
        both: GroupCodes,
    ) -> None:
        """Add rows before some of the buffered ones."""
        total = len(self.data if self.data is not None else self.valid or ())
        moved = self.buffered(total - change.moved, total)
        moved = ColumnValues(moved.data.copy(), None if moved.valid is None else moved.valid.copy())
        merged = self._merge(moved, values, change)
        ordered = {k: f for k, f in self.accumulators.items() if f.ordered}
        for kind, accumulator in ordered.items():
            data, rows = old.valid(moved)
            accumulator.retract(_typed(kind, data), rows)
        for kind, accumulator in self.accumulators.items():
            data, rows = both.valid(merged) if accumulator.ordered else new.valid(values)
            accumulator.add(_typed(kind, data), rows)
        for buffer in self._buffers():
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

    def recompute(self, codes: GroupCodes) -> None:
        """Recompute accumulators in which rounding may have left an error."""
        for kind, accumulator in self.accumulators.items():
            if accumulator.needs_recompute():
                data, rows = codes.valid(self.buffered(0, len(self.data or ())))
                accumulator.recompute(_typed(kind, data), rows)


def _typed(kind: str, data: Numbers) -> Numbers:
    return data.astype(np.float64) if kind in FLOATS and data.dtype.kind != "f" else data
