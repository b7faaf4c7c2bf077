"""Type promotion: columns whose dtype differs from that of the batches before.

The rule is that of `pandas.concat`: a narrower dtype is widened to the known one, and a wider one
widens the known one. A column is refused if `concat` would make objects of both, and if states
store the values of both differently, as those of numpy and of pyarrow. A column without a value
fits any dtype that has missing values; a column of objects without a value fits any dtype.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.column_codec import ColumnCodec
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["alike", "fit", "fit_nothing", "has_values", "is_object"]


def fit(column: pd.Series[Any], dtype: Any, what: str) -> pd.Series[Any]:
    """Return the column in a dtype that has both its values and those of `dtype`.

    If no dtype has, raise TypeError, which names the column as `what`.

    >>> import numpy as np
    >>> fit(pd.Series([1, 2]), np.dtype("float64"), "column 'x'").dtype
    dtype('float64')
    >>> fit(pd.Series([0.5]), np.dtype("int64"), "column 'x'").dtype
    dtype('float64')
    >>> fit(pd.Series(["a"]), np.dtype("int64"), "column 'x'")
    Traceback (most recent call last):
    TypeError: column 'x' must stay int64, got str, such as 'a': give an example of the dtype \
meant, or use astype
    """
    if column.dtype == dtype:
        return column if alike(column.dtype, dtype) else _reorder_categories(column, dtype)
    if not len(column):
        return pd.Series(index=column.index, dtype=dtype, name=column.name)
    if is_object(column.dtype):
        column = column.infer_objects()
    if column.dtype == dtype:
        return column
    wide = None if _is_untyped(column.dtype, dtype) else _common(dtype, column.dtype)
    if wide is None and not has_values(column):
        nothing = fit_nothing(dtype)
        if nothing is None:
            raise _refusal(column, dtype, what)
        return pd.Series(index=column.index, dtype=nothing, name=column.name)
    if wide is None:
        wide = _common(dtype, column.dtype) or _known_superset(column.dtype, dtype)
    if wide is None:
        raise _refusal(column, dtype, what)
    return column if column.dtype == wide else column.astype(wide)


def alike(one: Any, other: Any) -> bool:
    """Return whether equal dtypes list their categories in the same order too.

    >>> alike(pd.CategoricalDtype(["a", "b"]), pd.CategoricalDtype(["b", "a"]))
    False
    """
    if one is other or not isinstance(one, pd.CategoricalDtype):
        return True
    mine, its = one.categories, other.categories
    return mine is its or mine.equals(its)


def fit_nothing(dtype: Any) -> Any:
    """Return the dtype closest to `dtype` that has a missing value; None if only objects have.

    >>> fit_nothing(np.dtype("int64")), fit_nothing(pd.Int64Dtype()), fit_nothing(np.dtype("bool"))
    (dtype('float64'), Int64Dtype(), None)
    """
    if not isinstance(dtype, np.dtype) or dtype.kind not in "iub":
        return dtype
    return _common(dtype, np.dtype("float64"))


def has_values(column: pd.Series[Any]) -> bool:
    """Return whether any value of the column is not missing."""
    return bool(column.notna().any())


def is_object(dtype: Any) -> bool:
    """Return whether columns of this dtype have objects."""
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _reorder_categories(column: pd.Series[Any], dtype: pd.CategoricalDtype) -> pd.Series[Any]:
    # To pandas equal dtypes are the same, so that `astype` would not change the codes.
    return column.cat.set_categories(dtype.categories)


def _is_untyped(new: Any, known: Any) -> bool:
    """Return whether a column of dtype *new* without a value may stand for any dtype."""
    # NaN is the only missing value of numpy.
    nan = isinstance(new, np.dtype) and new.kind == "f" and not isinstance(known, np.dtype)
    return nan or is_object(new)


@functools.lru_cache(maxsize=256)
def _common(known: Any, new: Any) -> Any:
    """Return the dtype of both concatenated.

    None if that is the dtype of objects, or if states store it in another way than *known*.
    """
    if isinstance(known, pd.CategoricalDtype) or isinstance(new, pd.CategoricalDtype):
        return None
    both = pd.concat([pd.Series([], dtype=known), pd.Series([], dtype=new)]).dtype
    return both if not is_object(both) and _storage_of(both) == _storage_of(known) else None


def _storage_of(dtype: Any) -> Any:
    """Return in which way states store the values of a dtype."""
    if isinstance(dtype, pd.StringDtype):
        return "text"
    return "number" if (kind := ColumnCodec(dtype).kind) in ("int", "float") else kind


def _known_superset(new: Any, known: Any) -> Any:
    """Return *known* if it has all values of *new*, though `concat` makes objects of both."""
    if isinstance(new, pd.CategoricalDtype):
        if new.categories.dtype == known:
            return known
        return known if _is_subset(new, known) else None
    return known if is_object(known) and isinstance(new, pd.StringDtype) else None


def _is_subset(new: pd.CategoricalDtype, known: Any) -> bool:
    if not isinstance(known, pd.CategoricalDtype) or new.ordered != known.ordered:
        return False
    places = known.categories.get_indexer(new.categories)
    in_order = not known.ordered or bool((np.diff(places) > 0).all())
    return in_order and bool((places >= 0).all())


def _refusal(column: pd.Series[Any], dtype: Any, what: str) -> TypeError:
    new = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) and isinstance(new, pd.CategoricalDtype):
        return _other_categories(new, dtype, what)
    present = column.dropna()
    value = f", such as {short_repr(present.iloc[0])}" if len(present) else " without a value"
    return TypeError(
        f"{what} must stay {dtype}, got {new}{value}: give an example of the dtype meant, "
        "or use astype"
    )


def _other_categories(new: pd.CategoricalDtype, known: pd.CategoricalDtype, what: str) -> TypeError:
    excess = new.categories.difference(known.categories, sort=False).tolist()
    got = ", ".join(map(repr, excess[:5])) + ", ..." * (len(excess) > 5) + " besides"
    if not excess:
        words = {True: "ordered", False: "unordered", None: "unordered"}
        got = f"{words[new.ordered]} ones {short_repr(new.categories.tolist())}"
    return TypeError(
        f"{what} must stay category with the categories {short_repr(known.categories.tolist())}, "
        f"got {got}: "
        "give an example that has all of them, or use astype(str)"
    )
