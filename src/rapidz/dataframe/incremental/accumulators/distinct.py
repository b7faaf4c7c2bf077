"""Distinct values: their number, and how often each of them occurs."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.accumulators.accumulator import Accumulator, Recode
from rapidz.dataframe.incremental.columns.column_codec import ColumnCodec, as_dtype
from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Ints, Numbers

__all__ = ["DistinctValues", "DistinctCounts", "value_counts"]

PAIR = 32


class DistinctValues(Accumulator):
    """Set of the distinct values of each group, where no row leaves.

    >>> values = DistinctValues(2)
    >>> values.add(np.array([3, 1, 3]), GroupedRows(np.array([0, 0, 1]), 2))
    >>> values.result()[0]
    array([2, 1])
    """

    arrays = {"different": 0}  # noqa: RUF012
    different: Ints

    def reset(self, groups: int) -> None:
        super().reset(groups)
        self.values: dict[Any, int] = {}
        """The values of all groups, numbered; without groups, the whole state."""
        self.pairs: set[int] = set()
        """Group and number of value, in one number."""

    def select_groups(self, codes: Ints) -> None:
        new_code = np.full(len(self.different), -1, np.int64)
        new_code[codes] = np.arange(len(codes))
        super().select_groups(codes)
        groups, numbers = np.divmod(np.fromiter(self.pairs, np.int64, len(self.pairs)), 1 << PAIR)
        kept = new_code[groups] >= 0
        groups, numbers = new_code[groups[kept]], numbers[kept]
        used = np.unique(numbers)
        if 2 * len(used) < len(self.values):  # forget the values of groups that are gone
            known = list(self.values)
            self.values = {known[number]: n for n, number in enumerate(used.tolist())}
            numbers = np.searchsorted(used, numbers)
        self.pairs = set(((groups << PAIR) | numbers).tolist())

    def convert(self, old: Accumulator, move: Recode) -> None:
        super().convert(old, move)
        known = cast(DistinctValues, old)
        if move is None or not known.values:
            self.values, self.pairs = known.values.copy(), known.pairs.copy()
            return
        # Two integers may be one float.
        numbers = self._numbers(move(np.array(list(known.values))).tolist())
        if not known.pairs:
            self.different[0] = len(self.values)
            return
        groups, places = np.divmod(np.fromiter(known.pairs, np.int64), 1 << PAIR)
        self.different[:] = 0
        self._take(groups, numbers[places])

    def add(self, data: Any, rows: GroupedRows) -> None:
        if rows.labels is None:
            self.values.update(dict.fromkeys(pd.unique(data).tolist(), 0))
            self.different[0] = len(self.values)
            return
        groups, places, values, _ = _pairs(data, rows)
        self._take(groups, self._numbers(values)[places])

    def _numbers(self, values: list[Any]) -> Ints:
        numbers = self.values
        return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)

    def _take(self, groups: Ints, numbers: Ints) -> None:
        new = set(((groups << PAIR) | numbers).tolist()) - self.pairs
        self.pairs |= new
        fresh = np.fromiter(new, np.int64, len(new)) >> PAIR
        self.different += np.bincount(fresh, minlength=len(self.different))

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.different, None


class DistinctCounts(Accumulator):
    """Multiset: how often each value occurs in each group, or without groups.

    >>> values = DistinctCounts(1)
    >>> values.add(np.array([3, 1, 3]), GroupedRows(np.array([0, 0, 0]), 1))
    >>> values.result()[0], values.counts
    (array([2]), {(0, 3): 2, (0, 1): 1})
    """

    arrays = {"different": 0}  # noqa: RUF012
    different: Ints

    def reset(self, groups: int) -> None:
        super().reset(groups)
        self.counts: dict[Any, int] = {}
        self.grouped = False

    def select_groups(self, codes: Ints) -> None:
        super().select_groups(codes)
        new_code = {int(code): number for number, code in enumerate(codes)}
        kept = self.counts.items()
        self.counts = {(new_code[code], value): n for (code, value), n in kept}

    def convert(self, old: Accumulator, move: Recode) -> None:
        super().convert(old, move)
        known = cast(DistinctCounts, old)
        self.grouped, counts = known.grouped, known.counts
        values = [value for _, value in counts] if self.grouped else list(counts)
        if counts and move is not None:
            values = move(np.array(values)).tolist()
        keys = [(code, v) for (code, _), v in zip(counts, values, strict=True)]
        self.counts = {}
        for key, number in zip(keys if self.grouped else values, counts.values(), strict=True):
            if key in self.counts:  # two integers are one float
                self.different[key[0] if self.grouped else 0] -= 1
            self.counts[key] = self.counts.get(key, 0) + number

    def add(self, data: Any, rows: GroupedRows) -> None:
        counts = self.counts
        known = counts.get
        if rows.labels is None:
            for key, number in zip(*_numbered(data), strict=True):
                counts[key] = known(key, 0) + number
            self.different[0] = len(counts)
            return
        self.grouped = True
        for key, number in zip(*_tally(data, rows), strict=True):
            before = known(key, 0)
            counts[key] = before + number
            if not before:
                self.different[key[0]] += 1

    def remove(self, data: Any, rows: GroupedRows) -> None:
        counts, alone = self.counts, rows.labels is None
        for key, number in zip(*(_numbered(data) if alone else _tally(data, rows)), strict=True):
            left = counts[key] - number
            if left:
                counts[key] = left
            else:
                del counts[key]
                self.different[0 if alone else key[0]] -= 1

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.different, None


def value_counts(
    values: DistinctCounts, codec: ColumnCodec, name: Any, dtype: Any
) -> pd.Series[Any]:
    """Return the counts without groups as pandas' `value_counts`: most frequent first."""
    counts = values.counts
    if isinstance(codec.dtype, pd.CategoricalDtype):  # categories without a row count too
        counts = {value: counts.get(value, 0) for value in codec.dtype.categories.tolist()}
    kept = np.empty(len(counts), codec.storage)
    kept[:] = list(counts)
    numbers = np.fromiter(counts.values(), np.int64, len(kept))
    order = np.argsort(-numbers, kind="stable")
    index = pd.Index(as_dtype(kept[order], None, codec.dtype), name=name)
    return pd.Series(as_dtype(numbers[order], None, dtype), index=index, name="count")


def _numbered(data: Any) -> tuple[list[Any], list[int]]:
    """Return the values of a batch in order of appearance, and the number of each."""
    codes, values = pd.factorize(data)
    return values.tolist(), np.bincount(codes, minlength=len(values)).tolist()


def _tally(data: Any, rows: GroupedRows) -> tuple[list[tuple[int, Any]], list[int]]:
    """Return the pairs of group and value of a batch by appearance, and the number of each."""
    groups, places, values, pairs = _pairs(data, rows)
    keys = zip(groups.tolist(), map(values.__getitem__, places.tolist()), strict=True)
    return list(keys), np.bincount(pairs, minlength=len(groups)).tolist()


def _pairs(data: Any, rows: GroupedRows) -> tuple[Ints, Ints, list[Any], Ints]:
    """Return the distinct pairs of a batch: groups, positions of values, values, pair of each row.

    The rows must have groups.
    """
    assert rows.labels is not None
    codes, values = pd.factorize(data)
    pairs, different = pd.factorize(rows.labels * max(len(values), 1) + codes)
    groups, places = np.divmod(different, max(len(values), 1))
    return groups, places, values.tolist(), pairs
