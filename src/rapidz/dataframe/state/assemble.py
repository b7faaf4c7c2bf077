"""Values of all outputs become what pandas would give: a scalar, a Series or a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rapidz.dataframe.state.aliases import Frame
from rapidz.dataframe.state.spec import Output, Spec

__all__ = ["columns_of", "form_of", "grouped", "reduced"]


def grouped(
    spec: Spec, empty: Frame, arrays: Sequence[Any], index: pd.Index[Any], columns: Any
) -> Any:
    """The result by group; `arrays` has one array for each output, `columns` their labels."""
    if spec.shape == "one" and isinstance(empty, pd.Series):
        return pd.Series(arrays[0], index=index, name=empty.name, copy=False)
    frame = pd.DataFrame(dict(enumerate(arrays)), index=index, copy=False)
    frame.columns = columns
    return frame


def columns_of(spec: Spec, empty: Frame) -> Any:
    """The columns of a result by group."""
    labels = [output.label for output in spec.outputs]
    if isinstance(empty, pd.Series) or spec.shape == "named":
        return pd.Index(labels)
    if spec.shape == "table" and labels:
        return pd.MultiIndex.from_tuples(labels, names=[*empty.columns.names, None])
    if spec.shape == "one":
        return empty.columns[[empty.columns.get_loc(label) for label in labels]]
    return pd.Index(labels, name=empty.columns.name)


def form_of(spec: Spec, rows: Frame) -> tuple[Any, Any]:
    """Dtype and name of one aggregate of several columns: pandas is asked with one row.

    Both are None where there is no such one aggregate.
    """
    if isinstance(rows, pd.Series) or spec.shape != "one":
        return None, None
    chosen = rows.iloc[:1][[output.column for output in spec.outputs]]
    if not callable(spec.how) and spec.how in ("first", "last"):
        return (chosen.iloc[0].dtype if len(chosen) else None), None
    if callable(spec.how):
        result = chosen.agg(spec.how)
    elif spec.how == "quantile":  # that of missing whole numbers is one
        whole = [label for label in chosen if pd.api.types.is_integer_dtype(chosen[label].dtype)]
        result = chosen.fillna(dict.fromkeys(whole, 0)).quantile(**spec.options)
    else:
        result = getattr(chosen, spec.how)(**spec.options)
    return result.dtype, result.name


def reduced(spec: Spec, empty: Frame, values: Sequence[Any], form: tuple[Any, Any]) -> Any:
    """The result without groups; `values` has one scalar for each output."""
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
        return pd.Series(list(values), index=pd.Index(labels, name=empty.columns.name))
    return _table(spec.outputs, values, empty, named=spec.shape == "named")


def _table(outputs: Sequence[Output], values: Sequence[Any], empty: Any, named: bool) -> Any:
    columns: dict[Any, dict[Any, Any]] = {}
    rows: dict[Any, None] = {}
    for output, value in zip(outputs, values, strict=True):
        row = output.label if named else output.word
        rows[row] = None
        columns.setdefault(output.column, {})[row] = value
    series = {label: pd.Series(_items(cells)) for label, cells in columns.items()}
    frame = pd.concat(series, axis=1, sort=False).reindex(list(rows))
    frame.columns.name = empty.columns.name
    return frame


def _items(cells: Mapping[Any, Any]) -> pd.Series[Any]:
    return pd.Series(list(cells.values()), index=list(cells))
