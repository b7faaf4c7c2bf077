"""Base class of accumulators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Ints, Numbers

__all__ = ["Accumulator", "Recode"]


#: Converts values of a narrower column to those of a wider one; None if they are the same.
Recode: TypeAlias = "Callable[[Numbers], Numbers] | None"


class Accumulator:
    """Partial aggregate of the valid values of one column: one entry a group in each array.

    A subclass lists its arrays in `arrays`, each with the value of a group without rows. The
    store resizes them for new groups, passes rows to `add` and rows that expire to
    `remove` (the oldest first, in the order of arrival), and reads `result`.
    """

    arrays: dict[str, Any] = {}  # noqa: RUF012 - a constant of the class
    value_arrays: tuple[str, ...] = ()
    """The arrays of values of the column, which groups with a `number` above 0 have."""
    nested: tuple[str, ...] = ()
    """The attributes that are accumulators themselves."""
    number: Ints
    ordered = False
    """Whether the order of rows matters: then rows out of order are retracted and added anew."""

    def __init__(self, groups: int = 0) -> None:
        self.reset(groups)

    def reset(self, groups: int) -> None:
        """Remove all rows."""
        for name, empty in self.arrays.items():
            setattr(self, name, np.full(groups, empty, np.asarray(empty).dtype))

    def resize(self, groups: int) -> None:
        """Extend the arrays to new groups."""
        for name, empty in self.arrays.items():
            array = getattr(self, name)
            if len(array) < groups:
                wider = np.full(groups, empty, array.dtype)
                wider[: len(array)] = array
                setattr(self, name, wider)
        for name in self.nested:
            getattr(self, name).resize(groups)

    def select_groups(self, codes: Ints) -> None:
        """Keep only these groups."""
        for name in self.arrays:
            setattr(self, name, getattr(self, name)[codes])
        for name in self.nested:
            getattr(self, name).select_groups(codes)

    def convert(self, old: Accumulator, move: Recode) -> None:
        """Take over the state of an accumulator of narrower values, which `move` converts."""
        for name, empty in self.arrays.items():
            array = getattr(old, name)
            mine = np.full(len(array), empty, np.asarray(empty).dtype)
            own = move is not None and name in self.value_arrays
            some: Any = old.number > 0 if own else slice(None)
            mine[some] = move(array[some]) if own and move is not None else array[some]
            setattr(self, name, mine)

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        """Add new rows."""
        raise NotImplementedError

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        """Remove the oldest rows."""
        raise NotImplementedError

    def retract(self, data: Numbers, rows: GroupedRows) -> None:
        """Remove the newest rows, which are added anew (ordered accumulators only)."""

    def merge_groups(self, other: Any, codes: Ints, at: Ints) -> None:
        """Add the rows that *other* has of the groups *codes* to own groups, which differ.

        Only some kinds of accumulators can: see `registry.MERGEABLE`.
        """
        raise NotImplementedError(f"{type(self).__name__}: merge_groups must be defined")

    def needs_recompute(self) -> bool:
        """Return whether rounding may have left an error, so that it must be recomputed."""
        return False

    def recompute(self, data: Numbers, rows: GroupedRows) -> None:
        """Reset, and add the buffered rows."""
        self.reset(rows.groups)
        self.add(data, rows)
        self.reset_error()

    def reset_error(self) -> None:
        """Take the present state as exact: it was just computed from the buffered rows."""

    def result(self) -> tuple[Numbers, Bools | None]:
        """Return the value of each group, and where it is valid."""
        raise NotImplementedError
