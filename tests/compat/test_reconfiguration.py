"""Reconfiguration at run time: each change applies from the next element on."""

from __future__ import annotations

import asyncio
import operator
from typing import Any

import numpy as np
from tests.compat.helpers import emit_all, inc, instants, stream, third


def scaled(x: int, by: int = 1, lb: int = 0) -> int:
    return x * by + lb


def test_kwargs_can_be_taken_from_another_node_and_stay_shared() -> None:
    s = stream()
    one, other = s.map(scaled, by=2), s.map(scaled, by=3)
    seen, also = one.sink_to_list(), other.sink_to_list()
    s.emit(1)
    one.kwargs = other.kwargs
    s.emit(1)
    other.kwargs["by"] = 10
    s.emit(1)
    assert seen == [2, 3, 10]
    assert also == [3, 3, 10]


def test_kwargs_can_be_changed_in_place() -> None:
    s = stream()
    node = s.map(scaled)
    seen = node.sink_to_list()
    s.emit(1)
    node.kwargs["lb"] = 3
    s.emit(1)
    del node.kwargs["lb"]
    s.emit(1)
    assert seen == [1, 4, 1]


def test_args_can_be_reassigned() -> None:
    s = stream()
    node = s.map(scaled, 2)
    seen = node.sink_to_list()
    s.emit(1)
    node.args = (5, 1)
    s.emit(1)
    assert seen == [2, 6]


def test_func_can_be_reassigned_at_the_end_and_in_the_middle() -> None:
    s = stream()
    first = s.map(inc)
    second = first.map(operator.neg)
    seen = second.map(str).sink_to_list()
    s.emit(1)
    second.func = abs
    s.emit(1)
    first.func = operator.neg
    s.emit(1)
    assert seen == ["-2", "2", "1"]


def test_func_of_sink_starmap_and_starsink_can_be_reassigned() -> None:
    s = stream()
    before: list[Any] = []
    after: list[Any] = []
    sink = s.sink(before.append)
    star = s.starmap(operator.add)
    sums = star.sink_to_list()
    starsink = s.starsink(lambda a, b: before.append(a))
    s.emit((1, 2))
    sink.func, star.func = after.append, operator.mul
    starsink.func = lambda a, b: after.append(b)
    s.emit((3, 4))
    assert before == [(1, 2), 1]
    assert after == [(3, 4), 4]
    assert sums == [3, 12]


def test_predicate_of_filter_can_be_reassigned() -> None:
    s = stream()
    node = s.filter(lambda x: x > 1)
    seen = node.sink_to_list()
    emit_all(s, [1, 2])
    node.predicate = lambda x: x < 2
    emit_all(s, [1, 2])
    assert seen == [2, 1]


def test_func_of_accumulate_can_be_reassigned_and_the_state_stays() -> None:
    s = stream()
    node = s.accumulate(operator.add, start=1)
    seen = node.sink_to_list()
    s.emit(1)
    node.func = operator.mul
    s.emit(5)
    assert seen == [2, 10]


def test_state_of_accumulate_can_be_reassigned() -> None:
    s = stream()
    node = s.accumulate(operator.add)
    seen = node.sink_to_list()
    s.emit(1)
    node.state = 100
    s.emit(1)
    assert seen == [1, 101]
    assert node.state == 101


def test_state_of_accumulate_can_be_cleared_in_place() -> None:
    def count(state: dict[str, int], x: str) -> dict[str, int]:
        state[x] = state.get(x, 0) + 1
        return state

    s = stream()
    node = s.accumulate(count, start={})
    seen = node.map(dict).sink_to_list()
    emit_all(s, "aa")
    node.state.clear()
    emit_all(s, "ab")
    assert seen == [{"a": 1}, {"a": 2}, {"a": 1}, {"a": 1, "b": 1}]


def test_state_of_accumulate_can_be_written_by_slices() -> None:
    """As the frames of a detector are masked in place."""
    s = stream()
    node = s.accumulate(lambda state, x: state + x, start=np.zeros((2, 2)))
    seen = node.map(lambda state: state.tolist()).sink_to_list()
    s.emit(np.ones((2, 2)))
    node.state[:, :1] = 0
    s.emit(np.ones((2, 2)))
    assert seen == [[[1, 1], [1, 1]], [[1, 2], [1, 2]]]


def test_combine_latest_can_be_made_to_forget_an_input() -> None:
    a, b = stream(), stream()
    node = a.combine_latest(b)
    seen = node.sink_to_list()
    a.emit(1)
    b.emit(2)
    position = 0
    node.last[position] = None
    node.missing.add(node.upstreams[position])
    b.emit(3)
    a.emit(4)
    assert seen == [(1, 2), (4, 3)]


def test_emit_on_of_combine_latest_can_be_reassigned() -> None:
    a, b = stream(), stream()
    node = a.combine_latest(b, emit_on=0)
    seen = node.sink_to_list()
    a.emit(1)
    b.emit(2)
    a.emit(3)
    node.emit_on = (b,)
    a.emit(4)
    b.emit(5)
    assert seen == [(3, 2), (4, 5)]


def test_lossless_buffer_of_zip_latest_can_be_cleared() -> None:
    a, b = stream(), stream()
    node = a.zip_latest(b)
    seen = node.sink_to_list()
    emit_all(a, [1, 2])
    node.lossless_buffer.clear()
    b.emit("b")
    a.emit(3)
    assert seen == [(3, "b")]


def test_buffers_of_zip_can_be_cleared_in_place() -> None:
    a, b = stream(), stream()
    node = a.zip(b)
    seen = node.sink_to_list()
    a.emit(1)
    for buffer in node.buffers.values():
        buffer.clear()
    b.emit(2)
    a.emit(3)
    assert seen == [(3, 2)]


def test_literals_of_zip_can_be_reassigned() -> None:
    s = stream()
    node = s.zip("old")
    seen = node.sink_to_list()
    s.emit(1)
    node.literals = [(1, "new")]
    s.emit(2)
    assert seen == [(1, "old"), (2, "new")]


def test_cache_of_collect_can_be_cleared() -> None:
    s = stream()
    node = s.collect()
    seen = node.sink_to_list()
    emit_all(s, [1, 2])
    node.cache.clear()
    s.emit(3)
    node.flush()
    assert seen == [(3,)]


def test_seen_of_unique_can_be_cleared() -> None:
    s = stream()
    node = s.unique()
    seen = node.sink_to_list()
    emit_all(s, [1, 1])
    node.seen.clear()
    emit_all(s, [1, 1])
    assert seen == [1, 1]


def test_n_of_partition_can_be_changed() -> None:
    s = stream()
    node = s.partition(2)
    seen = node.sink_to_list()
    emit_all(s, [1, 2])
    node.n = 3
    emit_all(s, [3, 4, 5])
    assert seen == [(1, 2), (3, 4, 5)]


async def test_interval_of_rate_limit_can_be_changed() -> None:
    async with stream(asynchronous=True) as s:
        node = s.rate_limit(1.0)
        node.sink_to_list()
        assert await instants(s, [1, 2, 3]) == [0.0, 1.0, 2.0]
        node.interval = 10.0
        await s.emit(4)
        await s.emit(5)
        assert asyncio.get_running_loop().time() >= 12.0


async def test_func_can_be_reassigned_behind_a_queue() -> None:
    async with stream(asynchronous=True) as s:
        node = s.buffer(5).map(inc)
        seen = node.sink_to_list()
        await s.emit(1)
        await s.join()
        node.func = operator.neg
        await s.emit(1)
        await s.join()
        assert seen == [2, -1]


def test_reconfiguration_reaches_native_nodes_around_legacy_ones() -> None:
    s = stream()
    above = s.map(inc)
    below = third.add_offset(above).map(inc)
    seen = below.sink_to_list()
    s.emit(0)
    above.func = below.func = operator.neg
    s.emit(1)
    assert seen == [3, 0]


def test_attributes_of_legacy_nodes_apply_at_once() -> None:
    s = stream()
    node = third.add_offset(s)
    seen = node.sink_to_list()
    s.emit(1)
    node.offset = 10
    s.emit(1)
    assert seen == [2, 11]


def test_a_function_may_tune_its_own_node() -> None:
    s = stream()

    def first_only(x: int) -> str:
        node.func = str
        return "first"

    node = s.map(first_only)
    seen = node.sink_to_list()
    emit_all(s, [1, 2])
    assert seen == ["first", "2"]


def test_an_edit_of_the_graph_loses_no_state() -> None:
    s = stream()
    node = s.accumulate(operator.add).sliding_window(2)
    seen = node.sink_to_list()
    emit_all(s, [1, 2])
    late = s.map(inc).sink_to_list()
    emit_all(s, [3])
    assert seen == [(1, 3), (3, 6)]
    assert late == [4]
