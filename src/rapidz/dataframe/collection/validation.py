"""Validation of elements against the example, and their conversion from and to other libraries."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import pandas as pd

from rapidz.dataframe.collection.example import Example
from rapidz.dataframe.incremental.columns.dtypes import alike, fit, is_object
from rapidz.dataframe.incremental.columns.schema import same_dtypes, with_columns
from rapidz.dataframe.interop.deferred import Deferred, whole
from rapidz.dataframe.interop.from_pandas import Outputs, like
from rapidz.dataframe.interop.native import kind_of, to_pandas
from rapidz.dataframe.interop.nullable import exact
from rapidz.dataframe.interop.protocols import is_dataframe_like, is_index_like, is_series_like
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = [
    "ColumnsError",
    "OutputConversion",
    "Verifier",
    "conform_frame",
    "conform_index",
    "conform_series",
    "like",
    "to_pandas_checked",
    "whole",
]

#: The dtypes of examples, by the identity of the example.
_known: dict[int, tuple[weakref.ref[pd.DataFrame], list[Any]]] = {}


class ColumnsError(ValueError, IndexError):
    """A frame with other columns than it must have; streamz raises IndexError for it."""


def conform_frame(x: Any, example: Any) -> Any:
    """Return the frame *x* with the columns in the order that *example* has, and its dtypes.

    A column that is wider than in the example stays so, if one dtype can represent both; see
    `rapidz.dataframe.incremental.columns.dtypes`.

    >>> import pandas as pd
    >>> example = pd.DataFrame({"x": [1], "y": [2]})
    >>> list(conform_frame(example[["y", "x"]], example))
    ['x', 'y']
    >>> conform_frame(example[["x"]], example)
    Traceback (most recent call last):
    ...
    rapidz.dataframe.collection.validation.ColumnsError: DataFrame: columns must be \
['x', 'y'], got ['x']: 'y' is missing
    """
    if example is None:
        return _check_kind("DataFrame", "a data frame", x, is_dataframe_like(x))
    _check_type("DataFrame", x, example)
    _check_time_zone("DataFrame", x, example)
    columns, wanted = x.columns, example.columns
    if not (columns is wanted or columns.equals(wanted)):
        x = x[_check_columns("DataFrame", list(columns), list(wanted))]
    return _fitted(x, example) if isinstance(x, pd.DataFrame) and wanted.is_unique else x


def conform_series(x: Any, example: Any) -> Any:
    """Return *x*, which must be a series as *example* is, with its dtype or a wider one."""
    if example is None:
        return _check_kind("Series", "a series", x, is_series_like(x))
    _check_type("Series", x, example)
    _check_time_zone("Series", x, example)
    if not isinstance(x, pd.Series) or is_object(example.dtype):
        return x
    return fit(x, example.dtype, f"Series: series {example.name!r}")


def conform_index(x: Any, example: Any) -> Any:
    """Return *x*, which must be an index: of what class depends on the values."""
    return _check_kind("Index", "an index", x, is_index_like(x))


def _fitted(x: pd.DataFrame, example: Any) -> Any:
    """Return the frame with the dtypes of the example."""
    wanted = _dtypes(example)
    if not wanted or same_dtypes(dtypes := x.dtypes.tolist(), wanted):
        return x
    fitted = {
        label: fit(x[label], dtype, f"DataFrame: column {label!r}")
        for label, dtype, has in zip(x.columns, wanted, dtypes, strict=True)
        if not ((dtype == has and alike(dtype, has)) or is_object(dtype))
    }
    return with_columns(x, fitted)


def _dtypes(example: pd.DataFrame) -> list[Any]:
    """Return the dtypes of the example, cached: pandas would collect them again for each element.

    A column of objects says nothing, nor does a frame of floats that has no rows: that is what
    pandas makes of ``{"name": [], "amount": []}``.
    """
    known = _known.get(id(example))
    if known is None or known[0]() is not example:
        dtypes = example.dtypes.tolist()
        if not len(example) and all(is_object(one) or one == "float64" for one in dtypes):
            dtypes = []
        # A bound method: when the interpreter ends, the globals of the module may be gone.
        forget = functools.partial(_known.pop, id(example))
        known = weakref.ref(example, forget), dtypes
        _known[id(example)] = known
    return known[1]


def _check_type(owner: str, x: Any, example: Any) -> None:
    if not isinstance(x, type(example)):
        raise TypeError(
            f"{owner}: element must be of type {type(example).__name__}, as the example is, "
            f"got {type(x).__name__}"
        )


def _check_time_zone(owner: str, x: Any, example: Any) -> None:
    """Refuse times without a time zone where the example has one, and the reverse."""
    index, wanted = getattr(x, "index", None), getattr(example, "index", None)
    if not (isinstance(wanted, pd.DatetimeIndex) and isinstance(index, pd.DatetimeIndex)):
        return
    if len(index) and (index.tz is None) != (wanted.tz is None):
        words, zone = "times without a time zone", None
        if wanted.tz is not None:
            words, zone = "times with a time zone", str(wanted.tz)
        raise TypeError(
            f"{owner}: index must hold {words}, as the example's {wanted.dtype}, got "
            f"{index.dtype}, such as {short_repr(index[0])}: use tz_localize({zone!r})"
        )


def _check_kind(owner: str, kind: str, x: Any, good: bool) -> Any:
    if not good:
        if (of := kind_of(x)) not in (None, "pandas"):
            raise TypeError(f"{owner}: example must be given for elements of {of}")
        raise TypeError(f"{owner}: element must be {kind}, got {type(x).__name__}")
    return x


def _check_columns(owner: str, columns: list[Any], wanted: list[Any]) -> list[Any]:
    """Return the names *wanted*, if *columns* are the same in another order."""
    missing = [name for name in wanted if name not in columns]
    excess = [name for name in columns if name not in wanted]
    repeated = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    faults = [
        f"{', '.join(map(repr, names))} {fault}"
        for names, fault in (
            (missing, "is missing"),
            (excess, "is not among them"),
            (repeated, "comes more than once"),
        )
        if names
    ]
    if faults or len(columns) != len(wanted):
        reason = "; ".join(faults) or "not as often"
        raise ColumnsError(
            f"{owner}: columns must be {short_repr(wanted)}, got {short_repr(columns)}: {reason}"
        )
    return wanted


def to_pandas_checked(owner: str, kind: str | None, x: Any) -> Any:
    """Return an element as one of pandas; it must be of the library *kind*, if one is given."""
    if kind is None:
        return x
    if (got := kind_of(x)) != kind:
        of = type(x).__name__ if got is None else f"{type(x).__name__} of {got}"
        raise TypeError(f"{owner}: element must be of {kind}, as the example is, got {of}")
    return to_pandas(x)


class Verifier:
    """Validation of every element against the example.

    If no example is given, the first element becomes it, unless it lacks a column that is asked
    for.
    """

    def __init__(
        self,
        conform: Callable[[Any, Any], Any],
        example: Example,
        owner: str = "Streaming",
        defers: bool = False,
    ) -> None:
        self.conform, self.example, self.owner = conform, example, owner
        self.defers = defers
        """Whether elements become frames of pandas column by column, as these are used."""
        self._schema: Any = None
        """The schema of an element that fitted unchanged: others of that schema fit, too."""
        self._eager: list[Any] = []
        """The columns that fit or not by their values: those of categories."""
        self.by_first = False
        """Whether the example is the first element."""
        self.__name__ = "verify"

    def __call__(self, x: Any) -> Any:
        return self._deferred(x) if self.defers else self._verified(x)

    def knows(self, x: Any) -> bool:
        """Return whether an element is known to fit by its schema alone."""
        if self._schema is None or self._eager:
            return False
        return type(x) is self._schema[0] and bool(x.schema == self._schema[1])

    def _deferred(self, x: Any) -> Any:
        """Return the element as one that becomes a frame of pandas on demand."""
        if self._schema and type(x) is self._schema[0] and x.schema == self._schema[1]:
            if not self._eager:
                return Deferred(x)
            part = to_pandas_checked(self.owner, self.example.kind, x.select(self._eager))
            fitted = self._fitted(part, self.example.value[self._eager])
            return Deferred(x, dict(fitted.items()))
        frame = to_pandas_checked(self.owner, self.example.kind, x)
        fitted = self._fitted(frame, self.example.value)
        if fitted is frame:
            self._schema = type(x), x.schema
            self._eager = list(frame.select_dtypes("category"))
        return Deferred.of(fitted)

    def _verified(self, x: Any) -> Any:
        example = self.example.value
        x = to_pandas_checked(self.owner, self.example.kind, x)
        if example is None:
            return self._first(self.conform(x, None))
        try:
            return self._fitted(x, example)
        except Exception as problem:
            if self.by_first:
                problem.add_note(f"{self.owner}: the first element is the example: give another")
            raise

    def _fitted(self, x: Any, example: Any) -> Any:
        x = self.conform(x, example)
        kind = self.example.kind
        return x if kind is None else exact(self.owner, kind, x, example)

    def _first(self, x: Any) -> Any:
        if not len(getattr(x, "columns", "?")):  # no columns: nothing is known
            return x
        example = x.iloc[:0] if hasattr(x, "iloc") else x[:0]  # an index
        self.example.check(example)
        self.example.set(example)
        self.by_first = True
        return x


class OutputConversion:
    """Conversion of results to the library that elements are of; of pairs, the result alone.

    The *example*, if it is known, fixes the schema.
    """

    def __init__(self, kind: str, example: Any = None) -> None:
        self.kind = kind
        self.__name__ = f"like_{kind}"
        example = example[1] if _is_pair(example) else example
        self._outputs = Outputs(kind, example)

    def __call__(self, x: Any) -> Any:
        if _is_pair(x):
            return x[0], self._outputs.of(x[1])
        return self._outputs.of(x)


def _is_pair(x: Any) -> bool:
    return isinstance(x, tuple) and len(x) == 2
