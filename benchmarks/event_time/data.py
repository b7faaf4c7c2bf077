"""Input of the rows of event time: keyed elements that arrive out of order.

Timestamps grow by a millisecond an element on average, and an element arrives at most two seconds
after a newer one, so that none is late.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import import_module
from random import Random
from typing import Any, TypeAlias, TypeVar

LAG = 2_000
SIZE = 60_000
EVERY = 20_000
GAP = 15_000
"""Milliseconds: how late an element may be; length, distance and gap of the windows."""

KEYS = 10_000
BEGIN = 1_700_000_000_000
SEED = 11
FRAME_ROWS = 10_000

Element: TypeAlias = tuple[str, int, float]
"""A key, milliseconds since the epoch, and a value."""

T = TypeVar("T")


def frozen(make: Callable[[int], T]) -> Callable[[int], T]:
    """Keep the two newest inputs, out of the garbage collector's sight."""

    @lru_cache(maxsize=2)
    def made(n: int) -> T:
        data = make(n)
        gc.collect()
        gc.freeze()
        return data

    return made


@frozen
def elements(n: int) -> list[Element]:
    """Return *n* elements of 10,000 keys."""
    random = Random(SEED)
    names = [f"sensor-{number:05d}" for number in range(KEYS)]
    return [
        (random.choice(names), BEGIN + i - random.randrange(LAG), random.random()) for i in range(n)
    ]


@frozen
def dated_elements(n: int) -> list[tuple[str, datetime, float]]:
    """Return the same elements with aware datetimes."""
    epoch, millisecond = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
    return [(key, epoch + ts * millisecond, value) for key, ts, value in elements(n)]


@frozen
def distinct_elements(n: int) -> list[tuple[str, int, int]]:
    """Return *n* elements of as many keys; the values are too large to be shared."""
    names = [f"device-{number:07d}" for number in range(n)]
    Random(SEED).shuffle(names)
    return [(key, i, 1_000 + i) for i, key in enumerate(names)]


@frozen
def repeated_elements(n: int) -> list[tuple[str, int, int]]:
    """Return two elements for each of ``n / 2`` keys."""
    half = distinct_elements((n + 1) // 2)
    return (half + half)[:n]


@frozen
def integer_frames(n: int) -> list[Any]:
    """Return the same elements as frames of 10,000 rows, with integers as keys."""
    return _frames([(int(key[-5:]), ts, value) for key, ts, value in elements(n)])


@frozen
def text_frames(n: int) -> list[Any]:
    """Return the same elements as frames of 10,000 rows, with text as keys."""
    return _frames(elements(n))


def _frames(rows: Sequence[tuple[Any, int, float]]) -> list[Any]:
    make = import_module("pandas").DataFrame
    return [
        make(rows[start : start + FRAME_ROWS], columns=["k", "ts", "x"])
        for start in range(0, len(rows), FRAME_ROWS)
    ]
