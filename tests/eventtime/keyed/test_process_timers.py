"""process: timers of event time, and the watermark downstream of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.eventtime.keyed.processes import Scripted, outputs, shown, timed

from rapidz import Stream

# --- event time ---------------------------------------------------------------------------


def test_a_timer_fires_when_the_watermark_has_reached_it() -> None:
    source, keyed = timed(lag=5)
    seen = keyed.process(Scripted, lambda k, x, ctx: ctx.at(10), shown).sink_to_list()
    for t, fired in [(0, 0), (14, 0), (14.999, 0), (15, 1)]:
        source.emit((t, "a" if t < 15 else "b"))
        assert len([each for each in seen if each[0] == "a"]) == fired


def test_timers_fire_ahead_of_the_element_that_moves_the_watermark() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.at(ctx.time + 10)
        return [x]

    assert outputs(on_element, shown, [(0, "a"), (3, "b"), (25, "c")]) == [
        (0, "a"),
        (3, "b"),
        ("a", 10, None),
        ("b", 13, None),
        (25, "c"),
        ("c", 35, None),
    ]


def test_timers_fire_by_instant_then_in_the_order_of_setting() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        for name, t in [("p", 20), ("q", 10), ("r", 20), ("p", 20)]:
            ctx.at(t, name)

    seen = outputs(on_element, shown, [(0, "b"), (1, "a"), (30, "c")])
    assert [(key, t, name) for key, t, name in seen if key != "c"] == [
        *[("b", 10, "q"), ("a", 10, "q")],
        *[("b", 20, "r"), ("b", 20, "p"), ("a", 20, "r"), ("a", 20, "p")],
    ]


def test_setting_a_timer_again_moves_it() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        ctx.at(x[2])

    assert outputs(
        on_element, shown, [(0, "a", 10), (1, "a", 50), (2, "a", 30), (40, "b", 41)]
    ) == [
        ("a", 30, None),
        ("b", 41, None),
    ]


def test_a_cancelled_timer_does_not_fire() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        if x[0] == 0:
            ctx.at(10)
            ctx.at(10, "other")
        ctx.cancel()
        ctx.cancel("never set")

    assert outputs(on_element, shown, [(0, "a"), (1, "a"), (30, "b")]) == [("a", 10, "other")]


def test_a_timer_in_the_past_fires_after_the_present_call() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.at(x[0] - 100)
        ctx.at(x[0])
        return [x]

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        if ctx.name is None:
            ctx.at(t - 1, "again")
        return [(key, t, ctx.name), "end of the call"]

    assert outputs(on_element, on_timer, [(50, "a"), (60, "b")]) == [
        (50, "a"),
        *[("a", 50, None), "end of the call", ("a", 49, "again"), "end of the call"],
        (60, "b"),
        *[("b", 60, None), "end of the call", ("b", 59, "again"), "end of the call"],
    ]


def test_a_timer_cancels_another_one_that_is_due_with_it() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        if key == "a":
            ctx.at(10, "first")
            ctx.at(11, "second")

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        ctx.cancel("second")
        return [ctx.name]

    assert outputs(on_element, on_timer, [(0, "a"), (100, "b")]) == ["first"]


def test_a_long_silence_fires_each_timer_once() -> None:
    """Pitfall beam#12551: no storm of timers to catch up."""

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        return [(t, ctx.watermark)]

    elements = [(i, f"key {i}") for i in range(1000)]
    seen = outputs(lambda k, x, ctx: ctx.at(2000 + x[0]), on_timer, [*elements, (10**9, "late")])
    assert seen == [(2000 + i, 10**9) for i in range(1000)] + [(10**9 + 2000, float("inf"))]


def test_the_context_knows_the_time_of_the_element_and_the_watermark() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        return [(ctx.key, ctx.time, ctx.watermark, ctx.is_late, ctx.name, ctx.ended)]

    source, keyed = timed(lag=2)
    seen = keyed.process(Scripted, on_element, shown).sink_to_list()
    source.emit_many([(5, "a"), (9, "b"), (6, "c"), (7, "d")])
    assert seen == [
        ("a", 5, 3, False, None, False),
        ("b", 9, 7, False, None, False),
        ("c", 6, 7, True, None, False),
        ("d", 7, 7, False, None, False),
    ]


@pytest.mark.parametrize(
    ("first", "later", "unit"),
    [
        (datetime(2024, 2, 28, 23, tzinfo=UTC), timedelta(hours=2), "s"),
        (datetime(2024, 2, 28, 23), timedelta(hours=2), "s"),
        (1_700_000_000_000, 2_000, "ms"),
        (1.5, 0.25, "s"),
        (-7, 3, "min"),
    ],
    ids=str,
)
def test_times_are_of_the_type_of_the_source(first: Any, later: Any, unit: str) -> None:
    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        return [(t, ctx.time, type(t))]

    source, keyed = timed(unit=unit)
    on_element = lambda key, x, ctx: ctx.at(ctx.time + later)  # noqa: E731
    seen = keyed.process(Scripted, on_element, on_timer).sink_to_list()
    source.emit((first, "a"))
    source.emit((first + later, "b"))
    assert seen == [(first + later, first + later, type(first))]


def test_a_timer_between_whole_timestamps_leaves_them_whole() -> None:
    def on_element(key: Any, x: Any, ctx: Any) -> None:
        ctx.at(x[0] + 0.5, "half")
        ctx.at(x[0] + 1)

    seen = outputs(on_element, shown, [(0, "a"), (9, "b")])
    assert [repr(t) for _, t, _ in seen] == ["0.5", "1", "9.5", "10"]


@pytest.mark.parametrize(
    "wrong",
    [None, "10s", float("nan"), float("inf"), True, datetime(2024, 1, 1), timedelta(1)],
    ids=str,
)
def test_a_time_of_another_kind_is_refused(wrong: Any) -> None:
    source, keyed = timed()
    keyed.process(Scripted, lambda k, x, ctx: ctx.at(wrong), shown).sink(print)
    with pytest.raises((TypeError, ValueError), match=r"^process: at: t must be a time like the"):
        source.emit((0, "a"))
    source.close()


def test_an_element_reads_its_time_by_timestamp() -> None:
    source: Any = Stream()
    node = (
        source.event_time(0)
        .map(lambda x: {"when": x[0]})
        .process(Scripted, lambda k, x, ctx: [ctx.time], shown, timestamp="when")
    )
    seen = node.sink_to_list()
    source.emit((5, "a"))
    assert seen == [5]


# --- the end ------------------------------------------------------------------------------


def test_all_timers_of_event_time_fire_at_the_end() -> None:
    """Pitfall gcp-ingestion#1689: what is open at the end is not lost."""

    def on_timer(key: Any, t: Any, ctx: Any) -> list[Any]:
        if ctx.name is None:
            ctx.at(t + 5, "after the end")
        return [(key, t, ctx.ended, ctx.watermark)]

    assert outputs(lambda k, x, ctx: ctx.at(x[0] + 100), on_timer, [(0, "a"), (1, "b")]) == [
        ("a", 100, True, float("inf")),
        ("b", 101, True, float("inf")),
        ("a", 105, True, float("inf")),
        ("b", 106, True, float("inf")),
    ]


def test_a_timer_that_sets_itself_for_ever_ends_with_a_warning() -> None:
    calls: list[str] = []

    def on_timer(key: Any, t: Any, ctx: Any) -> None:
        calls.append(key)
        ctx.at(t + 1)

    source, keyed = timed()
    node = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), on_timer)
    node.sink(print)
    source.emit_many([(0, "a"), (0, "b")])
    with pytest.warns(RuntimeWarning, match="process.*2 timers were not set.*`ctx.ended`"):
        source.close()
    assert calls.count("a") == calls.count("b") == 1001


def test_a_flush_does_not_move_event_time() -> None:
    source, keyed = timed()
    seen = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), shown).sink_to_list()
    source.emit((0, "a"))
    source.flush()
    assert seen == []
    source.emit((5, "b"))
    assert seen == [("a", 5, None)]


# --- the watermark downstream -------------------------------------------------------------


def chain(hold: Any, elements: list[Any], later: int, emitted: Callable[..., Any]) -> list[Any]:
    """What a second process sees of what the timers of a first one emit: is it late?"""
    source, keyed = timed()
    first = keyed.process(
        Scripted,
        lambda key, x, ctx: ctx.at(ctx.time + later),
        lambda key, t, ctx: [(emitted(t), key)],
        hold=hold,
    )
    second = first.process(Scripted, lambda k, x, ctx: [(x, ctx.is_late)], shown)
    seen = second.sink_to_list()
    source.emit_many(elements)
    source.close()
    return list(seen)


def test_what_a_timer_emits_is_not_late_downstream() -> None:
    """Pitfall SPARK-28074: one watermark for all drops the outputs of chained operators."""
    elements = [(0, "a"), (1, "b"), (100, "c")]
    assert chain(True, elements, 5, lambda t: t) == [
        ((5, "a"), False),
        ((6, "b"), False),
        ((105, "c"), False),
    ]


def test_without_hold_the_watermark_passes_the_timers() -> None:
    """Pitfall beam#21554: a hold may stall what is downstream."""
    elements = [(0, "a"), (1, "b"), (100, "c")]
    late = [is_late for _, is_late in chain(False, elements, 5, lambda t: t)]
    assert late == [True, True, True]


@pytest.mark.parametrize(("hold", "is_late"), [("5s", False), ("4s", True), (True, True)])
def test_a_hold_by_a_length_is_for_older_elements(hold: Any, is_late: bool) -> None:
    """A debounce emits elements that are as old as it waits."""
    elements = [(0, "a"), (100, "b")]
    assert chain(hold, elements, 5, lambda t: t - 5)[0] == ((0, "a"), is_late)


def test_timers_of_a_chain_fire_in_the_order_of_the_nodes() -> None:
    source, keyed = timed()
    log: list[Any] = []

    def on_timer(name: str) -> Any:
        return lambda key, t, ctx: log.append((name, t, ctx.watermark))

    sets = lambda key, x, ctx: (ctx.at(ctx.time + 5), [x])[1]  # noqa: E731
    first = keyed.process(Scripted, sets, on_timer("first"))
    second = first.process(Scripted, sets, on_timer("second"))
    second.sink(print)
    source.emit((0, "a"))
    source.emit((20, "b"))
    assert log == [("first", 5, 20), ("second", 5, 20)]
    del second
