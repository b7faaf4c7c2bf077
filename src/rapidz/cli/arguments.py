"""Types of arguments of the commands."""

from __future__ import annotations

import argparse

from rapidz.kernel.protocol.intervals import seconds
from rapidz.kernel.protocol.short_repr import short_repr


def count(text: str) -> int:
    """Return the number that *text* stands for, from 1 on."""
    if text.isdecimal() and (n := int(text)) > 0:
        return n
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {short_repr(text)}")


def interval(text: str) -> float:
    """Return the seconds that *text* stands for: a number, or one with a unit.

    >>> interval("1.5"), interval("2 min")
    (1.5, 120.0)
    """
    try:
        return seconds(float(text) if _is_number(text) else text, argument="TIME")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
