"""Benchmark model: a row compares sides, a side yields samples, a reach is the target."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Literal, NamedTuple

TIMES = "\N{MULTIPLICATION SIGN}"


class Sample(NamedTuple):
    """One measured run: its duration, and its outcome, which proves that the work was done."""

    ns: int
    outcome: object


@dataclass(frozen=True)
class Side:
    """One way to do the work of a row.

    ``run(n)`` does it for n elements. ``share`` divides n for a side that is much slower than the
    others. ``needs`` names the package without which the side is skipped.
    """

    name: str
    run: Callable[[int], Sample]
    share: int = 1
    needs: str = ""

    @property
    def available(self) -> bool:
        return not self.needs or find_spec(self.needs) is not None


@dataclass(frozen=True)
class Reach:
    """Target figure of a row.

    ``ratio``: rapidz takes at most ``limit`` times the baseline. ``faster``: the baseline takes at
    least ``limit`` times as long as rapidz. ``ns``: rapidz takes at most ``limit`` nanoseconds.
    ``bytes``: in a row about memory, rapidz takes at most ``limit`` bytes.
    """

    kind: Literal["ratio", "faster", "ns", "bytes"]
    limit: float

    def __str__(self) -> str:
        if self.kind == "ratio":
            return f"≤ {self.limit:g} {TIMES}"
        if self.kind == "faster":
            return f"≥ {self.limit:g} {TIMES} faster"
        return f"≤ {self.limit:,.0f} {'B' if self.kind == 'bytes' else 'ns'}"

    def met(self, ratio: float, ns: float) -> bool:
        if self.kind == "ratio":
            return ratio <= self.limit
        if self.kind == "faster":
            return 1 / ratio >= self.limit
        return ns <= self.limit


@dataclass(frozen=True)
class Row:
    """One line of the table: the same work by a baseline, by rapidz, and by peers.

    ``unit`` is that of the samples: nanoseconds, or bytes in a row about memory.
    """

    name: str
    what: str
    n: int
    reach: Reach
    baseline: Side
    rapidz: Side
    others: tuple[Side, ...] = ()
    unit: Literal["ns", "B"] = "ns"

    @property
    def sides(self) -> tuple[Side, ...]:
        return (self.baseline, self.rapidz, *self.others)


class Watch:
    """Stopwatch for ``with`` blocks; the garbage collector is off while it runs.

    ``clock`` is what is read, wall time if not given; ``collects=True`` leaves the collector on.
    """

    def __init__(
        self, clock: Callable[[], int] = time.perf_counter_ns, collects: bool = False
    ) -> None:
        self.ns = 0
        self._began = 0
        self._clock = clock
        self._collects = collects
        self._collecting = False

    def __enter__(self) -> Watch:
        gc.collect()
        self._collecting = gc.isenabled()
        if not self._collects:
            gc.disable()
        self._began = self._clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ns += self._clock() - self._began
        if self._collecting:
            gc.enable()
