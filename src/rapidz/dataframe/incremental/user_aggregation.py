"""User aggregation: base class of custom aggregations, and sums that several of them share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "LIBRARY",
    "Aggregation",
    "add_totals",
    "ratio",
    "combine_moments",
    "remove_moments",
    "variance",
]


class Aggregation:
    """Custom aggregation: an accumulator that takes new rows, and rows that leave a window.

    Given to `aggregate` of a streaming frame or of a window.  The methods must not
    change the accumulator that they get, but return another one.

    >>> class Longest(Aggregation):
    ...     def initial(self, new):
    ...         return 0
    ...
    ...     def on_new(self, acc, new):
    ...         longest = max([acc, *new.str.len()])
    ...         return longest, longest
    >>> from rapidz.dataframe import Series
    >>> names = Series(example=pd.Series(["Ada"]))
    >>> shown = names.aggregate(Longest()).stream.sink(print)
    >>> names.emit(pd.Series(["Alan", "Grace"]))
    5
    """

    def initial(self, new: Any) -> Any:
        """Return the accumulator for no rows; *new* has the dtypes of the rows to come."""
        raise NotImplementedError(f"{type(self).__name__} must define initial")

    def on_new(self, acc: Any, new: Any) -> tuple[Any, Any]:
        """Take new rows; return ``(accumulator, result)``."""
        raise NotImplementedError(f"{type(self).__name__} must define on_new")

    def on_old(self, acc: Any, old: Any) -> tuple[Any, Any]:
        """Remove rows that leave the window; return ``(accumulator, result)``."""
        raise NotImplementedError(f"{type(self).__name__} must define on_old, for a window")


#: The aggregations of this library itself, which can be recomputed from the rows that stay.
LIBRARY: set[type[Aggregation]] = set()


def add_totals(totals: Any, more: Any, sort: bool = True, rule: str = "sum") -> Any:
    """Return the sum of totals by label; a missing label counts as 0, and integers stay integers.

    Another *rule*, "min" or "max", takes the smaller or larger total of a label.

    >>> add_totals(pd.Series([1], index=["a"]), pd.Series([2, 3], index=["b", "a"])).to_dict()
    {'a': 4, 'b': 2}
    """
    parts = [part for part in (totals, more) if len(part)]
    if len(parts) < 2:
        return parts[0] if parts else more
    levels = list(range(more.index.nlevels))
    return getattr(pd.concat(parts).groupby(level=levels, sort=sort, dropna=False), rule)()


def ratio(totals: Any, counts: Any) -> Any:
    """Return totals divided by counts; missing where the count is 0."""
    if isinstance(counts, (pd.Series, pd.DataFrame)):
        some: Any = counts.ne(0)
        return totals / counts.where(some)
    return totals / counts if counts else np.nan


def combine_moments(one: Any, other: Any) -> Any:
    """Return count, mean and sum of squared deviations of two sets of rows together (Chan)."""
    (count, mean, squares), (more, its_mean, its_squares) = one, other
    total = count + more
    apart, share = its_mean - mean, more / np.maximum(total, 1)
    return total, mean + apart * share, squares + its_squares + apart**2 * count * share


def remove_moments(both: Any, other: Any) -> Any:
    """Return count, mean and sum of squared deviations of the rows that remain (Chan)."""
    (total, mean, squares), (less, its_mean, its_squares) = both, other
    count = total - less
    apart, share = its_mean - mean, less / np.maximum(count, 1)
    rest = squares - its_squares - apart**2 * total * share
    return count, mean - apart * share, np.maximum(rest, 0)


def variance(acc: Any, ddof: int) -> Any:
    """Return the variance for count, mean and sum of squares; missing for too few rows."""
    count, _, squares = acc
    return ratio(squares, np.maximum(count - ddof, 0))
