"""Where an aggregation goes on: from a state that was emitted, or from totals known otherwise."""

from __future__ import annotations

import copy
import functools
import numbers
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental import (
    AggregateState,
    CustomState,
    EwmState,
    RollingState,
    RowWindow,
)
from rapidz.dataframe.incremental.aggregation import add_totals
from rapidz.dataframe.incremental.groups.keys import GivenKeys
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["Totals", "begin", "go_on"]

#: The aggregates that totals say enough about, and how two totals make one.
TOTALS = {"sum": "sum", "count": "sum", "size": "sum", "min": "min", "max": "max"}

_STATES = (AggregateState, CustomState, EwmState, RowWindow, RollingState)


def begin(owner: str, how: Any, start: Any, make: Callable[..., Any]) -> tuple[Any, Any]:
    """Return ``(make, start)`` to go on from the *start* that a user gave, for all rows so far.

    That is a state, or what was known before: the accumulator of a custom aggregation, the total
    for a sum, count, size, min or max, ``(sums, counts)`` for a mean.
    """
    if start is None or isinstance(start, (*_STATES, Totals)):
        _check_groups(owner, start, make)
        return make, _fitting(owner, start, how=how)
    if callable(getattr(how, "initial", None)):
        return Accumulated(make, copy.deepcopy(start)), None
    if not isinstance(how, str) or how not in (*TOTALS, "mean"):
        raise ValueError(
            f"{owner}: start must be a state that with_state=True gave, for {short_repr(how)}, "
            f"got {short_repr(start)}"
        )
    if how == "mean" and not (isinstance(start, (tuple, list)) and len(start) == 2):
        raise ValueError(
            f"{owner}: start must be a state or (sums, counts), for a mean, got {short_repr(start)}"
        )
    parts = zip(("sum", "count"), start, strict=True) if how == "mean" else [(how, start)]
    for part, total in parts:
        _check_total(owner, part, total)
    return functools.partial(Totals, how, copy.deepcopy(start), make), None


def _check_total(owner: str, how: str, total: Any) -> None:
    """Refuse what is the total of no rows at all."""
    if isinstance(total, (pd.Series, pd.DataFrame)):
        missing = bool(total.isna().to_numpy().any())
    elif pd.api.types.is_scalar(total):
        missing = bool(pd.isna(total))
        if how in ("count", "size") and not isinstance(total, numbers.Number):
            raise TypeError(
                f"{owner}: start must be a number, for a {how}, got {short_repr(total)}"
            )
    else:
        raise TypeError(
            f"{owner}: start must be a state, or a total as a single value, a Series or a "
            f"DataFrame, for {short_repr(how)}, got {short_repr(total)}"
        )
    # No rows have no smallest value, but their sum is 0.
    if missing and how not in ("min", "max"):
        raise ValueError(
            f"{owner}: start must not be missing, for a {how}, got {short_repr(total)}"
        )


def go_on(
    owner: str,
    start: Any,
    make: Callable[..., Any],
    rows: Callable[[Any], tuple[Any, Any]] | None = None,
    **wanted: Any,
) -> tuple[Any, Any]:
    """The same for a window: from a state, or from the rows that came before.

    What the older libraries emitted for a window, a dict with these rows as ``"dfs"``, is taken
    too.  *rows* makes rows and their keys of a frame, where there are groups.
    """
    if isinstance(start, Mapping) and isinstance(start.get("dfs"), (deque, list)):
        start = pd.concat(list(start["dfs"])) if start["dfs"] else None
    if start is None or (isinstance(start, tuple) and not start):
        return make, None
    if isinstance(start, _STATES):
        _check_groups(owner, start, make)
        return make, _fitting(owner, start, **wanted)
    if isinstance(start, (pd.DataFrame, pd.Series)):
        return Preceded(make, *(rows(start.copy()) if rows else (start.copy(),))), None
    raise TypeError(
        f"{owner}: start must be a state that with_state=True gave, or the rows before, "
        f"got {short_repr(start)}"
    )


def _fitting(owner: str, state: Any, **wanted: Any) -> Any:
    """*state*, unless it is one of something else."""
    for name, value in wanted.items() if state is not None else ():
        got = _of_state(state, name)
        if type(got) is not type(value) or _plain(got) != _plain(value):
            raise ValueError(
                f"{owner}: start must be a state with {name}={short_repr(value)}, "
                f"got one with {short_repr(got)}"
            )
    return state


def _check_groups(owner: str, state: Any, make: Callable[..., Any]) -> None:
    """Refuse a state with other groups than those that *make* gives."""
    keys = getattr(state, "keys", None)
    if keys is None:
        return
    by = getattr(make, "keywords", {}).get("by")
    if (by is not None) != keys.given:
        wanted, got = ("with", "without") if by is not None else ("without", "with")
        raise ValueError(f"{owner}: start must be a state {wanted} groups, got one {got} them")
    columns = by if isinstance(by, list) else [by]
    if keys.columns and not isinstance(by, GivenKeys) and columns != keys.columns:
        raise ValueError(
            f"{owner}: start must be a state of groups by {short_repr(columns)}, "
            f"got one by {short_repr(keys.columns)}"
        )


def _of_state(state: Any, name: str) -> Any:
    """An attribute of a state, wherever it keeps that."""
    for holder in (state, getattr(state, "admission", None)):
        if hasattr(holder, name):
            return getattr(holder, name)
    return getattr(state, "aggregation", None) if name == "how" else None


def _plain(value: Any) -> Any:
    """What two values are compared by: custom aggregations by their class."""
    return type(value) if callable(getattr(value, "initial", None)) else value


class Preceded:
    """Makes a state that has seen rows before."""

    def __init__(self, make: Callable[..., Any], rows: Any, *keys: Any) -> None:
        self._make, self._before, self._keys = make, rows, keys

    def __call__(self, example: Any) -> Any:
        rows = self._before
        if isinstance(rows, pd.DataFrame) and isinstance(example, pd.Series):
            rows = rows[example.name]  # the start was given before a column was chosen
        state = self._make(rows.iloc[:0] if len(rows) else example)
        state.update(rows, *self._keys)
        return state


class Accumulated:
    """Makes the state of a custom aggregation that has accumulated something before."""

    def __init__(self, make: Callable[..., Any], accumulator: Any) -> None:
        self._make, self._accumulator = make, accumulator

    def __call__(self, example: Any) -> Any:
        state = self._make(example)
        state.accumulator, state.started = copy.deepcopy(self._accumulator), True
        return state


class Totals:
    """An aggregate of rows that are known, and others of which only totals are.

    >>> import functools
    >>> from rapidz.dataframe.incremental import create_aggregate
    >>> make, _ = begin("mean", "mean", (10, 2), functools.partial(create_aggregate, how="mean"))
    >>> state = make(pd.Series([0]))
    >>> float(state.update(pd.Series([20])))
    10.0
    """

    def __init__(self, how: str, start: Any, make: Callable[..., Any], example: Any) -> None:
        self.how = how
        parts = ("sum", "count") if how == "mean" else (how,)
        self._starts = start if how == "mean" else (start,)
        self._states = [make(example, how=part) for part in parts]
        self.keys = getattr(self._states[0], "keys", None)
        self._rules = [TOTALS[part] for part in parts]

    def update(self, frame: Any, *keys: Any) -> Any:
        """Take the next rows; the result for all rows, those before included."""
        # The first one may refuse the rows; the others take what it has taken.
        results = [state.update(frame, *keys) for state in self._states]
        both = [
            _joined(start, result, rule)
            for start, result, rule in zip(self._starts, results, self._rules, strict=True)
        ]
        return both[0] if self.how != "mean" else both[0] / both[1]


def _joined(start: Any, result: Any, rule: str) -> Any:
    """One total of two: numbers, or series or frames by label."""
    if not isinstance(result, (pd.Series, pd.DataFrame)):
        if isinstance(start, (pd.Series, pd.DataFrame)):
            raise TypeError(
                f"start must be a single value, as the total is, got {short_repr(start)}"
            )
        try:
            return getattr(pd.Series([start, result]), rule)()
        except TypeError as problem:
            raise TypeError(
                f"start must be a total of such values as {short_repr(result)}, "
                f"got {short_repr(start)}"
            ) from problem
    if not isinstance(start, type(result)):
        raise TypeError(
            f"start must be a {type(result).__name__}, as totals are, got {short_repr(start)}"
        )
    joined = add_totals(start, result, sort=False, rule=rule)
    if (
        not len(result)
        or joined.index.is_monotonic_increasing
        or not result.index.is_monotonic_increasing
    ):
        return joined
    return joined.sort_index()
