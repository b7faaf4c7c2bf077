"""What every frame of a stream must look like, fixed by an example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.state.aliases import Frame
from rapidz.dataframe.state.lanes import MASKED

__all__ = ["Schema", "fit"]


def fit(column: pd.Series[Any], dtype: Any, what: str) -> pd.Series[Any]:
    """The column in the dtype of the stream, or a TypeError that names it.

    A column that pandas would widen anyway is widened: integers where floats are known, a
    plain array where a nullable one is known.

    >>> fit(pd.Series([1, 2]), np.dtype("float64"), "column 'x'").dtype
    dtype('float64')
    >>> fit(pd.Series([0.5]), np.dtype("int64"), "column 'x'")
    Traceback (most recent call last):
    TypeError: column 'x' must stay int64, got float64
    """
    if column.dtype == dtype:
        return column
    if not _widens(column.dtype, dtype):
        raise TypeError(f"{what} must stay {dtype}, got {column.dtype}")
    return column.astype(dtype)


def _widens(new: Any, known: Any) -> bool:
    if isinstance(known, pd.DatetimeTZDtype):
        zoned = isinstance(new, pd.DatetimeTZDtype) and known.tz == new.tz
        return zoned and _finer(known.unit, new.unit)
    if isinstance(known, MASKED):
        known = known.numpy_dtype
        new = new.numpy_dtype if isinstance(new, MASKED) else new
    if not (isinstance(known, np.dtype) and isinstance(new, np.dtype)):
        return False
    if known.kind in "mM":
        finer = _finer(np.datetime_data(known)[0], np.datetime_data(new)[0])
        return known.kind == new.kind and finer
    numbers = known.kind in "iuf" and new.kind in "iuf"
    return known == new or (numbers and np.result_type(known, new) == known)


def _finer(known: str, new: str) -> bool:
    units = ["s", "ms", "us", "ns"]
    return known in units and new in units and units.index(known) >= units.index(new)


class Schema:
    """Kind, columns and dtypes of all frames of one stream.

    An empty column of the dtype object is open: the first rows decide what it holds, then the
    schema of these rows is `settled`.

    >>> schema = Schema(pd.DataFrame({"x": [1], "y": [2.0]}))
    >>> schema.align(pd.DataFrame({"y": [1.0], "x": [2]})).columns.tolist()
    ['x', 'y']
    >>> schema.align(pd.DataFrame({"y": [1.0]}))
    Traceback (most recent call last):
    ValueError: frame must have the columns ['x', 'y'], got no 'x'
    """

    def __init__(self, example: Frame, *, settled: bool = False) -> None:
        if not isinstance(example, (pd.DataFrame, pd.Series)):
            raise TypeError(f"example must be a DataFrame or a Series, got {example!r}")
        if isinstance(example, pd.DataFrame) and not example.columns.is_unique:
            raise ValueError(f"example must have unique columns, got {list(example.columns)!r}")
        self.empty: Frame = example.iloc[:0]
        self.dtypes = _dtypes(example)
        self.open = not (settled or len(example)) and any(map(_is_object, self.dtypes))

    def align(self, frame: Frame) -> Frame:
        """The frame with the columns of the example in their order and dtypes.

        Columns that the example lacks are left out; an empty frame may have any dtypes.
        """
        if isinstance(self.empty, pd.Series):
            if not isinstance(frame, pd.Series):
                raise TypeError(f"frame must be a Series, got {type(frame).__name__}")
            if not len(frame) or frame.dtype == self.dtypes[0] or self._takes(self.dtypes[0]):
                return frame
            return fit(frame, self.dtypes[0], f"series {self.empty.name!r}")
        if not isinstance(frame, pd.DataFrame):
            raise TypeError(f"frame must be a DataFrame, got {type(frame).__name__}")
        frame = self._columns(frame)
        if not len(frame) or _dtypes(frame) == self.dtypes:
            return frame
        changed = {
            label: fit(frame[label], dtype, f"column {label!r}")
            for label, dtype in zip(frame.columns, self.dtypes, strict=True)
            if frame[label].dtype != dtype and not self._takes(dtype)
        }
        return frame.assign(**changed) if changed else frame

    def _columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        columns = self.empty.columns
        if frame.columns is columns or frame.columns.equals(columns):
            return frame
        missing = [label for label in columns if label not in frame.columns]
        if missing:
            raise ValueError(
                f"frame must have the columns {list(columns)!r}, got no {missing[0]!r}"
            )
        return frame[list(columns)]

    def _takes(self, dtype: Any) -> bool:
        return self.open and _is_object(dtype)


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _dtypes(frame: Frame) -> list[Any]:
    return [frame.dtype] if isinstance(frame, pd.Series) else frame.dtypes.tolist()
