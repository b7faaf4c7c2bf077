"""Spread: the standard deviation, from exact sums."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real
from typing import Any

from rapidz.eventtime.aggregators.base import Aggregator, Bindings
from rapidz.eventtime.aggregators.fixed_point import BITS, to_fixed_point, to_float
from rapidz.eventtime.aggregators.shared_lines import fixed_point_lines
from rapidz.eventtime.aggregators.totals import as_number
from rapidz.kernel.protocol.checks import check_count

#: Digits after the point of a state with NaN or an infinity, whose result is NaN.
NOT_FINITE = -1


class Std(Aggregator):
    """Standard deviation, from exact sums of the values and of their squares.

    No cancellation, whatever the mean: the sums are integers in fixed point and
    the result is rounded at its end only, so it does not depend on the order of
    arrival.  The result is a float; NaN for no more than *ddof* values, as in
    pandas, and for NaN or infinite values.

    State: a tuple of the number, the two sums and their scale, about 230 bytes.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of an element is measured.  Default: the element itself.
    ddof : int
        The squared deviations are divided by the number of values minus *ddof*:
        1 for a sample, 0 for a whole population.

    Raises
    ------
    TypeError
        By an element whose value is no real number.

    >>> std = Std()
    >>> state = std.start()
    >>> for value in [1e9 + 1, 1e9 + 2, 1e9 + 3]:
    ...     state = std.add(state, value)
    >>> std.result(state)
    1.0
    >>> std.add(state, "a")
    Traceback (most recent call last):
    ...
    TypeError: Std(ddof=1): value must be a real number, got 'a'
    """

    uses_fixed_point = True
    _arguments = ("ddof",)

    def __init__(self, of: Any = None, ddof: int = 1) -> None:
        super().__init__(of)
        check_count(type(self).__name__, "ddof", ddof, least=0)
        self.ddof = ddof

    def start(self) -> Any:
        """Return the state of no elements."""
        return (0, 0, 0, 0)

    def add(self, state: Any, value: Any, timestamp: Any = None) -> Any:
        """Return the state with one more value."""
        return self.merge(state, self._lift(value))

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of the elements of both."""
        n, total, squares, bits = a
        other_n, other_total, other_squares, other_bits = b
        if bits != other_bits:
            if NOT_FINITE in (bits, other_bits):
                return (n + other_n, 0, 0, NOT_FINITE)
            common = max(bits, other_bits)
            total, squares = total << common - bits, squares << 2 * (common - bits)
            other_total <<= common - other_bits
            other_squares <<= 2 * (common - other_bits)
            bits = common
        return (n + other_n, total + other_total, squares + other_squares, bits)

    def result(self, state: Any) -> float:
        """Return the standard deviation."""
        n, total, squares, bits = state
        if n <= self.ddof or bits == NOT_FINITE:
            return math.nan
        return root_of_ratio(n * squares - total * total, n * (n - self.ddof), bits)

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        fixed, fits = fixed_point_lines(code, value)
        x, add = code.bind("fixed", 0), code.bind("add", self.add)
        is_int = f"type({value}) is int"
        ints = f"({state}[0] + 1, {state}[1] + {value}, {state}[2] + {value} * {value}, 0)"
        return (
            f"(1, ({x} := {fixed}), {x} * {x}, {BITS}) if {fits} "
            f"else (1, {value}, {value} * {value}, 0) if {is_int} "
            f"else {add}({self.start()}, {value})",
            f"({state}[0] + 1, {state}[1] + ({x} := {fixed}), {state}[2] + {x} * {x}, {BITS}) "
            f"if {fits} and {state}[3] == {BITS} "
            f"else {ints} if {is_int} and {state}[3] == 0 "
            f"else {add}({state}, {value})",
        )

    def _lift(self, value: Any) -> Any:
        """Return the state of a single value."""
        number = as_number(value)
        if type(number) is int:
            return (1, number, number * number, 0)
        if type(number) is not float:
            if not isinstance(number, (Real, Decimal)):
                raise self._refuse("a real number", value)
            number = float(number)  # a fraction or a decimal
        if not math.isfinite(number):
            return (1, 0, 0, NOT_FINITE)
        x, bits = to_fixed_point(number)
        return (1, x, x * x, bits)


def root_of_ratio(numerator: int, denominator: int, bits: int) -> float:
    """Return the float nearest to the square root of ``numerator / denominator / 4**bits``.

    >>> root_of_ratio(9, 4, 1)
    0.75
    """
    # Scaled by a power of four, so that the integer root has a few digits more than a float.
    shift = 60 - (numerator.bit_length() - denominator.bit_length()) // 2
    scaled = numerator << 2 * shift if shift > 0 else numerator >> -2 * shift
    square, rest = divmod(scaled, denominator)
    root = math.isqrt(square)
    if rest or root * root != square or (shift < 0 and scaled << -2 * shift != numerator):
        root = root << 1 | 1  # the last digit stands for all that are cut off
        shift += 1
    bits += shift
    if 0 < bits < 900:
        return math.ldexp(root, -bits)  # the root is rounded, nothing else
    return to_float(root, bits) if bits > 0 else to_float(root << -bits, 0)
