"""What windows emit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    K = TypeVar("K", default=Any)
    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar

    K = TypeVar("K")
    V = TypeVar("V")


class WindowResult(NamedTuple, Generic[K, V]):
    """Result of one window, for one key."""

    key: K
    """The key; None for a stream without keys."""
    start: Any
    end: Any
    """The window has the elements from *start* on and before *end*, as the source writes time."""
    value: V
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
