"""Minimum and maximum, first and last value, by group; two-stack aggregation if rows leave.

Rows leave in the order of arrival. So the buffered rows are split once: for each of the older
ones it is known in advance what remains when it leaves; of the newer ones only the extremum is
kept. When the older ones are used up, the newer ones become the older ones: every row is read
twice, however long the window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.accumulators.accumulator import Accumulator
from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Ints, Numbers
from rapidz.dataframe.incremental.windows.ring_buffer import RingBuffer

__all__ = [
    "TextExtremum",
    "Extremum",
    "FirstValue",
    "LastValue",
    "SlidingExtremum",
    "SlidingFirst",
    "identity",
]


def identity(ufunc: np.ufunc, dtype: np.dtype[Any]) -> Any:
    """Return the identity element of a minimum or maximum.

    >>> identity(np.minimum, np.dtype("float64"))
    inf
    """
    if dtype.kind == "f":
        return np.inf if ufunc is np.minimum else -np.inf
    limits = np.iinfo(dtype)
    return limits.max if ufunc is np.minimum else limits.min


class Extremum(Accumulator):
    """Minimum or maximum of all rows."""

    value_arrays = ("best",)
    best: Numbers
    number: Ints

    def __init__(self, ufunc: np.ufunc, dtype: np.dtype[Any], groups: int = 0) -> None:
        self.ufunc, self.dtype = ufunc, dtype
        self.never = identity(ufunc, dtype)
        self.arrays = {"best": np.asarray(self.never, dtype)[()], "number": 0}
        super().__init__(groups)

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        self.number[rows.at] += rows.counts()
        new = rows.extremes(self.ufunc, data, self.never)
        self.best[rows.at] = self.ufunc(self.best[rows.at], new)

    def merge_groups(self, other: Any, codes: Ints, at: Ints) -> None:
        self.number[at] += other.number[codes]
        self.best[at] = self.ufunc(self.best[at], other.best[codes])

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.best, self.number > 0


class SlidingExtremum(Extremum):
    """Minimum or maximum of rows that leave again, by two-stack aggregation.

    `front` is the extremum of the older rows by group and `after` gives for each of them the
    extremum of its group among the older rows behind it; `best` is that of the newer rows.
    """

    ordered = True

    def reset(self, groups: int) -> None:
        self.arrays = self.arrays | {"front": self.arrays["best"]}
        super().reset(groups)
        self.codes = RingBuffer(np.int64)
        self.data = RingBuffer(self.dtype)
        self.after = RingBuffer(self.dtype)

    front: Numbers

    def select_groups(self, codes: Ints) -> None:
        new_code = np.full(len(self.number), -1, np.int64)
        new_code[codes] = np.arange(len(codes))
        self.codes.replace(new_code[self.codes.view()])
        super().select_groups(codes)

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        super().add(data, rows)
        self.codes.append(np.zeros(len(data), np.int64) if rows.labels is None else rows.labels)
        self.data.append(data)

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        count = len(data)
        self.number[rows.at] -= rows.counts()
        if count > len(self.after):
            self.codes.drop_oldest(count)
            self.data.drop_oldest(count)
            self.flip()
            return
        # Of several rows of one group the value of the last one stays.
        self.front[self.codes.view()[:count]] = self.after.view()[:count]
        for buffer in (self.codes, self.data, self.after):
            buffer.drop_oldest(count)

    def retract(self, data: Numbers, rows: GroupedRows) -> None:
        self.number[rows.at] -= rows.counts()
        self.codes.drop_newest(len(data))
        self.data.drop_newest(len(data))
        if len(self.codes) < len(self.after):
            self.flip()
        # The retracted newer rows are added again, so `best` remains right.

    def flip(self) -> None:
        """Make all rows older ones (the flip of the two stacks)."""
        codes, data = self.codes.view(), self.data.view()
        self.best[:] = self.front[:] = self.never
        self.ufunc.at(self.front, codes, data)
        self.after.replace(self._remaining(codes, data))

    def _remaining(self, codes: Numbers, data: Numbers) -> Numbers:
        # What remains of the own group behind each row: seen from the end, a running best.
        if len(self.number) == 1:
            running = self.ufunc.accumulate(data[::-1])[::-1]
            return np.append(running[1:], np.asarray(self.never, self.dtype))[: len(data)]
        few = len(self.number) <= np.iinfo(np.uint16).max  # then numpy sorts by digits
        keys = codes[::-1].astype(np.uint16) if few else codes[::-1]
        order = np.argsort(keys, kind="stable")
        sorted_codes = codes[::-1][order]
        groups = pd.Series(data[::-1][order]).groupby(sorted_codes)
        running = (groups.cummin() if self.ufunc is np.minimum else groups.cummax()).to_numpy()
        shifted = np.empty_like(running)
        shifted[1:] = running[:-1]
        starts = np.r_[True, sorted_codes[1:] != sorted_codes[:-1]][: len(shifted)]
        shifted[starts] = self.never
        remaining = np.empty_like(shifted)
        remaining[order] = shifted
        return remaining[::-1]

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.ufunc(self.best, self.front), self.number > 0


class TextExtremum(Accumulator):
    """Minimum or maximum of text, of all rows."""

    arrays = {"best": np.empty((), object), "number": 0}  # noqa: RUF012
    best: Numbers
    number: Ints

    def __init__(self, how: str, groups: int = 0) -> None:
        self.how, self.choose = how, min if how == "min" else max
        super().__init__(groups)

    def add(self, data: Any, rows: GroupedRows) -> None:
        if not len(data):
            return
        column: pd.Series[Any] = pd.Series(data, copy=False)
        if rows.labels is None:
            self._update(0, getattr(column, self.how)())
        else:
            found = column.groupby(rows.labels).agg(self.how)
            for code, value in zip(found.index.tolist(), found.tolist(), strict=True):
                self._update(code, value)
        self.number[rows.at] += rows.counts()

    def _update(self, code: int, value: Any) -> None:
        known = self.number[code] > 0
        self.best[code] = self.choose(self.best[code], value) if known else value

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.best, self.number > 0


class LastValue(Accumulator):
    """Last value: it leaves last, so that it is known until no row is left."""

    ordered = True
    value_arrays = ("value",)
    value: Numbers
    number: Ints

    def __init__(self, dtype: np.dtype[Any], groups: int = 0) -> None:
        self.arrays = {"value": np.zeros((), dtype), "number": 0}
        super().__init__(groups)

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        self.number[rows.at] += rows.counts()
        self._set(data, rows.last(), rows)

    def _set(self, data: Any, where: Numbers, rows: GroupedRows) -> None:
        chosen = np.flatnonzero(where >= 0)
        if len(chosen):
            new = data[where[chosen]]
            new = new if isinstance(new, np.ndarray) else new.to_numpy(object)
            self.value[chosen if isinstance(rows.at, slice) else rows.at[chosen]] = new

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        self.number[rows.at] -= rows.counts()

    retract = remove

    def result(self) -> tuple[Numbers, Bools | None]:
        return self.value, self.number > 0


class FirstValue(LastValue):
    """First value of all rows."""

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        known = self.number[rows.at] > 0
        self.number[rows.at] += rows.counts()
        self._set(data, np.where(known, -1, rows.first()), rows)


class SlidingFirst(Accumulator):
    """First value of rows that leave again: the value at the minimum of the positions."""

    ordered = True
    nested = ("places",)

    def __init__(self, dtype: np.dtype[Any], groups: int = 0) -> None:
        self.dtype = dtype
        super().__init__(groups)

    def reset(self, groups: int) -> None:
        self.places = SlidingExtremum(np.minimum, np.dtype(np.int64), groups)
        self.data = RingBuffer(self.dtype)
        self.gone = 0

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        start = self.gone + len(self.data)
        self.data.append(data)
        self.places.add(np.arange(start, start + len(data)), rows)

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        self.gone += len(data)
        self.data.drop_oldest(len(data))
        self.places.remove(data, rows)

    def retract(self, data: Numbers, rows: GroupedRows) -> None:
        self.data.drop_newest(len(data))
        self.places.retract(data, rows)
        # The rows are added again at other positions: recompute those of the newer rows at once.
        self.places.flip()

    def result(self) -> tuple[Numbers, Bools | None]:
        places, valid = self.places.result()[0], self.places.number > 0
        held = self.data.view()
        if not len(held):
            return np.zeros(len(places), self.dtype), valid
        return held[np.where(valid, places - self.gone, 0)], valid
