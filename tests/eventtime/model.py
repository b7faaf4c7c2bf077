"""Model of windows by event time: judge every element by the watermark, sort, group.

Instants and spans are integer nanoseconds. The model knows no batches, timers or execution modes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

__all__ = ["Element", "Ended", "Row", "Spec", "model"]

Row: TypeAlias = tuple[Any, int, int, tuple[Any, ...]]
"""Key, start, end and the values of a window, sorted by time, ties by arrival."""


class Element(NamedTuple):
    """An element that arrives at an input."""

    key: Any
    at: int
    value: Any
    input: int = 0


class Ended(NamedTuple):
    """The end, or the idleness, of an input; an idle one wakes up with its next element."""

    input: int


@dataclass(frozen=True)
class Spec:
    """A kind of window: tumbling if `every` equals `size`, sliding, or session if `gap` is set."""

    size: int = 0
    every: int = 0
    offset: int = 0
    gap: int = 0

    @property
    def kind(self) -> Literal["tumbling", "sliding", "session"]:
        if self.gap:
            return "session"
        return "tumbling" if self.every == self.size else "sliding"

    def around(self, at: int) -> list[tuple[int, int]]:
        """Return the windows that an element opens or enters: start and end, earliest first."""
        if self.gap:
            return [(at, at + self.gap)]
        last = at - (at - self.offset) % self.every
        return [(start, start + self.size) for start in range(last, at - self.size, -self.every)][
            ::-1
        ]


@dataclass
class _Open:
    start: int
    end: int
    members: list[tuple[int, int, Any]] = field(default_factory=list)

    def touches(self, start: int, end: int) -> bool:
        return self.start < end and start < self.end


def model(
    arrivals: Iterable[Element | Ended],
    spec: Spec,
    lags: Sequence[int] = (0,),
    lateness: int = 0,
) -> tuple[list[Row], list[Element]]:
    """Return the final windows, by end, then first arrival, and the late elements."""
    marks = [-math.inf for _ in lags]
    active = set(range(len(lags)))
    watermark = -math.inf
    windows: dict[Any, list[_Open]] = {}
    late = []
    for number, x in enumerate(arrivals):
        if isinstance(x, Ended):
            active.discard(x.input)
        else:
            active.add(x.input)
            marks[x.input] = max(marks[x.input], x.at - lags[x.input])
        watermark = max(watermark, min((marks[i] for i in active), default=-math.inf))
        if isinstance(x, Element) and not _accept(
            windows.setdefault(x.key, []), x, number, spec, watermark - lateness
        ):
            late.append(x)
    rows = [(key, w.start, w.end, w.members) for key, all_of in windows.items() for w in all_of]
    rows.sort(key=lambda row: (row[2], min(number for _, number, _ in row[3])))
    return [(k, s, e, tuple(v for _, _, v in sorted(m))) for k, s, e, m in rows], late


def _accept(windows: list[_Open], x: Element, number: int, spec: Spec, closed: float) -> bool:
    """Put an element into all its windows that end after *closed*; return whether one did."""
    accepted = False
    for start, end in spec.around(x.at):
        found = [w for w in windows if w.end > closed and w.touches(start, end)]
        if spec.kind != "session":
            found = [w for w in found if w.start == start]
        whole = _Open(min([start, *(w.start for w in found)]), max([end, *(w.end for w in found)]))
        if whole.end > closed:
            whole.members = [m for w in found for m in w.members] + [(x.at, number, x.value)]
            windows[:] = [w for w in windows if w not in found] + [whole]
            accepted = True
    return accepted
