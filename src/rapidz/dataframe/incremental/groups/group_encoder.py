"""Dictionary encoding of group keys: codes 0, 1, 2 … in order of first appearance."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.types import Ints, Numbers

__all__ = ["GroupEncoder", "KeyEncoder"]

PAIR = 32
# Fewer keys than this are looked up one by one.
FEW = 64
# Integers whose range is less than so many times their number are looked up in a table.
TABLE = 8


class KeyEncoder:
    """Dictionary encoding of one key; -1 is the code of a missing value that has no group.

    >>> level = KeyEncoder(pd.Series(["b", "a"]), dropna=True)
    >>> level.encode(pd.Series(["b", "a", "b"]))
    array([0, 1, 0])
    >>> level.ranks()
    array([1, 0])
    """

    def __init__(self, example: pd.Series[Any], dropna: bool) -> None:
        self.dropna = dropna
        self.known: pd.Index[Any] = pd.Index(example.iloc[:0])
        self._table = _IntegerTable(self.known)

    def encode(self, keys: pd.Series[Any]) -> Ints:
        """Return the code of each key; new keys get the next codes."""
        if _in_64_bits(keys.dtype):
            if self._table.known is not self.known:
                self._table = _IntegerTable(self.known)
            codes = self._table.encode(keys.to_numpy())
            if codes is not None:
                return codes
        if len(keys) >= FEW and _is_arrow_text(keys.dtype) and self.known.dtype == keys.dtype:
            return self._look_up_text(keys)
        if len(keys) < FEW or _has_fast_lookup(keys.dtype):
            return self._look_up(pd.Index(keys))
        # Each distinct key is looked up once: factorizing a batch costs less than looking up all of
        # its keys, which makes Python objects of text and times.
        places, different = pd.factorize(keys, use_na_sentinel=self.dropna)
        codes = np.append(self._look_up(pd.Index(different)), -1)  # the last one: missing keys
        return codes.take(places, mode="wrap")

    def _look_up_text(self, keys: pd.Series[Any]) -> Ints:
        """Return the codes of text of Arrow, which hashes it without making objects."""
        codes = _index_in(keys.array, self.known.array)
        new = codes < 0
        if self.dropna and new.any():
            new &= ~np.asarray(keys.isna())
        if new.any():
            fresh = pd.Index(keys[new]).unique()
            self.known = fresh if len(self.known) == 0 else self.known.append(fresh)
            codes[new] = _index_in(keys.array[new], self.known.array)
        return codes

    def _look_up(self, keys: pd.Index[Any]) -> Ints:
        index = self._unify_missing(keys)
        codes: Ints = self.known.get_indexer(index)
        new = codes < 0
        if self.dropna and new.any():
            new &= ~np.asarray(index.isna())
        if new.any():
            fresh = index[new].unique()
            self.known = fresh if len(self.known) == 0 else self.known.append(fresh)
            codes = self.known.get_indexer(index)
        return codes.astype(np.int64, copy=False)

    def _unify_missing(self, index: pd.Index[Any]) -> pd.Index[Any]:
        # Objects have several missing values: to pandas all of them are one key.
        if self.dropna or index.dtype != object:
            return index
        present = np.asarray(index.notna())
        return index if present.all() else index.where(present, np.nan)

    def cast(self, dtype: Any) -> KeyEncoder:
        """Return the same keys in a wider dtype."""
        level = copy.copy(self)
        if self.known.dtype != dtype:
            level.known = self._unify_missing(self.known.astype(dtype))
        return level

    def ranks(self) -> Ints:
        """Return the rank of each code in the sorted order of pandas."""
        key = pd.Series(self.known)
        grouped = pd.Series(np.zeros(len(key))).groupby(key, sort=True, dropna=False, observed=True)
        return grouped.ngroup().to_numpy()

    def index(self, codes: Ints, name: Any) -> pd.Index[Any]:
        """Return the keys of these codes; objects get the dtype that pandas infers."""
        keys = self.known.take(codes)
        if keys.dtype == object:
            keys = keys.infer_objects(copy=False)
        return keys.rename(name)


class _IntegerTable:
    """Table of the codes of integers that are close together, which costs less than hashing."""

    def __init__(self, known: pd.Index[Any]) -> None:
        self.known = known
        self._codes: Ints | None = None
        if len(known) < FEW or not _in_64_bits(known.dtype):
            return
        numbers = known.to_numpy().astype(np.int64)
        self._low = int(numbers.min())
        reach = int(numbers.max()) - self._low
        if reach < TABLE * len(known):
            self._codes = np.full(reach + 1, -1, np.int64)
            self._codes[numbers - self._low] = np.arange(len(known))
            self._full = len(known) == len(self._codes)

    def encode(self, keys: Numbers) -> Ints | None:
        """Return the codes of keys if all are known and there is a table."""
        table = self._codes
        if table is None or not len(keys):
            return None
        numbers = keys.astype(np.int64, copy=False)
        if self._low:
            numbers = numbers - self._low
        if int(numbers.view(np.uint64).max()) >= len(table):  # too large, or less than 0
            return None
        codes = table.take(numbers)
        return codes if self._full or int(codes.min()) >= 0 else None


class GroupEncoder:
    """Dictionary encoding of groups by one key or several: one code for each group."""

    def __init__(self, keys: Sequence[pd.Series[Any]], *, sort: bool, dropna: bool) -> None:
        self.sort = sort
        self.names = [key.name for key in keys]
        self.levels = [KeyEncoder(key, dropna) for key in keys]
        # With several keys, `pairs[i]` gives the pair (codes of the keys up to i, code of key
        # i + 1) one code; the last of them are the codes of the groups.
        self.pairs = [KeyEncoder(pd.Series([], dtype="int64"), True) for _ in keys[1:]]
        self.version = 0
        self._ranked: tuple[int, Ints] | None = None
        self._indexed: tuple[Ints, pd.Index[Any]] | None = None

    def __len__(self) -> int:
        return len((self.pairs or self.levels)[-1].known)

    def encode(self, keys: Sequence[pd.Series[Any]]) -> Ints:
        """Return the code of each row's group, -1 for a missing key that has no group."""
        before = [level.known for level in (*self.levels, *self.pairs)]
        try:
            codes = self._encode(keys)
        except BaseException:
            for level, known in zip((*self.levels, *self.pairs), before, strict=True):
                level.known = known
            raise
        if len(self) != len(before[-1]):
            self.version += 1
        return codes

    def _encode(self, keys: Sequence[pd.Series[Any]]) -> Ints:
        codes = self.levels[0].encode(keys[0])
        for pairs, level, key in zip(self.pairs, self.levels[1:], keys[1:], strict=True):
            other = level.encode(key)
            known = (codes >= 0) & (other >= 0)
            together = pd.Series((codes[known] << PAIR) | other[known])
            codes = np.full(len(other), -1, np.int64)
            codes[known] = pairs.encode(together)
        return codes

    def widen(self, keys: Sequence[pd.Series[Any]]) -> GroupEncoder:
        """Return the same groups with keys of wider dtypes."""
        groups = copy.copy(self)
        groups.levels = [
            level.cast(key.dtype) for level, key in zip(self.levels, keys, strict=True)
        ]
        groups.pairs = [copy.copy(pairs) for pairs in self.pairs]
        groups._indexed = None
        return groups

    def by_level(self) -> list[Ints]:
        """Return for each key its code in each group."""
        columns: list[Ints] = []
        codes = np.arange(len(self), dtype=np.int64)
        for pairs in reversed(self.pairs):
            both = pairs.known.to_numpy()[codes]
            columns.append(both & ((1 << PAIR) - 1))
            codes = both >> PAIR
        return [codes, *reversed(columns)]

    def order(self) -> Ints:
        """Return all codes in the order of pandas: sorted, or by first appearance."""
        if not self.sort:
            return np.arange(len(self), dtype=np.int64)
        if self._ranked is None or self._ranked[0] != self.version:
            ranks = [
                level.ranks()[codes]
                for level, codes in zip(self.levels, self.by_level(), strict=True)
            ]
            self._ranked = self.version, np.lexsort(ranks[::-1]).astype(np.int64)
        return self._ranked[1]

    def index(self, codes: Ints) -> pd.Index[Any]:
        """Return the keys of these groups, as pandas labels a grouped result."""
        if self._indexed is None or not np.array_equal(self._indexed[0], codes):
            named = zip(self.levels, self.by_level(), self.names, strict=True)
            parts = [level.index(column[codes], name) for level, column, name in named]
            index = parts[0] if len(parts) == 1 else pd.MultiIndex.from_arrays(parts)
            self._indexed = codes, index
        return self._indexed[1]

    def select(self, codes: Ints) -> None:
        """Keep only these groups; the first of them gets the code 0, and so on."""
        columns = [column[codes] for column in self.by_level()]
        for number, (level, column) in enumerate(zip(self.levels, columns, strict=True)):
            used, columns[number] = np.unique(column, return_inverse=True)
            level.known = level.known.take(used)
        if len(columns) == 1:
            # The codes of the only key are those of the groups, in the order given.
            self.levels[0].known = self.levels[0].known.take(columns[0])
        before = columns[0]
        for pairs, column in zip(self.pairs, columns[1:], strict=True):
            both = (before << PAIR) | column
            pairs.known = pd.Index(both).unique() if pairs is not self.pairs[-1] else pd.Index(both)
            before = pairs.known.get_indexer(pd.Index(both)).astype(np.int64)
        self.version += 1
        self._indexed = None


def _is_arrow_text(dtype: Any) -> bool:
    return isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow"


def _index_in(keys: Any, known: Any) -> Ints:
    """Return the position of each key among *known* ones, -1 of those that are not."""
    arrow, compute = map(importlib.import_module, ("pyarrow", "pyarrow.compute"))
    found = compute.index_in(arrow.array(keys), value_set=arrow.array(known))
    positions: Ints = compute.fill_null(found, -1).to_numpy().astype(np.int64)
    return positions


def _in_64_bits(dtype: Any) -> bool:
    """Return whether all values of a dtype are integers below 2**63."""
    return isinstance(dtype, np.dtype) and dtype.kind in "iu" and dtype != np.uint64


def _has_fast_lookup(dtype: Any) -> bool:
    """Return whether looking up all keys costs less than factorizing them first."""
    if isinstance(dtype, pd.StringDtype):
        return dtype.storage == "python"
    masked = isinstance(dtype, pd.api.extensions.ExtensionDtype) and dtype.kind in "iub"
    plain = isinstance(dtype, np.dtype) and dtype.kind in "iub"
    return (
        plain
        or (masked and getattr(dtype, "na_value", None) is pd.NA)
        or isinstance(dtype, pd.CategoricalDtype)
    )
