"""Group keys: columns of the frame, or arrays given with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.dtypes import fit
from rapidz.dataframe.incremental.types import Frame
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["GivenKeys", "GroupKeys"]


@dataclass(frozen=True, slots=True)
class GivenKeys:
    """Marker: the same as `by="given"`, where a column may have that name."""


class GroupKeys:
    """Reader of the group keys of each batch: none, columns by name, or given with the batch.

    >>> GroupKeys("y", pd.DataFrame({"x": [1]}))
    Traceback (most recent call last):
    ValueError: by must name columns of ['x'] or be 'given', got 'y'
    """

    def __init__(self, by: Any, example: Frame) -> None:
        self.known: list[pd.Series[Any]] | None = None
        self._like: list[pd.Series[Any]] = [pd.Series([], dtype=object)]
        """The first keys, if they had no rows."""
        self.columns: list[Any] = []
        self.given = by is not None
        labels = list(example.columns) if isinstance(example, pd.DataFrame) else []
        named = isinstance(by, str) and by == "given" and by not in labels
        if by is None or named or isinstance(by, GivenKeys):
            return
        self.columns = list(by) if isinstance(by, list) else [by]
        for label in self.columns:
            if label not in labels:
                raise ValueError(
                    f"by must name columns of {short_repr(labels)} or be 'given', "
                    f"got {short_repr(label)}"
                )
        if not self.columns:
            raise ValueError("by must name at least one column, got []")

    def read(self, frame: Frame, keys: Any) -> list[pd.Series[Any]]:
        """Return the keys of the rows, checked against those of earlier batches."""
        if self.columns:
            if keys is not None:
                raise TypeError(
                    f"keys must not be given beside the columns {short_repr(self.columns)}"
                )
            return [frame[label] for label in self.columns]
        if not self.given:
            if keys is not None:
                raise TypeError("keys must not be given to a state without groups")
            return []
        if keys is None:
            raise TypeError("keys must be given with each frame, got None")
        columns = keys if isinstance(keys, (list, tuple)) else [keys]
        if self.known is not None and len(columns) != len(self.known):
            raise ValueError(f"keys must stay {len(self.known)} in number, got {len(columns)}")
        read = [self._column(key, len(frame), i) for i, key in enumerate(columns)]
        if self.known is None and not len(frame):
            self._like = read
        return read

    def _column(self, key: Any, size: int, number: int) -> pd.Series[Any]:
        column = key if isinstance(key, pd.Series) else pd.Series(key)
        if not isinstance(key, (pd.Series, pd.Index, np.ndarray, pd.api.extensions.ExtensionArray)):
            raise TypeError(f"keys must be arrays or Series, got {short_repr(key)}")
        if len(column) != size:
            raise ValueError(f"keys must be as long as the frame ({size} rows), got {len(column)}")
        if not size or self.known is None:
            return column
        return fit(column, self.known[number].dtype, f"key {number}")

    def fit(self, keys: Sequence[pd.Series[Any]]) -> bool:
        """Return whether the keys have exactly the dtypes of those before."""
        return self.known is not None and all(
            key.dtype == known.dtype for key, known in zip(keys, self.known, strict=True)
        )

    def remember(self, keys: Sequence[pd.Series[Any]]) -> None:
        """Fix the dtypes of later keys."""
        if not self.fit(keys):
            self.known = [key.iloc[:0] for key in keys]

    def empty(self, frame: Frame) -> list[pd.Series[Any]]:
        """Return the keys of no rows."""
        if self.columns:
            return [frame[label].iloc[:0] for label in self.columns]
        return self.known or self._like
