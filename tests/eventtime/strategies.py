"""Strategies of event time: kinds of timestamps, orders of arrival, cuts into batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from tests.eventtime.model import Element, Ended, Row, Spec, model

__all__ = ["TIMES", "Case", "Event", "Step", "Times", "cases", "elements_of", "spelled"]

SECOND = 10**9
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAIVE = datetime(1970, 1, 1)
ZONES = (UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), timezone(timedelta(hours=9)))
SUMMER_ENDS = int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()) * SECOND
"""Berlin puts its clocks back: local times are ambiguous for an hour on each side."""

NOW = 1_796_000_000 * SECOND


def _datetime(zones: Sequence[Any]) -> Callable[[int], datetime]:
    def read(at: int) -> datetime:
        moment = EPOCH + timedelta(microseconds=at // 1000)
        return moment.astimezone(zones[at // 1000 % len(zones)])

    return read


def _naive(at: int) -> datetime:
    return NAIVE + timedelta(microseconds=at // 1000)


def _just_below(at: int) -> float:
    """The greatest float below, as sums of floats often give it: it is read as *at*."""
    return math.nextafter(at / SECOND, -math.inf)


def _mixed(at: int) -> float:
    """A whole number of seconds is an int, as in JSON."""
    return at / SECOND if at % SECOND else at // SECOND


@dataclass(frozen=True)
class Times:
    """A kind of timestamps. Spans are multiples of `grain`, instants of `step` nanoseconds."""

    name: str
    grain: int
    step: int
    read: Callable[[int], Any]
    unit: str | None = None
    bases: tuple[int, ...] = (0, NOW)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def ns(self, ts: Any) -> int:
        """Return nanoseconds since the epoch."""
        if isinstance(ts, np.datetime64):
            return int(ts.astype("datetime64[ns]").astype(np.int64))
        if isinstance(ts, pd.Timestamp):
            return int(ts.as_unit("ns").value)
        if isinstance(ts, datetime):
            return (ts - (EPOCH if ts.tzinfo else NAIVE)) // timedelta(microseconds=1) * 1000
        size = {"s": SECOND, "ms": 10**6, "us": 1000, "ns": 1}[self.unit or "s"]
        if isinstance(ts, float):
            return round(Fraction(ts) * size / 1000) * 1000
        assert isinstance(ts, (int, np.integer)), ts
        return int(ts) * size


MS = 10**6
BORDER = 2**53
TIMES = (
    Times("int s", SECOND, SECOND, lambda at: at // SECOND, "s", (0, -7 * SECOND, NOW)),
    Times("int ms", SECOND, MS, lambda at: at // MS, "ms", (0, -3 * SECOND, NOW)),
    Times("int us", MS, 1000, lambda at: at // 1000, "us", (0, BORDER // MS * MS, NOW)),
    Times("int ns", 1000, 1, lambda at: at, "ns", (0, BORDER // 1000 * 1000, NOW)),
    Times("float s", MS * 100, MS, lambda at: at / SECOND, None, (0, -SECOND, NOW)),
    Times("floats just below", MS, 1000, _just_below, "s", (0, NOW)),
    Times("ints and floats", SECOND, MS, _mixed, "s", (0, -SECOND, NOW)),
    Times("float us", MS, 1000, lambda at: at / SECOND, "s", (0, BORDER // MS * MS)),
    Times("float ms", MS, 1000, lambda at: at / MS, "ms", (0, NOW)),
    Times("UTC", SECOND, 1000, _datetime(ZONES[:1]), bases=(0, -SECOND, NOW)),
    Times("Berlin", 240 * SECOND, SECOND, _datetime(ZONES[1:2]), bases=(SUMMER_ENDS, NOW)),
    Times("zones", 240 * SECOND, MS, _datetime(ZONES), bases=(SUMMER_ENDS, NOW)),
    Times("naive", SECOND, 1000, _naive, bases=(0, -SECOND, NOW)),
    Times("pandas", 1000, 1, pd.Timestamp, bases=(0, BORDER // 1000 * 1000, NOW)),
    Times("pandas UTC", SECOND, MS, lambda at: pd.Timestamp(at, tz="UTC"), bases=(NOW,)),
    Times("numpy", MS, 1, lambda at: np.datetime64(at, "ns"), bases=(0, NOW)),
)


class Event(NamedTuple):
    """An element with attributes; it can be sent to other processes."""

    k: Any
    ts: Any
    v: Any


class Step(NamedTuple):
    """A call: "emit", "emit_many", "flush" or "close" of an input."""

    call: str
    input: int
    elements: tuple[Element, ...] = ()


Shape: TypeAlias = str
"""How elements look: "dict", "object" or "tuple"."""


@dataclass(frozen=True)
class Case:
    """Elements in order of arrival, as calls, and the windows that they are put into."""

    times: Times
    spec: Spec
    lags: tuple[int, ...]
    steps: tuple[Step, ...]
    lateness: int = 0
    keyed: bool = True
    shape: Shape = "dict"

    def expected(self) -> tuple[list[Row], list[Element]]:
        """Return what the model says."""
        return model(self.arrivals(), self.spec, self.lags, self.lateness)

    def arrivals(self) -> Iterator[Element | Ended]:
        for step in self.steps:
            yield from step.elements
            if step.call == "close":
                yield Ended(step.input)

    def made(self, x: Element) -> Any:
        """Return the element that is emitted."""
        event = Event(x.key, self.times.read(x.at), x.value)
        if self.shape == "dict":
            return event._asdict()
        return event if self.shape == "object" else tuple(event)

    def getter(self, name: str) -> Any:
        return ["k", "ts", "v"].index(name) if self.shape == "tuple" else name

    def value(self, x: Any) -> Any:
        """Return the number of an emitted element."""
        return x["v"] if isinstance(x, dict) else x[2]


def elements_of(case: Case) -> list[Element]:
    return [x for step in case.steps for x in step.elements]


def spelled(span: int) -> Any:
    """Return a duration in one of the ways in which users write it."""
    ways: list[Any] = [f"{span}ns", span / SECOND]
    if span % 1000 == 0:
        ways.append(timedelta(microseconds=span // 1000))
    if span % MS == 0:
        ways.append(f"{span // MS}ms")
    if span % SECOND == 0:
        ways += [span // SECOND, f"{span // SECOND} s"]
    return ways[span // 1000 % len(ways)]


KEYS: tuple[tuple[Any, ...], ...] = (
    ("a", "b", "c"),
    (1, 2, -1),
    (("a", 1), ("a", 2)),
    (None, "x"),
    (b"k", 2.5, frozenset({1})),
)


@st.composite
def specs(draw: st.DrawFn, grain: int, kinds: Sequence[str]) -> Spec:
    kind = draw(st.sampled_from(kinds))
    size = draw(st.integers(1, 12))
    if kind == "session":
        return Spec(gap=size * grain)
    if kind == "sliding":
        every = draw(st.integers(1, size))
        return Spec(size * grain, every * grain)
    offset = draw(st.one_of(st.just(0), st.integers(0, size - 1)))
    return Spec(size * grain, size * grain, offset * grain)


NEAR = st.integers(-6, 40)
CLOSE = st.integers(0, 12)
FAR = st.integers(-2000, 100_000)
ARRIVAL = st.tuples(
    st.one_of(NEAR, CLOSE, CLOSE, FAR),
    st.sampled_from((0, 0, 1, -1)),
    st.integers(0, 12),
    st.integers(0, 2),
    st.integers(0, 2),
)
"""Grains after the base, steps after that, disorder in grains, key, input."""


@st.composite
def arriving(
    draw: st.DrawFn, times: Times, keys: Sequence[Any], lags: Sequence[int], *, within: bool
) -> list[Element]:
    """Elements in order of arrival: ties, near and far, within the lag or anyhow."""
    base = draw(st.sampled_from(times.bases))
    least = draw(st.sampled_from((0, 1, 4, 8, 12)))
    drawn = draw(st.lists(ARRIVAL, min_size=least, max_size=24))
    placed = []
    for grains, steps, disorder, key, source in drawn:
        fine = steps if times.grain > times.step else 0
        at = base + grains * times.grain + fine * times.step
        rank = at + min(disorder * times.grain, *lags, min(lags)) if within else 0
        placed.append((rank, at, keys[key % len(keys)], source % len(lags)))
    placed.sort(key=lambda place: place[0])
    return [Element(key, at, n, source) for n, (_, at, key, source) in enumerate(placed)]


@st.composite
def cuts(draw: st.DrawFn, elements: Sequence[Element], *, flush: bool) -> list[Step]:
    """Calls with these elements: one by one, many at a time, with flushes in between."""
    sizes = draw(st.lists(st.integers(0 if flush else 1, 7), min_size=1, max_size=6))
    steps: list[Step] = []
    number = at = 0
    while at < len(elements):
        size, number = sizes[number % len(sizes)], number + 1
        if size == 0 and number <= 2 * len(sizes):
            steps.append(Step("flush", elements[at].input))
            continue
        source = elements[at].input
        batch = [elements[at]]
        while len(batch) < size - 1 and at + len(batch) < len(elements):
            if elements[at + len(batch)].input != source:
                break
            batch.append(elements[at + len(batch)])
        steps.append(Step("emit" if size <= 1 else "emit_many", source, tuple(batch)))
        at += len(batch)
    return steps


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    within: bool | None = None,
    kinds: Sequence[str] = ("tumbling", "sliding", "session"),
    inputs: int = 1,
    lateness: bool = False,
    flush: bool = True,
    times: Sequence[Times] = TIMES,
    shapes: Sequence[Shape] = ("dict", "object", "tuple"),
    keyed: bool | None = None,
) -> Case:
    """Draw a case; *within* says that no element is late."""
    clock = draw(st.sampled_from(times))
    lags = tuple(draw(st.integers(0, 12)) * clock.grain for _ in range(inputs))
    ordered = draw(st.booleans()) if within is None else within
    by_key = draw(st.booleans()) if keyed is None else keyed
    keys = draw(st.sampled_from(KEYS)) if by_key else (None,)
    elements = draw(arriving(clock, keys, lags, within=ordered))
    steps = draw(cuts(elements, flush=flush))
    for source in range(1, inputs):
        if draw(st.booleans()):
            last = max((n for n, step in enumerate(steps) if step.input == source), default=-1)
            steps.insert(draw(st.integers(last + 1, len(steps))), Step("close", source))
    return Case(
        clock,
        draw(specs(clock.grain, kinds)),
        lags,
        tuple(steps),
        draw(st.integers(1, 12)) * clock.grain if lateness else 0,
        by_key,
        draw(st.sampled_from(shapes)),
    )
