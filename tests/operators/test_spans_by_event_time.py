"""unique(within=) and sliding_window(time=) downstream of an event_time: by timestamps."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, send, settle

from rapidz import Count, RefCounter, Stream
from rapidz.testing import check_operator, run


class Event(NamedTuple):
    """What happened at a time, with a key and a number of its own."""

    at: int
    key: str
    number: int


def key_of(event: Event) -> str:
    return event.key


events = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), max_size=25).map(
    lambda pairs: [Event(at, key, number) for number, (at, key) in enumerate(pairs)]
)
Build = Callable[[Any], Any]


def split(arriving: list[Event], lag: int) -> tuple[list[Event], list[Event]]:
    """Return what is in time, in the order of timestamps, and what is late."""
    in_time: list[Event] = []
    late: list[Event] = []
    greatest: float = -float("inf")
    for event in arriving:
        greatest = max(greatest, event.at)
        (late if event.at < greatest - lag else in_time).append(event)
    return sorted(in_time, key=lambda event: event.at), late


def deduplicated(ordered: list[Event], within: int, history: int | None = None) -> list[Event]:
    out: list[Event] = []
    for event in ordered:
        known = [e.key for e in out if event.at - e.at < within]
        if event.key not in (known if history is None else known[-history:]):
            out.append(event)
    return out


def windows(
    ordered: list[Event], time: int, n: int | None, partial: bool
) -> list[tuple[Event, ...]]:
    out: list[tuple[Event, ...]] = []
    for i, event in enumerate(ordered):
        window = tuple(e for e in ordered[: i + 1] if event.at - e.at < time)
        window = window if n is None else window[-n:]
        if n is None or partial or len(window) == n:
            out.append(window)
    return out


def emitted(build: Build, arriving: list[Event], lag: int, way: str) -> tuple[list[Any], list[Any]]:
    """Return what comes out of the node, and of its `late`, in one of several modes."""
    if way == "loop":
        return run(_in_a_loop(build, arriving, lag))
    with Stream[Event]() as source:
        node = build(source.event_time("at", lag=lag))
        seen, late = node.sink_to_list(), node.late.sink_to_list()
        if way == "emit":
            for event in arriving:
                source.emit(event)
        else:
            source.emit_many(arriving)
    return seen, late


async def _in_a_loop(build: Build, arriving: list[Event], lag: int) -> tuple[list[Any], list[Any]]:
    seen: list[Any] = []

    async def slow(x: Any) -> None:
        await asyncio.sleep(0.25)
        seen.append(x)

    async with Stream[Event](asynchronous=True) as source:
        node = build(source.event_time("at", lag=lag))
        node.sink(slow)
        late = node.late.sink_to_list()
        for number, event in enumerate(arriving):
            wait = source.emit(event)
            if number % 3:
                await wait
    return seen, late


builds: dict[str, Build] = {
    "unique": lambda s: s.unique(key=key_of, within=10),
    "sliding_window": lambda s: s.sliding_window(time=10),
}
every_name = pytest.mark.parametrize("name", builds)

modes = st.sampled_from(["emit", "emit_many", "loop"])


@given(
    events, st.integers(0, 20), st.integers(1, 20), st.one_of(st.none(), st.integers(1, 3)), modes
)
def test_unique_drops_by_the_timestamps_whatever_the_order_of_arrival(
    arriving: list[Event], lag: int, within: int, history: int | None, way: str
) -> None:
    ordered, late = split(arriving, lag)
    seen, got_late = emitted(lambda s: s.unique(history, key_of, within=within), arriving, lag, way)
    assert seen == deduplicated(ordered, within, history)
    assert [each.element for each in got_late] == late


@given(
    events,
    st.integers(0, 20),
    st.integers(1, 20),
    st.one_of(st.none(), st.integers(1, 3)),
    st.booleans(),
    modes,
)
def test_sliding_window_goes_by_timestamps_whatever_the_order_of_arrival(
    arriving: list[Event], lag: int, time: int, n: int | None, partial: bool, way: str
) -> None:
    ordered, late = split(arriving, lag)
    seen, got_late = emitted(lambda s: s.sliding_window(n, partial, time=time), arriving, lag, way)
    assert seen == windows(ordered, time, n, partial)
    assert [each.element for each in got_late] == late


@every_name
async def test_elements_of_one_instant_stay_in_order_behind_a_slow_sink(name: str) -> None:
    """The last one arrives at the watermark, while those before it wait for capacity."""
    seen: list[Any] = []

    async def slow(x: Any) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    arriving = [Event(at, "a", n) for n, at in enumerate([0, 0, 1, 21, 1])]
    async with Stream[Event](asynchronous=True) as source:
        node = builds[name](source.event_time("at", lag=20))
        node.sink(slow)
        for event in arriving:
            source.emit(event)
    ordered, _ = split(arriving, 20)
    assert seen == (
        deduplicated(ordered, 10) if name == "unique" else windows(ordered, 10, None, False)
    )


@given(events, st.randoms(use_true_random=False))
def test_within_the_lag_no_order_of_arrival_changes_anything(
    arriving: list[Event], rng: Any
) -> None:
    """Only elements of one instant are told apart by arrival: here there is one at each."""
    distinct = list({event.at: event for event in arriving}.values())
    shuffled = rng.sample(distinct, len(distinct))
    for build in (
        lambda s: s.unique(key=key_of, within=7),
        lambda s: s.sliding_window(time=7),
    ):
        assert emitted(build, distinct, 40, "emit") == emitted(build, shuffled, 40, "emit_many")


@every_name
def test_the_node_is_a_conforming_one(name: str) -> None:
    elements = [Event(at, "a", at) for at in (1, 3, 2, 20, 19, 25)]
    ordered = sorted(elements)
    wanted = [elements[0], elements[4]] if name == "unique" else windows(ordered, 10, None, False)
    check_operator(lambda s: builds[name](s.event_time("at", lag=5)), elements, outputs=wanted)


@every_name
def test_without_lag_an_element_is_taken_up_when_it_arrives(name: str) -> None:
    source = Stream[Event]()
    seen = builds[name](source.event_time("at")).sink_to_list()
    for number in range(3):
        source.emit(Event(20 * number, "a", number))
        assert len(seen) == number + 1
    source.emit(Event(40, "b", 3))
    assert len(seen) == 4
    source.close()


@every_name
def test_an_element_waits_for_the_watermark(name: str) -> None:
    source = Stream[Event]()
    node = builds[name](source.event_time("at", lag=10))
    seen = node.sink_to_list()
    source.emit(Event(100, "a", 0))
    source.emit(Event(95, "b", 1))
    source.flush()
    assert (seen, node._buffered()) == ([], 2), "a flush does not move event time"
    source.emit(Event(106, "c", 2))
    assert [len(seen), node._buffered()] == [1, 2]
    source.close()
    assert len(seen) == 3


@every_name
def test_a_window_downstream_gets_each_element_once(name: str) -> None:
    source = Stream[Event]()
    node = builds[name](source.event_time("at", lag=10))
    counts = node.tumbling(20).aggregate(n=Count()).sink_to_list()
    source.emit_many([Event(at, str(at), at) for at in (12, 3, 25, 17, 44, 38)])
    source.close()
    assert [(w.start, w.end, w.value["n"]) for w in counts] == [
        (0, 20, 3),
        (20, 40, 2),
        (40, 60, 1),
    ]


@every_name
def test_a_keyed_stream_and_a_plain_one_in_between_are_looked_through(name: str) -> None:
    source = Stream[Event]()
    keyed = source.event_time("at", lag=5).filter(lambda event: event.at).buffer(3)
    seen = builds[name](keyed).sink_to_list()
    with source:
        source.emit_many([Event(at, "a", at) for at in (3, 0, 1)])
    assert seen == (
        [Event(1, "a", 1)]
        if name == "unique"
        else windows(sorted([Event(3, "a", 3), Event(1, "a", 1)]), 10, None, False)
    )


@every_name
def test_a_branch_without_event_time_goes_by_the_clock(name: str) -> None:
    source = Stream[Event]()
    timed = source.event_time("at")
    assert type(builds[name](timed)).__name__.endswith("ByTime")
    assert type(builds[name](source)).__name__ == name
    source.close()


@every_name
def test_an_edit_of_the_graph_loses_nothing(name: str) -> None:
    """Engine rule 1 (docs/rulings.md)."""
    source = Stream[Event]()
    node = builds[name](source.event_time("at", lag=4))
    seen = node.sink_to_list()
    arriving = [Event(at, "ab"[at % 2], at) for at in (5, 2, 9, 6, 15, 12, 30)]
    for event in arriving:
        branch = node.sink(lambda _: None)
        source.emit(event)
        branch.destroy()
    source.close()
    ordered = sorted(arriving)
    assert seen == (
        deduplicated(ordered, 10) if name == "unique" else windows(ordered, 10, None, False)
    )


@every_name
async def test_counters_of_what_leaves_or_is_dropped_are_released(name: str) -> None:
    arriving = [Event(at, "a", at) for at in (1, 3, 2, 30, 60, 90)]
    counters = [RefCounter() for _ in arriving]
    async with Stream[Event](asynchronous=True) as source:
        builds[name](source.event_time("at", lag=5)).sink(lambda _: None)
        for event, counter in zip(arriving, counters, strict=True):
            await settle(source.emit(event, metadata=[{"ref": counter}]))
        left = [counter.count > 0 for counter in counters]
    assert left == [False] * 3 + [False, name == "sliding_window", True]


@every_name
def test_an_element_whose_timestamp_cannot_be_read_fails_alone(name: str) -> None:
    source = Stream[Any]()
    node = builds[name](source.event_time("at").map(lambda e: e if e.number else (e.key,)))
    seen = node.sink_to_list()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of any kind
        source.emit(Event(1, "a", 0))
    assert any(type(node).__name__ in note for note in caught.value.__notes__)
    source.emit(Event(2, "a", 1))
    source.close()
    assert len(seen) == 1


def test_a_key_that_fails_does_so_when_its_element_arrives() -> None:
    """The policy sees the element; the others are taken up."""

    def key(event: Event) -> str:
        if event.key == "b":
            raise Boom(event)
        return event.key

    with Stream[Event]() as source:
        source.on_error("skip")
        node = source.event_time("at", lag=5).unique(key=key, within=10)
        seen = node.sink_to_list()
        source.emit_many([Event(2, "a", 0), Event(1, "b", 1), Event(3, "c", 2)])
        assert node.skipped == 1
    assert [event.number for event in seen] == [0, 2]


async def test_a_failure_downstream_loses_nothing_else() -> None:
    async with Stream[Event](asynchronous=True) as source:

        def fail(event: Event) -> Event:
            if event.at == 2:
                raise Boom(event)
            return event

        seen = source.event_time("at", lag=5).unique(within=1).map(fail).sink_to_list()
        for at in (1, 2, 3):
            await send(source, Event(at, "a", at))
        source.emit(Event(20, "a", 20))
        with pytest.raises(Boom):
            await settle(source.join())
    assert [event.at for event in seen] == [1, 3, 20]


def test_timestamps_of_any_kind_have_spans() -> None:
    first = datetime(2024, 3, 1, tzinfo=UTC)
    source = Stream[datetime]()
    seen = source.event_time(lambda at: at, lag="1 min").unique(
        key=lambda at: at.hour, within="30 min"
    )
    got = seen.sink_to_list()
    source.emit_many([first + timedelta(minutes=m) for m in (0, 10, 9.5, 29, 30, 59)])
    source.close()
    assert [at.minute for at in got] == [0, 30]


def test_a_timestamp_may_be_elsewhere_for_one_node() -> None:
    source = Stream[Any]()
    pairs = source.event_time("at").map(lambda e: (e.key, e.at))
    seen = pairs.unique(key=lambda pair: pair[0], within=10, timestamp=1).sink_to_list()
    sizes = pairs.sliding_window(time=10, timestamp=1).map(len).sink_to_list()
    source.emit_many([Event(at, "a", at) for at in (0, 9, 10, 19)])
    source.close()
    assert seen == [("a", 0), ("a", 10)]
    assert sizes == [1, 2, 2, 2]


@every_name
def test_a_new_span_holds_from_the_next_element_on(name: str) -> None:
    """Ruling 20 (docs/rulings.md)."""
    source = Stream[Event]()
    node = builds[name](source.event_time("at"))
    seen = node.map(lambda x: x if name == "unique" else len(x)).sink_to_list()
    source.emit_many([Event(at, "a", at) for at in (0, 4)])
    setattr(node, "within" if name == "unique" else "time", "3s")
    source.emit_many([Event(at, "a", at) for at in (5, 8, 9)])
    source.close()
    wanted = [Event(0, "a", 0), Event(5, "a", 5), Event(8, "a", 8)]
    assert seen == (wanted if name == "unique" else [1, 2, 2, 1, 2])


@every_name
def test_what_is_remembered_is_bounded_by_the_span(name: str) -> None:
    source = Stream[Event]()
    node = builds[name](source.event_time("at", lag=3))
    node.sink(lambda _: None)
    for at in range(500):
        source.emit(Event(at, str(at), at))
        kept = node.seen if name == "unique" else node._buffer
        assert len(kept) <= 10
        assert node._buffered() <= 4
    source.close()


@every_name
def test_a_dropped_node_is_collected(name: str) -> None:
    """Ruling 8 (docs/rulings.md)."""
    source = Stream[Event]()
    timed = source.event_time("at", lag=3)
    node = builds[name](timed)
    source.emit_many([Event(at, "a", at) for at in range(9)])
    dead = weakref.ref(node)
    del node
    gc.collect()
    assert dead() is None
    source.emit(Event(20, "a", 0))
    source.close()


def test_a_late_element_is_counted_and_warned_of() -> None:
    source = Stream[Event]()
    node: Any = source.event_time("at", lag=3).unique(within=10)
    node.sink(lambda _: None)
    with pytest.warns(RuntimeWarning, match="UniqueByTime"):
        source.emit_many([Event(9, "a", 0), Event(5, "a", 1)])
    assert node.late_count == 1
    source.close()


def test_a_timestamp_is_refused_where_no_time_is() -> None:
    """Ruling 19 (docs/rulings.md)."""
    for build in (
        lambda: Stream[Event]().unique(within=10, timestamp="at"),
        lambda: Stream[Event]().event_time("at").unique(timestamp="at"),
    ):
        with pytest.raises(ValueError, match="unique: timestamp must be given only with within"):
            build()  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="sliding_window: timestamp must be given only with time"):
        Stream[Event]().sliding_window(time=10, timestamp="at")
    with pytest.raises(ValueError, match="unique: maxsize must not be given with within"):
        Stream[Event]().event_time("at").unique(maxsize=3, within=10)
    with pytest.raises(ValueError, match="unique: within must be a number of seconds > 0"):
        Stream[Event]().event_time("at").unique(within=0)
