"""Aggregate methods: the same for all rows so far, for windows and for groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rapidz.dataframe.frames.base import needs_name

__all__ = ["AggregateMethods", "aggregate_spec"]


class AggregateMethods:
    """Aggregates of rows: each method returns a collection that emits a result per element.

    All take ``start=``, a state to resume from, and ``with_state=True``, to emit ``(state,
    result)``.  `sum`, `mean`, `median`, `var`, `std` and `quantile` leave out columns that are not
    numeric.
    """

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        raise NotImplementedError

    def sum(self, start: Any = None, with_state: bool = False) -> Any:
        """Sum values; sums of integers are exact."""
        return self._aggregate("sum", start, with_state)

    def count(self, start: Any = None, with_state: bool = False) -> Any:
        """Count values that are not missing."""
        return self._aggregate("count", start, with_state)

    def mean(self, start: Any = None, with_state: bool = False) -> Any:
        """Return the mean."""
        return self._aggregate("mean", start, with_state)

    def var(self, ddof: int = 1, start: Any = None, with_state: bool = False) -> Any:
        """Return the variance, normalized by N - *ddof*."""
        return self._aggregate("var", start, with_state, ddof=ddof)

    def std(self, ddof: int = 1, start: Any = None, with_state: bool = False) -> Any:
        """Return the standard deviation, normalized by N - *ddof*."""
        return self._aggregate("std", start, with_state, ddof=ddof)

    def min(self, start: Any = None, with_state: bool = False) -> Any:
        """Return the minimum."""
        return self._aggregate("min", start, with_state)

    def max(self, start: Any = None, with_state: bool = False) -> Any:
        """Return the maximum."""
        return self._aggregate("max", start, with_state)

    def median(self, start: Any = None, with_state: bool = False) -> Any:
        """Return the median."""
        return self._aggregate("median", start, with_state)

    def quantile(self, q: Any = 0.5, start: Any = None, with_state: bool = False) -> Any:
        """Return the quantile *q*; for a list of quantiles, one value for each."""
        return self._aggregate("quantile", start, with_state, q=q)

    def first(self, start: Any = None, with_state: bool = False) -> Any:
        """Return the first value that is not missing."""
        return self._aggregate("first", start, with_state)

    def last(self, start: Any = None, with_state: bool = False) -> Any:
        """Return the last value that is not missing."""
        return self._aggregate("last", start, with_state)

    def nunique(self, start: Any = None, with_state: bool = False) -> Any:
        """Count distinct values."""
        return self._aggregate("nunique", start, with_state)

    def value_counts(self, start: Any = None, with_state: bool = False) -> Any:
        """Count the occurrences of each value of a series, the most frequent first."""
        root: Any = getattr(self, "root", self)
        needs_name(root, "value_counts")
        return self._aggregate("value_counts", start, with_state)

    def aggregate(
        self, aggregation: Any = None, start: Any = None, with_state: bool = False, **named: Any
    ) -> Any:
        """Aggregate by several functions, or by one of your own.

        Parameters
        ----------
        aggregation : str, list, dict or Aggregation
            A name; a list of names; a dict of column and name or names; an object with the
            methods of `rapidz.dataframe.aggregations.Aggregation`.
        **named : tuple or str
            Instead: ``total=("x", "sum")`` for a frame, ``total="sum"`` for a series.
        """
        how = aggregate_spec(type(self).__name__, aggregation, named)
        return self._aggregate(how, start, with_state)

    def agg(
        self, aggregation: Any = None, start: Any = None, with_state: bool = False, **named: Any
    ) -> Any:
        """Aggregate by several functions; an alias of `aggregate`."""
        return self.aggregate(aggregation, start, with_state, **named)


def aggregate_spec(owner: str, aggregation: Any, named: Mapping[str, Any]) -> Any:
    """Return the arguments of `aggregate` as the states understand them.

    >>> aggregate_spec("Window", None, {"total": ("x", "sum")})
    {'total': ('x', 'sum')}
    >>> aggregate_spec("Window", None, {})
    Traceback (most recent call last):
    ...
    TypeError: Window: aggregation must be a name, a list, a dict or an Aggregation, got None
    """
    if (aggregation is None) == (not named):
        got = "both that and names" if named else "None"
        raise TypeError(
            f"{owner}: aggregation must be a name, a list, a dict or an Aggregation, got {got}"
        )
    if not named:
        return aggregation
    return {label: _pair(value) for label, value in named.items()}


def _pair(value: Any) -> Any:
    """Return a `pandas.NamedAgg` as a plain pair."""
    if hasattr(value, "column") and hasattr(value, "aggfunc"):
        return (value.column, value.aggfunc)
    return value
