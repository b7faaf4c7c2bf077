"""Interleaved timing of a row: the sides alternate, so that a slow minute affects all of them.

Before the clock counts, every side does the work once at the same small size and the outcomes are
compared: a side that loses an element is wrong, not fast.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from statistics import median

from benchmarks.model import Row, Sample, Side

CHECK_SHARE = 20


class WrongOutcomeError(Exception):
    """A side whose outcome differs from that of the baseline."""


@dataclass
class Result:
    """Result of a row: samples in nanoseconds for each element, and errors of failed sides."""

    row: Row
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def ns(self, side: Side) -> float | None:
        samples = self.samples.get(side.name)
        return median(samples) if samples and side.name not in self.missing else None

    @property
    def ratio(self) -> float | None:
        """Return rapidz to baseline: the median of the ratios of consecutive samples."""
        if self.ns(self.row.baseline) is None or self.ns(self.row.rapidz) is None:
            return None
        ours, theirs = self.samples[self.row.rapidz.name], self.samples[self.row.baseline.name]
        return median(a / b for a, b in zip(ours, theirs, strict=True))

    @property
    def met(self) -> bool | None:
        """Return whether the reach is met; None without a baseline."""
        ns, ratio = self.ns(self.row.rapidz), self.ratio
        if ns is None and self.row.rapidz.available:
            return False
        return None if ns is None or ratio is None else self.row.reach.met(ratio, ns)


def measure(row: Row, repeats: int, n: int | None = None) -> Result:
    """Time *row*: *repeats* samples for each side, *n* elements (the row's own number if None)."""
    n = row.n if n is None else n
    result = Result(row)
    sides = [side for side in row.sides if _present(side, result)]
    share = max(CHECK_SHARE, *(side.share for side in sides))
    _check(sides, max(n // share, 1), result)
    for turn in range(repeats):
        start = turn % len(sides)
        for side in sides[start:] + sides[:start]:
            if side.name in result.missing:
                continue
            count = max(n // side.share, 1)
            sample = _attempt(side, count, result)
            if sample is not None:
                result.samples.setdefault(side.name, []).append(sample.ns / count)
    return result


def _present(side: Side, result: Result) -> bool:
    if not side.available:
        result.missing[side.name] = "not installed"
    return side.available


def _check(sides: list[Side], n: int, result: Result) -> None:
    outcomes = {side.name: _attempt(side, n, result) for side in sides}
    expected = outcomes.get(result.row.baseline.name)
    for side in sides:
        sample = outcomes[side.name]
        if sample is not None and expected is not None and sample.outcome != expected.outcome:
            result.missing[side.name] = WrongOutcomeError.__name__


def _attempt(side: Side, n: int, result: Result) -> Sample | None:
    """Run a side once; a side that fails is marked in the table and does not stop the others."""
    try:
        return side.run(n)
    except Exception as error:
        result.missing[side.name] = type(error).__name__
        print(f"  {side.name}: {error!r}", file=sys.stderr)
        return None
