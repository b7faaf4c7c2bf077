"""What becomes of a column that comes with another dtype than those before it.

The rule is that of `pandas.concat`: what is narrower is widened to what is known, and what is
wider widens what is known. Where `concat` would make objects of both, the column is refused; so
it is where states keep the values of both in different ways, as those of numpy and of pyarrow. A
column without a value fits any dtype that has missing values; if it is of objects, it says no more.
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
    """The column in a dtype that holds both its values and those of `dtype`.

    TypeError, which names the column as `what`, if there is none.

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
        return column if alike(column.dtype, dtype) else _in_order(column, dtype)
    if not len(column):
        return pd.Series(index=column.index, dtype=dtype, name=column.name)
    if is_object(column.dtype):
        column = column.infer_objects()
    if column.dtype == dtype:
        return column
    wide = None if _says_nothing(column.dtype, dtype) else _common(dtype, column.dtype)
    if wide is None and not has_values(column):
        nothing = fit_nothing(dtype)
        if nothing is None:
            raise _refusal(column, dtype, what)
        return pd.Series(index=column.index, dtype=nothing, name=column.name)
    if wide is None:
        wide = _common(dtype, column.dtype) or _named_alike(column.dtype, dtype)
    if wide is None:
        raise _refusal(column, dtype, what)
    return column if column.dtype == wide else column.astype(wide)


def alike(one: Any, other: Any) -> bool:
    """Whether equal dtypes are the same in all: categories without order are equal in any order.

    >>> alike(pd.CategoricalDtype(["a", "b"]), pd.CategoricalDtype(["b", "a"]))
    False
    """
    if one is other or not isinstance(one, pd.CategoricalDtype):
        return True
    mine, its = one.categories, other.categories
    return mine is its or mine.equals(its)


def fit_nothing(dtype: Any) -> Any:
    """The dtype closest to `dtype` that has a missing value; None if only objects have.

    >>> fit_nothing(np.dtype("int64")), fit_nothing(pd.Int64Dtype()), fit_nothing(np.dtype("bool"))
    (dtype('float64'), Int64Dtype(), None)
    """
    if not isinstance(dtype, np.dtype) or dtype.kind not in "iub":
        return dtype
    return _common(dtype, np.dtype("float64"))


def has_values(column: pd.Series[Any]) -> bool:
    """Whether anything in the column is not missing."""
    return bool(column.notna().any())


def is_object(dtype: Any) -> bool:
    """Whether columns of this dtype may hold anything."""
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _in_order(column: pd.Series[Any], dtype: pd.CategoricalDtype) -> pd.Series[Any]:
    # pandas takes equal dtypes for the same, and would leave the codes as they are.
    return column.cat.set_categories(dtype.categories)


def _says_nothing(new: Any, known: Any) -> bool:
    """Whether a column without a value of dtype *new* may have been meant to be of any dtype."""
    # NaN is all that numpy has for what is missing.
    nan = isinstance(new, np.dtype) and new.kind == "f" and not isinstance(known, np.dtype)
    return nan or is_object(new)


@functools.lru_cache(maxsize=256)
def _common(known: Any, new: Any) -> Any:
    """The dtype that pandas gives both together.

    None if that is the dtype of anything, or is not kept as the dtype known is.
    """
    if isinstance(known, pd.CategoricalDtype) or isinstance(new, pd.CategoricalDtype):
        return None
    both = pd.concat([pd.Series([], dtype=known), pd.Series([], dtype=new)]).dtype
    return both if not is_object(both) and _kept(both) == _kept(known) else None


def _kept(dtype: Any) -> Any:
    """In which way states keep the values of a dtype: what is kept in one is lost for another."""
    if isinstance(dtype, pd.StringDtype):
        return "text"
    return "number" if (kind := ColumnCodec(dtype).kind) in ("int", "float") else kind


def _named_alike(new: Any, known: Any) -> Any:
    """What pandas makes objects of, though the values of one dtype are all among the other's."""
    if isinstance(new, pd.CategoricalDtype):
        if new.categories.dtype == known:
            return known
        return known if _among(new, known) else None
    return known if is_object(known) and isinstance(new, pd.StringDtype) else None


def _among(new: pd.CategoricalDtype, known: Any) -> bool:
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
