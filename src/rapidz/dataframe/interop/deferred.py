"""Lazy conversion: of a frame of polars or pyarrow, only the columns that are used."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from rapidz.dataframe.interop.native import to_pandas

__all__ = ["Deferred", "whole"]


class Deferred:
    """Lazily converted frame: each column becomes one of pandas when it is first used.

    >>> import polars
    >>> frame = Deferred(polars.DataFrame({"x": [1, 2], "y": [[1], [2]]}))
    >>> frame["x"].tolist()
    [1, 2]
    >>> frame[frame["x"] > 1][["x"]].to_dict("list")
    {'x': [2]}
    """

    def __init__(self, native: Any, made: Mapping[Any, pd.Series[Any]] | None = None) -> None:
        self._native = native
        self._of: tuple[Deferred, pd.Series[Any]] | None = None
        self._made: dict[Any, pd.Series[Any]] = dict(made or {})
        self._whole: pd.DataFrame | None = None
        self.columns: list[Any] = list(getattr(native, "column_names", ())) or list(native.columns)

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Deferred:
        """Return a frame of pandas with the same interface."""
        made = cls(frame)
        made._whole = frame
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self.columns)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, pd.Series):
            return self._filtered(index)
        if isinstance(index, list):
            if all(label in self.columns for label in index):
                return self._frame(index)
        elif isinstance(index, Hashable) and index in self.columns:
            return self._columns([index])[index]
        return self.whole()[index]  # which raises for wrong labels

    def whole(self) -> pd.DataFrame:
        """Return all columns."""
        whole = self._whole
        if whole is None:
            whole = self._whole = self._made_whole()
        return whole

    def _made_whole(self) -> pd.DataFrame:
        if self._of is not None:
            frame, mask = self._of
            return frame.whole()[mask]
        made: pd.DataFrame = self._frame(self.columns) if self._made else to_pandas(self._native)
        return made

    def _filtered(self, mask: pd.Series[Any]) -> Deferred:
        made = Deferred(self._native)
        made._of = (self, mask)
        return made

    def _frame(self, labels: list[Any]) -> pd.DataFrame:
        if self._whole is not None:
            return self._whole[labels]
        if self._of is not None:
            frame, mask = self._of
            return frame._frame(labels)[mask]
        if self._made.keys().isdisjoint(labels) and len(set(labels)) == len(labels):
            frame_: pd.DataFrame = to_pandas(self._native.select(labels))
            self._made.update(frame_.items())
            return frame_
        columns = self._columns(labels)
        together = pd.concat([columns[label] for label in labels], axis=1)
        return together.set_axis(labels, axis=1)

    def _columns(self, labels: list[Any]) -> Mapping[Any, pd.Series[Any]]:
        if self._whole is not None:
            return {label: self._whole[label] for label in labels}
        missing = [label for label in dict.fromkeys(labels) if label not in self._made]
        if missing and self._of is not None:
            frame, mask = self._of
            found = frame._columns(missing)
            self._made.update({label: found[label][mask] for label in missing})
        elif missing:
            self._made.update(to_pandas(self._native.select(missing)).items())
        return self._made


def whole(x: Any) -> Any:
    """Return all columns of a frame that may be deferred.

    >>> whole(pd.Series([1])).tolist()
    [1]
    """
    return x.whole() if isinstance(x, Deferred) else x
