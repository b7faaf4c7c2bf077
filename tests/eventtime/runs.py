"""Ways to run the cases of the model: pipelines, execution modes, comparisons."""

from __future__ import annotations

import asyncio
from collections import Counter as Multiset
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.eventtime.model import Row, Spec
from tests.eventtime.strategies import Case, Step, elements_of, spelled
from tests.support import bounded, same, settle

from rapidz import Collect, Count, Stream
from rapidz.testing import run

__all__ = ["BETWEEN", "MODES", "Outcome", "check", "row_of", "rows_of", "run_case", "windowed"]

SECONDS = 20.0
"""A pipeline that takes longer hangs."""

Between: TypeAlias = Callable[[Any], Any]


async def later(x: Any) -> Any:
    await asyncio.sleep(0.01)
    return x


async def at_once(x: Any) -> Any:
    return x


BETWEEN: dict[str, Between] = {
    "nothing": lambda s: s,
    "map": lambda s: s.map(same).filter(lambda x: True),
    "buffer": lambda s: s.buffer(2),
    "two buffers": lambda s: s.buffer(1).map(same).buffer(50),
    "map_async": lambda s: s.map_async(later, parallelism=3),
    "async map": lambda s: s.map(at_once),
    "delay": lambda s: s.delay(0.01, spaced=False),
    "partition": lambda s: s.partition(3).flatten(),
    "threads": lambda s: s.scatter("thread").map(same).gather(),
    "threads with a buffer": lambda s: s.scatter("thread").map(same).buffer(8).gather(),
}
"""What may stand between `event_time` and a window."""

MODES = ("inline", "loop", "background")


@dataclass
class Outcome:
    """What came out of a pipeline."""

    results: list[Any] = field(default_factory=list)
    late: list[Any] = field(default_factory=list)
    counted: int = 0

    def final(self) -> list[Any]:
        return [result for result in self.results if result.final]


def opened(stream: Any, case: Case, **options: Any) -> Any:
    """Return the definition of the windows of a case."""
    spec: Spec = case.spec
    if case.lateness:
        options["lateness"] = spelled(case.lateness)
    if spec.kind == "tumbling":
        return stream.tumbling(spelled(spec.size), offset=spelled_offset(spec), **options)
    if spec.kind == "sliding":
        return stream.sliding(spelled(spec.size), spelled(spec.every), **options)
    return stream.session(spelled(spec.gap), **options)


def spelled_offset(spec: Spec) -> Any:
    return spelled(spec.offset) if spec.offset else 0


def timed(stream: Any, case: Case, source: int, **options: Any) -> Any:
    """Return the stream with the timestamps of one input of a case."""
    if case.times.unit:
        options["unit"] = case.times.unit
    lag = case.lags[source]
    return stream.event_time(case.getter("ts"), lag=spelled(lag) if lag else 0, **options)


def windowed(stream: Any, case: Case, **options: Any) -> Any:
    """Return the windows of a case with what they count and collect."""
    keyed = stream.key_by(case.getter("k")) if case.keyed else stream
    return opened(keyed, case, **options).aggregate(n=Count(), all=Collect(case.getter("v")))


Build: TypeAlias = Callable[[Any, Case], Any]


def run_case(
    case: Case,
    mode: str = "inline",
    between: Between = same,
    *,
    idle: float | None = None,
    pause: float = 0,
    **options: Any,
) -> Outcome:
    """Return what comes out when a case is run."""
    return run_built(
        case, lambda s, c: windowed(s, c, **options), mode, between, idle=idle, pause=pause
    )


def run_built(
    case: Case,
    build: Build,
    mode: str = "inline",
    between: Between = same,
    *,
    united: bool = True,
    idle: float | None = None,
    pause: float = 0,
) -> Outcome:
    """Run a case through the node that *build* makes of the united inputs.

    In a loop, *pause* is the virtual time after each call.
    """

    def connect(sources: Sequence[Any], outcome: Outcome) -> Any:
        inputs = [timed(source, case, n, idle=idle) for n, source in enumerate(sources)]
        first, *others = inputs if united else [between(s) for s in inputs]
        joined = first.union(*others) if others else first
        node = build(between(joined) if united else joined, case)
        node.sink(outcome.results.append)
        node.late.sink(outcome.late.append)
        return node

    if mode == "loop":
        return run(_in_a_loop(case, connect, pause))
    return bounded(lambda: _in_calls(case, connect, background=mode == "background"), SECONDS)


def _call(source: Any, step: Step, case: Case) -> Any:
    if step.call == "emit":
        return source.emit(case.made(step.elements[0]))
    if step.call == "emit_many":
        return source.emit_many([case.made(x) for x in step.elements])
    return source.flush() if step.call == "flush" else source.close()


def _in_calls(case: Case, connect: Callable[..., Any], *, background: bool) -> Outcome:
    outcome = Outcome()
    asked = False if background else None
    sources: list[Stream[Any]] = [Stream(asynchronous=asked) for _ in case.lags]
    node = connect(sources, outcome)
    for step in case.steps:
        _call(sources[step.input], step, case)
    for source in sources:
        source.close()
    outcome.counted = node.late_count
    return outcome


async def _in_a_loop(case: Case, connect: Callable[..., Any], pause: float) -> Outcome:
    outcome = Outcome()
    sources: list[Stream[Any]] = [Stream(asynchronous=True) for _ in case.lags]
    node = connect(sources, outcome)
    for step in case.steps:
        await settle(_call(sources[step.input], step, case))
        if pause and step is not case.steps[-1]:
            await asyncio.sleep(pause)
    for source in sources:
        await settle(source.close())
    outcome.counted = node.late_count
    return outcome


def row_of(result: Any, case: Case) -> Row:
    """Return a result in the form of the model."""
    start, end = case.times.ns(result.start), case.times.ns(result.end)
    values = tuple(result.value["all"])
    assert result.value["n"] == len(values)
    return result.key, start, end, values


def rows_of(outcome: Outcome, case: Case) -> list[Row]:
    return [row_of(result, case) for result in outcome.final()]


def check(case: Case, outcome: Outcome, *, ordered: bool = True) -> None:
    """Compare what came out with the model: equal results, nothing lost, nothing twice."""
    rows, late = case.expected()
    found = rows_of(outcome, case)
    if ordered:
        assert [row[2] for row in found] == sorted(row[2] for row in found), "by end"
    if ordered and case.spec.kind == "tumbling":
        assert found == rows
    else:
        assert len(found) == len(rows), (found, rows)
        assert {row[:3]: row[3] for row in found} == {row[:3]: row[3] for row in rows}
    assert [case.value(x.element) for x in outcome.late] == [x.value for x in late]
    assert {x.reason for x in outcome.late} <= {"late"}
    assert outcome.counted == len(late)
    check_accounts(case, found, outcome)


def check_accounts(case: Case, found: Sequence[Row], outcome: Outcome) -> None:
    """Check that elements in are elements in results and late elements."""
    inside = [value for row in found for value in row[3]]
    if case.spec.kind == "sliding":
        inside = list(dict.fromkeys(inside))
    late = [case.value(x.element) for x in outcome.late]
    assert Multiset(inside + late) == Multiset(x.value for x in elements_of(case))
