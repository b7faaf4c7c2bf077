"""Registry of aggregates: the accumulator that each one needs, and how its result is read.

"sum" of integers is an `IntegerSum`, "sum" and "mean" of floats are a `FloatSum`, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.accumulators.accumulator import Accumulator
from rapidz.dataframe.incremental.accumulators.distinct import DistinctCounts, DistinctValues
from rapidz.dataframe.incremental.accumulators.extrema import (
    Extremum,
    FirstValue,
    LastValue,
    SlidingExtremum,
    SlidingFirst,
    TextExtremum,
)
from rapidz.dataframe.incremental.accumulators.moments import SlidingMoments, WelfordMoments
from rapidz.dataframe.incremental.accumulators.quantiles import SortedValues
from rapidz.dataframe.incremental.accumulators.sums import FloatSum, IntegerSum, RowCount
from rapidz.dataframe.incremental.accumulators.time_sums import TimeSum
from rapidz.dataframe.incremental.columns.column_codec import ColumnCodec
from rapidz.dataframe.incremental.types import Bools, Numbers

__all__ = ["SIZE", "Finalizer", "create_accumulator", "find_finalizer"]

Reading = tuple[Numbers, Bools | None]


@dataclass(frozen=True, slots=True)
class Finalizer:
    """Kind of accumulator of an aggregate, and the function that finalizes it, with an option."""

    kind: str
    finalize: Callable[..., Reading]
    option: Any = None

    def result(self, accumulator: Accumulator) -> Reading:
        """Return the value of each group, and where it is valid."""
        return (
            self.finalize(accumulator)
            if self.option is None
            else self.finalize(accumulator, self.option)
        )


def _plain(accumulator: Accumulator) -> Reading:
    return accumulator.result()


def _sum(accumulator: Accumulator) -> Reading:
    return accumulator.result()[0], None


def _mean(accumulator: Accumulator) -> Reading:
    total, valid = accumulator.result()
    return total / np.maximum(cast(FloatSum, accumulator).number, 1), valid


def _mean_time(accumulator: Accumulator) -> Reading:
    return cast(TimeSum, accumulator).mean()


def _var(accumulator: Accumulator, ddof: int) -> Reading:
    return cast(WelfordMoments, accumulator).variance(ddof)


def _std(accumulator: Accumulator, ddof: int) -> Reading:
    value, valid = cast(WelfordMoments, accumulator).variance(ddof)
    return np.sqrt(value), valid


def _median(accumulator: Accumulator) -> Reading:
    return cast(SortedValues, accumulator).median()


def _quantile(accumulator: Accumulator, q: float) -> Reading:
    return cast(SortedValues, accumulator).quantile(q)


# The kind of an aggregate that needs the sizes of groups, and no column.
SIZE = "size"
NUMBERS = {"int", "float"}
ALL = NUMBERS | {"time"}
ANY = ALL | {"other"}
FINALIZERS: dict[str, tuple[set[str], Finalizer]] = {
    "count": (ANY, Finalizer("count", _plain)),
    "size": (ANY, Finalizer(SIZE, _plain)),
    "mean": (NUMBERS, Finalizer("float sum", _mean)),
    "var": (NUMBERS, Finalizer("moments", _var, 1)),
    "std": (NUMBERS, Finalizer("moments", _std, 1)),
    "min": (ALL, Finalizer("min", _plain)),
    "max": (ALL, Finalizer("max", _plain)),
    "first": (ANY, Finalizer("first", _plain)),
    "last": (ANY, Finalizer("last", _plain)),
    "nunique": (ANY, Finalizer("different", _plain)),
    "median": (NUMBERS, Finalizer("sorted", _median)),
    "quantile": (NUMBERS, Finalizer("sorted", _quantile, 0.5)),
}
# The one option that a finalizer takes; with others pandas computes the aggregate.
OPTIONS = {"var": "ddof", "std": "ddof", "quantile": "q"}
# Accumulators that are the same for all columns, and whether rows leave or not.
PLAIN: dict[str, type[Accumulator]] = {
    "count": RowCount,
    "different": DistinctValues,
    "distinct": DistinctCounts,
    "sorted": SortedValues,
    "times": TimeSum,
}
COUNTING = Finalizer("distinct", _plain)
SUMS = {"int": Finalizer("integer sum", _plain), "float": Finalizer("float sum", _sum)}


def find_finalizer(
    codec: ColumnCodec, how: Any, options: Mapping[str, Any], sliding: bool
) -> Finalizer | None:
    """Return the finalizer of an aggregate, None if only pandas can compute it."""
    if how == "sum":
        return None if options else SUMS.get(codec.kind)
    if how == "mean" and codec.kind == "time":
        return None if options else Finalizer("times", _mean_time)
    text = isinstance(codec.dtype, pd.StringDtype) and not sliding
    if text and how in ("min", "max") and not options:
        return Finalizer(how, _plain)
    kinds, found = FINALIZERS.get(how, (set(), None)) if isinstance(how, str) else (set(), None)
    if found is None or codec.kind not in kinds:
        return None
    if how == "nunique" and _nested(codec.dtype):
        return None
    if how == "nunique" and sliding:
        return None if options else COUNTING
    if how == "quantile" and pd.api.types.is_bool_dtype(codec.dtype):
        return None
    option = OPTIONS.get(how)
    if option is not None and set(options) == {option}:
        value = options[option]
        return (
            Finalizer(found.kind, found.finalize, value)
            if isinstance(value, (int, float))
            else None
        )
    return None if options else found


def _nested(dtype: Any) -> bool:
    """Return whether values are lists or structs of Arrow, which are not hashable."""
    return isinstance(dtype, pd.ArrowDtype) and dtype.type in (list, dict)


def create_accumulator(kind: str, codec: ColumnCodec, sliding: bool) -> Accumulator:
    """Return an accumulator of a kind for a column, from which rows leave if *sliding*."""
    dtype = codec.storage
    if kind in PLAIN:
        return PLAIN[kind]()
    if kind == "integer sum":
        return IntegerSum(dtype=dtype, sliding=sliding)
    if kind == "float sum":
        return FloatSum(exact=sliding)
    if kind == "moments":
        return SlidingMoments() if sliding else WelfordMoments()
    if kind in ("min", "max"):
        if codec.kind == "other":
            return TextExtremum(kind)
        ufunc = np.minimum if kind == "min" else np.maximum
        return SlidingExtremum(ufunc, dtype) if sliding else Extremum(ufunc, dtype)
    if kind == "first":
        return SlidingFirst(dtype) if sliding else FirstValue(dtype)
    return LastValue(dtype)
