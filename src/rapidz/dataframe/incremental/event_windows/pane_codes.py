"""Codes of panes by key: 0, 1, 2 … for each pair that has rows, in order of first arrival.

A *pane* is what rows are aggregated in: a tumbling window, or a slice of sliding ones.  Where the
open panes times the keys are about as many as the pairs, a table finds the code of a row by its
position; where they are many more, as with few rows far apart, a sorted array does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.types import Ints

__all__ = ["PaneCodes"]

PAIR = 32
# A table may have so many places, or so many for each pair or row.
PLACES, SPARE = 1 << 16, 8


class PaneCodes:
    """Dictionary encoding of pairs of pane and key.

    >>> codes = PaneCodes()
    >>> codes.encode(np.array([7, 7, 8]), np.array([0, 1, 0]), 2)
    array([0, 1, 2])
    >>> codes.select(np.array([2]))
    >>> codes.encode(np.array([9, 8]), np.array([1, 0]), 2), codes.panes
    (array([1, 0]), array([8, 9]))
    """

    def __init__(self) -> None:
        self.panes: Ints = np.empty(0, np.int64)
        """The pane of each pair, by its code."""
        self.keys: Ints = np.empty(0, np.int64)
        """The key of each pair."""
        self._lowest = self._highest = 0
        self._base = self._width = 0
        self._table: Ints | None = None
        self._sorted: _SortedPairs | None = None

    def __len__(self) -> int:
        return len(self.panes)

    def encode(
        self, panes: Ints, keys: Ints, width: int, bounds: tuple[int, int] | None = None
    ) -> Ints:
        """Return the code of each row.

        *width* is the number of keys, each of which is less than it; *bounds* are the least and
        the greatest pane, if they are known.
        """
        if not len(panes):
            return np.empty(0, np.int64)
        low, high = bounds or (int(panes.min()), int(panes.max()))
        if not self._covers(low, high, width) and self._sorted is None:
            self._build(low, high, width, len(panes))
        if self._sorted is not None:
            found, self.panes, self.keys = self._sorted.encode(panes, keys, self)
            return found
        assert self._table is not None
        start = (low - self._base) * self._width
        if low == high:
            flat = keys
        else:
            flat = panes - low
            flat *= self._width
            flat += keys
        codes: Ints = self._table[start:].take(flat)
        if int(codes.min()) < 0:
            unknown = np.flatnonzero(codes < 0)
            codes[unknown] = self._extend(self._table, flat[unknown] + start)
        return codes

    def _extend(self, table: Ints, flat: Ints) -> Ints:
        """Give each new place in the table the next code, in order of arrival; return the codes."""
        numbers = np.arange(len(flat))
        table[flat[::-1]] = numbers[::-1]  # of the rows of one place, the first one stays
        first = table.take(flat) == numbers
        fresh = flat[first]
        table[fresh] = np.arange(len(self), len(self) + len(fresh))
        panes, keys = np.divmod(fresh, self._width)
        self.panes = np.concatenate([self.panes, panes + self._base])
        self.keys = np.concatenate([self.keys, keys])
        return table.take(flat)

    def _covers(self, low: int, high: int, width: int) -> bool:
        if self._table is None:
            return False
        return low >= self._base and high < self._base + self._rows and width <= self._width

    @property
    def _rows(self) -> int:
        return 0 if self._table is None else len(self._table) // self._width

    def _build(self, low: int, high: int, width: int, size: int) -> None:
        """Make a table that covers these panes and keys too, or the sorted array."""
        if len(self):
            low, high = min(low, int(self.panes.min())), max(high, int(self.panes.max()))
        width = max(self._width, 1 << max(width - 1, 0).bit_length())
        places = (high - low + 1) * width
        self._table = self._sorted = None
        if places > max(PLACES, SPARE * (len(self) + size)):
            self._sorted = _SortedPairs(self.panes, self.keys)
            return
        self._base, self._width = low, width
        self._table = np.full(places, -1, np.int64)
        self._table[(self.panes - low) * width + self.keys] = np.arange(len(self))

    def select(self, codes: Ints, keys: Ints | None = None) -> None:
        """Keep only these pairs; the first of them gets the code 0, and so on.

        *keys* are their keys anew, if keys were numbered anew.
        """
        self.panes = self.panes[codes]
        self.keys = self.keys[codes] if keys is None else keys
        self._table = self._sorted = None
        if keys is not None:
            self._width = 0
        if len(self):
            width = int(self.keys.max()) + 1
            self._build(int(self.panes.min()), int(self.panes.max()), width, 0)

    def in_order(self, limit: int, key_order: Ints) -> Ints | None:
        """Return the codes of the panes below *limit*, by pane and then in an order of the keys.

        None if there is no table, or if sorting them costs less.
        """
        if self._table is None or not len(self):
            return None
        rows = min(limit - self._base, self._rows)
        if rows * self._width > SPARE * len(self):
            return None
        table = self._table[: rows * self._width].reshape(rows, self._width)
        if len(key_order) > self._width:  # keys that no row of a pane has had yet
            return None
        codes = table[:, key_order].ravel()
        return codes[codes >= 0]


class _SortedPairs:
    """Sorted pairs of the number of a pane and a key, with their codes."""

    def __init__(self, panes: Ints, keys: Ints) -> None:
        numbers, distinct = pd.factorize(panes)
        self.numbers = {pane: number for number, pane in enumerate(distinct.tolist())}
        pairs = (numbers.astype(np.int64) << PAIR) | keys
        self.codes = np.argsort(pairs, kind="stable")
        self.pairs = pairs[self.codes]

    def encode(self, panes: Ints, keys: Ints, known: PaneCodes) -> tuple[Ints, Ints, Ints]:
        """Return the code of each row, and pane and key by code."""
        numbers = self.numbers
        places, distinct = pd.factorize(panes)
        ids = np.array([numbers.setdefault(p, len(numbers)) for p in distinct.tolist()], np.int64)
        rows, pairs = pd.factorize((ids[places] << PAIR) | keys)
        at = np.searchsorted(self.pairs, pairs)
        found = np.full(len(pairs), -1, np.int64)
        inside = at < len(self.pairs)
        same = np.flatnonzero(inside)[self.pairs[at[inside]] == pairs[inside]]
        found[same] = self.codes[at[same]]
        new = np.flatnonzero(found < 0)
        found[new] = np.arange(len(known), len(known) + len(new))
        order = new[np.argsort(pairs[new])]
        self.pairs = np.insert(self.pairs, at[order], pairs[order])
        self.codes = np.insert(self.codes, at[order], found[order])
        first = np.full(len(pairs), -1, np.intp)
        first[rows[::-1]] = np.arange(len(rows) - 1, -1, -1)
        all_panes = np.concatenate([known.panes, panes[first[new]]])
        all_keys = np.concatenate([known.keys, keys[first[new]]])
        return found[rows], all_panes, all_keys
