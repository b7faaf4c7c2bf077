"""Quantiles: exact, from all values."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from operator import ne
from typing import Any

from rapidz.eventtime.aggregators.append_log import (
    EMPTY,
    Log,
    append,
    append_lines,
    concatenate,
    items_of,
)
from rapidz.eventtime.aggregators.base import Aggregator, Bindings
from rapidz.eventtime.aggregators.totals import as_number
from rapidz.kernel.protocol.checks import check_number
from rapidz.kernel.protocol.short_repr import short_repr


class Quantile(Aggregator):
    """Quantile, or several, exact.

    Between two values the result is interpolated linearly, as by
    `numpy.quantile`; it does not depend on the order of arrival.  NaN as soon as
    one value is NaN.  Values are numbers, datetimes or timedeltas.  The quantile
    of nothing is NaN.

    State: all values in an append-only log, 8 bytes an element besides the value.

    Parameters
    ----------
    q : float or iterable of floats
        From 0 to 1: 0.5 is the median.  Several give a list of results.
    of : key, attribute name or callable, optional
        What of an element is measured.  Default: the element itself.

    Raises
    ------
    TypeError
        By an element whose value is none of these, or cannot be compared with
        the others: this shows when the window closes.

    >>> quantile = Quantile([0.5, 1.0])
    >>> state = quantile.start()
    >>> for value in [4, 1, 3, 2]:
    ...     state = quantile.add(state, value)
    >>> quantile.result(state)
    [2.5, 4]
    >>> Quantile(95)
    Traceback (most recent call last):
    ...
    ValueError: Quantile: q must be from 0 to 1, got 95
    """

    _arguments = ("q",)

    def __init__(self, q: float | Iterable[float], of: Any = None) -> None:
        super().__init__(of)
        self.q: float | list[float] = _read_q(type(self).__name__, q)

    def start(self) -> Log:
        """Return the state of no elements."""
        return EMPTY

    def add(self, state: Log, value: Any, timestamp: Any = None) -> Log:
        """Return the state with one more value."""
        if not (type(value) is float or type(value) is int):
            value = self._checked(value)
        return append(state, value)

    def merge(self, a: Log, b: Log) -> Log:
        """Return the state of the elements of both."""
        return concatenate(a, b)

    def result(self, state: Log) -> Any:
        """Return the quantile, or a list of them."""
        values = items_of(state)
        try:
            values.sort()
        except Exception as error:
            raise self._refuse("comparable with the others", values) from error
        if any(map(ne, values, values)):  # NaN: the order means nothing
            values = [next(value for value in values if value != value)]
        if isinstance(self.q, list):
            return [interpolate(values, q) for q in self.q]
        return interpolate(values, self.q)

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        add, start = code.bind("add", self.add), code.bind("start", EMPTY)
        usual = f"type({value}) is float or type({value}) is int"
        first, further = append_lines(code.bind("append", append), state, f"({value},)")
        return (
            f"{first} if {usual} else {add}({start}, {value})",
            f"({further}) if {usual} else {add}({state}, {value})",
        )

    def _checked(self, value: Any) -> Any:
        """Return *value* if differences of its type can be multiplied."""
        number = as_number(value)
        if type(number) in (int, float) or isinstance(number, Decimal):
            return number
        try:
            difference = number - number
            suits = not (difference * 0.5 < difference)
        except Exception:
            suits = False
        if not suits:
            raise self._refuse("a number, a datetime or a timedelta", value)
        return number


def interpolate(values: list[Any], q: float) -> Any:
    """Return the quantile *q* of sorted values.

    >>> interpolate([10, 20, 30], 0.25)
    15.0
    """
    if not values:
        return float("nan")
    place = (len(values) - 1) * q
    before = int(place)
    part: Any = place - before
    if part == 0:
        return values[before]
    low, high = values[before], values[before + 1]
    if isinstance(low, Decimal):
        part = Decimal(part)
    difference = high - low
    return low + difference * part if part < 0.5 else high - difference * (1 - part)


def _read_q(operator: str, q: Any) -> float | list[float]:
    """Return *q*, or a list of all of them, after a check of each."""
    if isinstance(q, Iterable) and not isinstance(q, (str, bytes)):
        several = list(q)
        if not several:
            raise ValueError(f"{operator}: q must be at least one number, got {short_repr(q)}")
    else:
        several = [q]
    for each in several:
        value = as_number(each)
        check_number(operator, "q", value, 0)
        if value > 1:
            raise ValueError(f"{operator}: q must be from 0 to 1, got {short_repr(each)}")
    return [as_number(each) for each in several] if isinstance(q, Iterable) else as_number(q)
