"""Double-double arithmetic: sums and products of floats with what rounding took away."""

from __future__ import annotations

import numpy as np

from rapidz.dataframe.incremental.types import Floats

__all__ = ["SMALL", "deviation_sum", "power_above", "products", "squares", "two_sum"]

# Values above 2**1000 may overflow when they are added up: they are scaled by this first.
SMALL = 2.0**-128


def two_sum(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return the rounded sum and its rounding error, exactly (Knuth).

    >>> two_sum(np.array([1e17]), np.array([1.0]))
    (array([1.e+17]), array([1.]))
    """
    total = left + right
    part = total - left
    return total, (left - (total - part)) + (right - part)


def products(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return the rounded product and its rounding error, exactly (Dekker and Veltkamp).

    >>> products(np.array([2.0**30 + 1]), np.array([2.0**30 + 1]))
    (array([1.15292151e+18]), array([1.]))
    """
    product = left * right
    upper, lower = _split(left)
    above, below = _split(right)
    rest = ((upper * above - product) + upper * below + lower * above) + lower * below
    return product, np.where(np.isfinite(rest), rest, 0.0)


def squares(data: Floats) -> tuple[Floats, Floats]:
    """Return the rounded square and its rounding error, exactly."""
    return products(data, data)


def deviation_sum(
    number: Floats, first: Floats, low: Floats, second: Floats, below: Floats
) -> Floats:
    """Return sums of squared deviations from the mean, of sums about another centre.

    `first + low` is the sum of the deviations from that centre, `second + below` that of their
    squares; `number` is at least 1.
    """
    square, rest = squares(first)
    part = square / number
    # What dividing took away, of a product that has no error.
    back, lost = products(part, number)
    rest = ((square - back) - lost + rest + 2 * first * low) / number
    apart, error = two_sum(second, -part)
    deviations: Floats = apart + (error + (below - rest))
    return deviations


def power_above(largest: float, count: int) -> int:
    """Return the exponent of a power of two at which *count* values can be cut.

    The upper parts of all values, cut there, add up without an error; *largest* is the
    largest absolute value.
    """
    return int(np.frexp(largest)[1]) + int(np.frexp(count + 2.0)[1])


def _split(data: Floats) -> tuple[Floats, Floats]:
    """Return the upper and the lower half of the bits."""
    upper = _upper(data)
    if not np.isfinite(upper).all():  # too large to be multiplied
        upper = np.where(np.isfinite(upper), upper, _upper(data * SMALL) / SMALL)
    return upper, data - upper


def _upper(data: Floats) -> Floats:
    cut = data * 134217729.0  # 2**27 + 1
    upper: Floats = cut - (cut - data)
    return upper
