"""Resumption of aggregates: from an emitted state, the rows before, or totals of them."""

from __future__ import annotations

import copy
import functools
import numbers
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental import (
    AggregateState,
    CustomState,
    EwmState,
    RollingState,
    RowWindow,
)
from rapidz.dataframe.incremental.groups.keys import GivenKeys
from rapidz.dataframe.incremental.user_aggregation import add_totals
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["Totals", "resume_aggregate", "resume_window"]

#: The aggregates that can start with totals, and the aggregate that merges two totals.
TOTALS = {"sum": "sum", "count": "sum", "size": "sum", "min": "min", "max": "max"}

_STATES = (AggregateState, CustomState, EwmState, RowWindow, RollingState)


def resume_aggregate(owner: str, how: Any, start: Any, make: Callable[..., Any]) -> tuple[Any, Any]:
    """Return ``(make, start)`` that resume an aggregate of all rows from the *start* of a user.

    That is a state, or a result of earlier rows: the accumulator of a custom aggregation, the total
    for a sum, count, size, min or max, ``(sums, counts)`` for a mean.
    """
    if start is None or isinstance(start, (*_STATES, Totals)):
        _check_groups(owner, start, make)
        return make, _fitting(owner, start, how=how)
    if callable(getattr(how, "initial", None)):
        return functools.partial(_with_accumulator, make, copy.deepcopy(start)), None
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
    """Refuse what cannot be a total."""
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


def resume_window(
    owner: str,
    start: Any,
    make: Callable[..., Any],
    split: Callable[[Any], tuple[Any, Any]] | None = None,
    **wanted: Any,
) -> tuple[Any, Any]:
    """Return ``(make, start)`` that resume a window from a state, or from the rows before.

    The state of the older libraries for a window, a dict with these rows as ``"dfs"``, is accepted,
    too.  *split* splits a frame into rows and keys, for groups.
    """
    if isinstance(start, Mapping) and isinstance(start.get("dfs"), (deque, list)):
        start = pd.concat(list(start["dfs"])) if start["dfs"] else None
    if start is None or (isinstance(start, tuple) and not start):
        return make, None
    if isinstance(start, _STATES):
        _check_groups(owner, start, make)
        return make, _fitting(owner, start, **wanted)
    if isinstance(start, (pd.DataFrame, pd.Series)):
        before = split(start.copy()) if split else (start.copy(),)
        return functools.partial(_after_rows, make, before), None
    raise TypeError(
        f"{owner}: start must be a state that with_state=True gave, or the rows before, "
        f"got {short_repr(start)}"
    )


def _fitting(owner: str, state: Any, **wanted: Any) -> Any:
    """Return *state*; refuse one of another aggregate or window."""
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
    """Return an attribute of a state, or of the object in it that has the attribute."""
    for holder in (state, getattr(state, "admission", None)):
        if hasattr(holder, name):
            return getattr(holder, name)
    return getattr(state, "aggregation", None) if name == "how" else None


def _plain(value: Any) -> Any:
    """Return what a value is compared by: custom aggregations by their class."""
    return type(value) if callable(getattr(value, "initial", None)) else value


def _after_rows(make: Callable[..., Any], before: Sequence[Any], example: Any) -> Any:
    """Make a state that has seen rows before, with their keys if there are groups."""
    rows, *keys = before
    if isinstance(rows, pd.DataFrame) and isinstance(example, pd.Series):
        rows = rows[example.name]  # the start was given before a column was chosen
    state = make(rows.iloc[:0] if len(rows) else example)
    state.update(rows, *keys)
    return state


def _with_accumulator(make: Callable[..., Any], accumulator: Any, example: Any) -> Any:
    """Make the state of a custom aggregation that starts with an accumulator."""
    state = make(example)
    state.accumulator, state.started = copy.deepcopy(accumulator), True
    return state


class Totals:
    """State of an aggregate that starts with totals of earlier rows.

    >>> import functools
    >>> from rapidz.dataframe.incremental import create_aggregate
    >>> make, _ = resume_aggregate(
    ...     "mean", "mean", (10, 2), functools.partial(create_aggregate, how="mean")
    ... )
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
        """Add rows; return the result for all rows, earlier ones included."""
        # The first one may refuse the rows; the others take what it has taken.
        results = [state.update(frame, *keys) for state in self._states]
        both = [
            _joined(start, result, rule)
            for start, result, rule in zip(self._starts, results, self._rules, strict=True)
        ]
        return both[0] if self.how != "mean" else both[0] / both[1]


def _joined(start: Any, result: Any, rule: str) -> Any:
    """Return one total of two: numbers, or series or frames by label."""
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
