"""Functions that fold frames with an `Aggregation`, as the older libraries had them.

Where rows leave, an aggregation of this library is recomputed from those that stay, for removing
them from a sum can lose digits; one of your own gets those that leave by `on_old`, as it expects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.user_aggregation import LIBRARY
from rapidz.dataframe.incremental.windows.lateness import LatenessRule


def accumulator(acc: Any, new: Any, agg: Any = None) -> tuple[Any, Any]:
    """Add rows to an aggregation of all so far."""
    return agg.on_new(agg.initial(new) if acc is None else acc, new)  # type: ignore[no-any-return]


def diff_iloc(dfs: Iterable[Any], new: Any, window: Any = None) -> tuple[deque[Any], list[Any]]:
    """Return the frames that make up the last *window* rows, and those that leave.

    >>> kept, old = diff_iloc([pd.Series([1, 2])], pd.Series([3]), window=2)
    >>> [list(one) for one in kept], [list(one) for one in old]
    ([[2], [3]], [[1]])
    """
    kept, old = deque([*dfs, new] if len(new) else dfs), []
    excess = sum(map(len, kept)) - window
    while excess > 0:
        first = kept.popleft()
        old.append(first.iloc[:excess])
        if len(first) > excess:
            kept.appendleft(first.iloc[excess:])
        excess -= len(first)
    return kept, old


def diff_loc(dfs: Iterable[Any], new: Any, window: Any = None) -> tuple[deque[Any], list[Any]]:
    """Return the frames of rows less than *window* behind the newest index, and those that leave.

    Rows that are late are among both the new and those that leave.
    """
    frames = [one for one in (*dfs, new) if len(one)]
    kept: deque[Any] = deque()
    old: list[Any] = []
    if not frames:
        return kept, old
    if not isinstance(window, (int, float)):
        window = pd.Timedelta(window)
    rule, newest = LatenessRule(window), max(one.index.max() for one in frames)
    for one in frames:
        stays = rule.admits(one.index, newest)
        if stays.all():
            kept.append(one)
            continue
        old.append(one[~stays])
        if stays.any():
            kept.append(one[stays])
    return kept, old


def diff_expanding(
    dfs: Iterable[Any], new: Any, window: Any = None
) -> tuple[deque[Any], list[Any]]:
    """Return nothing that stays or leaves: an expanding window keeps no rows."""
    return deque(), []


def diff_align(dfs: Iterable[Any], groupers: Iterable[Any]) -> tuple[list[Any], deque[Any]]:
    """Return the groupers of rows that have left, and those of the frames that stay."""
    kept, rest = deque(groupers), sum(map(len, dfs))
    kept, old = diff_iloc(kept, [], rest)
    return old, kept


def window_accumulator(
    acc: Any,
    new: Any,
    diff: Any = None,
    window: Any = None,
    agg: Any = None,
    with_state: bool = False,
) -> tuple[Any, Any]:
    """Add rows to an aggregation of a window; *diff* returns those that leave."""
    if acc is None:
        acc = {"dfs": deque(), "state": agg.initial(new)}
    dfs, old = diff(acc["dfs"], new, window=window)
    if old and _is_ours(agg):
        rows = _together(dfs, new)
        state, result = agg.on_new(agg.initial(new), rows)
    else:
        state, result = agg.on_new(acc["state"], new)
        for rows in old:
            state, result = agg.on_old(state, rows)
    return {"dfs": dfs, "state": state}, result


def groupby_accumulator(acc: Any, new: Any, agg: Any = None) -> tuple[Any, Any]:
    """Add rows, or a pair of rows and keys, to an aggregation by group."""
    new, grouper = new if isinstance(new, tuple) else (new, None)
    if acc is None:
        acc = agg.initial(new, grouper=grouper)
    return agg.on_new(acc, new, grouper=grouper)  # type: ignore[no-any-return]


def windowed_groupby_accumulator(
    acc: Any,
    new: Any,
    diff: Any = None,
    window: Any = None,
    agg: Any = None,
    grouper: Any = None,
    with_state: bool = False,
) -> tuple[Any, Any]:
    """Add rows to an aggregation by group of a window; groups without rows are left out."""
    new, keys = new if isinstance(new, tuple) else (new, None)
    if keys is not None:
        new = new.assign(**{_KEY: np.asarray(keys)})
    if acc is None:
        acc = {"dfs": deque(), "state": agg.initial(*_apart(new, keys))}
    dfs, old = diff(acc["dfs"], new, window=window)
    if old and _is_ours(agg):
        state, result = _of_rows(agg, _together(dfs, new), keys)
    else:
        state, result = _take(agg.on_new, acc["state"], new, keys)
        for rows in old:
            state, result = _take(agg.on_old, state, rows, keys)
    by = _KEY if keys is not None else grouper if grouper is not None else agg.grouper
    sizes = _together(dfs, new).groupby(by, observed=True).size()
    return {"dfs": dfs, "state": state, "size-state": sizes}, _present(result, sizes, old)


# The keys, as a column of the rows. No column of a user has this name.
_KEY = "__rapidz_key__"


def _apart(rows: Any, keys: Any) -> tuple[Any, Any]:
    if keys is None:
        return rows, None
    return rows.drop(columns=_KEY), rows[_KEY].rename(getattr(keys, "name", None))


def _take(method: Any, state: Any, rows: Any, keys: Any) -> Any:
    rows, grouper = _apart(rows, keys)
    return method(state, rows, grouper=grouper)


def _of_rows(agg: Any, rows: Any, keys: Any) -> Any:
    rows, grouper = _apart(rows, keys)
    return agg.on_new(agg.initial(rows, grouper=grouper), rows, grouper=grouper)


def _present(result: Any, sizes: Any, old: list[Any]) -> Any:
    """Return the result without the groups that have no rows left."""
    if not old or not hasattr(result, "index"):
        return result
    return result[result.index.isin(sizes.index)]


def _together(dfs: Iterable[Any], new: Any) -> Any:
    parts = [one for one in dfs if len(one)]
    return pd.concat(parts) if parts else new.iloc[:0]


def _is_ours(agg: Any) -> bool:
    return type(agg) in LIBRARY
