"""Timestamps of rows: a column, or the index, as nanoseconds since the epoch, and back."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.types import Bools, Ints
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["UNITS", "Stamps", "dtype_of_times"]

#: Nanoseconds of the units of numbers, and of the times of numpy and pandas.
UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
}
NOT_A_TIME = np.iinfo(np.int64).min
LARGEST = np.iinfo(np.int64).max


class Stamps:
    """Reader of the timestamps of rows: times with or without a zone, or numbers.

    The first rows that have any decide the kind; times of finer units are accepted later,
    and make later labels as fine.

    Parameters
    ----------
    operator : str
        Who reads, for errors.
    unit : str
        What numbers count since the epoch: one of `UNITS`.

    >>> stamps = Stamps("event_time")
    >>> stamps.read(pd.Series(pd.to_datetime(["1970-01-01 00:00:01"]).as_unit("s")))[0]
    array([1000000000])
    >>> stamps.index(np.array([1_000_000_000]), "ts")
    DatetimeIndex(['1970-01-01 00:00:01'], dtype='datetime64[s]', name='ts', freq=None)
    """

    def __init__(self, operator: str, unit: str = "s") -> None:
        if unit not in UNITS:
            raise ValueError(
                f"{operator}: unit must be one of {', '.join(UNITS)}, got {short_repr(unit)}"
            )
        self.operator, self.unit = operator, unit
        self.dtype: Any = None
        """The dtype of the timestamps, None before the first ones."""

    def read(self, column: pd.Series[Any] | pd.Index[Any]) -> tuple[Ints, Bools | None]:
        """Return the timestamps in nanoseconds, and which are not missing; None if none is."""
        dtype = column.dtype
        if dtype != self.dtype:
            dtype = self._learn(column)
        if dtype.kind == "M":
            return self._of_times(np.asarray(column.array.view("i8")), dtype)
        return self._of_numbers(column)

    def _learn(self, column: pd.Series[Any] | pd.Index[Any]) -> Any:
        dtype = dtype_of_times(column, self.operator)
        known = self.dtype
        if known is None or known == dtype:
            self.dtype = dtype
        elif (known.kind == "M") != (dtype.kind == "M") or _zone(known) != _zone(dtype):
            raise TypeError(f"{self.operator}: timestamps must stay {known}, got {dtype}")
        elif dtype.kind == "M":
            if UNITS[_unit(dtype)] < UNITS[_unit(known)]:
                self.dtype = dtype
        elif dtype.kind == "f":
            self.dtype = dtype
        return dtype

    def _of_times(self, data: Ints, dtype: Any) -> tuple[Ints, Bools | None]:
        factor = UNITS[_unit(dtype)]
        missing = bool(len(data)) and int(data.min()) == NOT_A_TIME
        valid = data != NOT_A_TIME if missing else None
        return self._scaled(data, valid, factor), valid

    def _of_numbers(self, column: Any) -> tuple[Ints, Bools | None]:
        factor = UNITS[self.unit]
        valid = None
        if not isinstance(column.dtype, np.dtype):
            known = np.asarray(column.notna())
            valid = None if known.all() else known
            column = column.array.to_numpy(column.dtype.numpy_dtype, na_value=0)
        numbers = np.asarray(column)
        if numbers.dtype.kind != "f":
            return self._scaled(numbers.astype(np.int64, copy=False), valid, factor), valid
        finite = np.isfinite(numbers)
        if not finite.all():
            valid = finite if valid is None else finite & valid
            numbers = np.where(valid, numbers, 0.0)
        whole = np.floor(numbers)
        grain = 1_000 if factor > 1 else 1  # floats are read to the microsecond
        rest = np.rint((numbers - whole) * (factor / grain)).astype(np.int64) * grain
        self._check_range(float(np.abs(whole).max(initial=0.0)), factor)
        return whole.astype(np.int64) * factor + rest, valid

    def _scaled(self, data: Ints, valid: Bools | None, factor: int) -> Ints:
        if factor == 1 or not len(data):
            return data
        chosen = data if valid is None else np.where(valid, data, 0)
        self._check_range(max(int(chosen.max()), -int(chosen.min())), factor)
        return chosen * factor

    def _check_range(self, largest: float, factor: int) -> None:
        if largest > LARGEST // factor:
            raise ValueError(
                f"{self.operator}: timestamps must be within 292 years of 1970, got one "
                f"{largest * factor / 31_556_952e9:.0f} years from it"
            )

    def index(self, instants: Ints, name: Any) -> pd.Index[Any]:
        """Return instants as an index of the kind of the timestamps."""
        dtype = self.dtype
        if dtype is None or dtype.kind != "M":
            return self._numbers(instants, name)
        times = (instants // UNITS[_unit(dtype)]).view(f"M8[{_unit(dtype)}]")
        index = pd.DatetimeIndex(times, name=name)
        zone = _zone(dtype)
        return index if zone is None else index.tz_localize("UTC").tz_convert(zone)

    def _numbers(self, instants: Ints, name: Any) -> pd.Index[Any]:
        factor = UNITS[self.unit]
        whole, rest = np.divmod(instants, factor)
        if (self.dtype is None or self.dtype.kind != "f") and not rest.any():
            return pd.Index(whole, name=name)
        return pd.Index(whole + rest / factor, name=name)


def dtype_of_times(column: pd.Series[Any] | pd.Index[Any], operator: str) -> Any:
    """Return the dtype of timestamps; TypeError if they are none."""
    dtype = column.dtype
    times = (isinstance(dtype, np.dtype) and dtype.kind == "M") or isinstance(
        dtype, pd.DatetimeTZDtype
    )
    numbers = pd.api.types.is_numeric_dtype(dtype) and dtype.kind in "iuf"
    if times or (numbers and not isinstance(dtype, pd.ArrowDtype)):
        return dtype
    raise TypeError(
        f"{operator}: timestamps must be datetimes or numbers, got {dtype}: use pd.to_datetime"
    )


def _unit(dtype: Any) -> str:
    return dtype.unit if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(dtype)[0]


def _zone(dtype: Any) -> Any:
    return str(dtype.tz) if isinstance(dtype, pd.DatetimeTZDtype) else None
