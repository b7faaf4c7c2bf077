"""Where rapidz 0.2.2 and streamz 0.6.6 differ: rapidz wins, the streamz spelling is accepted.

Each test names its row in the list of differences of the two.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import operator
from typing import Any

import pytest
from tests.compat.helpers import core, emit_all, inc, rapidz, sinks, stream, third

from rapidz import Source, Stream


def test_row_1_upstreams_of_a_root_equal_both_old_answers() -> None:
    root = stream()
    assert root.upstreams == []
    assert root.upstreams == [None]
    for answer in ([], [None]):
        assert answer == root.upstreams
        assert not answer != root.upstreams  # noqa: SIM202
    assert root.upstreams != [stream()]
    assert root.upstream is None
    assert [u for u in root.upstreams if u is not None] == []


def test_row_1_upstreams_of_other_nodes_equal_only_themselves() -> None:
    root = stream()
    node = root.map(inc)
    assert node.upstreams == [root]
    assert node.upstreams != [None]
    assert node.upstreams != []


def test_row_1_upstreams_after_connect_and_disconnect() -> None:
    a, b = stream(), stream()
    a.connect(b)
    assert b.upstreams == [a]
    a.disconnect(b)
    assert b.upstreams == []
    assert b.upstream is None


def test_row_2_sliding_window_gives_full_windows_unless_asked() -> None:
    s = stream()
    full = s.sliding_window(2).sink_to_list()
    partial = s.sliding_window(2, return_partial=True).sink_to_list()
    plain = s.sliding_window(2, False).sink_to_list()
    emit_all(s, [1, 2, 3])
    assert full == plain == [(1, 2), (2, 3)]
    assert partial == [(1,), (1, 2), (2, 3)]


async def test_row_3_periodic_callback_runs_at_once_in_milliseconds() -> None:
    count = iter(range(100))
    source: Any = rapidz.PeriodicCallback(lambda: next(count), 500, asynchronous=True)
    seen = source.sink_to_list()
    await asyncio.sleep(2.25)
    source.stop()
    assert 3 <= len(seen) <= 5
    assert seen == list(range(len(seen)))


async def test_row_3_from_periodic_is_in_seconds_and_not_started() -> None:
    count = iter(range(100))
    source: Any = rapidz.from_periodic(lambda: next(count), 0.5, asynchronous=True)
    seen = source.sink_to_list()
    await asyncio.sleep(2)
    assert seen == []
    source.start()
    await asyncio.sleep(2.25)
    source.stop()
    assert 4 <= len(seen) <= 5


def test_row_4_unique_takes_both_spellings() -> None:
    for options in ({"history": 2}, {"maxsize": 2}, {"maxsize": 2, "hashable": True}):
        s = stream()
        seen = s.unique(**options).sink_to_list()
        emit_all(s, [1, 2, 3, 1])
        assert seen == [1, 2, 3, 1], options


@pytest.mark.parametrize("options", [{}, {"hashable": False}, {"history": 5}])
def test_row_4_unique_finds_out_by_itself_what_can_be_hashed(options: dict[str, Any]) -> None:
    s = stream()
    seen = s.unique(**options).sink_to_list()
    emit_all(s, [[1], [2], [1], {"a": 1}, {"a": 1}])
    assert seen == [[1], [2], {"a": 1}]


def test_row_8_sources_take_start_and_a_second_ensure_io_loop() -> None:
    class mine(Source[Any]):
        def __init__(self, **options: Any) -> None:
            super().__init__(ensure_io_loop=True, **options)

    source: Any = mine(start=False)
    assert source.stopped
    assert third.polled_device([], start=False).readings == []


def test_row_9_update__emit_and_emit_work_with_and_without_metadata() -> None:
    s = stream()
    chain = third.loud(third.double_it(third.add_offset(third.swapped_arguments(s))))
    seen = chain.sink_to_list()
    s.emit(1, metadata=[{"k": 1}])
    assert seen == [(4, "!")]


def test_row_10_zip_buffers_can_be_cleared_and_swapped_when_filled() -> None:
    a, b = stream(), stream()
    node = a.zip(b)
    seen = node.sink_to_list()
    a.emit(1, metadata=[{"k": 1}])
    node.buffers[a].clear()
    a.emit(2)
    b.emit("b")
    assert seen == [(2, "b")]


@pytest.mark.parametrize("kind", ["partition", "sliding_window"])
def test_row_11_the_buffer_of_a_window_has_both_old_names(kind: str) -> None:
    s = stream()
    node = getattr(s, kind)(3)
    s.emit(1)
    held, also = node._buffer, node._buffer
    assert len(held) == 1
    assert len(also) == 1


def test_row_12_global_sinks_are_one_set_under_both_names() -> None:
    assert core._global_sinks is sinks._global_sinks
    sink = stream().sink(print)
    assert sink in core._global_sinks
    sink.destroy()
    assert sink not in core._global_sinks


def test_row_12_sinks_are_in_core_and_in_sinks() -> None:
    assert core.sink is sinks.sink is rapidz.sink
    assert core.starsink is rapidz.starsink


def test_row_14_update_of_the_base_class_passes_on() -> None:
    s = stream()
    seen = s.sink_to_list()
    assert not s.update(1)
    assert seen == [1]


def test_row_15_destroy_takes_streams_also_for_sinks() -> None:
    a, b = stream(), stream()
    both: Any = Stream(upstreams=[a, b])
    sink: Any = both.sink(lambda x: None)
    both.destroy([a])
    assert both.upstreams == [b]
    assert list(a.downstreams) == []
    sink.destroy(streams=[both])
    assert sink.upstreams == []
    sink.destroy()


async def test_row_17_a_pipeline_in_a_loop_keeps_that_loop() -> None:
    s = stream(asynchronous=True)
    assert s.map(inc).buffer(2).loop is s.loop


def test_row_17_the_shared_loop_is_one_for_all_pipelines() -> None:
    a, b = stream(asynchronous=False), stream(ensure_io_loop=True)
    assert a.loop is b.loop
    assert a.loop in core._io_loops
    assert core.get_io_loop() is a.loop
    assert (a.asynchronous, b.asynchronous) == (False, False)


def test_row_16_partition_needs_no_loop() -> None:
    s = stream()
    node = s.partition(2)
    assert s.loop is None
    seen = node.sink_to_list()
    assert s.emit(1) is None
    s.emit(2)
    assert seen == [(1, 2)]


class callable_object:
    def __call__(self, x: Any) -> Any:
        return x


def test_row_18_a_callable_object_shows_its_class() -> None:
    s = stream()
    assert str(s.map(callable_object())) == "<map: callable_object>"
    assert str(s.map(functools.partial(operator.add, 1))) == "<map: partial>"


def test_row_22_errors_in_sync_are_raised_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails() -> None:
        raise KeyError("k")

    with caplog.at_level(logging.DEBUG), pytest.raises(KeyError):
        core.sync(core.get_io_loop(), fails)
    assert [r for r in caplog.records if r.name.startswith("rapidz")] == []


def test_sync_gives_what_the_function_returned() -> None:
    async def answer(x: int, by: int = 1) -> int:
        await asyncio.sleep(0)
        return x * by

    assert core.sync(core.get_io_loop(), answer, 6, by=7) == 42
