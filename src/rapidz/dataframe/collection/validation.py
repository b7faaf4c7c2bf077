"""What an element must be like, given the example; and how it is put right if it can be."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.columns.dtypes import alike, fit, is_object
from rapidz.dataframe.incremental.columns.schema import same_dtypes, with_columns
from rapidz.dataframe.interop.native import kind_of
from rapidz.dataframe.interop.protocols import is_dataframe_like, is_index_like, is_series_like
from rapidz.kernel.protocol.short_repr import short_repr

#: The dtypes of examples, by the place where they are.
_known: dict[int, tuple[weakref.ref[pd.DataFrame], list[Any]]] = {}


class ColumnsError(ValueError, IndexError):
    """A frame without the columns it must have; streamz raises IndexError there."""


def conform_frame(x: Any, example: Any) -> Any:
    """Return the frame *x* with the columns in the order that *example* has, and its dtypes.

    A column that is wider than in the example stays so, if one dtype holds both; see
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
        return _of_kind("DataFrame", "a data frame", x, is_dataframe_like(x))
    _of_type("DataFrame", x, example)
    _of_zone("DataFrame", x, example)
    columns, wanted = x.columns, example.columns
    if not (columns is wanted or columns.equals(wanted)):
        x = x[_in_order("DataFrame", list(columns), list(wanted))]
    return _fitted(x, example) if isinstance(x, pd.DataFrame) and wanted.is_unique else x


def conform_series(x: Any, example: Any) -> Any:
    """Return *x*, which must be a series as *example* is, with its dtype or a wider one."""
    if example is None:
        return _of_kind("Series", "a series", x, is_series_like(x))
    _of_type("Series", x, example)
    _of_zone("Series", x, example)
    if not isinstance(x, pd.Series) or is_object(example.dtype):
        return x
    return fit(x, example.dtype, f"Series: series {example.name!r}")


def conform_index(x: Any, example: Any) -> Any:
    """Return *x*, which must be an index: of what class depends on the values."""
    return _of_kind("Index", "an index", x, is_index_like(x))


def _fitted(x: pd.DataFrame, example: Any) -> Any:
    """The frame with the dtypes of the example."""
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
    """What the example says of dtypes; pandas would look for them again for each element.

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


def _of_type(owner: str, x: Any, example: Any) -> None:
    if not isinstance(x, type(example)):
        raise TypeError(
            f"{owner}: element must be of type {type(example).__name__}, as the example is, "
            f"got {type(x).__name__}"
        )


def _of_zone(owner: str, x: Any, example: Any) -> None:
    """Times with a time zone and times without one cannot be compared."""
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


def _of_kind(owner: str, kind: str, x: Any, good: bool) -> Any:
    if not good:
        if (of := kind_of(x)) not in (None, "pandas"):
            raise TypeError(f"{owner}: example must be given for elements of {of}")
        raise TypeError(f"{owner}: element must be {kind}, got {type(x).__name__}")
    return x


def _in_order(owner: str, columns: list[Any], wanted: list[Any]) -> list[Any]:
    """The names *wanted*, if *columns* are the same in another order."""
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
