"""The shape of what is known of one column by group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rapidz.dataframe.incremental.groups.group_reduce import GroupedRows
from rapidz.dataframe.incremental.types import Bools, Ints, Numbers

__all__ = ["Accumulator", "Recode"]


#: Makes of the values of a narrower column those of a wider one; None if they stay as they are.
Recode: TypeAlias = "Callable[[Numbers], Numbers] | None"


class Accumulator:
    """What is known of the valid values of one column: one entry a group in each array.

    A subclass lists its arrays in `arrays`, each with the value of a group without rows. The
    engine widens them for new groups, gives rows to `add`, rows that expire to `drop` (the
    oldest first, in the order in which they came), and asks `result`.
    """

    arrays: dict[str, Any] = {}  # noqa: RUF012 - a constant of the class
    value_arrays: tuple[str, ...] = ()
    """Those of the arrays that hold values of the column, known of groups that have a `number`."""
    number: Ints
    ordered = False
    """Whether the order of rows matters: then rows that come out of order are given anew."""

    def __init__(self, groups: int = 0) -> None:
        self.reset(groups)

    def reset(self, groups: int) -> None:
        """Forget all rows."""
        for name, empty in self.arrays.items():
            setattr(self, name, np.full(groups, empty, np.asarray(empty).dtype))

    def resize(self, groups: int) -> None:
        """Make place for new groups."""
        for name, empty in self.arrays.items():
            array = getattr(self, name)
            if len(array) < groups:
                wider = np.full(groups, empty, array.dtype)
                wider[: len(array)] = array
                setattr(self, name, wider)

    def select_groups(self, codes: Ints) -> None:
        """Forget all groups but these."""
        for name in self.arrays:
            setattr(self, name, getattr(self, name)[codes])

    def convert(self, old: Accumulator, move: Recode) -> None:
        """Know what the same fold of narrower values did, whose values `move` widens if it must."""
        for name, empty in self.arrays.items():
            array = getattr(old, name)
            mine = np.full(len(array), empty, np.asarray(empty).dtype)
            own = move is not None and name in self.value_arrays
            some: Any = old.number > 0 if own else slice(None)
            mine[some] = move(array[some]) if own and move is not None else array[some]
            setattr(self, name, mine)

    def add(self, data: Numbers, rows: GroupedRows) -> None:
        """Take new rows."""
        raise NotImplementedError

    def remove(self, data: Numbers, rows: GroupedRows) -> None:
        """Let rows go."""
        raise NotImplementedError

    def retract(self, data: Numbers, rows: GroupedRows) -> None:
        """Forget the newest rows, for they are given anew (ordered folds only)."""

    def needs_recompute(self) -> bool:
        """Whether rounding may have left a trace, so that the rows held must be added anew."""
        return False

    def recompute(self, data: Numbers, rows: GroupedRows) -> None:
        """Forget all and take the rows held as new."""
        self.reset(rows.groups)
        self.add(data, rows)
        self.reset_error()

    def reset_error(self) -> None:
        """Take the present state as exact: it was just made from the rows held."""

    def result(self) -> tuple[Numbers, Bools | None]:
        """The value of each group and whether it is one."""
        raise NotImplementedError
