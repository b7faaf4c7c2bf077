"""How an aggregate is made from folds: which ones it needs and what it reads from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.accumulators.accumulator import Fold
from rapidz.dataframe.incremental.accumulators.distinct import Different, Distinct
from rapidz.dataframe.incremental.accumulators.extrema import (
    Best,
    Extreme,
    First,
    Last,
    WindowExtreme,
    WindowFirst,
)
from rapidz.dataframe.incremental.accumulators.moments import Moments, WindowMoments
from rapidz.dataframe.incremental.accumulators.quantiles import Sorted
from rapidz.dataframe.incremental.accumulators.sums import Count, FloatSum, WholeSum
from rapidz.dataframe.incremental.accumulators.time_sums import TimeSum
from rapidz.dataframe.incremental.columns.column_codec import Lane
from rapidz.dataframe.incremental.types import Bools, Numbers

__all__ = ["SIZE", "Recipe", "make_fold", "recipe"]

Reading = tuple[Numbers, Bools | None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The kind of fold that an aggregate reads, and how it reads it, perhaps with an option."""

    kind: str
    read: Callable[..., Reading]
    option: Any = None

    def result(self, fold: Fold) -> Reading:
        """The value of each group and whether it is one."""
        return self.read(fold) if self.option is None else self.read(fold, self.option)


def _plain(fold: Fold) -> Reading:
    return fold.result()


def _sum(fold: Fold) -> Reading:
    return fold.result()[0], None


def _mean(fold: Fold) -> Reading:
    total, valid = fold.result()
    return total / np.maximum(cast(FloatSum, fold).number, 1), valid


def _mean_time(fold: Fold) -> Reading:
    return cast(TimeSum, fold).mean()


def _var(fold: Fold, ddof: int) -> Reading:
    return cast(Moments, fold).variance(ddof)


def _std(fold: Fold, ddof: int) -> Reading:
    value, valid = cast(Moments, fold).variance(ddof)
    return np.sqrt(value), valid


def _median(fold: Fold) -> Reading:
    return cast(Sorted, fold).median()


def _quantile(fold: Fold, q: float) -> Reading:
    return cast(Sorted, fold).quantile(q)


# What is read from the sizes of groups, and from no column.
SIZE = "size"
NUMBERS = {"int", "float"}
ALL = NUMBERS | {"time"}
ANY = ALL | {"other"}
RECIPES: dict[str, tuple[set[str], Recipe]] = {
    "count": (ANY, Recipe("count", _plain)),
    "size": (ANY, Recipe(SIZE, _plain)),
    "mean": (NUMBERS, Recipe("float", _mean)),
    "var": (NUMBERS, Recipe("moments", _var, 1)),
    "std": (NUMBERS, Recipe("moments", _std, 1)),
    "min": (ALL, Recipe("min", _plain)),
    "max": (ALL, Recipe("max", _plain)),
    "first": (ANY, Recipe("first", _plain)),
    "last": (ANY, Recipe("last", _plain)),
    "nunique": (ANY, Recipe("different", _plain)),
    "median": (NUMBERS, Recipe("sorted", _median)),
    "quantile": (NUMBERS, Recipe("sorted", _quantile, 0.5)),
}
# The one option that a recipe takes; with all others pandas is asked.
OPTIONS = {"var": "ddof", "std": "ddof", "quantile": "q"}
COUNTING = Recipe("distinct", _plain)
SUMS = {"int": Recipe("whole", _plain), "float": Recipe("float", _sum)}


def recipe(lane: Lane, how: Any, options: Mapping[str, Any], leaving: bool) -> Recipe | None:
    """The recipe of an aggregate, None if only pandas can do it."""
    if how == "sum":
        return None if options else SUMS.get(lane.kind)
    if how == "mean" and lane.kind == "time":
        return None if options else Recipe("times", _mean_time)
    text = isinstance(lane.dtype, pd.StringDtype) and not leaving
    if text and how in ("min", "max") and not options:
        return Recipe(how, _plain)
    kinds, found = RECIPES.get(how, (set(), None)) if isinstance(how, str) else (set(), None)
    if found is None or lane.kind not in kinds:
        return None
    if how == "nunique" and _nested(lane.dtype):
        return None
    if how == "nunique" and leaving:
        return None if options else COUNTING
    if how == "quantile" and pd.api.types.is_bool_dtype(lane.dtype):
        return None
    option = OPTIONS.get(how)
    if option is not None and set(options) == {option}:
        value = options[option]
        return Recipe(found.kind, found.read, value) if isinstance(value, (int, float)) else None
    return None if options else found


def _nested(dtype: Any) -> bool:
    """Whether values are lists or structs of Arrow, which cannot be told apart by hashing."""
    return isinstance(dtype, pd.ArrowDtype) and dtype.type in (list, dict)


def make_fold(kind: str, lane: Lane, leaving: bool) -> Fold:
    """A fold of a kind for a column, for rows that also leave or that only come."""
    dtype = lane.storage
    if kind == "distinct":
        return Distinct()
    if kind == "different":
        return Different()
    if kind == "sorted":
        return Sorted()
    if kind == "count":
        return Count()
    if kind == "whole":
        return WholeSum(dtype=dtype, leaving=leaving)
    if kind == "float":
        return FloatSum(exact=leaving)
    if kind == "times":
        return TimeSum()
    if kind == "moments":
        return WindowMoments() if leaving else Moments()
    if kind in ("min", "max"):
        if lane.kind == "other":
            return Best(kind)
        ufunc = np.minimum if kind == "min" else np.maximum
        return WindowExtreme(ufunc, dtype) if leaving else Extreme(ufunc, dtype)
    if kind == "first":
        return WindowFirst(dtype) if leaving else First(dtype)
    return Last(dtype)
