"""Results: values of all outputs assembled as pandas has them, as scalar, Series or DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.spec import AggregateSpec, Output
from rapidz.dataframe.incremental.types import Frame
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["columns_of", "form_of", "grouped", "reduced"]

# Aggregates that `agg` of a whole frame lacks in pandas.
NO_AGG = {"first", "last", "size", "value_counts"}


def grouped(
    spec: AggregateSpec, empty: Frame, arrays: Sequence[Any], index: pd.Index[Any], columns: Any
) -> Any:
    """Return the result by group, of one array for each output and the labels of columns."""
    if spec.shape == "one" and isinstance(empty, pd.Series):
        return pd.Series(arrays[0], index=index, name=empty.name, copy=False)
    frame = pd.DataFrame(dict(enumerate(arrays)), index=index, copy=False)
    frame.columns = columns
    return frame


def columns_of(spec: AggregateSpec, empty: Frame) -> Any:
    """Return the columns of a result by group."""
    labels = [output.label for output in spec.outputs]
    if isinstance(empty, pd.Series) or spec.shape == "named":
        return pd.Index(labels)
    if spec.shape == "table" and labels:
        if {len(label) for label in labels} != {empty.columns.nlevels + 1}:
            raise TypeError(
                f"{spec.how!r} by group: columns must have labels of {empty.columns.nlevels} "
                f"levels, as their index has, got {short_repr(list(empty.columns))}"
            )
        return pd.MultiIndex.from_tuples(labels, names=[*empty.columns.names, None])
    return empty.columns[[empty.columns.get_loc(label) for label in labels]]


def form_of(spec: AggregateSpec, rows: Frame) -> tuple[Any, Any]:
    """Return dtype and name of one aggregate of several columns, as pandas has them for one row.

    Both are None for any other aggregate.
    """
    if isinstance(rows, pd.DataFrame) and isinstance(spec.how, list):
        return _table_dtypes(spec, rows.iloc[:1]), None
    if isinstance(rows, pd.Series) or spec.shape != "one":
        return None, None
    chosen = rows.iloc[:1][[output.column for output in spec.outputs]]
    if not callable(spec.how) and spec.how in ("first", "last"):
        return (chosen.iloc[0].dtype if len(chosen) else None), None
    if callable(spec.how):
        result = chosen.agg(spec.how)
    elif spec.how == "quantile":  # of missing integers it has their dtype
        whole = [label for label in chosen if pd.api.types.is_integer_dtype(chosen[label].dtype)]
        result = chosen.fillna(dict.fromkeys(whole, 0)).quantile(**spec.options)
    else:
        result = getattr(chosen, spec.how)(**spec.options)
    return result.dtype, result.name


def reduced(spec: AggregateSpec, empty: Frame, values: Sequence[Any], form: tuple[Any, Any]) -> Any:
    """Return the result without groups; `values` has one scalar for each output."""
    if isinstance(empty, pd.Series):
        if spec.shape == "one":
            return values[0]
        labels = [output.label for output in spec.outputs]
        return pd.Series(list(values), index=labels, name=empty.name)
    labels = [output.column for output in spec.outputs]
    if spec.shape == "one":
        columns = empty.columns[[empty.columns.get_loc(label) for label in labels]]
        return pd.Series(list(values), index=columns, dtype=form[0], name=form[1])
    if spec.shape == "map":
        index = pd.Index(labels, name=empty.columns.name, tupleize_cols=False)
        return pd.Series(list(values), index=index)
    named = spec.shape == "named"
    return _table(spec.outputs, values, empty, form[0] or {}, named=named)


def _table_dtypes(spec: AggregateSpec, row: Any) -> dict[Any, Any]:
    """Return the dtypes of columns of several aggregates that pandas would not infer."""
    asked: dict[Any, list[Any]] = {}
    for output in spec.outputs:
        if pd.api.types.is_extension_array_dtype(row[output.column].dtype):
            asked.setdefault(output.column, []).append(output.given)
    return {
        label: row[[label]].agg(hows).dtypes.iloc[0]
        for label, hows in asked.items()
        if hows == spec.how and not any(callable(how) or how in NO_AGG for how in hows)
    }


def _table(
    outputs: Sequence[Output],
    values: Sequence[Any],
    empty: Any,
    dtypes: Mapping[Any, Any],
    named: bool,
) -> Any:
    columns: dict[Any, dict[Any, Any]] = {}
    rows: dict[Any, None] = {}
    for output, value in zip(outputs, values, strict=True):
        row = output.label if named else output.word
        rows[row] = None
        columns.setdefault(output.column, {})[row] = value
    if not columns:
        return pd.DataFrame(index=list(rows))
    # Labels are set last: pandas would turn tuples into levels.
    series: list[pd.Series[Any]] = [
        pd.Series(list(cells.values()), index=list(cells), dtype=dtypes.get(label))
        for label, cells in columns.items()
    ]
    frame = pd.concat(series, axis=1, sort=False).reindex(list(rows))
    frame.columns = empty.columns[[empty.columns.get_loc(label) for label in columns]]
    return frame
