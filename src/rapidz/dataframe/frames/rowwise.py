"""Row-wise methods of pandas: the result for a row depends on that row alone.

So the results of the batches equal that of pandas for all rows. `REFUSED` lists the arguments of
these methods that look at other rows, and what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rapidz.dataframe.collection.partials import method_call
from rapidz.dataframe.collection.streaming import Streaming, map_partitions
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["REFUSED", "ColumnWise", "RowWise", "ValueWise"]

_AXIS = "the labels of rows are not those of all batches"
_OTHER_ROWS = "it takes values from other rows, which may be in another batch"
_IN_PLACE = "use what the method returns"
_COUNTED = "it counts over all batches"

REFUSED: Mapping[str, Mapping[str, str]] = {
    "fillna": {"method": _OTHER_ROWS, "axis": _AXIS, "limit": _COUNTED, "inplace": _IN_PLACE},
    "dropna": {
        "axis": "which columns have missing values is known after the last row only: use subset=",
        "inplace": _IN_PLACE,
        "ignore_index": _COUNTED,
    },
    "where": {"axis": _AXIS, "level": _AXIS, "inplace": _IN_PLACE},
    "mask": {"axis": _AXIS, "level": _AXIS, "inplace": _IN_PLACE},
    "clip": {"axis": _AXIS, "inplace": _IN_PLACE},
    "replace": {"method": _OTHER_ROWS, "limit": _COUNTED, "inplace": _IN_PLACE},
    "drop": {"index": _AXIS, "axis": "name columns by columns=", "level": _AXIS},
    "rename": {"axis": "name columns by columns=", "index": _AXIS, "inplace": _IN_PLACE},
    "explode": {"ignore_index": _COUNTED},
}
"""By method, the arguments of pandas that are not row-wise, and why."""

if TYPE_CHECKING:
    _Mixed = Streaming
else:
    _Mixed = object


class RowWise(_Mixed):
    """Row-wise methods of frames, series and indexes.

    Arguments that are called *other*, *cond*, *value*, *lower* and *upper* may be streaming
    collections, whose elements are matched with those of this one.
    """

    def _row_wise(self, name: str, *args: Any, others: Mapping[str, Any], **kwargs: Any) -> Any:
        """Call the method of pandas on each element, if no argument is refused."""
        for argument, value in others.items():
            _refuse(name, argument, value)
        return map_partitions(method_call(name), self, *args, _kind=type(self), **kwargs)

    def fillna(self, value: Any, **others: Any) -> Any:
        """Replace missing values by a value, or by one for each column in a dict.

        >>> import pandas as pd
        >>> from rapidz.dataframe import Series
        >>> series = Series(example=pd.Series([0.0]))
        >>> shown = series.fillna(-1).stream.map(list).sink(print)
        >>> series.emit(pd.Series([0.5, None]))
        [0.5, -1.0]
        """
        return self._row_wise("fillna", value, others=others)

    def dropna(self, **others: Any) -> Any:
        """Leave out rows with missing values.

        A frame takes ``how="any"`` or ``"all"``, ``thresh=`` and ``subset=`` as in pandas.
        """
        options = {name: others.pop(name) for name in ("how", "thresh", "subset") if name in others}
        return self._row_wise("dropna", others=others, **options)

    def isna(self) -> Any:
        """Return which values are missing."""
        return self._row_wise("isna", others={})

    def isnull(self) -> Any:
        """Return which values are missing; an alias of `isna`."""
        return self._row_wise("isna", others={})

    def notna(self) -> Any:
        """Return which values are not missing."""
        return self._row_wise("notna", others={})

    def notnull(self) -> Any:
        """Return which values are not missing; an alias of `notna`."""
        return self._row_wise("notna", others={})

    def isin(self, values: Any) -> Any:
        """Return which values are among some; for a frame these may be a dict by column."""
        if isinstance(values, Streaming):
            raise TypeError(
                "isin: values must be known from the start, got a streaming collection: it would "
                "mean the values of all its rows"
            )
        return self._row_wise("isin", values, others={})

    def where(self, cond: Any, other: Any = None, **others: Any) -> Any:
        """Keep values where *cond* is true, take *other* (by default: missing) where it is not.

        >>> import pandas as pd
        >>> from rapidz.dataframe import Series
        >>> series = Series(example=pd.Series([0]))
        >>> shown = series.where(series > 1, 0).stream.map(list).sink(print)
        >>> series.emit(pd.Series([1, 2, 3]))
        [0, 2, 3]
        """
        return self._by_condition("where", cond, other, others)

    def mask(self, cond: Any, other: Any = None, **others: Any) -> Any:
        """Take *other* (by default: missing) where *cond* is true, keep values where it is not."""
        return self._by_condition("mask", cond, other, others)

    def _by_condition(self, name: str, cond: Any, other: Any, others: Mapping[str, Any]) -> Any:
        for argument, value in (("cond", cond), ("other", other)):
            if callable(value):
                raise TypeError(
                    f"{name}: {argument} must be a streaming collection or a value, "
                    f"got {short_repr(value)}: "
                    "a function would see one batch at a time; use map_partitions for that"
                )
        rest = () if other is None else (other,)
        return self._row_wise(name, cond, *rest, others=others)

    def clip(self, lower: Any = None, upper: Any = None, **others: Any) -> Any:
        """Limit values to the range from *lower* to *upper*."""
        return self._row_wise("clip", lower, upper, others=others)

    def replace(
        self, to_replace: Any, value: Any = None, regex: bool = False, **others: Any
    ) -> Any:
        """Replace some values by others, as pandas reads *to_replace*, *value* and *regex*."""
        if value is None and not isinstance(to_replace, Mapping):
            raise TypeError(
                f"replace: value must be given unless to_replace is a dict, "
                f"got {short_repr(to_replace)}: "
                "pandas would take values from other rows"
            )
        rest = () if value is None else (value,)
        return self._row_wise("replace", to_replace, *rest, others=others, regex=regex)

    def abs(self) -> Any:
        """Return the absolute value of numbers."""
        return self._row_wise("abs", others={})


class ColumnWise(RowWise):
    """Row-wise methods of frames with columns."""

    def drop(self, *labels: Any, columns: Any = None, **others: Any) -> Any:
        """Leave out columns.

        >>> import pandas as pd
        >>> from rapidz.dataframe import DataFrame
        >>> sdf = DataFrame(example=pd.DataFrame({"x": [0], "y": [0]}))
        >>> list(sdf.drop(columns="y").columns)
        ['x']
        >>> sdf.drop(index=3)
        Traceback (most recent call last):
        ...
        TypeError: drop: index must not be given for a streaming frame, got 3: the labels of rows \
are not those of all batches
        """
        if len(labels) == 1 and columns is None and others.get("axis") in (1, "columns"):
            columns, labels = labels[0], ()
            others = {name: value for name, value in others.items() if name != "axis"}
        if labels:
            _refuse("drop", "index", labels[0])
        options = {"errors": others.pop("errors")} if "errors" in others else {}
        return self._row_wise("drop", others=others, columns=columns, **options)

    def rename(self, *, columns: Any = None, **others: Any) -> Any:
        """Give columns other names, by a dict or a function of the name."""
        options = {"errors": others.pop("errors")} if "errors" in others else {}
        return self._row_wise("rename", others=others, columns=columns, **options)

    def add_prefix(self, prefix: str) -> Any:
        """Put text before the name of each column."""
        return self._row_wise("add_prefix", prefix, others={})

    def add_suffix(self, suffix: str) -> Any:
        """Put text behind the name of each column."""
        return self._row_wise("add_suffix", suffix, others={})

    def explode(self, column: Any, **others: Any) -> Any:
        """Make a row of each item of the lists in a column."""
        return self._row_wise("explode", column, others=others)


class ValueWise(RowWise):
    """Row-wise methods of a single column."""

    def between(self, left: Any, right: Any, inclusive: str = "both") -> Any:
        """Return which values lie between two others, which may be streaming series."""
        return self._row_wise("between", left, right, others={}, inclusive=inclusive)

    def rename(self, name: Any = None, **others: Any) -> Any:
        """Give the series another name."""
        if isinstance(name, Mapping) or callable(name):
            _refuse("rename", "index", name)
        return self._row_wise("rename", name, others=others)

    def explode(self, **others: Any) -> Any:
        """Make a row of each item of lists."""
        return self._row_wise("explode", others=others)


def _refuse(name: str, argument: str, value: Any) -> None:
    """Raise TypeError for an argument that is not row-wise, or that pandas does not know."""
    why = REFUSED.get(name, {}).get(argument)
    if why is None:
        raise TypeError(f"{name}: got an unexpected argument {short_repr(argument)}")
    if value is None or value is False:  # what pandas does anyway
        return
    raise TypeError(
        f"{name}: {argument} must not be given for a streaming frame, "
        f"got {short_repr(value)}: {why}"
    )


def row_wise_names(*kinds: type) -> dict[str, Callable[..., Any]]:
    """Return the row-wise methods of these classes, by name.

    >>> sorted(row_wise_names(ValueWise))
    ['between', 'explode', 'rename']
    """
    return {
        name: method
        for kind in kinds
        for name, method in vars(kind).items()
        if callable(method) and not name.startswith("_")
    }
