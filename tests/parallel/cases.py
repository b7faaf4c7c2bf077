"""One case, or several, for every operator on a scattered stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.parallel import functions as f

from rapidz import Stream
from rapidz.connectors import CONNECTORS
from rapidz.parallel import ParallelStream

Build = Callable[[Any], Any]


@dataclass(frozen=True)
class Case:
    """An operator, what is built of it, and what it is fed with."""

    name: str
    build: Build
    title: str = ""
    elements: tuple[Any, ...] = (3, 1, 4, 1, 5, 9, 2, 6)
    timed: bool = field(default=False, kw_only=True)
    """What comes together depends on the time."""

    def __str__(self) -> str:
        return f"{self.name} {self.title}".strip()


ROWS = ({"n": 1, "of": "a"}, {"n": 2, "of": "b"}, {"n": 3, "of": "a"})
ITEMS: tuple[Any, ...] = ([1, 2], (), [3], range(3))

CASES: tuple[Case, ...] = (
    Case("map", lambda s: s.map(f.inc)),
    Case("map", lambda s: s.map(f.plus, 2, factor=3), "with arguments"),
    Case("map", lambda s: s.map(f.inc_later), "async"),
    Case("map", lambda s: s.map(f.skips_odd), "that skips"),
    Case("starmap", lambda s: s.starmap(f.plus, factor=2), "", ((1, 2), [3, 4])),
    Case("filter", lambda s: s.filter(f.even)),
    Case("filter", lambda s: s.filter(None), "truth", (0, 1, None, "", "x")),
    Case("filter", lambda s: s.filter(f.even_later), "async"),
    Case("remove", lambda s: s.remove(f.even)),
    Case("pluck", lambda s: s.pluck("n"), "key", ROWS),
    Case("pluck", lambda s: s.pluck(["of", "n"]), "keys", ROWS),
    Case("pluck", lambda s: s.pluck(1), "index", ((1, 2), [3, 4], "ab")),
    Case("flatten", lambda s: s.flatten(), "", ITEMS),
    Case("flatten", lambda s: s.flatten().flatten(), "twice", ([[1], [2, 3]], [], [(), (4,)])),
    Case("flatten", lambda s: s.flatten().map(f.inc).filter(f.even), "then more", ITEMS),
    Case("concat", lambda s: s.concat(), "", ITEMS),
    Case("map_async", lambda s: s.map_async(f.inc_later)),
    Case("map_async", lambda s: s.map_async(f.inc_later, parallelism=3), "three at once"),
    Case("accumulate", lambda s: s.accumulate(f.add)),
    Case("accumulate", lambda s: s.accumulate(f.add, start=10), "start"),
    Case("accumulate", lambda s: s.accumulate(f.add_later, start=10), "async"),
    Case("accumulate", lambda s: s.accumulate(f.add_even, start=0), "that skips"),
    Case("accumulate", lambda s: s.filter(f.even).accumulate(f.add), "below filter"),
    Case("accumulate", lambda s: s.accumulate(f.add).map(f.inc).accumulate(f.add), "twice"),
    Case(
        "accumulate",
        lambda s: s.accumulate(f.add, reset_stream=s.filter(f.even), start=100),
        "reset",
    ),
    Case("scan", lambda s: s.scan(f.running, start=0, returns_state=True)),
    Case(
        "scan",
        lambda s: s.scan(f.running, start=0, returns_state=True, with_state=True),
        "with state",
    ),
    Case("scan", lambda s: s.scan(f.running_skips, start=0, returns_state=True), "that skips"),
    Case("frequencies", lambda s: s.frequencies()),
    Case("zip", lambda s: s.zip(s)),
    Case("zip", lambda s: s.map(f.inc).zip(s.map(f.double)), "of branches"),
    Case("zip", lambda s: s.zip("x", s.map(f.inc), 7), "with literals"),
    Case("zip", lambda s: s.zip(s.filter(f.even), maxsize=20), "with what is filtered"),
    Case("zip", lambda s: s.zip(s).map(f.number).zip(s).map(f.number), "nested"),
    Case("combine_latest", lambda s: s.combine_latest(s)),
    Case("combine_latest", lambda s: s.map(f.inc).combine_latest(s.map(f.double)), "of branches"),
    Case("combine_latest", lambda s: s.combine_latest(s.map(f.inc), emit_on=1), "emit_on"),
    Case("zip_latest", lambda s: s.zip_latest(s)),
    Case("zip_latest", lambda s: s.map(f.inc).zip_latest(s.map(f.double)), "of branches"),
    Case("union", lambda s: s.union(s)),
    Case("union", lambda s: s.map(f.inc).union(s.map(f.double), s.filter(f.even)), "of branches"),
    Case("partition", lambda s: s.partition(3)),
    Case("partition", lambda s: s.partition(3).map(f.number), "then map"),
    Case("partition", lambda s: s.partition(2, key=f.third), "key"),
    Case("partition", lambda s: s.partition(2, key="of"), "key by name", ROWS),
    Case("partition", lambda s: s.map(f.inc).filter(f.even).partition(2), "below a chain"),
    Case("partition_unique", lambda s: s.partition_unique(2)),
    Case("partition_unique", lambda s: s.partition_unique(2, key=f.third), "key"),
    Case("partition_unique", lambda s: s.partition_unique(2, key=f.third, keep="last"), "last"),
    Case("sliding_window", lambda s: s.sliding_window(3)),
    Case("sliding_window", lambda s: s.sliding_window(3, return_partial=True), "partial"),
    Case("sliding_window", lambda s: s.sliding_window(2).map(f.number), "then map"),
    Case("sliding_window", lambda s: s.sliding_window(2).flatten(), "then flatten"),
    Case("sliding_window", lambda s: s.sliding_window(2).sliding_window(2), "twice"),
    Case("sliding_window", lambda s: s.sliding_window(time=100), "of a time"),
    Case("collect", lambda s: s.collect()),
    Case("collect", lambda s: s.collect().map(f.number), "then map"),
    Case("unique", lambda s: s.unique()),
    Case("unique", lambda s: s.unique(history=2), "history"),
    Case("unique", lambda s: s.unique(key=f.third), "key"),
    Case("unique", lambda s: s.unique(), "unhashable", ([1], [2], [1])),
    Case("unique", lambda s: s.unique(within=100), "within"),
    Case("slice", lambda s: s.slice(1, 6, 2)),
    Case("slice", lambda s: s.filter(f.even).slice(1), "below filter"),
    Case("buffer", lambda s: s.buffer(3).map(f.inc)),
    Case("delay", lambda s: s.delay(0.001)),
    Case("rate_limit", lambda s: s.rate_limit(0.001)),
    Case("debounce", lambda s: s.debounce(0.002), timed=True),
    Case("throttle", lambda s: s.throttle(100), timed=True),
    Case("throttle", lambda s: s.throttle(0.002, "both"), "both", timed=True),
    Case("sample", lambda s: s.sample(0.002), timed=True),
    Case("timed_window", lambda s: s.timed_window(0.002), timed=True),
    Case("timed_window", lambda s: s.map(f.inc).timed_window(0.002).flatten(), "then flatten"),
    Case("timed_window_unique", lambda s: s.timed_window_unique(0.002, key=f.third), timed=True),
    Case("latest", lambda s: s.latest(), timed=True),
    Case("gather", lambda s: s.map(f.inc).gather()),
    Case("gather", lambda s: s.map(f.inc).gather().map(f.double), "then plain"),
    Case("sink_to_list", lambda s: s.map(f.inc)),
)

#: What looks at streams from outside, or begins them.
NO_OPERATORS = {
    *("filenames", "from_async_iterable", "from_iterable", "from_periodic", "from_q"),
    *("from_textfile", "visualize"),
    *CONNECTORS,
}
#: What has tests of its own in test_futures.py and test_bad_input.py.
ELSEWHERE = {"sink", "starsink", "sink_to_textfile", "scatter", "write_to"}
#: Operators that read elements here, and refuse to be downstream of a scattered stream.
REFUSED = {"asof_join", "event_time", "interval_join", "key_by", "process", "timestamps"}


def registered(cls: type[Any]) -> set[str]:
    """The operators that are methods of *cls*, found by what `register_api` leaves there."""
    return {
        name
        for kind in cls.__mro__
        for name, method in vars(kind).items()
        if not name.startswith("_") and _made(method)
    }


def _made(method: Any) -> bool:
    node = getattr(method, "__wrapped__", None)
    return isinstance(node, type) and issubclass(node, Stream)


def operators() -> set[str]:
    """Every operator that a scattered stream has."""
    plain = {"remove", "frequencies", "sink_to_list"}  # methods that use operators
    return (registered(ParallelStream) | plain) - NO_OPERATORS


def own_operators() -> set[str]:
    """Those that scattered streams have classes of their own for."""
    return {name for name, method in vars(ParallelStream).items() if _made(method)} - NO_OPERATORS
