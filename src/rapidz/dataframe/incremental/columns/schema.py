"""Schema of the frames of a stream, fixed by an example and the rows so far."""

from __future__ import annotations

from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.columns.dtypes import (
    alike,
    fit,
    fit_nothing,
    has_values,
    is_object,
)
from rapidz.dataframe.incremental.types import Frame
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["Schema", "same_dtypes", "with_columns"]


class Schema:
    """Kind, columns and dtypes of all frames of one stream.

    A column of objects is open while its type is unknown: as long as no row, or no value, has
    arrived. Then the next rows decide.

    >>> schema = Schema(pd.DataFrame({"x": [1], "y": [2.0]}))
    >>> schema.align(pd.DataFrame({"y": [1.0], "x": [2]})).columns.tolist()
    ['x', 'y']
    >>> schema.align(pd.DataFrame({"y": [1.0]}))
    Traceback (most recent call last):
    ValueError: frame must have the columns ['x', 'y'], got no 'x'
    """

    def __init__(
        self, example: Frame, *, known: bool = False, missing: frozenset[Any] = frozenset()
    ) -> None:
        if not isinstance(example, (pd.DataFrame, pd.Series)):
            raise TypeError(f"example must be a DataFrame or a Series, got {short_repr(example)}")
        if isinstance(example, pd.DataFrame) and not example.columns.is_unique:
            raise ValueError(
                f"example must have unique columns, got {short_repr(list(example.columns))}"
            )
        self.empty: Frame = example.iloc[:0]
        self.dtypes = _dtypes(example)
        self.known = known
        self.open = not (known or len(example)) and any(map(is_object, self.dtypes))
        self.missing = missing
        """The columns of objects of which no value has arrived."""

    def align(self, frame: Frame) -> Frame:
        """Return the frame with the columns of the example in their order.

        Other columns are omitted; an empty frame may have any dtypes. Columns get the known
        dtypes, or wider ones: see `fit`.
        """
        return self.read(frame)[0]

    def read(self, frame: Frame) -> tuple[Frame, Schema]:
        """Return the aligned frame, and the schema after it: the same one if nothing changes."""
        frame = self._of_kind(frame)
        if not len(frame):
            return frame, self
        if self.known and not self.missing and self.fits(frame):
            return frame, self
        if isinstance(frame, pd.Series):
            frame = self._fit(frame, None, self.dtypes[0], f"series {self.empty.name!r}")
        else:
            fitted = {
                label: self._fit(frame[label], label, dtype, f"column {label!r}")
                for label, dtype in zip(frame.columns, self.dtypes, strict=True)
            }
            frame = with_columns(frame, fitted)
        missing = self._missing_after(frame)
        if self.known and missing == self.missing and self.fits(frame):
            return frame, self
        return frame, Schema(frame.iloc[:0], known=True, missing=missing)

    def fits(self, frame: Frame) -> bool:
        """Return whether the frame, which has the columns, has exactly the dtypes too."""
        return same_dtypes(_dtypes(frame), self.dtypes)

    def _of_kind(self, frame: Any) -> Frame:
        kind: Any = pd.Series if isinstance(self.empty, pd.Series) else pd.DataFrame
        if not isinstance(frame, kind):
            raise TypeError(f"frame must be a {kind.__name__}, got {type(frame).__name__}")
        return frame if isinstance(frame, pd.Series) else self._columns(frame)

    def _columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        columns = self.empty.columns
        if frame.columns is columns or frame.columns.equals(columns):
            return frame
        missing = [label for label in columns if label not in frame.columns]
        if missing:
            raise ValueError(
                f"frame must have the columns {short_repr(list(columns))}, "
                f"got no {short_repr(missing[0])}"
            )
        return frame[list(columns)]

    def _fit(self, column: pd.Series[Any], label: Any, dtype: Any, what: str) -> pd.Series[Any]:
        if not is_object(dtype) or not (self.open or label in self.missing):
            return fit(column, dtype, what)
        if label not in self.missing:
            return column
        if not has_values(column):
            return column.astype(object)
        # Missing values came before these.
        wide = fit_nothing(column.dtype)
        return column if wide == column.dtype else fit(column, wide or dtype, what)

    def _missing_after(self, frame: Frame) -> frozenset[Any]:
        if not (self.open or self.missing):
            return self.missing
        labels = [None] if isinstance(frame, pd.Series) else list(frame.columns)
        return frozenset(
            label
            for label, dtype in zip(labels, _dtypes(frame), strict=True)
            if is_object(dtype)
            and (self.open or label in self.missing)
            and not has_values(frame if isinstance(frame, pd.Series) else frame[label])
        )


def with_columns(frame: Frame, columns: dict[Any, pd.Series[Any]]) -> Frame:
    """Return the frame with some of its columns replaced, whatever their labels are."""
    changed = {
        label: column
        for label, column in columns.items()
        if (had := frame[label].dtype) != column.dtype or not alike(had, column.dtype)
    }
    if changed:
        frame = frame.copy(deep=False)
        for label, column in changed.items():
            frame[label] = column
    return frame


def same_dtypes(some: list[Any], others: list[Any]) -> bool:
    """Return whether dtypes are equal, and list their categories in one order."""
    return some == others and all(map(alike, some, others))


def _dtypes(frame: Frame) -> list[Any]:
    return [frame.dtype] if isinstance(frame, pd.Series) else frame.dtypes.tolist()
