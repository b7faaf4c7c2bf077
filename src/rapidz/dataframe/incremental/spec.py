"""Specification of aggregates: which ones of which columns, and the labels of their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.dtypes import has_values, is_object
from rapidz.dataframe.incremental.types import Frame
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["HOWS", "Output", "AggregateSpec", "numeric_columns", "parse"]

NUMERIC = {"sum", "mean", "median", "var", "std", "quantile"}
TIMED = {"mean", "median", "std", "quantile"}
WHOLE = {"size", "value_counts"}
# Aggregates that groups have in pandas, but series do not.
PICKED = {"first", "last"}
HOWS = NUMERIC | WHOLE | {"count", "min", "max", "first", "last", "nunique"}

How = str | Callable[..., Any]
Shape: TypeAlias = Literal["one", "table", "map", "named", "whole"]

# Functions that equal a built-in aggregate of a series, which is incremental. Those of Python are
# not among them: they do not skip missing values.
FUNCTIONS: dict[Any, str] = {
    **{getattr(np, name): name for name in ("sum", "mean", "min", "max")},
    **{getattr(pd.Series, name): name for name in sorted(HOWS - WHOLE - PICKED)},
    len: "size",
}


@dataclass(frozen=True, slots=True)
class Output:
    """One aggregate of one column; `label` is the column of a grouped result."""

    label: Any
    column: Any
    how: How
    asked: How | None = None
    """The function that was given, if *how* is the name of the aggregate that it equals."""

    @property
    def given(self) -> How:
        """The name or function that was given."""
        return self.how if self.asked is None else self.asked

    @property
    def word(self) -> str:
        """The name of the aggregate in labels."""
        return self.given if isinstance(self.given, str) else self.given.__name__


@dataclass(frozen=True, slots=True)
class AggregateSpec:
    """All outputs of an aggregate, and the shape of the result in pandas.

    "one" aggregate of all columns, "table" of columns by aggregates, "map" from columns to
    aggregates, "named" results, or the "whole" (size and value_counts).
    """

    shape: Shape
    outputs: tuple[Output, ...]
    how: Any
    options: Mapping[str, Any]


def parse(example: Frame, how: Any, by: Sequence[Any], options: Mapping[str, Any]) -> AggregateSpec:
    """Return the specification of what the user wrote.

    >>> example = pd.DataFrame({"x": [1], "name": ["a"]})
    >>> [output.column for output in parse(example, "sum", [], {}).outputs]
    ['x']
    >>> parse(example, "total", [], {})
    Traceback (most recent call last):
    ValueError: agg: how must be one of count, first, last, max, mean, median, min, nunique,
        quantile, size, std, sum, value_counts, var, got 'total'
    """
    columns = [None] if isinstance(example, pd.Series) else [c for c in example if c not in by]
    shape, outputs = _outputs(example, how, columns)
    return AggregateSpec(shape, tuple(outputs), how, options)


def _outputs(example: Frame, how: Any, columns: Sequence[Any]) -> tuple[Shape, list[Output]]:
    if isinstance(how, str):
        _known(how)
        if how in WHOLE:
            _whole(how, example)
            return "whole", []
        if isinstance(example, pd.DataFrame):
            columns = [label for label in columns if _fits(example[label].dtype, how)]
        return "one", [Output(c, c, how) for c in columns]
    if isinstance(how, Mapping):
        return _mapping(example, how)
    if isinstance(how, list):
        table = {c: [h for h in how if _suits(example, c, h)] for c in columns}
        return "table", _table(example, table)
    if callable(how):
        return "one", [_output(example, c, c, how) for c in columns]
    raise TypeError(
        f"agg: how must be a name, a list, a dict or an aggregation, got {short_repr(how)}"
    )


def _mapping(example: Frame, how: Mapping[Any, Any]) -> tuple[Shape, list[Output]]:
    if isinstance(example, pd.Series):
        if any(isinstance(value, (list, tuple)) for value in how.values()):
            raise TypeError(
                "agg: how must be a list of aggregates, or a dict of one each by the label of the"
                f" result, for a series: lists by column are for frames, "
                f"got {short_repr(dict(how))}"
            )
        return "named", [_output(example, label, None, h) for label, h in how.items()]
    if all(isinstance(value, tuple) for value in how.values()):
        return "named", [
            _output(example, label, _column(example, value[0]), value[1])
            for label, value in how.items()
        ]
    for label in how:
        _column(example, label)
    if any(isinstance(value, list) for value in how.values()):
        table = {c: h if isinstance(h, list) else [h] for c, h in how.items()}
        return "table", _table(example, table)
    return "map", [_output(example, c, c, h) for c, h in how.items()]


def _output(example: Frame, label: Any, column: Any, how: Any) -> Output:
    known = _known(how)
    name = None if isinstance(known, str) else FUNCTIONS.get(known)
    dtype = example.dtype if column is None else example[column].dtype
    if name is None or not _fits(dtype, name):
        return Output(label, column, known)
    return Output(label, column, name, known)


def _table(example: Frame, table: Mapping[Any, Sequence[How]]) -> list[Output]:
    outputs = []
    for column, hows in table.items():
        for how in hows:
            output = _output(example, None, column, how)
            levels = column if isinstance(column, tuple) else (column,)
            label = output.word if column is None else (*levels, output.word)
            outputs.append(replace(output, label=label))
    return outputs


def _known(how: Any) -> How:
    if isinstance(how, str):
        if how not in HOWS:
            raise ValueError(
                f"agg: how must be one of {', '.join(sorted(HOWS))}, got {short_repr(how)}"
            )
    elif not callable(how):
        raise TypeError(
            f"agg: how must be the name of an aggregate or a function, got {short_repr(how)}"
        )
    known: How = how
    return known


def _column(example: pd.DataFrame, label: Any) -> Any:
    if label not in list(example.columns):  # of two levels, both
        raise ValueError(
            f"agg: how must name columns of {short_repr(list(example.columns))}, "
            f"got {short_repr(label)}"
        )
    return label


def _suits(example: Frame, column: Any, how: Any) -> bool:
    return column is None or not isinstance(how, str) or _fits(example[column].dtype, how)


def _fits(dtype: Any, how: str) -> bool:
    # Text and categories have no sum or mean in a frame: they are omitted, as with
    # numeric_only=True, and so are times if pandas has no such aggregate of them. Pandas has no
    # quantile of truth values at all.
    if how not in NUMERIC:
        return True
    if getattr(dtype, "kind", "O") in "mM":
        return how in TIMED or (how == "sum" and dtype.kind == "m")
    truths = pd.api.types.is_bool_dtype(dtype)
    return pd.api.types.is_numeric_dtype(dtype) and not (truths and how == "quantile")


def numeric_columns(frame: Frame, what: str) -> Frame:
    """Return the columns of numbers or truth values; a Series must have such values.

    >>> numeric_columns(pd.DataFrame({"x": [1], "name": ["a"]}), "rolling").columns.tolist()
    ['x']
    """
    if isinstance(frame, pd.DataFrame):
        fitting = [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
        return frame if all(fitting) else frame.loc[:, fitting]
    if is_object(frame.dtype) and not has_values(frame):
        return frame.astype("float64")  # its values may turn out to be numbers
    if not pd.api.types.is_numeric_dtype(frame.dtype):
        raise TypeError(f"{what}: series must hold numbers, got {frame.dtype}")
    return frame


def _whole(how: str, example: Frame) -> None:
    if how == "value_counts" and not isinstance(example, pd.Series):
        raise TypeError("value_counts: frame must be a Series, got a DataFrame")
