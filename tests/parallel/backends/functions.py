"""Functions for workers in other processes."""

from __future__ import annotations

import os
import time


def double(x: int) -> int:
    return 2 * x


def slow_at_times(x: int) -> int:
    if x % 100 == 0:
        time.sleep(0.01)
    return 2 * x


def slow(x: int) -> int:
    time.sleep(0.05)
    return x


def add(total: int, x: int) -> int:
    return total + x


def fatal(x: int) -> int:
    """Ends the process that it runs in for one element."""
    if x == 77:
        os._exit(1)
    return 2 * x


def table(total: list[int], x: int) -> list[int]:
    """A state that is too large to be fetched every time."""
    return [*total[:-1], total[-1] + x]
