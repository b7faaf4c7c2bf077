"""Buffered rows, for what only pandas can compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rapidz.dataframe.incremental.columns.dtypes import fit
from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.types import Frame
from rapidz.dataframe.incremental.windows.admission import WindowChange

__all__ = ["WindowRows"]


class WindowRows:
    """Rows in a window and their keys; never changed, `apply` returns new ones."""

    def __init__(self, frame: Frame, keys: Sequence[pd.Series[Any]]) -> None:
        self.frame = frame
        self.keys = list(keys)

    def apply(
        self, change: WindowChange, frame: Frame, keys: Sequence[pd.Series[Any]]
    ) -> WindowRows:
        """Return the rows after a batch."""
        keys = [_joined(old, new, change) for old, new in zip(self.keys, keys, strict=True)]
        return WindowRows(_joined(self.frame, frame, change), keys)

    def cast(self, schema: Schema, keys: Sequence[pd.Series[Any]]) -> WindowRows:
        """Return the same rows in the wider dtypes of a schema and of these keys."""
        fitted = [fit(old, new.dtype, "key") for old, new in zip(self.keys, keys, strict=True)]
        return WindowRows(schema.align(self.frame), fitted)


def _joined(old: Any, new: Any, change: WindowChange) -> Any:
    split = len(old) - change.moved
    head, tail = old.iloc[change.expired : split], old.iloc[split:]
    if change.merge is not None:
        new = pd.concat([tail, new]).iloc[change.merge]
    if len(head) and len(new):
        return pd.concat([head, new])
    return head if len(head) else new.copy()  # a copy: the caller may reuse its buffer
