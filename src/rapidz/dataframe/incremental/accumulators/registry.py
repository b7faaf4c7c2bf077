"""Registry of aggregates: the accumulator that each one needs, and how its result is read.

"sum" of integers is an `IntegerSum`, "sum" and "mean" of floats are a `FloatSum`, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

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
from rapidz.dataframe.incremental.columns.column_codec import ColumnCodec, Kind
from rapidz.dataframe.incremental.types import Bools, Numbers

__all__ = ["MERGEABLE", "SIZE", "Finalizer", "create_accumulator", "find_finalizer"]

Reading = tuple[Numbers, Bools | None]


@dataclass(frozen=True, slots=True)
class Finalizer:
    """Kind of accumulator of an aggregate, and its method that finalizes it, with an option."""

    kind: str
    method: str = "result"
    option: Any = None

    def result(self, accumulator: Accumulator) -> Reading:
        """Return the value of each group, and where it is valid."""
        method = getattr(accumulator, self.method)
        reading: Reading = method() if self.option is None else method(self.option)
        return reading


# The kind of an aggregate that needs the sizes of groups, and no column.
SIZE = "size"
NUMBERS: tuple[Kind, ...] = ("int", "float")
ORDERED: tuple[Kind, ...] = (*NUMBERS, "time")
ANY: tuple[Kind, ...] = (*ORDERED, "other")
# The finalizers by name of the aggregate and kind of the column.
FINALIZERS: dict[str, dict[Kind, Finalizer]] = {
    "sum": {"int": Finalizer("integer sum"), "float": Finalizer("float sum", "sum")},
    "mean": {
        **dict.fromkeys(NUMBERS, Finalizer("float sum", "mean")),
        "time": Finalizer("times", "mean"),
    },
    "count": dict.fromkeys(ANY, Finalizer("count")),
    "size": dict.fromkeys(ANY, Finalizer(SIZE)),
    "var": dict.fromkeys(NUMBERS, Finalizer("moments", "variance", 1)),
    "std": dict.fromkeys(NUMBERS, Finalizer("moments", "std", 1)),
    "min": dict.fromkeys(ORDERED, Finalizer("min")),
    "max": dict.fromkeys(ORDERED, Finalizer("max")),
    "first": dict.fromkeys(ANY, Finalizer("first")),
    "last": dict.fromkeys(ANY, Finalizer("last")),
    "nunique": dict.fromkeys(ANY, Finalizer("different")),
    "median": dict.fromkeys(NUMBERS, Finalizer("sorted", "median")),
    "quantile": dict.fromkeys(NUMBERS, Finalizer("sorted", "quantile", 0.5)),
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


# Kinds whose accumulators can merge groups: see `Accumulator.merge_groups`.
MERGEABLE = {SIZE, "count", "integer sum", "float sum", "min", "max"}


def find_finalizer(
    codec: ColumnCodec, how: Any, options: Mapping[str, Any], sliding: bool
) -> Finalizer | None:
    """Return the finalizer of an aggregate, None if only pandas can compute it."""
    found = FINALIZERS.get(how, {}).get(codec.kind) if isinstance(how, str) else None
    if how in ("min", "max") and isinstance(codec.dtype, pd.StringDtype) and not sliding:
        found = Finalizer(how)
    elif how == "nunique":
        found = None if _nested(codec.dtype) else Finalizer("distinct") if sliding else found
    elif how == "quantile" and pd.api.types.is_bool_dtype(codec.dtype):
        found = None
    if found is None or not options:
        return found
    value = options.get(OPTIONS.get(how, ""))
    fits = len(options) == 1 and isinstance(value, (int, float))
    return replace(found, option=value) if fits else None


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
