"""The rulings on behaviour, one by one: where the library differs from the old ones.

Each test cites its ruling.  "Deliberate" marks a difference from one or both of the old libraries;
the guide to migrating lists the same points.  Rulings 16 and 17 are about parallel execution and
frames, hence not here.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import operator
import os
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.compat.helpers import core, emit_all, eventually, inc, instants, rapidz, stream, third
from tornado import gen
from tornado.ioloop import IOLoop

from rapidz import SKIP, BackPressureError, Failure, RefCounter, Retry, StreamClosed


def invert(x: int) -> float:
    return 1 / x


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


# ------------------------------------------------------------- 1: a failing element


def test_1_in_direct_calls_the_exception_reaches_the_emitter_with_a_note() -> None:
    """Ruling 1. Both old libraries raise here too; the note is new."""
    s = stream()
    s.map(inc).map(invert, stream_name="inverter").sink(print)
    with pytest.raises(ZeroDivisionError) as caught:
        s.emit(-1)
    assert "inverter" in notes(caught.value)
    assert "invert" in notes(caught.value)


async def test_1_inside_a_loop_failures_come_through_the_awaitable_only() -> None:
    """Ruling 1, deliberate: streamz raises out of `emit` itself or through the awaitable."""
    async with stream(asynchronous=True) as s:
        s.map(invert).sink(lambda x: None)
        wait = s.emit(0)
        with pytest.raises(ZeroDivisionError):
            await wait


QUEUES: list[tuple[str, Callable[[Any], Any]]] = [
    ("buffer", lambda s: s.buffer(3)),
    ("delay", lambda s: s.delay(0.1)),
    ("latest", lambda s: s.latest()),
    ("timed_window", lambda s: s.timed_window(0.1, emit_empty=False).flatten()),
    ("timed_window_unique", lambda s: s.timed_window_unique(0.1, emit_empty=False).flatten()),
    ("map_async", lambda s: s.map_async(lambda x: asyncio.sleep(0.1, x))),
    ("partition", lambda s: s.partition(5, timeout=0.1).flatten()),
]


@pytest.mark.parametrize("build", [b for _, b in QUEUES], ids=[n for n, _ in QUEUES])
async def test_1_behind_a_queue_the_node_lives_on_and_the_failure_is_kept(
    build: Callable[[Any], Any],
) -> None:
    """Ruling 1, deliberate: in both old libraries the node died, and all that followed was lost."""
    s = stream(asynchronous=True)
    seen = build(s).map(invert).sink_to_list()
    for x in (1, 0, 2):
        wait = s.emit(x)
        try:
            await wait
        except ZeroDivisionError:
            await s.emit(x)
        await asyncio.sleep(1)
    with contextlib.suppress(ZeroDivisionError):
        await s.close()
    assert seen == [1, 0.5]


async def test_1_a_kept_failure_is_raised_once_by_the_next_join() -> None:
    """Ruling 1, deliberate: streamz logs it; here it is raised or logged, never both."""
    async with stream(asynchronous=True) as s:
        s.buffer(3).map(invert).sink(lambda x: None)
        await s.emit(0)
        with pytest.raises(ZeroDivisionError):
            await s.join()
        await s.join()


async def test_1_policy_skip() -> None:
    async with stream(asynchronous=True) as s:
        seen = s.buffer(3).map(invert).on_error("skip").sink_to_list()
        for x in (1, 0, 2):
            await s.emit(x)
        await s.join()
    assert seen == [1, 0.5]


def test_1_policy_of_the_nearest_upstream_node_applies() -> None:
    s = stream()
    seen = s.on_error("skip").map(inc).map(invert).sink_to_list()
    emit_all(s, [0, -1, 1])
    assert seen == [1, 0.5]


def test_1_policy_send_gives_failures_as_a_stream() -> None:
    s = stream()
    node = s.map(invert)
    failures = node.errors.sink_to_list()
    seen = node.sink_to_list()
    emit_all(s, [1, 0, 2])
    assert seen == [1, 0.5]
    (failure,) = failures
    assert isinstance(failure, Failure)
    assert (failure.element, type(failure.exception)) == (0, ZeroDivisionError)
    assert failure.node is node
    assert failure.attempts == 1


async def test_1_policy_retry_with_back_off() -> None:
    async with stream(asynchronous=True) as s:
        calls: list[float] = []

        def shaky(x: int) -> int:
            calls.append(asyncio.get_running_loop().time())
            if len(calls) < 4:
                raise ConnectionError("try again")
            return x

        node = s.map(shaky)
        node.on_error(Retry(times=3, wait=1, factor=2))
        seen = node.sink_to_list()
        await s.emit("x")
        assert seen == ["x"]
        assert calls == [0, 1, 3, 7]


def test_1_policies_apply_to_legacy_nodes() -> None:
    s = stream()
    s.on_error("skip")
    seen = third.refuses_negatives(s).sink_to_list()
    emit_all(s, [1, -1, 2])
    assert seen == [1, 2]


# ---------------------------------------------------------------------- 2: branches


def test_2_all_siblings_are_tried_then_one_exception() -> None:
    """Ruling 2, deliberate: in both old libraries later siblings never saw the element."""
    s = stream()
    s.map(invert).sink(print)
    seen = s.sink_to_list()
    with pytest.raises(ZeroDivisionError):
        s.emit(0)
    assert seen == [0]


def test_2_several_failures_come_as_a_group() -> None:
    s = stream()
    s.map(invert).sink(print)
    s.map(operator.getitem, "k").sink(print)
    with pytest.raises(ExceptionGroup) as caught:
        s.emit(0)
    assert sorted(type(e).__name__ for e in caught.value.exceptions) == [
        "TypeError",
        "ZeroDivisionError",
    ]


def test_2_flatten_hands_on_what_follows_a_failing_item() -> None:
    s = stream()
    seen: list[float] = []
    s.flatten().map(invert).sink(seen.append)
    with pytest.raises(ZeroDivisionError):
        s.emit([1, 0, 2])
    assert seen == [1, 0.5]


def test_2_siblings_of_both_manners_run_in_the_order_of_connection() -> None:
    s = stream()
    order: list[str] = []
    native = s.map(lambda x: order.append("native"))
    old = third.add_offset(s).map(lambda x: order.append("old"))
    last = s.map(lambda x: order.append("last"))
    s.emit(1)
    assert order == ["native", "old", "last"]
    assert len({native, old, last}) == 3


# ------------------------------------------------------------- 3: state and failure


def test_3_a_node_commits_its_state_when_its_own_function_returned() -> None:
    s = stream()
    node = s.accumulate(lambda total, x: total + 1 // x, start=0)
    seen = node.sink_to_list()
    s.emit(1)
    with pytest.raises(ZeroDivisionError):
        s.emit(0)
    assert node.state == 1
    s.emit(1)
    assert seen == [1, 2]


def test_3_a_failure_downstream_does_not_roll_the_state_back() -> None:
    """Ruling 3: what the function of the node itself returned counts."""
    s = stream()
    node = s.accumulate(operator.add, start=0)
    node.map(lambda x: 1 // (x - 3)).sink(lambda x: None)
    with pytest.raises(ZeroDivisionError):
        s.emit(3)
    assert node.state == 3


# --------------------------------------------------------------------------- 4: end


def test_4_flush_emits_what_is_buffered_and_close_ends() -> None:
    """Ruling 4, deliberate: both old libraries kept the last partition for ever."""
    s = stream()
    batches = s.partition(2).sink_to_list()
    held = s.collect().sink_to_list()
    emit_all(s, [1, 2, 3])
    s.flush()
    assert batches == [(1, 2), (3,)]
    assert held == [(1, 2, 3)]
    s.emit(4)
    s.close()
    assert batches[-1] == (4,)
    with pytest.raises(StreamClosed):
        s.emit(5)
    s.close()


def test_4_flush_reaches_through_old_nodes() -> None:
    s = stream()
    seen = third.double_it(third.add_offset(s)).partition(3).sink_to_list()
    s.emit(1)
    s.flush()
    assert seen == [(4,)]


def test_4_streams_are_context_managers() -> None:
    with stream() as s:
        seen = s.partition(2).sink_to_list()
        s.emit(1)
    assert seen == [(1,)]


async def test_4_close_drains_queues_in_order() -> None:
    async with stream(asynchronous=True) as s:
        seen: list[int] = []

        async def slow(x: int) -> None:
            await asyncio.sleep(1)
            seen.append(x)

        s.buffer(10).sink(slow)
        for x in range(5):
            await s.emit(x)
        assert seen == []
    assert seen == [0, 1, 2, 3, 4]


def test_4_join_has_a_time_limit(virtual_background: Any) -> None:
    s = stream(asynchronous=False)
    seen = s.delay(10).sink_to_list()
    s.emit(1)
    with pytest.raises(TimeoutError):
        s.join(timeout=1)
    s.join()
    assert seen == [1]
    s.close()


def script(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-u", "-c", text], capture_output=True, text=True, timeout=50
    )


def test_4_at_interpreter_exit_what_is_buffered_is_written() -> None:
    """Ruling 4, deliberate: both old libraries wrote 0 of 10 here."""
    done = script(
        "import asyncio\n"
        "from rapidz import Stream\n"
        "async def write(x):\n"
        "    await asyncio.sleep(0.01)\n"
        "    print(x)\n"
        "s = Stream(asynchronous=False)\n"
        "s.buffer(100).sink(write)\n"
        "for x in range(10): s.emit(x)\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(x) for x in range(10)]


# ----------------------------------------------------------------------- 5: threads


def test_5_emit_is_safe_from_any_thread() -> None:
    """Ruling 5, deliberate: streamz lost 4 of 100 elements here."""
    s = stream()
    totals = s.accumulate(lambda total, x: total + x, start=0)
    old = third.capped_total(s, operator.add, cap=10**9, start=0)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda: emit_all(s, [1] * 2000), daemon=True) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert totals.state == old.state == 8000


def test_5_without_a_loop_the_emitting_thread_runs_the_nodes() -> None:
    s = stream()
    ran: list[object] = []
    s.map(inc).sink(lambda x: ran.append(threading.current_thread()))
    thread = threading.Thread(target=s.emit, args=(1,))
    thread.start()
    thread.join()
    assert ran == [thread]


async def test_5_unawaited_emits_keep_their_order() -> None:
    """Ruling 5, deliberate: in streamz un-awaited emits finished as [1, 2, 3, 0]."""
    async with stream(asynchronous=True) as s:
        seen: list[int] = []

        async def slow_first(x: int) -> None:
            await asyncio.sleep(0 if x else 1)
            seen.append(x)

        s.sink(slow_first)
        for x in range(4):
            s.emit(x)
        await s.join()
    assert seen == [0, 1, 2, 3]


# ------------------------------------------------------------------------- 6: loops


def test_6_a_loop_is_started_only_when_a_node_needs_one() -> None:
    done = script(
        "import threading\n"
        "from rapidz import Stream\n"
        "s = Stream()\n"
        "seen = s.partition(2).sliding_window(2).sink_to_list()\n"
        "for x in range(6): s.emit(x)\n"
        "print(threading.active_count(), len(seen))\n"
    )
    assert done.stdout.split() == ["1", "2"], done.stderr


def test_6_a_pipeline_can_be_built_before_the_loop_runs() -> None:
    """Ruling 6, deliberate: in streamz such a pipeline never delivered anything."""
    s = stream(asynchronous=True)
    seen = s.buffer(2).map(inc).sink_to_list()

    async def main() -> None:
        async with s:
            for x in range(3):
                await s.emit(x)

    asyncio.run(main())
    assert seen == [1, 2, 3]


async def test_6_with_no_word_a_pipeline_binds_to_the_running_loop() -> None:
    """Ruling 6, deliberate: streamz blocked the loop for as long as the pipeline took."""
    async with stream() as s:
        seen = s.rate_limit(1).sink_to_list()
        for x in range(3):
            await s.emit(x)
        assert seen == [0, 1, 2]
        assert s.loop is IOLoop.current()


def test_6_two_loops_in_one_pipeline_are_refused() -> None:
    """Ruling 6 and 19, deliberate: streamz took them and hung."""
    with pytest.raises(ValueError, match=r"loop|asynchronous"):
        stream(asynchronous=True).union(stream(asynchronous=False))


def test_6_a_blocking_emit_returns_when_capacity_is_free(virtual_background: Any) -> None:
    s = stream(asynchronous=False)
    s.rate_limit("500ms").sink(lambda x: None)
    emit_all(s, range(5))
    assert virtual_background.time() == 2.0
    s.close()


# ------------------------------------------------------------------ 7: async functions


async def halve(x: int) -> float:
    await asyncio.sleep(1)
    return x / 2


async def test_7_async_functions_are_awaited_in_order() -> None:
    """Ruling 7, deliberate: in both old libraries map handed coroutine objects on."""
    async with stream(asynchronous=True) as s:
        mapped = s.map(halve).sink_to_list()
        kept = s.filter(halve).sink_to_list()

        async def add(total: float, x: int) -> float:
            return total + await halve(x)

        totals = s.accumulate(add, start=0).sink_to_list()
        for x in (0, 2, 4):
            await s.emit(x)
    assert mapped == [0, 1, 2]
    assert kept == [2, 4]
    assert totals == [0, 1, 3]


def test_7_an_async_sink_runs_on_a_plain_stream(virtual_background: Any) -> None:
    """Ruling 7, deliberate: in both old libraries it never ran."""
    s = stream()
    seen: list[float] = []

    async def keep(x: int) -> None:
        seen.append(await halve(x))

    s.sink(keep)
    emit_all(s, [2, 4])
    assert seen == [1, 2]
    s.close()


# ---------------------------------------------------------------------- 8: lifetime


def test_8_sinks_stay_and_other_nodes_are_collected() -> None:
    s = stream()
    dropped = weakref.ref(s.map(inc))
    seen = s.map(inc).sink_to_list()
    gc.collect()
    assert dropped() is None
    s.emit(1)
    assert seen == [2]


def test_8_destroy_close_and_disconnect_are_safe_to_repeat() -> None:
    """Ruling 8, deliberate: KeyError in streamz for strangers."""
    a, b = stream(), stream()
    a.disconnect(b)
    a.connect(b)
    a.disconnect(b)
    a.disconnect(b)
    sink = b.sink(print)
    sink.destroy()
    sink.destroy()
    b.close()
    b.close()
    assert list(a.downstreams) == []


# ------------------------------------------------------------------------- 9: delay


async def arrivals(build: Callable[[Any], Any], at: list[float]) -> list[float]:
    loop = asyncio.get_running_loop()
    left: list[float] = []
    start = loop.time()
    async with stream(asynchronous=True) as s:
        build(s).sink(lambda x: left.append(loop.time() - start))
        for instant in at:
            if (rest := instant - (loop.time() - start)) > 0:
                await asyncio.sleep(rest)
            s.emit(instant)
        await s.join()
    return left


async def test_9_delay_never_leaves_earlier_than_arrival_plus_interval() -> None:
    """Ruling 9, deliberate: after an idle moment streamz let elements out at once."""
    assert await arrivals(lambda s: s.delay(1), [2, 2, 2]) == [3, 4, 5]


async def test_9_delay_without_spacing_is_the_pure_shift() -> None:
    assert await arrivals(lambda s: s.delay(1, spaced=False), [2, 2, 2.5]) == [3, 3, 3.5]


# ------------------------------------------- 10: rate_limit, windows, latest, slice


async def test_10_rate_limit_never_comes_closer_than_its_interval() -> None:
    """Ruling 10: in streamz half of the gaps were too small."""
    assert await arrivals(lambda s: s.rate_limit(1), [0, 0, 0.5, 5]) == [0, 1, 2, 5]


async def test_10_timed_window_gives_lists_at_a_fixed_cadence() -> None:
    """Ruling 10: empty ones as in rapidz; streamz added the time of the sink to the period."""
    loop = asyncio.get_running_loop()
    seen: list[tuple[float, Any]] = []

    async def slow(x: Any) -> None:
        seen.append((loop.time(), x))
        await asyncio.sleep(0.5)

    async with stream(asynchronous=True) as s:
        s.timed_window(1).sink(slow)
        await s.emit("a")
        await asyncio.sleep(3.25)
    assert seen[:3] == [(1, ["a"]), (2, []), (3, [])]


async def test_10_timed_window_leaves_empty_windows_out_on_request() -> None:
    async with stream(asynchronous=True) as s:
        seen = s.timed_window(1, emit_empty=False).sink_to_list()
        await asyncio.sleep(3)
        await s.emit("a")
        await asyncio.sleep(3)
        assert seen == [["a"]]


async def test_10_the_last_value_of_latest_always_arrives() -> None:
    """Ruling 10, deliberate: streamz lost it in 20 of 20 trials."""
    async with stream(asynchronous=True) as s:
        seen: list[int] = []

        async def slow(x: int) -> None:
            await asyncio.sleep(1)
            seen.append(x)

        s.latest().sink(slow)
        await s.emit(1)
        await asyncio.sleep(0.5)
        await s.emit(2)
        await asyncio.sleep(5)
        assert seen == [1, 2]


def test_10_sliding_window_gives_full_windows() -> None:
    """Ruling 10: as rapidz; streamz gives partial ones by default."""
    s = stream()
    seen = s.sliding_window(2).sink_to_list()
    emit_all(s, [1, 2, 3])
    assert seen == [(1, 2), (2, 3)]


@pytest.mark.parametrize(
    "bounds", [(1, None, 2), (2, 8, 3), (0, 0), (None, 3), (2,), (None, None, 4), (5, 2)], ids=str
)
def test_10_slice_is_a_lists(bounds: tuple[int | None, ...]) -> None:
    """Ruling 10, deliberate: streamz gave [2, 4, 6, 8] for [1::2], and all ten for [0:0]."""
    start, end, step = (*bounds, None, None)[:3]
    s = stream()
    node = s.slice(start, end, step)
    seen = node.sink_to_list()
    emit_all(s, range(10))
    assert seen == list(range(10))[start:end:step]


# ------------------------------------------------------------------------ 11: unique


def test_11_unique_forgets_first_in_first_out() -> None:
    """Ruling 11: as rapidz; the spelling of streamz keeps the least recently used of streamz."""
    for options, wanted in (({"history": 2}, [1, 2, 3, 1]), ({"maxsize": 2}, [1, 2, 3, 2, 1])):
        s = stream()
        seen = s.unique(**options).sink_to_list()
        emit_all(s, [1, 2, 1, 3, 2, 1])
        assert seen == wanted


def test_11_unhashable_elements_work() -> None:
    """Ruling 11, deliberate: TypeError in streamz unless hashable=False was given."""
    s = stream()
    seen = s.unique(history=2).sink_to_list()
    emit_all(s, [[1], 1, [1], (2,), [1]])
    assert seen == [[1], 1, (2,), [1]]


# ------------------------------------------------- 12: zip, combine_latest, zip_latest


async def test_12_zip_blocks_the_fast_side_and_wakes_one_for_each_slot() -> None:
    async with stream(asynchronous=True) as a, stream(asynchronous=True) as b:
        seen = a.zip(b, maxsize=2).sink_to_list()
        waits = [asyncio.ensure_future(a.emit(x)) for x in range(5)]
        await asyncio.sleep(1)
        assert [w.done() for w in waits] == [True, True, False, False, False]
        await b.emit("b")
        await asyncio.sleep(1)
        assert [w.done() for w in waits] == [True, True, True, False, False]
        for _ in range(4):
            await b.emit("b")
        await asyncio.gather(*waits)
        assert seen == [(x, "b") for x in range(5)]


def test_12_a_wait_that_only_the_caller_could_end_raises() -> None:
    """Ruling 12, deliberate: a dead-lock in streamz with a loop, an ignored bound without."""
    a, b = stream(), stream()
    node = a.zip(b, maxsize=2)
    seen = node.sink_to_list()
    emit_all(a, [1, 2])
    with pytest.raises(BackPressureError):
        a.emit(3)
    emit_all(b, "xy")
    a.emit(4)
    b.emit("z")
    assert seen == [(1, "x"), (2, "y"), (4, "z")]


def test_12_an_input_of_zip_can_be_removed_at_any_time() -> None:
    """Ruling 12, deliberate: both old libraries were stuck for ever."""
    a, b, c = stream(), stream(), stream()
    node = a.zip(b, c)
    seen = node.sink_to_list()
    emit_all(a, [1, 2])
    b.emit("b")
    c.disconnect(node)
    assert seen == [(1, "b")]
    b.emit("c")
    assert seen == [(1, "b"), (2, "c")]


def test_12_an_input_of_combine_latest_can_be_removed_after_it_emitted() -> None:
    """Ruling 12, deliberate: KeyError in streamz."""
    a, b = stream(), stream()
    node = a.combine_latest(b)
    seen = node.sink_to_list()
    b.emit(1)
    b.disconnect(node)
    a.emit(2)
    assert seen[-1] == (2,)


def test_12_streams_can_be_joined_with_themselves() -> None:
    """Ruling 12, deliberate: `s.combine_latest(s)` was a TypeError."""
    s = stream()
    zipped = s.zip(s).sink_to_list()
    combined = s.combine_latest(s).sink_to_list()
    s.emit(1)
    assert zipped == [(1, 1)]
    assert combined[-1] == (1, 1)


def test_12_emit_on_takes_indices_and_streams_and_refuses_strangers() -> None:
    a, b = stream(), stream()
    for emit_on in (0, a, [0], [a], (a,)):
        node = a.combine_latest(b, emit_on=emit_on)
        assert list(node.emit_on) == [a]
    for wrong in (5, stream(), "a"):
        with pytest.raises((TypeError, ValueError)):
            a.combine_latest(b, emit_on=wrong)


async def test_12_zip_latest_works_inside_a_loop() -> None:
    """Ruling 12, deliberate: TypeError "unhashable type: 'list'" in streamz."""
    async with stream(asynchronous=True) as a:
        b = a.map(str)
        seen = a.zip_latest(b).sink_to_list()
        for x in range(3):
            await a.emit(x)
    assert seen == [(0, "0"), (1, "1"), (2, "2")]


# ---------------------------------------------------------------------- 13: metadata


async def test_13_a_counter_fires_once_after_all_is_done_and_reports_failure() -> None:
    """Ruling 13: more in the tests of metadata."""
    async with stream(asynchronous=True) as s:
        done: list[Any] = []
        s.buffer(1).map(halve).sink(lambda x: done.append("sink"))
        ref: Any = RefCounter(cb=lambda: done.append("fired"), loop=s.loop)
        await s.emit(1, metadata=[{"ref": ref}])
        await s.join()
        await asyncio.sleep(0.1)
        assert done == ["sink", "fired"]


# -------------------------------------------------------------- 14: collected names


def test_14_from_rapidz_import_star_shadows_no_builtin() -> None:
    """Ruling 14, deliberate: the originals replaced map, filter, zip and slice."""
    space: dict[str, Any] = {}
    exec("from rapidz import *", space)
    assert "Stream" in space
    assert not {"map", "filter", "zip", "slice"} & set(space)
    assert rapidz.map is core.map
    assert core.zip is rapidz.zip


# -------------------------------------------------------------------------- 15: SKIP


def test_15_map_and_accumulate_may_return_skip() -> None:
    s = stream()
    odd = s.map(lambda x: x if x % 2 else SKIP).sink_to_list()
    node = s.accumulate(lambda t, x: t + x if x % 2 else SKIP, start=0)
    totals = node.sink_to_list()
    states = s.accumulate(lambda t, x: (t + x, t if x % 2 else SKIP), start=0, returns_state=True)
    results = states.sink_to_list()
    emit_all(s, [1, 2, 3])
    assert odd == [1, 3]
    assert (totals, node.state) == ([1, 4], 4)
    assert (results, states.state) == ([0, 3], 6)


def test_15_none_is_an_element_like_any_other() -> None:
    s = stream()
    seen = s.map(lambda x: None).sink_to_list()
    s.emit(1)
    assert seen == [None]


# ----------------------------------------------------------------------- 18: sources


async def test_18_a_source_goes_through_its_states() -> None:
    source: Any = rapidz.from_iterable([1, 2], asynchronous=True)
    seen = source.partition(5).sink_to_list()
    assert source.state == "new"
    source.start()
    source.start()
    assert source.state == "running"
    await asyncio.sleep(1)
    assert source.state == "done"
    assert seen == [(1, 2)]
    source.stop()
    source.stop()


async def test_18_a_stopped_source_may_start_again() -> None:
    source = third.counts_up(10, asynchronous=True)
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(1.5)
    source.stop()
    assert source.state == "stopped"
    await asyncio.sleep(5)
    assert seen == [1, 2]
    source.start()
    await asyncio.sleep(1.5)
    source.stop()
    assert seen[:3] == [1, 2, 3]


async def test_18_a_source_that_fails_says_why() -> None:
    """Ruling 18, deliberate: in streamz a failing source was silent."""

    def numbers() -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    source: Any = rapidz.from_iterable(numbers(), asynchronous=True)
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(1)
    assert (seen, source.state) == ([1], "failed")
    assert isinstance(source.exception, OSError)
    with pytest.raises(OSError, match="unplugged"):
        await source.close()


# ----------------------------------------------------------------- 19: bad arguments


BAD: list[tuple[str, Callable[[Any], Any]]] = [
    ("map: func", lambda s: s.map(3)),
    ("starmap: func", lambda s: s.starmap(None)),
    ("filter: predicate", lambda s: s.filter(3)),
    ("accumulate: func", lambda s: s.accumulate("x")),
    ("sink: func", lambda s: s.sink(3)),
    ("partition: n", lambda s: s.partition(0)),
    ("partition: n", lambda s: s.partition("a")),
    ("partition: timeout", lambda s: s.partition(2, timeout=-1)),
    ("partition_unique: n", lambda s: s.partition_unique(0)),
    ("partition_unique: keep", lambda s: s.partition_unique(2, keep="x")),
    ("sliding_window: n", lambda s: s.sliding_window(0)),
    ("timed_window: interval", lambda s: s.timed_window(0)),
    ("timed_window_unique: keep", lambda s: s.timed_window_unique(1, keep="x")),
    ("buffer: n", lambda s: s.buffer(0)),
    ("delay: interval", lambda s: s.delay(-1)),
    ("delay: interval", lambda s: s.delay("soon")),
    ("rate_limit: interval", lambda s: s.rate_limit(-1)),
    ("map_async: parallelism", lambda s: s.map_async(inc, parallelism=0)),
    ("unique: maxsize", lambda s: s.unique(maxsize=0)),
    ("zip: maxsize", lambda s: s.zip(stream(), maxsize=0)),
    ("slice: start", lambda s: s.slice(-1)),
    ("slice: step", lambda s: s.slice(0, 1, -1)),
    ("combine_latest: emit_on", lambda s: s.combine_latest(stream(), emit_on=stream())),
]


@pytest.mark.parametrize(("start", "build"), BAD, ids=[f"{i} {b[0]}" for i, b in enumerate(BAD)])
def test_19_bad_arguments_are_refused_when_the_node_is_built(
    start: str, build: Callable[[Any], Any]
) -> None:
    """Ruling 19, deliberate: the old libraries took nearly all of these and failed later."""
    s = stream()
    with pytest.raises((TypeError, ValueError)) as caught:
        build(s)
    assert str(caught.value).startswith(f"{start} must be ")
    assert "got " in str(caught.value)
    assert list(s.downstreams) == []


def test_19_intervals_are_numbers_strings_and_timedeltas() -> None:
    for interval in (120, 120.0, "2 min", "120s", timedelta(minutes=2)):
        assert stream().delay(interval).interval == 120


# ------------------------------------------------------- 20 and 21: tuning, drop-in


def test_20_what_is_assigned_applies_from_the_next_element_on() -> None:
    """Ruling 20: more in the tests of tuning."""
    s = stream()
    node = s.map(operator.add, 1)
    seen = node.sink_to_list()
    s.emit(1)
    node.func, node.args = operator.mul, (10,)
    s.emit(1)
    assert seen == [2, 10]


def test_21_both_old_manners_and_native_nodes_share_a_graph() -> None:
    """Ruling 21, deliberate: under streamz a node of the first manner was a TypeError."""
    s = stream()
    seen = third.double_it(third.add_offset(s.map(inc))).map(inc).sink_to_list()
    s.emit(0, metadata=[{"k": 1}])
    assert seen == [5]


# ------------------------------------------------------------ the promise of no hang


def test_a_child_process_starts_its_own_loop() -> None:
    """Promise 3 and defect D36: in streamz emit hung in a forked child."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    done = script(
        "import os, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from rapidz import Stream\n"
        "s = Stream(asynchronous=False); s.rate_limit(0.001).sink(lambda x: None); s.emit(1)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    t = Stream(asynchronous=False); seen = t.rate_limit(0.001).sink_to_list()\n"
        "    t.emit(2); print(seen, flush=True); os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
    )
    assert done.stdout.strip() == "[2]", done.stderr


def test_long_chains_and_loops_end_without_recursion_errors() -> None:
    """Promise 2, defect D32: a RecursionError in both from 600 nodes or 248 rounds on."""
    s = stream()
    node = s
    for _ in range(2000):
        node = node.map(inc)
    seen = node.sink_to_list()
    s.emit(0)
    assert seen == [2000]
    looped = stream()
    down = looped.filter(None).map(lambda x: x - 1)
    counted = down.accumulate(lambda n, x: n + 1, start=0)
    down.connect(looped)
    looped.emit(5000)
    assert counted.state == 5000


async def test_loops_of_tornado_and_of_asyncio_are_one() -> None:
    """Engine rule 5: what emit gives can be yielded and awaited."""
    async with stream(asynchronous=True) as s:
        s.sink(lambda x: gen.sleep(1))

        def yields() -> Any:
            yield s.emit(1)
            yield [s.emit(2), s.emit(3)]

        await gen.coroutine(yields)()
        await s.emit(4)
        assert await instants(s, [5]) == [asyncio.get_running_loop().time()]


def test_nothing_warns_in_a_plain_pipeline(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = stream()
        seen = third.add_offset(s).partition(1).sink_to_list()
        s.emit(1)
        del s
        gc.collect()
    eventually(lambda: seen == [(2,)])
