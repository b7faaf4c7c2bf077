"""Batch-wise expressions: checks that expressions and accessors look at each row by itself."""

from __future__ import annotations

import re
from typing import Any, cast

import pandas as pd

from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["check_accessor", "check_categories", "check_expression", "check_slice", "typed"]

#: Methods that look at each value by itself, and so are allowed in an expression.
ROW_WISE = frozenset(
    (
        *("abs", "astype", "between", "ceil", "clip", "fillna", "floor", "isin", "isna", "isnull"),
        *("map", "mask", "notna", "notnull", "replace", "round", "where"),
        *("add", "div", "divide", "eq", "floordiv", "ge", "gt", "le", "lt", "mod", "mul"),
        *("multiply", "ne", "pow", "sub", "subtract", "truediv"),
        *("radd", "rdiv", "rfloordiv", "rmod", "rmul", "rpow", "rsub", "rtruediv"),
    )
)
_CALLS = re.compile(r"(?:\.\s*(?P<of>str|dt|cat)\s*)?\.\s*(?P<name>[A-Za-z_]\w*)\s*\(")

#: Attributes of accessors that do not look at single values, and what to use instead.
PER_BATCH = {
    ("str", "get_dummies"): "the columns would depend on the rows: make one for each word meant, "
    "as in series.str.contains('word')",
    ("cat", "remove_unused_categories"): "which are unused is known after the last row only: use "
    "set_categories",
    ("dt", "to_pydatetime"): "use map_partitions",
}


def check_expression(method: str, expr: str) -> None:
    """Refuse an expression that refers to all rows: it would be evaluated for each batch.

    >>> check_expression("query", "x.abs() > 1 and name.str.len() > 2")
    >>> check_expression("query", "x > x.mean()")
    Traceback (most recent call last):
    ...
    ValueError: query: expr must look at each row by itself, got 'x > x.mean()': mean is about \
all rows; use streaming series instead, as in sdf[sdf.x > sdf.x.mean()]
    """
    text = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "''", expr)
    for call in _CALLS.finditer(text):
        name, of = call["name"], call["of"]
        if text[: call.start()].rstrip().endswith("@"):
            continue
        if of is not None:
            check_accessor(of, name, (), {})
        elif name not in ROW_WISE and (hasattr(pd.Series, name) or hasattr(pd.DataFrame, name)):
            before = text[: call.start()]
            if re.search(r"@\w+(\.\w+)*$", before):
                continue  # a value of the user's own
            raise ValueError(
                f"{method}: expr must look at each row by itself, got {short_repr(expr)}: {name} "
                "is about all rows; use streaming series instead, as in sdf[sdf.x > sdf.x.mean()]"
            )


def check_accessor(accessor: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse a method of an accessor that refers to all rows: it would apply to each batch."""
    alternative = PER_BATCH.get((accessor, name))
    if accessor == "str" and name in ("split", "rsplit") and kwargs.get("expand"):
        alternative = (
            "the number of columns would depend on the rows: take parts by .str.split(…).str[0]"
        )
    if accessor == "str" and name == "cat" and not (args or kwargs.get("others") is not None):
        alternative = "it would put all rows of a batch together: use .stream.map for each batch"
    if alternative is not None:
        raise TypeError(f".{accessor}.{name} must look at each value by itself: {alternative}")


def check_categories(dtype: Any, column: Any = None) -> None:
    """Refuse categories that would be those of each batch.

    >>> check_categories("category")
    Traceback (most recent call last):
    ...
    TypeError: astype: dt must name the categories, for they would be those of each batch, got \
'category': use pandas.CategoricalDtype([...])
    """
    known = isinstance(getattr(column, "dtype", None), pd.CategoricalDtype)
    unnamed = isinstance(dtype, pd.CategoricalDtype) and cast(Any, dtype.categories) is None
    if (unnamed or (isinstance(dtype, str) and dtype == "category")) and not known:
        raise TypeError(
            "astype: dt must name the categories, for they would be those of each batch, got "
            f"{short_repr(dtype)}: use pandas.CategoricalDtype([...])"
        )


def typed(x: Any, dtype: Any) -> Any:
    """Cast all columns of a batch to a dtype, or some by a dict."""
    if isinstance(x, pd.DataFrame):
        wanted = dtype if isinstance(dtype, dict) else dict.fromkeys(x.columns, dtype)
        for label, one in wanted.items():
            if label in x.columns:
                check_categories(one, x[label])
    else:
        check_categories(dtype, x)
    return x.astype(dtype)


def check_slice(index: slice) -> None:
    """Refuse rows by position, which would be counted in each batch.

    >>> check_slice(slice(1, 3))
    Traceback (most recent call last):
    ...
    TypeError: getitem: index must choose rows by label or by condition, got slice(1, 3, None): \
positions would be counted in each batch; use window(n=...).apply(lambda rows: rows[1:3])
    """
    bounds = (index.start, index.stop, index.step)
    whole = index.start is None and index.stop is None and index.step in (None, 1)
    if not whole and all(x is None or type(x).__name__.startswith(("int", "uint")) for x in bounds):
        start, stop, step = ("" if x is None else x for x in bounds)
        shown = f"{start}:{stop}" + (f":{step}" if step != "" else "")
        raise TypeError(
            f"getitem: index must choose rows by label or by condition, got {short_repr(index)}: "
            "positions would be counted in each batch; use window(n=...).apply(lambda rows: "
            f"rows[{shown}])"
        )
