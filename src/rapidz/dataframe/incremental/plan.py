"""Plan of an aggregate for given dtypes: accumulators, or pandas where none fits."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental import pandas_fallback, results
from rapidz.dataframe.incremental.accumulators.grouped_column import GroupedColumn
from rapidz.dataframe.incremental.accumulators.registry import SIZE, Finalizer, find_finalizer
from rapidz.dataframe.incremental.columns.column_codec import ColumnCodec
from rapidz.dataframe.incremental.columns.dtypes import is_object
from rapidz.dataframe.incremental.groups.keys import GroupKeys
from rapidz.dataframe.incremental.mixed_row import is_of_column, one_row
from rapidz.dataframe.incremental.pandas_fallback import GroupByOptions
from rapidz.dataframe.incremental.spec import Output, parse
from rapidz.dataframe.incremental.types import Frame
from rapidz.dataframe.incremental.windows.row_window import WindowRows
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["PandasResults", "Plan", "Storage", "column_of", "row_like"]

Storage: TypeAlias = Literal["accumulators", "groups", "counts", "rows"]


def column_of(frame: Frame, label: Any) -> pd.Series[Any]:
    """Return a column of a frame; a Series has one column, None."""
    return frame if isinstance(frame, pd.Series) else frame[label]


class Plan:
    """Outputs of an aggregate, each with its finalizer, or with None if pandas computes it."""

    def __init__(
        self,
        sample: Frame,
        how: Any,
        keys: GroupKeys,
        grouping: GroupByOptions,
        options: Mapping[str, Any],
        sliding: bool,
    ) -> None:
        self.spec = parse(sample, how, keys.columns, options)
        self.empty: Frame = sample.iloc[:0]
        if self.spec.shape == "table" and not self.spec.outputs:
            self._refuse_all(how)
        self.grouped, self.grouping, self.sliding = keys.given, grouping, sliding
        self.width = 1 if isinstance(sample, pd.Series) else len(sample.columns)
        self.labels = results.columns_of(self.spec, self.empty) if keys.given else None
        self.storage = self._storage(options)
        self.finalizers = [self._finalizer(sample, output) for output in self.spec.outputs]
        self.holds_rows = self.storage == "rows" or None in self.finalizers

    @property
    def counting(self) -> bool:
        """Whether the aggregate is `value_counts`."""
        return bool(self.spec.how == "value_counts")

    def _storage(self, options: Mapping[str, Any]) -> Storage:
        """Return what must be kept of the rows."""
        # If no row leaves, values keep the order of their first appearance.
        if self.counting and not (self.grouped or self.sliding or options):
            return "counts"
        # Only pandas knows groups without rows.
        if self.counting or (self.grouped and not self.grouping.observed):
            return "rows"
        return "groups" if self.grouped else "accumulators"

    def with_option(self, name: str, value: Any) -> Plan:
        """Return the plan with another value of an option."""
        plan = copy.copy(self)
        plan.spec = replace(self.spec, options={**self.spec.options, name: value})
        plan.finalizers = [found and replace(found, option=value) for found in self.finalizers]
        return plan

    def why_rows(self) -> str | None:
        """Return for what all rows are buffered, None if they are not."""
        if not self.holds_rows:
            return None
        if self.counting:
            return "value_counts with groups or options"
        if self.storage == "rows":
            return "groups with observed=False"
        output = next(output for output, found in self._pairs() if found is None)
        if callable(output.how):
            return f"the function {output.word}"
        options = "".join(
            f", {name}={short_repr(value)}" for name, value in self.spec.options.items()
        )
        return f"{output.word}{options} of values of dtype {self._dtype(output)}"

    def _pairs(self) -> Iterator[tuple[Output, Finalizer | None]]:
        return zip(self.spec.outputs, self.finalizers, strict=True)

    def _dtype(self, output: Output) -> Any:
        return column_of(self.empty, output.column).dtype

    def _finalizer(self, sample: Frame, output: Output) -> Finalizer | None:
        column = column_of(sample, output.column)
        options = self.spec.options
        codec = ColumnCodec(column.dtype)
        rows = self.storage == "rows"
        found = None if rows else find_finalizer(codec, output.how, options, self.sliding)
        if found is None:
            self._refuse(column, output)
        return found

    def _refuse(self, column: pd.Series[Any], output: Output) -> None:
        # An aggregate that pandas does not have either is refused when the state is created.
        if callable(output.how):
            return
        try:
            self._ask(column, output)
        except (TypeError, NotImplementedError) as problem:
            of = "series" if output.column is None else f"column {short_repr(output.column)}"
            raise TypeError(
                f"{output.word}: {of} must have a dtype with this aggregate, got {column.dtype}"
                f" and options {short_repr(dict(self.spec.options))}"
            ) from problem

    def _ask(self, column: pd.Series[Any], output: Output) -> None:
        if not pd.api.types.is_bool_dtype(column.dtype):
            pandas_fallback.of_all(column.iloc[:2], output, self.spec.options)
            return
        # An aggregate that truth values lack is refused for none of them too, but pandas does so
        # for some aggregates only, and for masked values only without groups.
        truths: pd.Series[Any] = pd.Series([True, False], dtype=column.dtype)
        if self.grouped:
            output = replace(output, column=None)
            pandas_fallback.by_group(truths.groupby([0, 0]), output, self.spec.options)
        else:
            pandas_fallback.of_all(truths, output, self.spec.options)

    def _refuse_all(self, how: Any) -> None:
        if self.empty.dtypes.map(is_object).any():  # they may turn out to be numbers
            return
        raise TypeError(
            f"{short_repr(how)}: frame must have a column whose dtype has such aggregates, "
            f"got {short_repr(self.empty.dtypes.to_dict())}"
        )

    def columns(self) -> dict[Any, GroupedColumn]:
        """Return the columns that have accumulators, without rows."""
        columns: dict[Any, GroupedColumn] = {}
        for output, found in self._pairs():
            if found is None or found.kind == SIZE:
                continue
            if output.column not in columns:
                columns[output.column] = GroupedColumn(self._dtype(output), self.sliding)
            columns[output.column].need(found.kind)
        if self.storage == "counts":
            columns[None] = GroupedColumn(self.empty.dtype, self.sliding)
            columns[None].need("distinct")
        return columns

    def dtypes(self, sample: Frame) -> list[Any]:
        """Return the dtype that pandas gives each output with a finalizer, for one row."""
        groups = _one_group(sample)
        return [
            None if found is None else _wide(output, self._dtype_of(groups, output))
            for output, found in self._pairs()
        ]

    def _dtype_of(self, groups: Any, output: Output) -> Any:
        if output.how in ("first", "last"):  # by group, pandas lacks them for some dtypes
            return self._dtype(output)
        return pandas_fallback.by_group(groups, output, self.spec.options).dtype

    def missing(self, sample: Frame) -> list[Any]:
        """Return what pandas gives for each output with a finalizer if all values are missing."""
        given = []
        for output, found in self._pairs():
            column = column_of(sample, output.column).iloc[:0]
            if ColumnCodec(column.dtype).nullable:
                column = column.reset_index(drop=True).reindex([0])
            known = None if found is None or self.grouped else output
            given.append(known and pandas_fallback.of_all(column, known, self.spec.options))
        return given

    def size_dtype(self, sample: Frame) -> Any:
        """Return the dtype of the sizes of groups."""
        return _one_group(sample).size().dtype

    def of_rows(self, rows: WindowRows) -> PandasResults:
        """Return what only pandas can compute, for these rows."""
        computed = PandasResults()
        options = self.spec.options
        missing = [
            (number, output)
            for number, (output, found) in enumerate(self._pairs())
            if found is None or not len(rows.frame)
        ]
        if not self.grouped:
            if self.counting:
                computed.whole = rows.frame.value_counts(**options)
            for number, output in missing:
                column = column_of(rows.frame, output.column)
                computed.values[number] = pandas_fallback.of_all(column, output, options)
            return computed
        groups = self.grouping.group(rows.frame, rows.keys)
        if self.counting:
            computed.whole = groups.value_counts(**options)
            return computed
        for number, output in missing:
            computed.values[number] = pandas_fallback.by_group(groups, output, options).array
        computed.whole = groups.size()
        return computed

    def row(self, values: Sequence[Any], dtypes: Sequence[Any]) -> Any:
        """Return aggregates by column as one row: see `MixedRow`."""
        own = [
            self._dtype(output) if is_of_column(output, self._dtype(output)) else dtype
            for output, dtype in zip(self.spec.outputs, dtypes, strict=True)
        ]
        return one_row(self.spec.outputs, values, own)

    def row_of_nothing(self, empty: Frame) -> Any:
        """Return the same before the first row."""
        values = self.of_rows(WindowRows(empty, [])).values
        return self.row([values[n] for n in range(len(self.spec.outputs))], self.dtypes(empty))

    def of_nothing(self, empty: Frame, keys: Sequence[pd.Series[Any]]) -> Any:
        """Return the result before the first row."""
        computed = self.of_rows(WindowRows(empty, keys))
        if self.spec.shape == "whole":
            return computed.whole if self.grouped or self.counting else 0
        values = [computed.values[number] for number in range(len(self.spec.outputs))]
        if self.grouped:
            values = [
                one if dtype is None else pd.array(one).astype(dtype)
                for one, dtype in zip(values, self.dtypes(empty), strict=True)
            ]
            return results.grouped(self.spec, empty, values, computed.whole.index, self.labels)
        return results.reduced(self.spec, empty, values, results.form_of(self.spec, empty))


def _one_group(sample: Frame) -> Any:
    # The row has no missing floats: with them, pandas' mean by group of float32 is float64 instead
    # of float32, and a stream needs one dtype.
    first = sample.iloc[:1] if len(sample) else row_like(sample)
    if isinstance(first, pd.Series):
        first = first.fillna(0.0) if _is_float(first.dtype) else first
    else:
        first = first.fillna({label: 0.0 for label in first if _is_float(first[label].dtype)})
    return first.groupby(np.zeros(len(first), int))


def row_like(sample: Frame) -> Frame:
    """Return a row of the dtypes of a frame without rows: zeros, or missing values."""
    if isinstance(sample, pd.Series):
        zero = pd.api.types.is_numeric_dtype(sample.dtype)
        if zero and not isinstance(sample.dtype, pd.ArrowDtype):
            return pd.Series([0], name=sample.name).astype(sample.dtype)
        return sample.reset_index(drop=True).reindex([0])
    columns = {number: row_like(sample.iloc[:, number]) for number in range(len(sample.columns))}
    return pd.DataFrame(columns, index=range(1)).set_axis(sample.columns, axis=1)


def _wide(output: Output, dtype: Any) -> Any:
    """Return the dtype of an output: for a sum of integers the widest, for larger sums to come."""
    if output.how != "sum" or getattr(dtype, "kind", "") not in "iu" or dtype.kind == "":
        return dtype
    wide = "uint64" if dtype.kind == "u" else "int64"
    if isinstance(dtype, np.dtype):
        return np.dtype(wide)
    return pd.UInt64Dtype() if dtype.kind == "u" else pd.Int64Dtype()


def _is_float(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "f"


class PandasResults:
    """Results of pandas: values by number of output, or one result as a whole."""

    def __init__(self) -> None:
        self.values: dict[int, Any] = {}
        self.whole: Any = None
