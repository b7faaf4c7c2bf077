"""What is done to single parts of a frame: functions that travel to where the parts are."""

from __future__ import annotations

import importlib
import re
from types import FrameType
from typing import Any

import pandas as pd

from rapidz.dataframe.collection.column_access import NoColumnError
from rapidz.kernel.protocol.short_repr import short_repr


def selected(frame: Any, index: Any) -> Any:
    """Return columns of *frame*, or rows.

    >>> selected(pd.DataFrame({"x": [1], "y": [2]}), "z")
    Traceback (most recent call last):
    ...
    rapidz...NoColumnError: getitem: index must name columns of ['x', 'y'], got 'z'
    """
    try:
        return frame[index]
    except KeyError:
        if isinstance(index, slice):
            raise  # that is about rows
        raise _no_columns("getitem: index", frame, index) from None


selected.takes_deferred = True  # type: ignore[attr-defined]  # see `rapidz.dataframe.interop.deferred`


def largest(frame: Any, n: int, *args: Any, **kwargs: Any) -> Any:
    """Return the *n* largest rows of *frame*, which may be a series."""
    try:
        return frame.nlargest(n, *args, **kwargs)
    except KeyError:
        columns = args[0] if args else kwargs.get("columns")
        raise _no_columns("nlargest: columns", frame, columns) from None


def _no_columns(argument: str, frame: Any, got: Any) -> NoColumnError:
    return NoColumnError(
        f"{argument} must name columns of {short_repr(list(frame))}, got {short_repr(got)}"
    )


def with_column(frame: Any, key: Any, value: Any) -> Any:
    """Return *frame* with one more column, or another one."""
    frame = frame.copy(deep=False)
    frame[key] = value
    return frame


def assigned(frame: Any, names: tuple[str, ...], *values: Any) -> Any:
    """Return *frame* with more columns."""
    return frame.assign(**dict(zip(names, values, strict=True)))


def of_columns(names: tuple[Any, ...], *values: Any) -> Any:
    """Return a frame of columns."""
    return pd.DataFrame(dict(zip(names, values, strict=True)))


def accumulate_size(accumulator: int, new: Any) -> int:
    """Count the values of one part more."""
    return accumulator + int(new.size)


def named_in(expr: str, frame: FrameType) -> dict[str, Any]:
    """The values of the names with an ``@`` in *expr*, as the Python *frame* knows them.

    What is not known there is left to pandas to complain about.
    """
    known = {**frame.f_globals, **frame.f_locals}
    return {name: known[name] for name in re.findall(r"@(\w+)", expr) if name in known}


def cumulate(state: Any, new: Any, how: str) -> tuple[Any, Any]:
    """Go on with the cumulative state, which the first element tells the columns of."""
    if state is None:
        kinds: Any = importlib.import_module("rapidz.dataframe.incremental")
        state = kinds.CumulativeState(new.iloc[:0], how)
    return state, state.update(new)


def with_index_as_column(frame: Any) -> Any:
    """What `reset_index` gives, but with the index as it was too."""
    return frame.reset_index().set_axis(frame.index)


def renumbered(frame: Any) -> Any:
    """Return *frame* with rows numbered from 0."""
    return frame.reset_index(drop=True)
