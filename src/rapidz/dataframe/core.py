"""Compatibility module: streaming frames, windows and groups."""

from __future__ import annotations

import functools
from typing import Any

import pandas as pd

from rapidz.dataframe import aggregations
from rapidz.dataframe.collection.class_registry import _stream_types
from rapidz.dataframe.collection.operators import OperatorMixin
from rapidz.dataframe.collection.partials import accumulate_size as _accumulate_size
from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.frames.base import BaseFrame, _DataFrameMixin, _SeriesMixin
from rapidz.dataframe.frames.dataframe import DataFrame, Frame, Index, Series
from rapidz.dataframe.frames.expanding import EWM, Expanding
from rapidz.dataframe.frames.groupby import GroupBy, WindowedGroupBy
from rapidz.dataframe.frames.periodic import (
    PeriodicDataFrame,
    Random,
    random_datablock,
    random_datapoint,
)
from rapidz.dataframe.frames.resume import resume_window
from rapidz.dataframe.frames.rolling import Rolling
from rapidz.dataframe.frames.snapshots import DataFrames, Frames, Seriess
from rapidz.dataframe.frames.window import Window
from rapidz.dataframe.incremental import RollingState
from rapidz.dataframe.incremental.rolling.rolling import reach
from rapidz.dataframe.incremental.spec import numeric_columns
from rapidz.dataframe.interop.protocols import is_dataframe_like, is_index_like, is_series_like
from rapidz.dataframe.utils import get_base_frame_type, get_dataframe_package

__all__ = [
    "EWM",
    "BaseFrame",
    "DataFrame",
    "DataFrames",
    "Expanding",
    "Frame",
    "Frames",
    "GroupBy",
    "Index",
    "OperatorMixin",
    "PeriodicDataFrame",
    "Random",
    "Rolling",
    "Series",
    "Seriess",
    "Streaming",
    "Window",
    "WindowedGroupBy",
    "_DataFrameMixin",
    "_SeriesMixin",
    "_accumulate_mean",
    "_accumulate_size",
    "_accumulate_sum",
    "_cumulative_accumulator",
    "_random_df",
    "_stream_types",
    "aggregations",
    "get_base_frame_type",
    "get_dataframe_package",
    "is_dataframe_like",
    "is_index_like",
    "is_series_like",
    "random_datablock",
    "random_datapoint",
    "rolling_accumulator",
]


def _accumulate_sum(accumulator: Any, new: Any) -> Any:
    """Add the sum of *new*."""
    return accumulator + aggregations.Sum()._of(new)


def _accumulate_mean(accumulator: Any, new: Any) -> tuple[Any, Any]:
    """Take *new* into ``(sums, counts)``; return these and the mean."""
    return aggregations.Mean().on_new(accumulator, new)


def _cumulative_accumulator(state: Any, new: Any, op: str = "") -> tuple[Any, Any]:
    """Go on with ``cumsum`` and the like; the state is the last row that is not missing."""
    if not len(new):
        return state, new
    rows = pd.concat([state, new]) if len(state) else new
    result = getattr(rows, op)()
    return result.ffill().iloc[-1:], result.iloc[len(rows) - len(new) :]


def rolling_accumulator(
    acc: Any,
    new: Any,
    window: Any = None,
    op: Any = None,
    with_state: bool = False,
    args: Any = (),
    kwargs: Any = {},  # noqa: B006
) -> tuple[Any, Any]:
    """Return the rows that later windows need, and the values that belong to the new ones."""
    if args:
        kwargs = {**kwargs, {"quantile": "q", "aggregate": "func"}.get(op, "ddof"): args[0]}
    make = functools.partial(RollingState, window=window, how=op, **kwargs)
    first, state = resume_window("rolling_accumulator", acc, make)
    state = first(new.iloc[:0]) if state is None else state
    result = state.update(new)
    rows = new if acc is None or not len(acc) else pd.concat([acc, new])
    return reach(numeric_columns(rows, "rolling"), window), result


def _random_df(tup: tuple[Any, Any, Any]) -> Any:
    """Rows for ``(last, now, freq)``."""
    last, now, freq = tup
    return random_datablock(last=last, now=now, freq=freq)
