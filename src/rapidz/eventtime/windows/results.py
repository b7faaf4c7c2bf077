"""What windows emit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, NamedTuple


class WindowResult(NamedTuple):
    """Result of one window, for one key."""

    key: Any
    """The key; None for a stream without keys."""
    start: Any
    end: Any
    """The window has the elements from *start* on and before *end*, as the source writes time."""
    value: Any
    """What the aggregation made of them; None if the window was withdrawn."""
    final: bool
    """Whether the watermark has passed the end: False for early results and updates."""
    revision: int
    """0 when the window closed; each correction by a late element adds 1."""


def window_results(
    keys: Iterable[Any], start: Any, end: Any, values: Iterable[Any], final: bool = True
) -> Iterator[WindowResult]:
    """Make the results of one window, one for each key: in columns, which is the quick way."""
    rows = zip(keys, repeat(start), repeat(end), values, repeat(final), repeat(0))
    return map(tuple.__new__, repeat(WindowResult), rows)
