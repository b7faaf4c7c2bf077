"""Fixed-point arithmetic: totals of floats without rounding, as integers.

A float is an integer times a power of two, so a sum of floats is exact as a sum
of integers: it depends neither on the order nor on the grouping of its terms.
`BITS` binary digits after the point are enough for most values; the others, down
to the smallest float, take `WIDE_BITS`.
"""

from __future__ import annotations

import math

#: Binary digits after the point.
BITS = 160
SCALE = 2.0**BITS

#: Every float of this magnitude up to `HUGE` is a multiple of ``1 / SCALE``; times `SCALE`,
#: it does not overflow.
TINY = 2.0 ** (52 - BITS)
HUGE = 2.0**860

#: Binary digits after the point of the smallest float.
WIDE_BITS = 1074


def to_fixed_point(value: float) -> tuple[int, int]:
    """Return a finite float as an integer, and the number of its digits after the point.

    >>> to_fixed_point(0.75) == (3 << BITS - 2, BITS)
    True
    >>> to_fixed_point(5e-324)
    (1, 1074)
    """
    if TINY <= value < HUGE or -HUGE < value <= -TINY:
        return int(value * SCALE), BITS
    numerator, denominator = value.as_integer_ratio()
    bits = BITS if denominator <= 1 << BITS else WIDE_BITS
    return numerator * ((1 << bits) // denominator), bits


def to_float(total: int, bits: int, n: int = 1) -> float:
    """Return the float nearest to ``total / 2**bits / n``, infinity if that is too large.

    >>> to_float(3 << 158, 160)
    0.75
    """
    if bits == BITS and n == 1:
        try:
            return float(total) / SCALE  # rounded once: a power of two changes no digit
        except OverflowError:
            pass  # the sum may still be a float
    try:
        return total / (n << bits)  # the division of integers rounds correctly
    except OverflowError:
        return math.inf if total > 0 else -math.inf
