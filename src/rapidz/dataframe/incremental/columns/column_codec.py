"""Column codec: between columns of pandas and plain arrays of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.types import Bools, Numbers

__all__ = ["Kind", "ColumnCodec", "ColumnValues", "as_dtype", "recode"]

Kind = Literal["int", "float", "time", "other"]

MASKED: tuple[Any, ...] = (
    *(pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype),
    *(pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype),
    *(pd.Float32Dtype, pd.Float64Dtype, pd.BooleanDtype),
)
NOT_A_TIME = np.iinfo(np.int64).min


@dataclass(slots=True)
class ColumnValues:
    """One column of a batch: `data`, and which values are not missing; None if no value is.

    Data of a column of the kind "other" is empty unless the codec has `objects`; then it is
    objects, or an array of pandas if no row leaves.
    """

    data: Numbers
    valid: Bools | None


class ColumnCodec:
    """Codec of one column: integers as 64 bit, floats as float64, times as int64.

    >>> codec = ColumnCodec(pd.Int64Dtype())
    >>> codec.kind, codec.storage
    ('int', dtype('int64'))
    """

    def __init__(self, dtype: Any, *, objects: bool = False) -> None:
        self.dtype = dtype
        self.masked = isinstance(dtype, MASKED)
        self.kind: Kind = "other"
        letter = getattr(dtype, "kind", "O")
        plain = isinstance(dtype, np.dtype)
        self.objects = objects
        storage = "O" if objects else "uint8"
        if (plain or self.masked) and letter in "iub":
            self.kind, storage = "int", "uint64" if letter == "u" else "int64"
        elif (plain and letter == "f" and dtype.itemsize in (4, 8)) or (
            self.masked and letter == "f"
        ):
            self.kind, storage = "float", "float64"
        elif (plain and letter in "mM") or isinstance(dtype, pd.DatetimeTZDtype):
            self.kind, storage = "time", "int64"
        self.storage: np.dtype[Any] = np.dtype(storage)

    @property
    def nullable(self) -> bool:
        """Whether a value can be missing."""
        return self.masked or not isinstance(self.dtype, np.dtype) or self.dtype.kind not in "iub"

    def read(self, column: pd.Series[Any], as_it_is: bool = False) -> ColumnValues:
        """Return the column as arrays; with *as_it_is*, objects stay an array of pandas.

        Then only the few values that are needed become objects.
        """
        if self.kind == "other":
            valid = ~np.asarray(column.array.isna(), bool)
            data: Any = np.empty(0, self.storage)
            if self.objects:
                keep = as_it_is and not isinstance(column.dtype, np.dtype)
                data = column.array if keep else column.to_numpy(object)
            return ColumnValues(data, valid)
        if self.masked:
            valid = column.notna().to_numpy()
            data = column.array.to_numpy(self.storage, na_value=0)
        elif self.kind == "int":
            return ColumnValues(column.to_numpy().astype(self.storage, copy=False), None)
        elif self.kind == "float":
            data = column.to_numpy().astype(self.storage, copy=False)
            valid = ~np.isnan(data)
        else:
            data = np.asarray(column.array.view("i8"))
            valid = data != NOT_A_TIME
        return ColumnValues(data, None if valid.all() else valid)


def recode(data: Numbers, old: ColumnCodec, new: ColumnCodec) -> Numbers:
    """Return data of one codec as that of another, of a wider dtype.

    >>> recode(np.array([1]), ColumnCodec(np.dtype("M8[s]")), ColumnCodec(np.dtype("M8[ms]")))
    array([1000])
    """
    if old.kind == new.kind == "time":
        letter = old.dtype.kind
        times: Any = pd.Series(data.view(f"{letter}8[{_unit(old)}]"))
        data = times.astype(f"{letter}8[{_unit(new)}]").to_numpy().view(np.int64)
    return data.astype(new.storage, copy=False)


def _unit(codec: ColumnCodec) -> str:
    zoned = isinstance(codec.dtype, pd.DatetimeTZDtype)
    return codec.dtype.unit if zoned else np.datetime_data(codec.dtype)[0]


def as_dtype(values: Numbers, valid: Bools | None, dtype: Any) -> Any:
    """Return numbers as an array of `dtype` for pandas, missing where `valid` is False.

    >>> as_dtype(np.array([1, 2]), np.array([True, False]), pd.Int64Dtype())
    <IntegerArray>
    [1, <NA>]
    Length: 2, dtype: Int64
    """
    if isinstance(dtype, MASKED):
        mask = np.zeros(len(values), bool) if valid is None else ~valid
        if values.dtype.kind == "f":
            mask |= np.isnan(values)
        data = np.where(mask, 0, values).astype(dtype.numpy_dtype)
        if dtype.kind == "b":
            return pd.arrays.BooleanArray(data, mask)
        if dtype.kind == "f":
            return pd.arrays.FloatingArray(data, mask)
        return pd.arrays.IntegerArray(data, mask)
    plain = isinstance(dtype, np.dtype)
    if isinstance(dtype, pd.DatetimeTZDtype) or (plain and dtype.kind in "mM"):
        return _as_times(values, valid, dtype)
    if not plain or dtype.kind == "O":
        kept = values.astype(object)
        if valid is not None:
            kept[~valid] = None if isinstance(dtype, pd.CategoricalDtype) else np.nan
        return pd.array(kept, dtype=dtype)
    data = values.astype(dtype)
    if valid is not None and not valid.all():
        data[~valid] = np.nan
    return data


def _as_times(values: Numbers, valid: Bools | None, dtype: Any) -> Any:
    stamps = values.astype(np.int64)
    if valid is not None:
        stamps[~valid] = NOT_A_TIME
    if isinstance(dtype, pd.DatetimeTZDtype):
        moments = pd.DatetimeIndex(stamps.view(f"M8[{dtype.unit}]"))
        return moments.tz_localize("UTC").tz_convert(dtype.tz).array
    return pd.array(stamps.view(dtype))
