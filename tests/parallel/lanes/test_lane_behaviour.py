"""Keyed lanes: signals, failures, back pressure, and the watermark behind them."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import subprocess
import sys
import threading
from typing import Any

import pytest

from rapidz import Count, Failure, RefCounter, Retry, Stream
from rapidz.parallel.lanes.key_groups import key_group


def add(total: int, x: Any) -> int:
    return total + int(x[1])


def inverse_sum(total: float, x: Any) -> float:
    return total + 1 / float(x[1])


def lanes_of(source: Any, partitions: int = 3, backend: Any = "thread", **options: Any) -> Any:
    return source.key_by(0).scatter(backend, partitions=partitions, **options)


def send_and_close(source: Any, elements: list[Any]) -> None:
    source.emit_many(elements)
    source.close()


# --- signals ------------------------------------------------------------------------------------


def test_a_flush_emits_early_results_and_leaves_windows_open() -> None:
    source: Any = Stream()
    rows = source.event_time(1).key_by(0)
    seen = rows.scatter("thread", partitions=2).tumbling(10).aggregate(n=Count()).gather()
    results = seen.sink_to_list()
    source.emit_many([("a", 1), ("b", 2)])
    source.flush()
    source.join()
    assert sorted((r.key, r.final) for r in results) == [("a", False), ("b", False)]
    source.emit(("a", 3))
    source.close()
    assert sorted((r.key, r.value["n"]) for r in results if r.final) == [("a", 2), ("b", 1)]


def test_a_flush_reaches_nodes_downstream_behind_the_results() -> None:
    source: Any = Stream()
    pairs = lanes_of(source).accumulate(add, start=0).gather().partition(100)
    seen = pairs.sink_to_list()
    source.emit_many([("abc"[n % 3], n) for n in range(30)])
    source.flush()
    source.join()
    assert [len(group) for group in seen] == [30]
    source.close()


def test_join_waits_for_the_results_of_all_lanes() -> None:
    source: Any = Stream()
    seen = lanes_of(source).accumulate(add, start=0).gather().sink_to_list()
    for round_ in range(1, 6):
        source.emit_many([(key, 1) for key in "abcdef"])
        source.join()
        assert sorted(seen[-6:]) == [(key, round_) for key in "abcdef"]
    source.close()


def test_a_lane_without_elements_closes_its_windows_too() -> None:
    source: Any = Stream()
    rows = source.event_time(1).key_by(0)
    counts = rows.scatter("thread", partitions=4).tumbling(10).aggregate(n=Count())
    seen = counts.gather().sink_to_list()
    source.emit_many([(key, 1) for key in "abcdefgh"])
    source.emit(("a", 25))
    source.join()
    assert sorted(r.key for r in seen) == list("abcdefgh")
    source.close()


# --- time behind the lanes ------------------------------------------------------------------------


def test_windows_behind_the_lanes_go_by_their_least_watermark() -> None:
    source: Any = Stream()
    rows = source.event_time(1).key_by(0).scatter("thread", partitions=3)
    per_key = rows.tumbling(10).aggregate(n=Count()).gather()
    totals = per_key.tumbling(20).reduce(lambda n, r: n + r.value["n"], start=0)
    seen = totals.sink_to_list()
    source.emit_many([("abcdef"[n % 6], n // 6) for n in range(6 * 45)])
    source.join()
    assert [(r.start, r.value) for r in seen] == [(0, 120), (20, 120)]
    source.close()
    assert [(r.start, r.value) for r in seen][2:] == [(40, 30)]
    assert totals.late_count == 0


def test_a_timer_behind_the_lanes_does_not_wait_for_an_idle_lane() -> None:
    source: Any = Stream()
    rows = source.event_time(1).key_by(0).scatter("thread", partitions=4)
    seen = rows.map(lambda x: x).gather().tumbling(10).aggregate(n=Count()).sink_to_list()
    source.emit_many([("a", 1), ("a", 2), ("a", 12)])
    source.join()
    assert [r.value for r in seen] == [{"n": 2}]
    source.close()


# --- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["thread", "process"])
def test_a_failing_element_leaves_the_state_as_it_was(backend: str) -> None:
    source: Any = Stream()
    sums = lanes_of(source, 1, backend).accumulate(inverse_sum, start=0)
    seen = sums.gather().sink_to_list()
    source.emit_many([("a", 1), ("a", 0), ("a", 2)])
    with pytest.raises(ZeroDivisionError):
        source.close()
    assert seen == [("a", 1.0), ("a", 1.5)]


def test_the_policy_upstream_takes_failures_of_the_lanes() -> None:
    source: Any = Stream()
    keyed = source.on_error("skip").key_by(0)
    sums = keyed.scatter("thread", partitions=2).accumulate(inverse_sum, start=0)
    seen = sums.gather().sink_to_list()
    source.emit_many([("a", 1), ("a", 0), ("b", 2)])
    source.close()
    assert sorted(seen) == [("a", 1.0), ("b", 0.5)]


def test_failures_are_sent_with_the_element_that_the_function_got() -> None:
    source: Any = Stream()
    halved = lanes_of(source, 2).map(lambda x: (x[0], x[1] / 2)).key_by(0)
    sums = halved.accumulate(inverse_sum, start=0)
    failures: list[Failure] = sums.errors.sink_to_list()
    seen = sums.gather().sink_to_list()
    source.emit_many([("a", 2), ("a", 0)])
    source.close()
    assert seen == [("a", 1.0)]
    assert [(each.element, type(each.exception)) for each in failures] == [
        (("a", 0.0), ZeroDivisionError)
    ]


def test_the_nearest_policy_is_that_of_the_operator_in_the_lane() -> None:
    source: Any = Stream()
    keyed = source.on_error("raise").key_by(0)
    sums = keyed.scatter("thread", partitions=2).accumulate(inverse_sum, start=0)
    seen = sums.on_error("skip").gather().sink_to_list()
    source.emit_many([("a", 0), ("a", 1)])
    source.close()
    assert seen == [("a", 1.0)]


def test_an_element_is_tried_again_before_the_next_of_its_lane() -> None:
    calls: list[Any] = []

    def flaky(total: int, x: Any) -> int:
        calls.append(x)
        if calls.count(x) < 3:
            raise ValueError(x)
        return total + int(x[1])

    source: Any = Stream()
    keyed = source.on_error(Retry(times=3, wait=0)).key_by(0)
    seen = keyed.scatter("thread", partitions=1).accumulate(flaky, start=0).gather()
    results = seen.sink_to_list()
    source.emit_many([("a", 1), ("a", 2)])
    source.close()
    assert results == [("a", 1), ("a", 3)]
    assert calls == [("a", 1)] * 3 + [("a", 2)] * 3


def test_what_fails_downstream_of_the_lanes_fails_alone() -> None:
    source: Any = Stream()
    seen: list[Any] = []

    def take(x: Any) -> None:
        if x == ("a", 1):
            raise OSError("full")
        seen.append(x)

    lanes_of(source, 2).accumulate(add, start=0).gather().sink(take)
    source.emit_many([("a", 1), ("a", 2)])
    with pytest.raises(OSError, match="full"):
        source.close()
    assert seen == [("a", 3)]


def test_an_element_that_cannot_be_sent_fails_alone() -> None:
    source: Any = Stream()
    lock = threading.Lock()
    seen = lanes_of(source, 1, "process").map(lambda x: x[0]).gather().sink_to_list()
    source.emit_many([("a", 1), ("b", lock), ("c", 3)])
    with pytest.raises(TypeError, match="the element cannot be sent"):
        source.close()
    assert seen == ["a", "c"]


def test_a_result_that_cannot_be_sent_fails_alone() -> None:
    source: Any = Stream()
    results = lanes_of(source, 1, "process").map(
        lambda x: (y for y in ()) if x[1] == 2 else x  # type: ignore[var-annotated]
    )
    seen = results.gather().sink_to_list()
    source.emit_many([("a", 1), ("b", 2), ("c", 3)])
    with pytest.raises(TypeError, match="the result cannot be sent"):
        source.close()
    assert seen == [("a", 1), ("c", 3)]


def test_state_that_cannot_be_pickled_is_reported() -> None:
    source: Any = Stream()
    seen = lanes_of(source, 1, "process").map_with_state(
        lambda state, x: ((y for y in ()), x)  # type: ignore[var-annotated]
    )
    results = seen.gather().sink_to_list()
    with pytest.warns(RuntimeWarning, match="the state of a lane cannot be pickled"):
        send_and_close(source, [("a", 1), ("a", 2)])
    assert results == [("a", ("a", 1)), ("a", ("a", 2))]


# --- back pressure and metadata -----------------------------------------------------------------


def test_a_slow_sink_holds_the_emitters_of_an_event_loop() -> None:
    async def main() -> None:
        async with Stream(asynchronous=True) as source:
            gate, seen = asyncio.Event(), []

            async def sink(x: Any) -> None:
                await gate.wait()
                seen.append(x)

            lanes_of(source, 1, batch=10).map(lambda x: x).gather().sink(sink)
            emitting = asyncio.ensure_future(emit_all(source))
            done, _ = await asyncio.wait([emitting], timeout=0.3)
            assert not done, "the emitters did not wait"
            gate.set()
            await emitting
        assert seen == [("a", n) for n in range(2000)]

    async def emit_all(source: Any) -> None:
        for n in range(2000):
            await source.emit(("a", n))

    asyncio.run(main())


def test_metadata_is_done_when_the_results_of_the_element_are_taken() -> None:
    source: Any = Stream()
    fired: list[int] = []
    lanes_of(source, 2).map(lambda x: x).gather().sink(lambda x: fired.append(-x[1]))
    for n in (1, 2):
        counter = RefCounter(cb=functools.partial(fired.append, n))
        source.emit(("a", n), metadata=[{"ref": counter}])
        source.join()
    source.close()
    assert fired == [-1, 1, -2, 2]


# --- keys -----------------------------------------------------------------------------------


def test_keys_that_are_equal_have_one_group() -> None:
    utc = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    assert key_group(1) == key_group(1.0) == key_group(True) == key_group(1 + 0j)
    assert key_group(0.5) == key_group(dt.timedelta(seconds=1) / dt.timedelta(seconds=2))
    assert key_group(utc) == key_group(utc.astimezone(dt.timezone(dt.timedelta(hours=5))))
    assert key_group(frozenset("abc")) == key_group(frozenset("cba"))
    assert key_group(("a", 1)) != key_group(("a", "1"))


def test_groups_are_the_same_under_every_hash_seed() -> None:
    code = (
        "from rapidz.parallel.lanes.key_groups import key_group; "
        "print([key_group(k) for k in ('ada', 7, ('x', 1.5), frozenset('abc'), None, b'z')])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(runs) == 1
    assert str(key_group("ada")) in runs.pop()


def test_a_key_of_another_lane_is_a_failing_element() -> None:
    source: Any = Stream()
    wrong = lanes_of(source, 8).map(lambda x: x[1]).key_by(lambda x: x)
    wrong.accumulate(lambda n, x: n + 1, start=0).gather().sink(print)
    source.emit_many([("a", other) for other in "bcdefghijk"])
    with pytest.raises((ValueError, ExceptionGroup)) as caught:
        source.close()
    assert "in another lane" in str(caught.value) or caught.group_contains(
        ValueError, match="in another lane"
    )


class Opaque:
    pass


@pytest.mark.parametrize(
    ("key", "message"),
    [([1], "scatter: key must be hashable"), (Opaque(), "scatter: key must consist of None")],
)
def test_a_key_without_a_canonical_form_is_a_failing_element(key: Any, message: str) -> None:
    source: Any = Stream()
    seen = lanes_of(source).accumulate(add, start=0).gather().sink_to_list()
    with pytest.raises(TypeError, match=message):
        source.emit((key, 1))
    source.emit(("a", 1))
    source.close()
    assert seen == [("a", 1)]
