"""Aggregators beside the direct computation over all values."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

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
from rapidz.eventtime.aggregators.quantile import interpolate

__all__ = ["CASES", "Case", "same"]


class Case(NamedTuple):
    """An aggregator, and the direct computation over all values, by time."""

    aggregator: Aggregator
    direct: Callable[[list[Any]], Any]


def exact_sum(values: list[Any]) -> Any:
    if all(isinstance(value, int) for value in values):
        return sum(values)
    total = sum(map(Fraction, values), Fraction())
    try:
        return float(total)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def exact_mean(values: list[Any]) -> float:
    total = exact_sum([*values, 0.0])
    if math.isinf(total):
        return float(sum(map(Fraction, values), Fraction()) / len(values))
    return total / len(values)  # type: ignore[no-any-return]


def exact_std(values: list[Any]) -> float:
    if len(values) < 2:
        return math.nan
    exact = list(map(Fraction, values))
    mean = sum(exact) / len(exact)
    variance = sum((x - mean) ** 2 for x in exact) / (len(exact) - 1)
    return float(Fraction(math.isqrt(int(variance * 4**1200)), 2**1200))


QS = [0, 0.3, 0.5, 1]
CASES = {
    "Count": Case(Count(), len),
    "Sum": Case(Sum(), exact_sum),
    "Mean": Case(Mean(), exact_mean),
    "Min": Case(Min(), min),
    "Max": Case(Max(), max),
    "First": Case(First(), lambda values: values[0]),
    "Last": Case(Last(), lambda values: values[-1]),
    "Std": Case(Std(), exact_std),
    "Quantile": Case(
        Quantile([0, 0.3, 0.5, 1]), lambda v: [interpolate(sorted(v), q) for q in (0, 0.3, 0.5, 1)]
    ),
    "Collect": Case(Collect(), list),
    "Distinct": Case(Distinct(), lambda values: len(set(values))),
    "Distinct values": Case(Distinct(values=True), frozenset),
}


def same(one: Any, other: Any) -> bool:
    """Return whether two results are equal, NaN to NaN."""
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if one != one:
        return bool(other != other)
    return bool(one == other)
