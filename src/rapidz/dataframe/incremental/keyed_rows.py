"""Log-structured merge: rows in segments, with an index of hashed keys in place of a scan.

Each segment is much longer than the next newer one, so that each row is moved seldom. A segment
has the sorted hashes of its keys. Expired rows are skipped, and dropped when segments are merged
or when a whole segment has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.schema import same_dtypes
from rapidz.dataframe.incremental.types import Bools, Ints, Numbers

__all__ = ["KeyedRows", "hashes", "kinds"]

MIXER = np.uint64(0x9E3779B97F4A7C15)
MISSING = np.uint64(1)


def kinds(frame: pd.DataFrame, on: Sequence[Any]) -> list[str]:
    """Return the kinds of the keys: only hashes of the same kind can be compared."""
    return [_kind(frame[label].dtype) for label in on]


def _kind(dtype: Any) -> str:
    if isinstance(dtype, (pd.ArrowDtype, pd.CategoricalDtype)):
        return "object"
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        return "complex" if dtype.kind == "c" else "number"
    return "time" if dtype.kind in "mM" else "object"


def hashes(frame: pd.DataFrame, on: Sequence[Any]) -> Numbers:
    """Return hashes of the keys; keys that are equal for `pandas.merge` have equal hashes.

    >>> some = hashes(pd.DataFrame({"k": [1, 2]}), ["k"])
    >>> bool((some == hashes(pd.DataFrame({"k": [1.0, 3.0]}), ["k"])).tolist() == [True, False])
    True
    """
    found: Numbers = np.zeros(len(frame), np.uint64)
    for label in on:
        found = (found ^ (found >> np.uint64(29))) * MIXER + _hashes(frame[label])
    return found


def _hashes(column: pd.Series[Any]) -> Numbers:
    kind = _kind(column.dtype)
    missing = column.isna().to_numpy()
    if kind == "number":
        numbers = column.to_numpy("float64", na_value=np.nan) + 0.0  # there are two zeros
        bits: Numbers = numbers.view(np.uint64) * MIXER
    elif kind == "time":
        units: Any = column.array
        bits = units.as_unit("us").asi8.view(np.uint64) * MIXER
    elif isinstance(column.dtype, pd.CategoricalDtype):
        known = np.append(_of_objects(column.cat.categories), MISSING)
        bits = known[column.cat.codes.to_numpy()]
    else:
        bits = _of_objects(column)
    return np.where(missing, MISSING, bits)


def _of_objects(values: Any) -> Numbers:
    found = np.fromiter(map(_hash, values.to_list()), np.int64, len(values))
    return found.view(np.uint64) * MIXER


def _hash(value: Any) -> int:
    try:
        return hash(value)
    except TypeError:  # pandas refuses it when it compares them
        return 0


class Segment:
    """Segment: rows, their numbers, their stamps if any, and the sorted hashes of their keys."""

    def __init__(self, rows: pd.DataFrame, numbers: Ints, stamps: Any, keys: Numbers) -> None:
        self.rows, self.numbers, self.stamps, self.keys = rows, numbers, stamps, keys
        self.newest = numbers[-1] if stamps is None else stamps.max()
        self.order = np.argsort(keys, kind="stable")
        self.sorted = keys[self.order]

    def places(self, wanted: Numbers) -> Ints:
        """Return the positions of the rows that have one of these distinct hashes."""
        first = np.searchsorted(self.sorted, wanted, side="left")
        counts = np.searchsorted(self.sorted, wanted, side="right") - first
        total = int(counts.sum())
        if not total:
            return np.empty(0, np.int64)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        return np.sort(self.order[np.repeat(first, counts) + np.arange(total) - before])

    def fresh(self, oldest: Any) -> Bools:
        """Return which rows are newer than *oldest*."""
        fresh: Bools = (self.numbers if self.stamps is None else self.stamps) > oldest
        return fresh


class KeyedRows:
    """Log-structured rows in order of arrival, of which those not expired are found by key.

    >>> rows = KeyedRows(["k"])
    >>> rows.add(pd.DataFrame({"k": [1, 2, 1], "x": [5, 6, 7]}), None)
    >>> rows.forget(0)
    >>> found, _ = rows.find(pd.DataFrame({"k": [1]}))
    >>> found.x.tolist()
    [7]
    """

    def __init__(self, on: Sequence[Any]) -> None:
        self.on = on
        self.total = 0
        self.oldest: Any = None
        self.segments: list[Segment] = []

    def __len__(self) -> int:
        if self.oldest is None:
            return sum(len(one.rows) for one in self.segments)
        return sum(int(np.count_nonzero(one.fresh(self.oldest))) for one in self.segments)

    def __getstate__(self) -> dict[str, Any]:
        # Hashes of text differ between processes.
        segments = [(one.rows, one.numbers, one.stamps) for one in self.segments]
        return {**vars(self), "segments": segments}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.segments = [
            Segment(rows, numbers, stamps, hashes(rows, self.on))
            for rows, numbers, stamps in state["segments"]
        ]

    def add(self, rows: pd.DataFrame, stamps: Any) -> None:
        """Append rows; they are copied."""
        if not len(rows):
            return
        numbers = np.arange(self.total, self.total + len(rows))
        self.total += len(rows)
        if self.segments and not _alike(self.segments[0].rows, rows):
            rows = self._widened(rows)
        self._push(Segment(rows.copy(), numbers, stamps, hashes(rows, self.on)))

    def _push(self, new: Segment) -> None:
        parts = [new]
        size = len(new.rows)
        while self.segments and len(self.segments[-1].rows) <= 2 * size:
            parts.append(self.segments.pop())
            size += len(parts[-1].rows)
        self.segments.append(new if len(parts) == 1 else self._merged(parts[::-1]))

    def _merged(self, parts: list[Segment]) -> Segment:
        stays = [slice(None) if self.oldest is None else one.fresh(self.oldest) for one in parts]
        both = list(zip(parts, stays, strict=True))
        stamps = None
        if parts[0].stamps is not None:
            stamps = np.concatenate([one.stamps[stay] for one, stay in both])
        return Segment(
            pd.concat([one.rows[stay] for one, stay in both]),
            np.concatenate([one.numbers[stay] for one, stay in both]),
            stamps,
            np.concatenate([one.keys[stay] for one, stay in both]),
        )

    def _widened(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows in the common dtypes with the buffered rows, which are widened too."""
        nothing = rows.iloc[:0]
        for at, one in enumerate(self.segments):
            wider = pd.concat([one.rows, nothing])
            self.segments[at] = Segment(wider, one.numbers, one.stamps, hashes(wider, self.on))
        return pd.concat([self.segments[0].rows.iloc[:0], rows])

    def forget(self, oldest: Any) -> None:
        """Expire rows that are not newer than *oldest*, by their stamps or their numbers."""
        self.oldest = oldest
        if any(one.newest <= oldest for one in self.segments):
            self.segments = [one for one in self.segments if one.newest > oldest]

    def find(self, rows: pd.DataFrame) -> tuple[pd.DataFrame | None, Any]:
        """Return the rows that are not expired and may have keys of these, and their stamps.

        None if there are none. Rows of other keys with equal hashes are among them.
        """
        wanted, pieces = np.unique(hashes(rows, self.on)), []
        comparable = bool(self.segments) and kinds(self.segments[0].rows, self.on) == kinds(
            rows, self.on
        )
        for one in self.segments:
            places = one.places(wanted) if comparable else np.arange(len(one.rows))
            if self.oldest is not None:
                newer = one.numbers if one.stamps is None else one.stamps
                places = places[newer[places] > self.oldest]
            if len(places):
                pieces.append((one, places))
        if not pieces:
            return None, None
        found = [one.rows.take(places) for one, places in pieces]
        stamps = None
        if pieces[0][0].stamps is not None:
            stamps = np.concatenate([one.stamps[places] for one, places in pieces])
        return (found[0] if len(found) == 1 else pd.concat(found)), stamps


def _alike(some: pd.DataFrame, others: pd.DataFrame) -> bool:
    return same_dtypes(some.dtypes.tolist(), others.dtypes.tolist())
