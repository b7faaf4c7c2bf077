"""How to build every operator, and what it makes of six numbers: the table behind the checks.

Each operator is fed from one stream of whole numbers, so that a check needs to know nothing else.
An operator with several inputs gets branches of that stream.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.support import odd, same

import rapidz
import rapidz.operators
from rapidz import Collect, Stream

Own = Callable[[Any], Any]


@dataclass(frozen=True)
class Case:
    """One operator: how to build it on a stream of whole numbers, and its model."""

    name: str
    build: Callable[[Any, Own, float], Any]
    """From the stream, the operator's own function and an interval in seconds."""
    model: Callable[[list[int]], list[Any]]
    """From a list of numbers, the outputs, those of the end of the stream included.

    Each number is emitted and then joined, so that all timers fire before the next one.
    """
    own: bool = False
    """The operator calls a function for each element, which may raise: `build` gets it."""
    awaits: bool = False
    """That function may also be ``async def``."""
    timed: bool = False
    """The operator needs an event loop."""
    loose: bool = False
    """The instants decide which elements are in one batch: checks compare the elements alone."""
    ends: bool = False
    """The operator is a sink: it has no outputs, so checks look at the calls of its function.

    A sink that calls no function gets elements that call one, such as `Row`, and `own` is True.
    """
    applies_back_pressure: bool = True
    """An emit waits once the sink downstream is at capacity.

    False for operators that drop elements instead, or that buffer without a limit.
    """
    feed: tuple[int, ...] = (100, 101, 102, 103, 104, 105)
    """The numbers to emit; 103 is the one that fails."""


class Row:
    """An element whose items come from a function: that is how `pluck` and `flatten` fail."""

    def __init__(self, x: int, own: Own) -> None:
        self.x, self.own = x, own

    def __getitem__(self, pick: int) -> Any:
        return self.own(self.x)

    def __iter__(self) -> Iterator[Any]:
        yield self.own(self.x)


def pairs(xs: list[int]) -> list[Any]:
    return [tuple(xs[i : i + 2]) for i in range(0, len(xs), 2)]


def counted(xs: list[int]) -> list[Any]:
    return [(count + 1, x) for count, x in enumerate(xs)]


def distinct(xs: list[int]) -> list[Any]:
    return list(dict.fromkeys(xs))


def frequencies_of(xs: list[int]) -> list[Any]:
    return [{x: xs[: i + 1].count(x) for x in xs[: i + 1]} for i in range(len(xs))]


def twins(xs: list[int]) -> list[Any]:
    return [(x, x) for x in xs]


def _count(state: tuple[int, int], x: int) -> tuple[int, int]:
    return state[0] + 1, x


def _accumulate(s: Any, own: Own, _: float) -> Any:
    if inspect.iscoroutinefunction(own):

        async def awaited(state: tuple[int, int], x: int) -> tuple[int, int]:
            return _count(state, await own(x))

        return s.accumulate(awaited, start=(0, 0))
    return s.accumulate(lambda state, x: _count(state, own(x)), start=(0, 0))


def counted_by_key(xs: list[int]) -> list[Any]:
    keys = [odd(x) for x in xs]
    return [(key, (keys[: i + 1].count(key), xs[i])) for i, key in enumerate(keys)]


def _keyed_accumulate(s: Any, own: Own, interval: float) -> Any:
    return _accumulate(s.key_by(odd), own, interval)


def _map_with_state(s: Any, own: Own, _: float) -> Any:
    def count(n: int, x: int) -> tuple[int, tuple[int, int]]:
        return n + 1, (n + 1, x)

    if inspect.iscoroutinefunction(own):

        async def awaited(n: int, x: int) -> tuple[int, tuple[int, int]]:
            return count(n, await own(x))

        return s.key_by(odd).map_with_state(awaited, start=0, ttl="1h")
    return s.key_by(odd).map_with_state(lambda n, x: count(n, own(x)), start=0, ttl="1h")


class Counting:
    """A class of `process`: it counts the elements of a key."""

    def __init__(self, own: Own) -> None:
        self.own = own

    def on_element(self, key: bool, x: int, ctx: Any) -> list[Any]:
        ctx.state = (ctx.state or 0) + 1
        return [(key, (ctx.state, self.own(x)))]


class Repeating(Counting):
    """Another one: a timer emits each element again, once the watermark is two later."""

    def on_element(self, key: bool, x: int, ctx: Any) -> list[Any]:
        ctx.at(x + 2, x)
        return [self.own(x)]

    def on_timer(self, key: bool, t: int, ctx: Any) -> list[Any]:
        return [ctx.name]


def repeated(xs: list[int]) -> list[Any]:
    """Numbers that rise, each again ahead of the first that is two greater, or at the end."""
    seen: list[Any] = []
    left: list[int] = []
    for x in xs:
        seen += [old for old in left if old + 2 <= x]
        left = [old for old in left if old + 2 > x] + [x]
        seen.append(x)
    return seen + left


def _timers(s: Any, own: Own, _: float) -> Any:
    return s.event_time(same).key_by(odd).process(Repeating, own)


def _pairs_of(s: Any, key: bool) -> Any:
    return s.partition(2)


def pairs_by_key(xs: list[int]) -> list[Any]:
    keys = [[x for x in xs if odd(x) is key] for key in (False, True)]
    complete = [pair for key in keys for pair in pairs(key) if len(pair) == 2]
    rest = [pair for key in keys for pair in pairs(key) if len(pair) == 1]
    return sorted(complete, key=lambda pair: pair[1]) + rest


def _counts_of(s: Any, key: bool) -> Any:
    return s.accumulate(_count, start=(0, 0))


def counts_by_key(xs: list[int]) -> list[Any]:
    return [count for _, count in counted_by_key(xs)]


def _timed(s: Any) -> Any:
    """Return the stream with event time: 100 is the instant 0, so that no instant is an element."""
    return s.event_time(lambda x: x - 100)


def windows(xs: list[int], size: int, every: int) -> list[Any]:
    """Results of the windows over *xs*, which follow each other in time."""
    starts = range(100 - size + every, max(xs, default=0) + 1, every)
    found = [(start - 100, [x for x in xs if start <= x < start + size]) for start in starts]
    return [
        (None, start, start + size, {"all": inside}, True, 0) for start, inside in found if inside
    ]


def _in_pairs(s: Any) -> Any:
    """Return the stream with event time: 100 is 0 and 101 is 1, then come 4 and 5, 8 and 9."""
    return s.event_time(paired)


def paired(x: int) -> int:
    return 2 * (x - 100) - x % 2


def sessions(xs: list[int]) -> list[Any]:
    """Results of the sessions of *xs*, in pairs, with a gap of 2."""
    found: list[list[int]] = []
    for x in xs:
        if found and paired(x) < paired(found[-1][-1]) + 2:
            found[-1].append(x)
        else:
            found.append([x])
    return [(None, paired(each[0]), paired(each[-1]) + 2, {"all": each}, True, 0) for each in found]


def tumbling_by_key(xs: list[int]) -> list[Any]:
    """Results of the tumbling windows of 4 of *xs*, by whether a number is odd."""
    results = []
    for _, start, end, value, *rest in windows(xs, 4, 4):
        for key in dict.fromkeys(map(odd, value["all"])):
            inside = [x for x in value["all"] if odd(x) is key]
            results.append((key, start, end, {"all": inside}, *rest))
    return results


def _aggregated(windows: Any, own: Own) -> Any:
    return windows.aggregate(all=Collect(own))


def _twice(s: Any) -> tuple[Any, Any]:
    """Return two branches of one stream, for the sides of a join."""
    timed = _timed(s)
    return timed.map(same), timed.map(same)


def _interval_join(s: Any, own: Own, _: float) -> Any:
    left, right = _twice(s)
    return left.interval_join(right, key=(own, same), within=0)


def _asof_join(s: Any, own: Own, _: float) -> Any:
    left, right = _twice(s)
    return left.asof_join(right, key=(own, same))


def _lookup(s: Any, own: Own, _: float) -> Any:
    table = s.map(same)  # connected first, so that a row is there before its twin arrives
    return s.map(same).lookup(table, key=(own, same))


def _versioned_lookup(s: Any, own: Own, _: float) -> Any:
    left, right = _twice(s)
    return left.lookup(right, key=(own, same), version="event time")


def _filter(s: Any, own: Own, _: float) -> Any:
    if inspect.iscoroutinefunction(own):

        async def awaited(x: int) -> bool:
            return bool(await own(x))

        return s.filter(awaited)
    return s.filter(lambda x: bool(own(x)))


def _zip_latest(s: Any, own: Own, _: float) -> Any:
    newest = s.map(same)  # connected first, so that it is there before its twin arrives
    return s.map(same).zip_latest(newest)


def _union(s: Any, own: Own, _: float) -> Any:
    return s.filter(odd).union(s.remove(odd))


CASES: tuple[Case, ...] = (
    Case("map", lambda s, own, _: s.map(own), list, own=True, awaits=True),
    Case(
        "starmap",
        lambda s, own, _: s.map(lambda x: (x,)).starmap(own),
        list,
        own=True,
        awaits=True,
    ),
    Case("filter", _filter, list, own=True, awaits=True),
    Case("remove", lambda s, own, _: s.remove(lambda x: not own(x)), list, own=True),
    Case("accumulate", _accumulate, counted, own=True, awaits=True),
    Case(
        "map_async",
        lambda s, own, _: s.map_async(own, parallelism=2),
        list,
        own=True,
        awaits=True,
        timed=True,
    ),
    Case("flatten", lambda s, own, _: s.map(lambda x: Row(x, own)).flatten(), list, own=True),
    Case("pluck", lambda s, own, _: s.map(lambda x: Row(x, own)).pluck(0), list, own=True),
    Case(
        "unique",
        lambda s, own, _: s.unique(key=own),
        distinct,
        own=True,
        feed=(100, 101, 100, 103, 104, 105),
    ),
    Case("slice", lambda s, own, _: s.slice(1, None, 2), lambda xs: xs[1::2]),
    Case(
        "partition",
        lambda s, own, _: s.partition(2, key=lambda x: own(x) and 0),
        pairs,
        own=True,
    ),
    Case("partition_unique", lambda s, own, _: s.partition_unique(2, key=own), pairs, own=True),
    Case(
        "sliding_window",
        lambda s, own, _: s.sliding_window(2),
        lambda xs: list(pairwise(xs)),
    ),
    Case(
        "timed_window",
        lambda s, own, interval: s.timed_window(interval),
        lambda xs: [xs],
        timed=True,
        loose=True,
    ),
    Case(
        "timed_window_unique",
        lambda s, own, interval: s.timed_window_unique(interval, key=own),
        lambda xs: [xs],
        own=True,
        timed=True,
        loose=True,
    ),
    Case(
        "collect",
        lambda s, own, _: s.collect(),
        lambda xs: [tuple(xs)] if xs else [],
        applies_back_pressure=False,
    ),
    Case("buffer", lambda s, own, _: s.buffer(2), list, timed=True),
    Case("delay", lambda s, own, interval: s.delay(interval), list, timed=True),
    Case("rate_limit", lambda s, own, interval: s.rate_limit(interval), list, timed=True),
    Case(
        "debounce",
        lambda s, own, interval: s.debounce(interval),
        list,
        timed=True,
        applies_back_pressure=False,
    ),
    Case(
        "throttle",
        lambda s, own, interval: s.throttle(interval, edge="trailing"),
        list,
        timed=True,
        applies_back_pressure=False,
    ),
    Case(
        "sample",
        lambda s, own, interval: s.sample(interval),
        list,
        timed=True,
        applies_back_pressure=False,
    ),
    Case("latest", lambda s, own, _: s.latest(), list, timed=True, applies_back_pressure=False),
    Case("union", _union, list),
    Case("zip", lambda s, own, _: s.zip(s), twins),
    Case("zip_latest", _zip_latest, twins),
    Case("combine_latest", lambda s, own, _: s.combine_latest(s, emit_on=1), twins),
    Case("frequencies", lambda s, own, _: s.frequencies(), frequencies_of),
    Case("key_by", lambda s, own, _: s.key_by(odd), list),
    Case("keyed accumulate", _keyed_accumulate, counted_by_key, own=True, awaits=True),
    Case("map_with_state", _map_with_state, counted_by_key, own=True, awaits=True),
    Case(
        "process",
        lambda s, own, _: s.key_by(odd).process(Counting, own),
        counted_by_key,
        own=True,
    ),
    Case("timers of process", _timers, repeated, own=True),
    Case("keyed unique", lambda s, own, _: s.key_by(same).unique(maxsize=9), distinct),
    Case("pipelines", lambda s, own, _: s.key_by(odd).pipelines(_pairs_of), pairs_by_key),
    Case(
        "pipelines of a chain", lambda s, own, _: s.key_by(odd).pipelines(_counts_of), counts_by_key
    ),
    Case("event_time", lambda s, own, _: s.event_time(same), list),
    Case("timestamps", lambda s, own, _: _timed(s).timestamps(same), list),
    Case(
        "tumbling",
        lambda s, own, _: _aggregated(_timed(s).tumbling(2), own),
        lambda xs: windows(xs, 2, 2),
        own=True,
    ),
    Case(
        "sliding",
        lambda s, own, _: _aggregated(_timed(s).sliding(4, 2), own),
        lambda xs: windows(xs, 4, 2),
        own=True,
    ),
    Case(
        "sliding with much overlap",
        lambda s, own, _: _aggregated(_timed(s).sliding(6, 1), own),
        lambda xs: windows(xs, 6, 1),
        own=True,
    ),
    Case(
        "session",
        lambda s, own, _: _aggregated(_in_pairs(s).session(2), own),
        sessions,
        own=True,
    ),
    Case(
        "bounded session",
        lambda s, own, _: _aggregated(_in_pairs(s).session(2, max_length=60), own),
        sessions,
        own=True,
    ),
    Case(
        "keyed tumbling",
        lambda s, own, _: _aggregated(_timed(s).key_by(odd).tumbling(4), own),
        tumbling_by_key,
        own=True,
    ),
    Case(
        "keyed unique within a time",
        lambda s, own, _: _timed(s).key_by(same).unique(within="1h"),
        distinct,
    ),
    Case("interval_join", _interval_join, twins, own=True),
    Case("asof_join", _asof_join, twins, own=True),
    Case("lookup", _lookup, twins, own=True),
    Case("versioned lookup", _versioned_lookup, twins, own=True),
    Case("sink", lambda s, own, _: s.sink(own), list, own=True, awaits=True, ends=True),
    Case(
        "starsink",
        lambda s, own, _: s.map(lambda x: (x,)).starsink(own),
        list,
        own=True,
        awaits=True,
        ends=True,
    ),
)

TABLE = {case.name: case for case in CASES}


def operators() -> dict[str, type[Stream[Any]]]:
    """Every operator class of the library, found in its modules."""
    found: dict[str, type[Stream[Any]]] = {"sink": rapidz.sink, "starsink": rapidz.starsink}
    for info in pkgutil.walk_packages(rapidz.operators.__path__, "rapidz.operators."):
        found.update(_classes(vars(importlib.import_module(info.name)).values()))
    found.update(_classes(vars(rapidz.operators).values()))
    return found


def _classes(values: Iterable[object]) -> dict[str, type[Stream[Any]]]:
    # A base class that several operators share has a capital, an operator has the name users type.
    return {
        value.__name__: value
        for value in values
        if isinstance(value, type)
        and issubclass(value, Stream)
        and value.__name__[0].islower()
        and not value.__module__.startswith("rapidz.kernel")
    }


def flat(outputs: Iterable[object]) -> list[int]:
    """Every number of the feed in *outputs*, however deep."""
    numbers: list[int] = []
    for output in outputs:
        if isinstance(output, int):
            numbers += [output] if output >= 100 else []
        elif isinstance(output, Row):
            numbers.append(output.x)
        elif isinstance(output, dict):
            numbers += flat([*output, *output.values()])
        elif isinstance(output, str):
            continue
        elif isinstance(output, Iterable):
            numbers += flat(output)
    return numbers


__all__ = [
    "CASES",
    "TABLE",
    "Case",
    "Own",
    "Row",
    "flat",
    "operators",
]
