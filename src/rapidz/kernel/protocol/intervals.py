"""Intervals of time as users write them: numbers of seconds, strings with units, timedeltas."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from numbers import Real
from typing import Final

from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["Interval", "seconds"]

Interval = float | str | timedelta
"""What an argument called `interval` or `timeout` may be."""

_NAMES: Final = {
    "1e-9": "ns nano nanos nanosecond nanoseconds",
    "1e-6": "us µs μs micro micros microsecond microseconds",
    "1e-3": "ms milli millis millisecond milliseconds",
    "1": "s S sec secs second seconds",
    "60": "m T min mins minute minutes",
    "3600": "h H hr hrs hour hours",
    "86400": "d D day days",
    "604800": "w W week weeks",
}
_UNITS: Final = {name: unit for unit, names in _NAMES.items() for name in names.split()}

_NUMBER: Final = r"(?:\d+(?:\.\d*)?|\.\d+)"
_PART: Final = re.compile(rf"\s*({_NUMBER})\s*([^\W\d_]+)\s*", re.UNICODE)
_CLOCK: Final = re.compile(r"\s*(\d+):([0-5]?\d)(?::([0-5]?\d(?:\.\d*)?))?\s*", re.ASCII)


def seconds(
    value: object, *, operator: str = "", argument: str = "interval", allow_zero: bool = False
) -> float:
    """Return `value` as a number of seconds.

    `value` is a finite number of seconds, a `datetime.timedelta` or a string: numbers with units
    (`"500ms"`, `"2 min"`, `"1h30m"`, `"1 day 2 hours"`), a clock (`"00:01:30"`), days and a clock.
    A string needs a unit: `"5"` is refused. It must be above zero or, with `allow_zero`, not below.

    `operator` and `argument` are who asks and for what: they stand in the error. A value of another
    type raises TypeError, one that breaks the rule ValueError.

    >>> seconds("1h30m"), seconds("500ms"), seconds(2), seconds("00:01:30")
    (5400.0, 0.5, 2.0, 90.0)
    >>> seconds(-1, operator="delay")
    Traceback (most recent call last):
    ...
    ValueError: delay: interval must be a number of seconds > 0 or a string such as '500ms', got -1
    """
    if isinstance(value, bool) or not isinstance(value, (Real, str, timedelta)):
        raise TypeError(_complaint(value, operator, argument, allow_zero))
    result = _read(value)
    low = 0.0 if allow_zero else math.ulp(0.0)
    if result is None or not low <= result < math.inf:
        raise ValueError(_complaint(value, operator, argument, allow_zero))
    return result


def _read(value: Real | str | timedelta) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        return _parse(value) if isinstance(value, str) else float(value)
    except OverflowError:
        return None


def _parse(text: str) -> float | None:
    """Return the seconds that `text` means, None if it is no duration; exact but for rounding."""
    from fractions import Fraction  # on demand: `import rapidz` does without it

    total = Fraction(0)
    position = 0
    while part := _PART.match(text, position):
        unit = _UNITS.get(part[2]) or (_UNITS.get(part[2].lower()) if len(part[2]) > 2 else None)
        if unit is None:
            return None
        total += Fraction(part[1]) * Fraction(unit)
        position = part.end()
        # "1 day, 2 hours" and "1 day and 2 hours" are not read: one way to write is enough.
    if clock := _CLOCK.fullmatch(text, position):
        total += int(clock[1]) * 3600 + int(clock[2]) * 60 + Fraction(clock[3] or 0)
        position = clock.end()
    return float(total) if position and position == len(text) else None


def _complaint(value: object, operator: str, argument: str, allow_zero: bool) -> str:
    rule = f"a number of seconds {'>=' if allow_zero else '>'} 0 or a string such as '500ms'"
    voice = f"{operator}: " if operator else ""
    return f"{voice}{argument} must be {rule}, got {short_repr(value)}"
