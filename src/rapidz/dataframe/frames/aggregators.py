"""Aggregators of event time, such as `Count()` and `Mean("x")`, as aggregates of frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from rapidz.eventtime.aggregators import (
    Aggregator,
    Collect,
    Count,
    Distinct,
    First,
    Last,
    Max,
    Mean,
    Min,
    Quantile,
    Std,
    Sum,
)
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["named_aggregates"]

NAMES: dict[type[Aggregator], str] = {
    Sum: "sum",
    Mean: "mean",
    Min: "min",
    Max: "max",
    First: "first",
    Last: "last",
}


def named_aggregates(
    operator: str, named: Mapping[str, Any], columns: pd.Index[Any] | None
) -> dict[str, Any]:
    """Return named aggregates in the words of pandas; *columns* are None for a series.

    >>> named_aggregates("tumbling", {"n": Count(), "mean": Mean("x")}, pd.Index(["k", "x"]))
    {'n': ('k', 'size'), 'mean': ('x', 'mean')}
    """
    return {
        name: _one(operator, name, each, columns) if isinstance(each, Aggregator) else each
        for name, each in named.items()
    }


def _one(operator: str, name: str, each: Aggregator, columns: Any) -> Any:
    how, of = _how(operator, name, each), each.of
    if columns is None:
        if of is not None:
            raise TypeError(
                f"{operator}: {name} must not name a column, as rows are a series, "
                f"got {short_repr(each)}"
            )
        return how
    if of is None and isinstance(each, Count):
        return columns[0], "size"
    if of is None or callable(of) or of not in columns:
        raise TypeError(
            f"{operator}: {name} must name a column of {short_repr(list(columns))}, "
            f"got {short_repr(each)}"
        )
    return of, how


def _how(operator: str, name: str, each: Aggregator) -> str | Callable[[Any], Any]:
    if type(each) in NAMES:
        return NAMES[type(each)]
    if isinstance(each, Count):
        return "size" if each.of is None else "count"
    if isinstance(each, Std):
        ddof = each.ddof
        return "std" if ddof == 1 else _called("std", lambda values: values.std(ddof=ddof))
    if isinstance(each, Quantile) and isinstance(each.q, float):
        q = each.q
        return "median" if q == 0.5 else _called("quantile", lambda values: values.quantile(q))
    if isinstance(each, Collect):
        return _called("collect", list)
    if isinstance(each, Distinct):
        return _called("distinct", set) if each.values else "nunique"
    raise TypeError(
        f"{operator}: {name} must be one of Count, Sum, Mean, Min, Max, First, Last, Std, "
        f"Quantile of one share, Collect, Distinct, or a pair of column and aggregate, "
        f"got {short_repr(each)}"
    )


def _called(name: str, func: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def aggregate(values: Any) -> Any:
        return func(values)

    aggregate.__name__ = name
    return aggregate
