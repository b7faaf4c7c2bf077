"""Totals: count, sum and mean, exact for floats."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from numbers import Integral, Rational, Real
from operator import add, index
from typing import Any, NamedTuple

from rapidz.eventtime.aggregators.base import Aggregator, Bindings
from rapidz.eventtime.aggregators.fixed_point import (
    BITS,
    HUGE,
    SCALE,
    TINY,
    WIDE_BITS,
    to_fixed_point,
    to_float,
)
from rapidz.eventtime.aggregators.shared_lines import fixed_point_lines
from rapidz.kernel.protocol.short_repr import short_repr


class Count(Aggregator):
    """Number of elements.

    State: an int.  With *of*, elements whose value is None do not count, as in
    SQL.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What must not be None.

    >>> count = Count()
    >>> count.add(count.add(count.start(), "a"), "b")
    2
    """

    def start(self) -> int:
        """Return the state of no elements."""
        return 0

    def add(self, state: int, value: Any, timestamp: Any = None) -> int:
        """Return the state with one more value."""
        return state + (self.of is None or value is not None)

    def merge(self, a: int, b: int) -> int:
        """Return the state of the elements of both."""
        return a + b

    def merger(self) -> Callable[[Any, Any], Any]:
        """Return `merge` as a function."""
        return add if type(self).merge is Count.merge else self.merge

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        if self.of is None:
            return "1", f"{state} + 1"
        return f"0 + ({value} is not None)", f"{state} + ({value} is not None)"

    def merge_line(self, code: Bindings, a: str, b: str) -> str:
        """Return the expression for `merge`."""
        return f"{a} + {b}"


class WideTotal(NamedTuple):
    """Total of floats that are too small for the usual fixed point."""

    total: int


class ExactTotal(Aggregator):
    """Total without rounding: the base class of `Sum` and `Mean`.

    A total is None for nothing, an int for ints, a tuple of an integer in fixed
    point for floats, a `WideTotal` for floats too small for that, a float if it
    is infinite or NaN, and otherwise of the type of the values.
    """

    uses_fixed_point = True

    def _lift(self, value: Any) -> Any:
        """Return the state of a single value."""
        number = as_number(value)
        kind = type(number)
        if kind is int:
            return number
        if kind is not float:
            if can_add(number):
                return number
            raise self._refuse("a number or of another type that can be added", value)
        if not math.isfinite(number):
            return number
        total, bits = to_fixed_point(number)
        return (total,) if bits == BITS else WideTotal(total)

    def _join(self, a: Any, b: Any, value: Any) -> Any:
        """Add two states; *value* is what the message shows if they do not mix."""
        if a is None or b is None:
            return b if a is None else a
        bits_of_a, bits_of_b = _BITS_OF.get(type(a)), _BITS_OF.get(type(b))
        if bits_of_a is not None and bits_of_b is not None:
            bits = max(bits_of_a, bits_of_b)
            total = (_digits(a) << bits - bits_of_a) + (_digits(b) << bits - bits_of_b)
            return total if bits == 0 else (total,) if bits == BITS else WideTotal(total)
        if type(a) is float or type(b) is float:  # infinite, or NaN
            if type(a) is type(b):
                return a + b
            if bits_of_a is not None or bits_of_b is not None:
                return a if type(a) is float else b
        elif (bits_of_a or 0) == 0 and (bits_of_b or 0) == 0:
            try:
                exact = isinstance(a, Decimal) or isinstance(b, Decimal)
                return EXACT.add(a, b) if exact else a + b
            except TypeError:
                pass
        raise self._refuse(f"of a type that can be added to {short_repr(total_of(a))}", value)


class Sum(ExactTotal):
    """Sum, exact for ints and floats.

    Floats are added without rounding; the result is rounded once, as that of
    `math.fsum`, so it does not depend on the order of arrival.  A sum of ints is
    an int, one of ints and floats a float.  NaN makes it NaN, as do both
    infinities together; it is infinite where it exceeds the largest float.
    Decimals are added exactly and rounded once, to the precision of the current
    context.  Values of other types are added by ``+``: fractions, timedeltas,
    arrays, amounts of money.  The sum of nothing is 0.

    State: an int for ints; an integer in fixed point for floats, about 110 bytes.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of an element is added.  Default: the element itself.

    Raises
    ------
    TypeError
        By an element whose value cannot be added to the others: None, text and
        sequences, and kinds that do not mix, such as a Decimal and a float.

    >>> total = Sum()
    >>> state = total.start()
    >>> for value in [1e100, 0.1, 0.2, -1e100]:
    ...     state = total.add(state, value)
    >>> total.result(state)
    0.30000000000000004
    >>> total.add(state, "a")
    Traceback (most recent call last):
    ...
    TypeError: Sum(): value must be a number or of another type that can be added, got 'a'
    """

    def start(self) -> Any:
        """Return the state of no elements."""
        return None

    def add(self, state: Any, value: Any, timestamp: Any = None) -> Any:
        """Return the state with one more value."""
        if type(value) is int is type(state):
            return state + value
        if type(value) is float and type(state) is tuple and TINY <= value < HUGE:
            return (state[0] + int(value * SCALE),)
        return self._join(state, self._lift(value), value)

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of the elements of both."""
        if type(a) is tuple is type(b):
            return (a[0] + b[0],)
        return self._join(a, b, b)

    def result(self, state: Any) -> Any:
        """Return the sum: an int, a float, or of the type of the values."""
        return total_of(state)

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        fixed, fits = fixed_point_lines(code, value)
        add = code.bind("add", self.add)
        return (
            f"({fixed},) if {fits} else {value} if type({value}) is int else {add}(None, {value})",
            f"({state}[0] + {fixed},) if {fits} and type({state}) is tuple "
            f"else {state} + {value} if type({value}) is int is type({state}) "
            f"else {add}({state}, {value})",
        )

    def merge_line(self, code: Bindings, a: str, b: str) -> str:
        """Return the expression for `merge`."""
        return (
            f"{a} + {b} if type({a}) is int is type({b}) "
            f"else ({a}[0] + {b}[0],) if type({a}) is tuple is type({b}) "
            f"else {code.bind('merge', self.merge)}({a}, {b})"
        )


class Mean(ExactTotal):
    """Arithmetic mean, exact for ints and floats.

    The exact sum, rounded once, divided by the number of values: the result is
    ``math.fsum(values) / len(values)`` and does not depend on the order of
    arrival.  NaN, infinities, Decimals, fractions and timedeltas are as in `Sum`;
    other types need a division by an int.  The mean of nothing is NaN.

    State: a tuple of the sum in fixed point and the number, about 130 bytes.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of an element is averaged.  Default: the element itself.

    Raises
    ------
    TypeError
        By an element whose value cannot be added to the others.

    >>> mean = Mean()
    >>> mean.result(mean.add(mean.add(mean.start(), 1), 2.5))
    1.75
    """

    def start(self) -> Any:
        """Return the state of no elements."""
        return (0, 0)

    def add(self, state: Any, value: Any, timestamp: Any = None) -> Any:
        """Return the state with one more value."""
        if type(value) is float and type(state[0]) is int and TINY <= value < HUGE:
            return (state[0] + int(value * SCALE), state[1] + 1)
        return self._join_means(state, (self._average(value), 1), value)

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of the elements of both."""
        total, more = a[0], b[0]
        if type(total) is int is type(more):
            return (total + more, a[1] + b[1])
        return self._join_means(a, b, b)

    def result(self, state: Any) -> Any:
        """Return the mean: a float, or of the type of the values."""
        total, n = state
        if n == 0:
            return math.nan
        if type(total) is int:
            return _mean(total, BITS, n)
        if type(total) is WideTotal:
            return _mean(total.total, WIDE_BITS, n)
        return total / n  # of Decimals: rounded once, to the precision of the context

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        fixed, fits = fixed_point_lines(code, value)
        add = code.bind("add", self.add)
        is_int = f"if type({value}) is int"
        known = f"type({state}[0]) is int"
        return (
            f"({fixed}, 1) if {fits} else ({value} << {BITS}, 1) {is_int} "
            f"else {add}((0, 0), {value})",
            f"({state}[0] + {fixed}, {state}[1] + 1) if {fits} and {known} "
            f"else ({state}[0] + ({value} << {BITS}), {state}[1] + 1) {is_int} and {known} "
            f"else {add}({state}, {value})",
        )

    def merge_line(self, code: Bindings, a: str, b: str) -> str:
        """Return the expression for `merge`."""
        return (
            f"({a}[0] + {b}[0], {a}[1] + {b}[1]) if type({a}[0]) is int is type({b}[0]) "
            f"else {code.bind('merge', self.merge)}({a}, {b})"
        )

    def _average(self, value: Any) -> Any:
        """Return the total of a single value: a plain int is one in fixed point."""
        total = self._lift(value)
        if type(total) is int:
            return total << BITS
        if type(total) is tuple:
            return total[0]
        if not hasattr(type(total), "__truediv__") and type(total) is not WideTotal:
            raise self._refuse("a number or of another type that can be averaged", value)
        return total

    def _join_means(self, a: Any, b: Any, value: Any) -> Any:
        if a[1] == 0 or b[1] == 0:
            return b if a[1] == 0 else a
        total, other = ((each,) if type(each) is int else each for each in (a[0], b[0]))
        if type(total) not in _NUMBERS or type(other) not in _NUMBERS:
            total, other = _whole(total), _whole(other)  # as ints, which may mix with Decimals
        joined = self._join(total, other, value)
        if type(joined) is tuple:
            joined = joined[0]
        elif type(joined) is int:  # what another type makes of a sum
            joined <<= BITS
        return (joined, a[1] + b[1])


#: Type of a state → its binary digits after the point, for totals of ints and floats.
_BITS_OF = {int: 0, tuple: BITS, WideTotal: WIDE_BITS}
_NUMBERS = {*_BITS_OF, float}


def total_of(state: Any) -> Any:
    """Return what a total is for users: an int, a float, or of the type of the values."""
    kind = type(state)
    if kind is tuple:
        return to_float(state[0], BITS)
    if kind is WideTotal:
        return to_float(state.total, WIDE_BITS)
    if state is None:
        return 0
    return +state if isinstance(state, Decimal) else state


def _whole(total: Any) -> Any:
    """Return a total in fixed point as an int, if it is one."""
    if type(total) is tuple and total[0] & ((1 << BITS) - 1) == 0:
        return total[0] >> BITS
    return total


def _mean(total: int, bits: int, n: int) -> float:
    """Return the mean of *n* floats, from their total in fixed point."""
    mean = to_float(total, bits) / n
    return mean if math.isfinite(mean) else to_float(total, bits, n)


def _digits(state: Any) -> int:
    digits: int = state if type(state) is int else state[0]
    return digits


def as_number(value: Any) -> Any:
    """Return numbers of all kinds as an int or a float, if they are one; else *value* itself.

    >>> as_number(True), as_number(2.5), as_number("a")
    (1, 2.5, 'a')
    """
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, float):
        return float(value)
    try:
        return index(value)
    except TypeError:
        pass
    if isinstance(value, Real) and not isinstance(value, (Integral, Rational)):
        return float(value)
    return bool_of_numpy(value)


def bool_of_numpy(value: Any) -> Any:
    """Return a single bool of numpy, which is no number for Python, as an int; else *value*."""
    if getattr(getattr(value, "dtype", None), "kind", None) == "b" and value.shape == ():
        return int(value)
    return value


def can_add(value: Any) -> bool:
    """Return whether ``+`` may be a sum: not for text and sequences, where it depends on order."""
    kind = type(value)
    add = getattr(kind, "__add__", None)
    sequences = (str, bytes, bytearray, list, tuple)
    return add is not None and all(add is not each.__add__ for each in sequences)


#: Decimal context whose sums are exact up to 10,000 digits.
EXACT = decimal.Context(
    prec=10_000, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX, traps=[decimal.FloatOperation]
)
