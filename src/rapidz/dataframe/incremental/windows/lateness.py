"""Lateness: which rows a window by index admits, which are late, and which expire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rapidz.dataframe.incremental.types import Numbers, Positions

__all__ = ["LatenessRule", "sort_positions"]


@dataclass(frozen=True, slots=True)
class LatenessRule:
    """Lateness rule of a window by index: a row is inside while it is less than `length` old.

    The age of a row is measured from the newest row of the index. The rule is half open: what is
    exactly `length` old is outside. A row that is outside when its batch arrives is late; one that
    was inside before expires; `WindowAdmission` decides this for each batch.

    >>> rule = LatenessRule(2)
    >>> rule.admits(np.array([7, 8, 9]), newest=9)
    array([False,  True,  True])
    >>> rule.count_outside(np.array([7, 8, 9]), newest=9)
    1
    """

    length: Any

    def bound(self, newest: Any) -> Any:
        """Return the newest label that is outside."""
        return newest - self.length

    def admits(self, labels: Any, newest: Any) -> Any:
        """Return for each label whether it is inside."""
        return labels > self.bound(newest)

    def count_outside(self, stamps: Numbers, newest: Any) -> int:
        """Return how many stamps, which are in order, are outside: the first ones."""
        return int(np.searchsorted(stamps, self.bound(newest), side="right"))


def sort_positions(stamps: Numbers) -> Positions | None:
    """Return the positions that put stamps in order, equal ones as they came; None if they are.

    >>> sort_positions(np.array([1, 2])), sort_positions(np.array([2, 1]))
    (None, array([1, 0]))
    """
    if (stamps[1:] < stamps[:-1]).any():
        return np.argsort(stamps, kind="stable")
    return None
