"""The menu of aggregates: the same for all rows so far, for windows and for groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rapidz.dataframe.frames.base import needs_name

__all__ = ["AggregateMethods", "asked"]


class AggregateMethods:
    """What can be asked of rows: each method gives a collection, with a new result per element.

    All take ``start=``, where to go on from, and ``with_state=True``, to emit ``(state, result)``.
    Columns of a frame that hold no numbers are left out of `sum`, `mean`, `median`, `var`, `std`
    and `quantile`.
    """

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        raise NotImplementedError

    def sum(self, start: Any = None, with_state: bool = False) -> Any:
        """The sum; whole numbers stay exact."""
        return self._aggregate("sum", start, with_state)

    def count(self, start: Any = None, with_state: bool = False) -> Any:
        """The number of values that are not missing."""
        return self._aggregate("count", start, with_state)

    def mean(self, start: Any = None, with_state: bool = False) -> Any:
        """The mean."""
        return self._aggregate("mean", start, with_state)

    def var(self, ddof: int = 1, start: Any = None, with_state: bool = False) -> Any:
        """The variance, with *ddof* degrees of freedom taken off."""
        return self._aggregate("var", start, with_state, ddof=ddof)

    def std(self, ddof: int = 1, start: Any = None, with_state: bool = False) -> Any:
        """The standard deviation, with *ddof* degrees of freedom taken off."""
        return self._aggregate("std", start, with_state, ddof=ddof)

    def min(self, start: Any = None, with_state: bool = False) -> Any:
        """The smallest value."""
        return self._aggregate("min", start, with_state)

    def max(self, start: Any = None, with_state: bool = False) -> Any:
        """The largest value."""
        return self._aggregate("max", start, with_state)

    def median(self, start: Any = None, with_state: bool = False) -> Any:
        """The value in the middle."""
        return self._aggregate("median", start, with_state)

    def quantile(self, q: Any = 0.5, start: Any = None, with_state: bool = False) -> Any:
        """The value that a share of *q* of all lie below; for a list of shares, one for each."""
        return self._aggregate("quantile", start, with_state, q=q)

    def first(self, start: Any = None, with_state: bool = False) -> Any:
        """The first value that is not missing."""
        return self._aggregate("first", start, with_state)

    def last(self, start: Any = None, with_state: bool = False) -> Any:
        """The last value that is not missing."""
        return self._aggregate("last", start, with_state)

    def nunique(self, start: Any = None, with_state: bool = False) -> Any:
        """The number of different values."""
        return self._aggregate("nunique", start, with_state)

    def value_counts(self, start: Any = None, with_state: bool = False) -> Any:
        """How often each value of a series comes, the most frequent first."""
        root: Any = getattr(self, "root", self)
        needs_name(root, "value_counts")
        return self._aggregate("value_counts", start, with_state)

    def aggregate(
        self, aggregation: Any = None, start: Any = None, with_state: bool = False, **named: Any
    ) -> Any:
        """Several aggregates, or one of your own.

        Parameters
        ----------
        aggregation : str, list, dict or Aggregation
            A name; a list of names; a dict of column and name or names; an object with the
            methods of `rapidz.dataframe.aggregations.Aggregation`.
        **named : tuple or str
            Instead: ``total=("x", "sum")`` for a frame, ``total="sum"`` for a series.
        """
        how = asked(type(self).__name__, aggregation, named)
        return self._aggregate(how, start, with_state)

    def agg(
        self, aggregation: Any = None, start: Any = None, with_state: bool = False, **named: Any
    ) -> Any:
        """Short for `aggregate`."""
        return self.aggregate(aggregation, start, with_state, **named)


def asked(owner: str, aggregation: Any, named: Mapping[str, Any]) -> Any:
    """What `aggregate` is asked for, as the states understand it.

    >>> asked("Window", None, {"total": ("x", "sum")})
    {'total': ('x', 'sum')}
    >>> asked("Window", None, {})
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
    """A `pandas.NamedAgg` as a plain pair."""
    if hasattr(value, "column") and hasattr(value, "aggfunc"):
        return (value.column, value.aggfunc)
    return value
