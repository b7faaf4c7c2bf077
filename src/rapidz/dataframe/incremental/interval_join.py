"""Interval join: pairs of rows of two sides with equal keys and close positions or labels."""

from __future__ import annotations

import numbers
import operator
from typing import Any

import numpy as np

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.keyed_rows import KeyedRows
from rapidz.dataframe.incremental.windows.extents import LastRows, Span, index_numbers
from rapidz.dataframe.incremental.windows.lateness import LatenessRule, sort_positions
from rapidz.kernel.protocol.push import SKIP
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["IntervalJoin"]


class IntervalJoin:
    """State of an interval join: the rows of both sides that later rows may be paired with.

    >>> import pandas as pd
    >>> pairs = IntervalJoin(["k"], 10, ("_x", "_y"))
    >>> pairs.update(0, pd.DataFrame({"k": [1], "x": [5]})) is SKIP
    True
    >>> pairs.update(1, pd.DataFrame({"k": [1, 1], "x": [6, 7]}))
       k  x_x  x_y
    0  1    5    6
    1  1    5    7
    """

    def __init__(self, on: list[Any], within: Any, suffixes: tuple[Any, Any]) -> None:
        self.on, self.suffixes = on, suffixes
        self.over = _over(within)
        self._rule = LatenessRule(self.over.length if isinstance(self.over, Span) else None)
        self.schemas: list[Schema | None] = [None, None]
        self.held = [KeyedRows(on), KeyedRows(on)]
        self.newest: Any = None

    def update(self, side: int, frame: Any) -> Any:
        """Take rows of one side; return their pairs with the other side, SKIP if there are none."""
        schema = self.schemas[side]
        if schema is None:
            schema = self._checked(side, frame)
        frame = schema.align(frame)
        if not len(frame):
            return SKIP
        stamps = None
        if isinstance(self.over, Span):
            frame, stamps = self._admit(frame, self.over)
        pairs = self._paired(side, frame, stamps)
        self.schemas[side] = schema
        self._buffer(side, frame, stamps)
        return pairs if len(pairs) else SKIP

    def form(self, left: Any, right: Any) -> Any:
        """Return the pairs of no rows."""
        for side, frame in enumerate((left, right)):
            self._checked(side, frame)
        return left.iloc[:0].merge(right.iloc[:0], on=self.on, suffixes=self.suffixes)

    def _checked(self, side: int, frame: Any) -> Schema:
        missing = [label for label in self.on if label not in frame.columns]
        if missing:
            name = ("left", "right")[side]
            raise ValueError(
                f"join: on must name columns of {short_repr(list(frame.columns))} on the {name}, "
                f"got {short_repr(missing[0])}"
            )
        return Schema(frame)

    def _admit(self, frame: Any, over: Span) -> tuple[Any, Any]:
        """Return the rows that are not late, in order, and their stamps."""
        stamps = index_numbers(frame.index, over)
        if (order := sort_positions(stamps)) is not None:
            frame, stamps = frame.iloc[order], stamps[order]
        if self.newest is not None:
            late = self._rule.count_outside(stamps, self.newest)
            frame, stamps = frame.iloc[late:], stamps[late:]
        return frame, stamps

    def _paired(self, side: int, frame: Any, stamps: Any) -> Any:
        if not len(frame):
            return ()
        other, its_stamps = self.held[1 - side].find(frame)
        if other is None:
            return ()
        new = frame.assign(**{_NEW: np.arange(len(frame))})
        old = other.assign(**{_OLD: np.arange(len(other))})
        sides = (new, old) if side == 0 else (old, new)
        pairs = sides[0].merge(sides[1], on=self.on, suffixes=self.suffixes)
        places, others = pairs.pop(_NEW).to_numpy(), pairs.pop(_OLD).to_numpy()
        near: Any = slice(None)
        if stamps is not None:
            apart = np.abs(stamps[places] - its_stamps[others])
            near = np.flatnonzero(apart < self._rule.length)
        order = np.lexsort((others[near], places[near]))
        pairs = pairs.iloc[near].iloc[order]
        return pairs.set_axis(frame.index[places[near][order]])

    def _buffer(self, side: int, frame: Any, stamps: Any) -> None:
        held = self.held[side]
        if isinstance(self.over, LastRows):
            held.add(frame, None)
            held.forget(held.total - self.over.n - 1)
            return
        if not len(frame):
            return
        held.add(frame, stamps)
        self.newest = stamps[-1] if self.newest is None else max(self.newest, stamps[-1])
        for one in self.held:
            one.forget(self._rule.bound(self.newest))


# Names that no column of a user may have.
_NEW, _OLD = "__rapidz_new__", "__rapidz_old__"


def _over(within: Any) -> LastRows | Span:
    if within is None:
        raise TypeError("join: within must be a number of rows or a length of time, got None")
    if isinstance(within, numbers.Integral):
        return LastRows(operator.index(within))
    return Span(within)
