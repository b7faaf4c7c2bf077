"""One column by group: its folds, and while rows can leave, the rows themselves."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.accumulators.accumulator import Fold, Move
from rapidz.dataframe.incremental.accumulators.registry import make_fold
from rapidz.dataframe.incremental.columns.column_codec import Lane, Values, moved
from rapidz.dataframe.incremental.groups.group_reduce import ByCode
from rapidz.dataframe.incremental.types import Bools, Ints, Numbers
from rapidz.dataframe.incremental.windows.admission import Arrival
from rapidz.dataframe.incremental.windows.ring_buffer import Tape

__all__ = ["Column", "Labels"]

FLOATS = {"float", "moments", "sorted"}
# Folds that keep values of any kind, as objects where they are no numbers.
KEEPERS = {"first", "last", "distinct", "different", "min", "max"}


class Labels:
    """The group codes of some rows; rows of code -1 belong to no group.

    >>> Labels(np.array([0, -1, 1]), 2).rows.counts()
    array([1, 1])
    """

    def __init__(self, codes: Ints, groups: int) -> None:
        self.keep: Bools | None = None
        if len(codes) and codes.min() < 0:
            self.keep = codes >= 0
            codes = codes[self.keep]
        self.rows = ByCode(codes, groups)

    @classmethod
    def of_one_group(cls, rows: ByCode) -> Labels:
        """Rows that need no codes."""
        labels = object.__new__(cls)
        labels.keep, labels.rows = None, rows
        return labels

    def valid(self, values: Values) -> tuple[Numbers, ByCode]:
        """The data that belongs to a group and is not missing, with its rows."""
        data, valid = values.data, values.valid
        empty = not len(data)
        if self.keep is not None:
            data = data if empty else data[self.keep]
            valid = None if valid is None else valid[self.keep]
        if valid is None or valid.all():
            return data, self.rows
        return data if empty else data[valid], self.rows.only(valid)


class Column:
    """One column: folds by kind, and the values of the rows held if rows can leave."""

    def __init__(self, label: Any, dtype: Any, leaving: bool) -> None:
        self.label = label
        self.lane = Lane(dtype)
        self.leaving = leaving
        self.folds: dict[str, Fold] = {}
        self.data = Tape(self.lane.storage) if leaving and self.lane.kind != "other" else None
        self.valid = Tape(np.bool_) if leaving and self.lane.nullable else None

    def read(self, column: pd.Series[Any]) -> Values:
        """The column of a batch as arrays."""
        return self.lane.read(column, as_it_is=not self.leaving)

    def need(self, kind: str) -> None:
        """Keep a fold of this kind."""
        if kind in KEEPERS and self.lane.kind == "other" and not self.lane.objects:
            self.lane = Lane(self.lane.dtype, objects=True)
            self.data = Tape(self.lane.storage) if self.leaving else None
        if kind not in self.folds:
            self.folds[kind] = make_fold(kind, self.lane, self.leaving)

    def held(self, start: int, stop: int) -> Values:
        """Values of rows held, counted from the oldest."""
        data = np.empty(0, self.lane.storage) if self.data is None else self.data.view()[start:stop]
        return Values(data, None if self.valid is None else self.valid.view()[start:stop])

    def widen(self, groups: int) -> None:
        """Make place for new groups."""
        for fold in self.folds.values():
            fold.widen(groups)

    def adopt(self, old: Column | None, labels: Labels, held: int) -> None:
        """Know what a narrower column did, with rows that have these labels.

        What that was not there to know, of a column that had no values, stays unknown.
        """
        known = old is not None and (old.lane.kind == self.lane.kind or old.lane.kind != "other")
        if self.leaving:
            self._store(self._held_by(old if known else None, held))
            data, rows = labels.valid(self.held(0, held))
            for kind, fold in self.folds.items():
                fold.add(_typed(kind, data), rows)
        elif known and old is not None:
            for kind, fold in self.folds.items():
                before = old.folds.get(kind) or old.folds.get("whole")
                if before is not None:
                    fold.adopt(before, self._move(old) if kind not in FLOATS else None)

    def _held_by(self, old: Column | None, held: int) -> Values:
        if old is None:
            return Values(np.zeros(held, self.lane.storage), np.zeros(held, np.bool_))
        values, move = old.held(0, held), self._move(old)
        return Values(values.data if move is None else move(values.data), values.valid)

    def _move(self, old: Column) -> Move:
        same = old.lane.storage == self.lane.storage
        if same and (self.lane.kind != "time" or old.lane.dtype == self.lane.dtype):
            return None
        return functools.partial(moved, old=old.lane, new=self.lane)

    def keep(self, codes: Ints) -> None:
        """Forget all groups but these."""
        for fold in self.folds.values():
            fold.keep(codes)

    def clear(self, groups: int) -> None:
        """Forget all rows."""
        for fold in self.folds.values():
            fold.reset(groups)
        for tape in (self.data, self.valid):
            if tape is not None:
                tape.drop(len(tape))

    def drop(self, count: int, labels: Labels) -> None:
        """Let the oldest rows go."""
        data, rows = labels.valid(self.held(0, count))
        for kind, fold in self.folds.items():
            fold.drop(_typed(kind, data), rows)
        for tape in (self.data, self.valid):
            if tape is not None:
                tape.drop(count)

    def add(self, values: Values, labels: Labels) -> None:
        """Take rows that come behind all others."""
        data, rows = labels.valid(values)
        for kind, fold in self.folds.items():
            fold.add(_typed(kind, data), rows)
        self._store(values)

    def insert(
        self, values: Values, arrival: Arrival, new: Labels, old: Labels, together: Labels
    ) -> None:
        """Take rows that come before some of those held."""
        total = len(self.data if self.data is not None else self.valid or ())
        moved = self.held(total - arrival.moved, total)
        moved = Values(moved.data.copy(), None if moved.valid is None else moved.valid.copy())
        merged = self._merge(moved, values, arrival)
        ordered = {k: f for k, f in self.folds.items() if f.ordered}
        for kind, fold in ordered.items():
            data, rows = old.valid(moved)
            fold.take_back(_typed(kind, data), rows)
        for kind, fold in self.folds.items():
            data, rows = together.valid(merged) if fold.ordered else new.valid(values)
            fold.add(_typed(kind, data), rows)
        for tape in (self.data, self.valid):
            if tape is not None:
                tape.cut(arrival.moved)
        self._store(merged)

    def _merge(self, moved: Values, values: Values, arrival: Arrival) -> Values:
        data = arrival.merged(moved.data, values.data) if self.data is not None else moved.data
        if self.valid is None or moved.valid is None:
            return Values(data, None)
        size = arrival.entered
        valid = np.ones(size, bool) if values.valid is None else values.valid
        return Values(data, arrival.merged(moved.valid, valid))

    def _store(self, values: Values) -> None:
        if self.data is not None:
            self.data.append(values.data)
        if self.valid is not None:
            size = len(values.data) if values.valid is None else len(values.valid)
            self.valid.append(np.ones(size, bool) if values.valid is None else values.valid)

    def renew(self, labels: Labels) -> None:
        """Add the rows held anew where rounding may have left a trace."""
        for kind, fold in self.folds.items():
            if fold.doubtful():
                data, rows = labels.valid(self.held(0, len(self.data or ())))
                fold.renew(_typed(kind, data), rows)


def _typed(kind: str, data: Numbers) -> Numbers:
    return data.astype(np.float64) if kind in FLOATS and data.dtype.kind != "f" else data
