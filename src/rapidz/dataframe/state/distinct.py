"""How many different values there are, and how often each of them comes."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from rapidz.dataframe.state.aliases import Bools, Ints, Numbers
from rapidz.dataframe.state.bycode import ByCode
from rapidz.dataframe.state.fold import Fold, Move
from rapidz.dataframe.state.lanes import Lane, as_dtype

__all__ = ["Distinct", "counted"]


class Distinct(Fold):
    """How often each value comes in each group.

    >>> values = Distinct(1)
    >>> values.add(np.array([3, 1, 3]), ByCode(np.array([0, 0, 0]), 1))
    >>> values.result()[0], values.counts
    (array([2]), {(0, 3): 2, (0, 1): 1})
    """

    arrays = {"different": 0}  # noqa: RUF012
    different: Ints

    def reset(self, groups: int) -> None:
        super().reset(groups)
        self.counts: dict[tuple[int, Any], int] = {}

    def keep(self, codes: Ints) -> None:
        super().keep(codes)
        new_code = {int(code): number for number, code in enumerate(codes)}
        kept = self.counts.items()
        self.counts = {(new_code[code], value): n for (code, value), n in kept}

    def adopt(self, old: Fold, move: Move) -> None:
        super().adopt(old, move)
        counts = cast(Distinct, old).counts
        values = [value for _, value in counts]
        if counts and move is not None:
            values = move(np.array(values)).tolist()
        self.counts = {}
        for (code, _), value, number in zip(counts, values, counts.values(), strict=True):
            if (code, value) in self.counts:  # two integers are one float
                self.different[code] -= 1
            self.counts[code, value] = self.counts.get((code, value), 0) + number

    def add(self, data: Numbers, rows: ByCode) -> None:
        counts = self.counts
        for key, number in _tally(data, rows):
            before = counts.get(key, 0)
            counts[key] = before + number
            if not before:
                self.different[key[0]] += 1

    def drop(self, data: Numbers, rows: ByCode) -> None:
        counts = self.counts
        for key, number in _tally(data, rows):
            left = counts[key] - number
            if left:
                counts[key] = left
            else:
                del counts[key]
                self.different[key[0]] -= 1

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.different, None


def counted(values: Distinct, lane: Lane, name: Any, dtype: Any) -> pd.Series[Any]:
    """The counts of the only group as pandas' `value_counts`: most frequent first."""
    kept = np.empty(len(values.counts), lane.storage)
    kept[:] = [value for _, value in values.counts]
    numbers = np.fromiter(values.counts.values(), np.int64, len(kept))
    order = np.argsort(-numbers, kind="stable")
    index = pd.Index(as_dtype(kept[order], None, lane.dtype), name=name)
    return pd.Series(as_dtype(numbers[order], None, dtype), index=index, name="count")


def _tally(data: Numbers, rows: ByCode) -> list[tuple[tuple[int, Any], int]]:
    """The pairs of group and value of a batch in order of appearance, each with its number."""
    codes, values = pd.factorize(data)
    labels = np.zeros(len(data), np.int64) if rows.labels is None else rows.labels
    pairs, different = pd.factorize(labels * max(len(values), 1) + codes)
    numbers = np.bincount(pairs, minlength=len(different)).tolist()
    groups, places = np.divmod(different, max(len(values), 1))
    keys = zip(groups.tolist(), values[places].tolist(), strict=True)
    return list(zip(keys, numbers, strict=True))
