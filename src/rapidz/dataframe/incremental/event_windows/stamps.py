"""Timestamps of rows: a column, or the index, as nanoseconds since the epoch, and back."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.types import Bools, Ints
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["UNITS", "Instants", "Stamps", "check_dtype_of_times"]

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


class Instants(NamedTuple):
    """Timestamps of rows, as they were read."""

    data: Ints
    """Nanoseconds since 1970."""
    valid: Bools | None
    """Which of them are not missing, None if none is."""
    dtype: Any
    """The dtype that they had."""
    bounds: tuple[int, int] | None
    """The least and the greatest, None if all are missing."""

    def chosen(self, kept: Bools) -> Instants:
        """Return some of them."""
        valid = None if self.valid is None else self.valid[kept]
        data = self.data[kept]
        return Instants(data, valid, self.dtype, _bounds(data, valid))


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
    >>> stamps.read(pd.Series(pd.to_datetime(["1970-01-01 00:00:01"]).as_unit("s"))).data
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

    def read(self, times: pd.Series[Any] | pd.Index[Any] | Instants) -> Instants:
        """Return the timestamps in nanoseconds."""
        dtype = times.dtype
        if dtype != self.dtype:
            self._learn(dtype)
        if isinstance(times, Instants):
            return times
        if dtype.kind == "M":
            data = np.asarray(times.array.view("i8"))
            missing = bool(len(data)) and int(data.min()) == NOT_A_TIME
            valid = data != NOT_A_TIME if missing else None
            return self._scaled(data, valid, UNITS[_unit(dtype)], dtype)
        return self._of_numbers(times)

    def _learn(self, dtype: Any) -> None:
        check_dtype_of_times(dtype, self.operator)
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

    def _of_numbers(self, column: Any) -> Instants:
        factor, dtype, valid = UNITS[self.unit], column.dtype, None
        if not isinstance(dtype, np.dtype):
            known = np.asarray(column.notna())
            valid = None if known.all() else known
            column = column.array.to_numpy(dtype.numpy_dtype, na_value=0)
        numbers = np.asarray(column)
        if numbers.dtype.kind != "f":
            return self._scaled(numbers.astype(np.int64, copy=False), valid, factor, dtype)
        finite = np.isfinite(numbers)
        if not finite.all():
            valid = finite if valid is None else finite & valid
            numbers = np.where(valid, numbers, 0.0)
        whole = np.floor(numbers)
        grain = 1_000 if factor > 1 else 1  # floats are read to the microsecond
        rest = np.rint((numbers - whole) * (factor / grain)).astype(np.int64) * grain
        self._check_range(float(np.abs(whole).max(initial=0.0)), factor)
        data = whole.astype(np.int64) * factor + rest
        return Instants(data, valid, dtype, _bounds(data, valid))

    def _scaled(self, data: Ints, valid: Bools | None, factor: int, dtype: Any) -> Instants:
        bounds = _bounds(data, valid)
        if factor == 1 or bounds is None:
            return Instants(data, valid, dtype, bounds)
        self._check_range(max(bounds[1], -bounds[0]), factor)
        if valid is not None:
            data = np.where(valid, data, 0)
        return Instants(data * factor, valid, dtype, (bounds[0] * factor, bounds[1] * factor))

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


def _bounds(data: Ints, valid: Bools | None) -> tuple[int, int] | None:
    some = data if valid is None else data[valid]
    return (int(some.min()), int(some.max())) if len(some) else None


def check_dtype_of_times(dtype: Any, operator: str) -> None:
    """Refuse values that are no timestamps, by their dtype."""
    times = (isinstance(dtype, np.dtype) and dtype.kind == "M") or isinstance(
        dtype, pd.DatetimeTZDtype
    )
    numbers = pd.api.types.is_numeric_dtype(dtype) and dtype.kind in "iuf"
    if times or (numbers and not isinstance(dtype, pd.ArrowDtype)):
        return
    raise TypeError(
        f"{operator}: timestamps must be datetimes or numbers, got {dtype}: use pd.to_datetime"
    )


def _unit(dtype: Any) -> str:
    return dtype.unit if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(dtype)[0]


def _zone(dtype: Any) -> Any:
    return str(dtype.tz) if isinstance(dtype, pd.DatetimeTZDtype) else None
