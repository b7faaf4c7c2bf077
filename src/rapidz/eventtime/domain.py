"""Time domain: what the timestamps of a stream are, and how they become nanoseconds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from numbers import Integral, Real
from typing import Any, ClassVar, Final, Literal, TypeAlias

from rapidz.kernel.protocol.checks import check_choice
from rapidz.kernel.protocol.intervals import seconds
from rapidz.kernel.protocol.short_repr import short_repr

Kind: TypeAlias = Literal["number", "aware", "naive", "numpy"]

SECOND: Final = 1_000_000_000
#: Nanoseconds of the units that numbers may count.
UNITS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": SECOND, "min": 60 * SECOND}

#: The latest instant that datetimes of every kind can write.
_FAR: Final = 9_200_000_000 * SECOND

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)


def nanoseconds(
    value: object, *, operator: str, argument: str, allow_zero: bool = False, signed: bool = False
) -> int:
    """Return a length of time in nanoseconds; see `rapidz.kernel.protocol.intervals`.

    *signed*: it may be below zero.

    >>> nanoseconds("1.5s", operator="event_time", argument="lag")
    1500000000
    """
    if signed and (opposite := _opposite(value)) is not None:
        return -nanoseconds(opposite, operator=operator, argument=argument)
    length = seconds(value, operator=operator, argument=argument, allow_zero=allow_zero or signed)
    if isinstance(value, timedelta):
        return _of_timedelta(value)
    return max(round(length * SECOND), 0 if allow_zero or signed else 1)


def _opposite(value: object) -> object:
    """Return the length of a negative one; None if *value* is none."""
    if isinstance(value, str):
        text = value.lstrip()
        return text[1:] if text.startswith("-") else None
    if isinstance(value, timedelta):
        return -value if value < timedelta() else None
    return -value if isinstance(value, (int, float)) and value < 0 else None


def _of_timedelta(delta: timedelta) -> int:
    whole = (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds * 1_000
    return whole + int(getattr(delta, "nanoseconds", 0))


class TimeDomain:
    """Kind of the timestamps of one stream, known from its first element on.

    Inside, an instant is an int: nanoseconds since the epoch.  Timestamps stay what
    they are in the source; they are converted when a window opens, and a result is
    converted back.  Ints are exact; floats are read to the microsecond.

    Parameters
    ----------
    operator : str
        Who asks, for errors.
    unit : str
        What numbers count since the epoch: one of `UNITS`.
    """

    of_rows: ClassVar[bool] = False
    """Whether elements are frames of rows, each row with a timestamp of its own."""

    __slots__ = ("_sample", "_unit", "integral", "kind", "operator", "unit")

    def __init__(self, operator: str, unit: str = "s") -> None:
        check_choice(operator, "unit", unit, UNITS)
        self.operator, self.unit = operator, unit
        self._unit = UNITS[unit]
        self.kind: Kind | None = None
        self.integral = True
        """Whether all numbers so far were whole ones by type."""
        self._sample: Any = None

    def learn(self, ts: Any) -> None:
        """Learn the kind from a first timestamp, or refuse one that is of another kind."""
        kind = self._kind_of(ts)
        if self.kind is None:
            self.kind, self._sample = kind, ts
            self.integral = isinstance(ts, Integral)
        elif kind != self.kind:
            raise TypeError(
                f"{self.operator}: timestamps must be of one kind: {_NAMES[self.kind]} like the "
                f"first, got {short_repr(ts)}"
            )

    def _kind_of(self, ts: Any) -> Kind:
        if isinstance(ts, datetime):
            if ts != ts:
                raise self._refusal(ts)
            return "naive" if ts.tzinfo is None else "aware"
        if isinstance(ts, Real) and not isinstance(ts, bool):
            if not math.isfinite(ts):
                raise self._refusal(ts)
            return "number"
        if type(ts).__name__ == "datetime64" and hasattr(ts, "astype") and ts == ts:
            return "numpy"
        raise self._refusal(ts)

    def _refusal(self, ts: Any) -> Exception:
        error = ValueError if isinstance(ts, (float, datetime)) else TypeError
        return error(
            f"{self.operator}: timestamp must be a finite number, a datetime or a numpy "
            f"datetime64, got {short_repr(ts)}"
        )

    def to_ns(self, ts: Any) -> int:
        """Return a timestamp of the source as an instant; refuse what is none."""
        kind = self.kind
        if kind == "number":
            if type(ts) is int:
                whole: int = ts * self._unit
                return whole
            if type(ts) is float or (isinstance(ts, Real) and not isinstance(ts, bool)):
                return self._of_number(ts)
        self.learn(ts)
        if self.kind == "number":
            return self._of_number(ts)
        if self.kind == "numpy":
            return self._of_numpy(ts)
        if hasattr(ts, "value"):  # of pandas
            return int(ts.value)
        return _of_timedelta(ts - (_EPOCH if self.kind == "aware" else _NAIVE_EPOCH))

    def _of_numpy(self, ts: Any) -> int:
        if abs(int(ts.astype("datetime64[s]").astype("int64"))) > _FAR // SECOND:
            raise ValueError(
                f"{self.operator}: timestamp must be within 1678 and 2261, as a numpy datetime64 "
                f"is in nanoseconds here, got {short_repr(ts)}"
            )
        return int(ts.astype("datetime64[ns]").astype("int64"))

    def all_to_ns(self, timestamps: Iterable[Any]) -> list[int]:
        """Return timestamps that were read before as instants."""
        to_ns = self.to_ns
        if self.kind != "number":
            return [to_ns(ts) for ts in timestamps]
        unit = self._unit
        return [ts * unit if type(ts) is int else to_ns(ts) for ts in timestamps]

    def _of_number(self, ts: Any) -> int:
        if type(ts) is not float and isinstance(ts, Integral):
            return int(ts) * self._unit
        if not math.isfinite(ts):
            raise self._refusal(ts)
        self.integral = False
        whole = math.floor(ts)
        rest = (ts - whole) * self._unit
        step = 1_000 if self._unit > 1 else 1
        return int(whole * self._unit + round(rest / step) * step)

    def from_ns(self, ns: int) -> Any:
        """Return an instant as the source writes it: a number of its unit, or a datetime."""
        kind = self.kind
        if kind == "number" or kind is None:
            whole, rest = divmod(ns, self._unit)
            if self.integral and not rest:
                return whole
            return ns / self._unit  # rounded once, so 9.999999 is written as that
        sample = self._sample
        if kind == "numpy":
            return type(sample)(ns, "ns")
        if hasattr(sample, "value"):
            stamp = type(sample)(ns, unit="ns", tz="UTC")
            return stamp.tz_convert(sample.tz) if kind == "aware" else stamp.tz_localize(None)
        passed = timedelta(microseconds=ns // 1_000)
        if kind == "naive":
            return _NAIVE_EPOCH + passed
        return (_EPOCH + passed).astimezone(sample.tzinfo)

    def shown(self, ts: Any) -> Any:
        """Return a timestamp as a message shows it."""
        return ts

    def check_span(self, start: int, end: int, operator: str) -> None:
        """Refuse the element of a window whose borders the source cannot write."""
        if self.kind not in (None, "number"):
            try:
                _ = self.from_ns(start), self.from_ns(end)
            except (OverflowError, ValueError) as error:  # pandas raises the latter
                raise OverflowError(
                    f"{operator}: start and end of a window must be what {_NAMES[self.kind]} can "
                    f"write, got {start / SECOND:.0f} and {end / SECOND:.0f} seconds since 1970"
                ) from error

    def limit(self, ns: int) -> Any:
        """Return an instant to compare timestamps with: the latest there is, if it is beyond."""
        if self.kind == "number" or self.kind is None:
            return self.from_ns(ns) if ns < _FAR else math.inf
        if ns >= _FAR:
            return self.from_ns(_FAR)
        return self.from_ns(ns)

    def lower(self, ns: int) -> Any:
        """Return what to compare timestamps with: those not below it are at *ns* or later."""
        return self._in_utc_of(min(ns, _FAR)) if self.has_wall_clocks else self.limit(ns)

    def upper(self, ns: int) -> Any:
        """Return what to compare timestamps with: those below it are before the instant *ns*.

        Others may be so too: floats just below it are read as the instant itself.
        """
        if self.has_wall_clocks:
            return self._in_utc_of(min(ns, _FAR))
        return self.limit(ns - self.rounding)

    def _in_utc_of(self, ns: int) -> datetime:
        return _EPOCH + timedelta(microseconds=ns // 1_000)

    @property
    def rounding(self) -> int:
        """How far below an instant a timestamp may be and still be read as it, in nanoseconds."""
        if self.kind != "number" or self.integral:
            return 0
        return 1_000 if self._unit > 1 else 1

    @property
    def has_wall_clocks(self) -> bool:
        """Whether timestamps have zones, and compare by what clocks on the wall show.

        Python compares two datetimes of one zone so, in the hour that comes twice too.
        """
        return self.kind == "aware" and not hasattr(self._sample, "value")

    def in_utc(self, ts: Any) -> Any:
        """Return a datetime in UTC, where it compares by the instant; anything else as it is."""
        if not isinstance(ts, datetime) or ts.tzinfo is None or hasattr(ts, "value"):
            return ts
        return ts.astimezone(UTC)

    def as_written(self, ts: Any) -> Any:
        """Return a timestamp in the zone in which the source writes time."""
        return ts.astimezone(self._sample.tzinfo) if self.has_wall_clocks else ts

    def all_as_written(self, timestamps: list[Any]) -> Iterable[Any]:
        """Return timestamps in the zone in which the source writes time."""
        return map(self.as_written, timestamps) if self.has_wall_clocks else timestamps

    @property
    def adds_exactly(self) -> bool:
        """Whether a timestamp plus a `delta` is exact, as it is for ints and datetimes."""
        return self.kind != "number" or self.integral

    @property
    def tick(self) -> int:
        """The least difference of two timestamps, in nanoseconds, as results are written."""
        if self.kind == "number" and self.integral:
            return self._unit
        return 1 if self.kind == "numpy" or hasattr(self._sample, "value") else 1_000

    def delta(self, ns: int) -> Any:
        """Return a length of time as what is added to a timestamp of the source."""
        kind = self.kind
        if kind == "number" or kind is None:
            whole, rest = divmod(ns, self._unit)
            return whole if not rest else ns / self._unit
        ns = min(ns, _FAR)  # after the end of time all is far behind
        if kind == "numpy":
            return type(self._sample - self._sample)(ns, "ns")  # a timedelta64
        return timedelta(microseconds=ns / 1_000)


_NAMES: Final = {
    "number": "numbers",
    "aware": "datetimes with a time zone",
    "naive": "datetimes without a time zone",
    "numpy": "numpy datetime64",
}
