"""Mixed row: aggregates of a frame by column, each in its own dtype, besides pandas' one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.spec import Output

__all__ = ["MixedRow", "is_of_column", "one_row"]

#: Aggregates that are values of their column, and those that are instants of a column of instants.
OF_COLUMN = ("first", "last", "min", "max")
OF_TIMES = ("mean", "median", "quantile", "sum")


def is_of_column(output: Output, dtype: Any) -> bool:
    """Return whether an aggregate has the *dtype* of its column."""
    timed = getattr(dtype, "kind", "O") in "mM" and output.how in OF_TIMES
    return timed or output.how in OF_COLUMN


class MixedRow(pd.Series):
    """Aggregates of a frame as pandas gives them, in one dtype; `row` has them in their own.

    Operations of pandas on it return a plain series.
    """

    row: pd.DataFrame

    @classmethod
    def of(cls, series: Any, row: pd.DataFrame) -> MixedRow:
        """Return the series with its row."""
        made = cls(series)
        object.__setattr__(made, "row", row)
        return made

    def __reduce__(self) -> Any:
        return MixedRow.of, (pd.Series(self), self.row)


def one_row(outputs: Sequence[Output], values: Sequence[Any], dtypes: Sequence[Any]) -> Any:
    """Return a frame of one row with a column for each output, in the dtype given unless None.

    >>> one_row([Output("x", "x", "sum")], [1], ["Int64"]).dtypes.tolist()
    [Int64Dtype()]
    """
    columns = {
        number: _column(value, dtype)
        for number, (value, dtype) in enumerate(zip(values, dtypes, strict=True))
    }
    frame = pd.DataFrame(columns, index=range(1))
    frame.columns = pd.Index([output.label for output in outputs], tupleize_cols=False)
    return frame


def _column(value: Any, dtype: Any) -> Any:
    if dtype is None:
        return pd.Series([value])
    try:
        return pd.Series([value], dtype=dtype)
    except (TypeError, ValueError):  # the dtype has no missing value
        return pd.Series([value])
