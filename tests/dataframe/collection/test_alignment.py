"""Alignment by `in_step`: results of one element along several paths are joined again."""

from __future__ import annotations

import asyncio
import gc
import weakref
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import add, double, fail_on, settle

from rapidz import SKIP, RefCounter, Retry, Stream, rate_limit
from rapidz.dataframe.collection.alignment import common_origin, in_step, together
from rapidz.testing import record


def pairs(source: Stream[Any], *ways: Stream[Any]) -> list[Any]:
    return in_step(source, *ways).sink_to_list()


def fails_on_odd(x: int) -> int:
    if x % 2:
        raise ValueError(x)
    return -x


def leaves_odd_out(x: int) -> Any:
    return SKIP if x % 2 else -x


@given(st.lists(st.integers(0, 9)))
def test_in_step_pairs_what_has_the_same_origin(elements: list[int]) -> None:
    source: Stream[int] = Stream()
    seen = pairs(source, source.map(double), source, source.accumulate(add))
    source.emit_many(elements)
    assert seen == [(2 * x, x, sum(elements[: i + 1])) for i, x in enumerate(elements)]


@given(st.lists(st.integers(0, 9)))
def test_in_step_loses_only_what_a_way_loses(elements: list[int]) -> None:
    source: Stream[int] = Stream()
    failing, leaving = source.map(fails_on_odd), source.map(leaves_odd_out)
    seen = pairs(source, failing, source.map(double)), pairs(source, source.map(double), leaving)
    for x in elements:
        if x % 2:
            with pytest.raises(ValueError, match=str(x)):
                source.emit(x)
        else:
            source.emit(x)
    expected = [(-x, 2 * x) for x in elements if x % 2 == 0]
    assert seen == (expected, [(b, a) for a, b in expected])


@pytest.mark.parametrize("policy", ["skip", "send"])
def test_in_step_is_whole_again_after_a_policy(policy: Any) -> None:
    source: Stream[int] = Stream()
    seen = pairs(source, source.map(double), source.map(fail_on(2)).on_error(policy))
    source.emit_many([1, 2, 3])
    assert seen == [(2, 1), (6, 3)]


async def test_in_step_waits_for_a_retry() -> None:
    source: Stream[int] = Stream(asynchronous=True)
    failures = iter([True, False, False, False])

    def fails_once(x: int) -> int:
        if next(failures):
            raise ValueError(x)
        return -x

    way = source.map(fails_once).on_error(Retry(times=1, wait=1))
    seen = record(in_step(source, way, source.map(double)))
    for x in (1, 2, 3):
        source.emit(x)
    await settle(source.join())
    assert [pair for _, pair in seen] == [(-1, 2), (-2, 4), (-3, 6)]


async def test_in_step_pairs_right_while_downstream_is_slow() -> None:
    """The policy makes every way take one element after the other; none of them may be late."""

    async def slow(_: object) -> None:
        await asyncio.sleep(1)

    source: Stream[int] = Stream(asynchronous=True)
    source.on_error("skip")
    node = in_step(source, source.map(fail_on(2)), source.map(double))
    seen = record(node)
    node.sink(slow)
    for x in (1, 2, 3, 4):
        source.emit(x)
    await settle(source.join())
    assert [pair for _, pair in seen] == [(1, 2), (3, 6), (4, 8)]


def test_many_columns_in_one_expression_are_right() -> None:
    """Deep pipelines leave Python's stack at some places, and go on from there later."""
    for policy in ("raise", "skip"):
        source: Stream[int] = Stream()
        source.on_error(policy)
        total = source.map(double)
        for n in range(200):
            total = together([total, source.map(add, n)]).map(sum)
        seen = total.sink_to_list()
        source.emit_many([1, 2])
        assert seen == [2 * x + sum(x + n for n in range(200)) for x in (1, 2)]


async def test_a_failure_downstream_reaches_the_awaiter() -> None:
    async def fails(_: object) -> None:
        await asyncio.sleep(1)
        raise ValueError("below")

    source: Stream[int] = Stream(asynchronous=True)
    in_step(source, source.map(double), source).sink(fails)
    with pytest.raises(ValueError, match="below"):
        await source.emit(1)


def test_in_step_that_is_destroyed_leaves_nothing() -> None:
    source: Stream[int] = Stream()
    node = in_step(source, source.map(double), source)
    node.destroy()
    gc.collect()
    assert list(source.downstreams) == []


async def test_in_step_applies_back_pressure() -> None:
    source: Stream[int] = Stream(asynchronous=True)
    in_step(source, source, source.map(double)).rate_limit("10s").sink_to_list()
    now = asyncio.get_running_loop().time
    for x in (1, 2, 3):
        await source.emit(x)
    assert now() == 20
    await source.close()


def test_in_step_releases_the_counter_of_a_finished_element() -> None:
    source: Stream[int] = Stream()
    seen = pairs(source, source.map(double), source.map(fail_on(2)).on_error("skip"))
    done: list[int] = []
    for x in (1, 2, 3):
        source.emit(x, metadata=[{"ref": RefCounter(cb=partial(done.append, x))}])
    source.join()
    source.close()
    gc.collect()
    assert (seen, [x for x in done if x != 2]) == ([(2, 1), (6, 3)], [1, 3])


def test_in_step_survives_an_edit_of_the_graph() -> None:
    source: Stream[int] = Stream()
    node = in_step(source, source.map(double), source)
    seen = node.sink_to_list()
    source.emit(1)
    other = source.sink_to_list()
    source.emit(2)
    assert (seen, other) == ([(2, 1), (4, 2)], [2])


def test_in_step_without_reference_is_collected() -> None:
    source: Stream[int] = Stream()
    node = weakref.ref(in_step(source, source.map(double), source))
    gc.collect()
    assert node() is None
    source.emit(1)


def test_in_step_drops_what_no_way_gives() -> None:
    source, other = Stream[int](), Stream[int]()
    node = in_step(source, source.map(double), source)
    seen = node.sink_to_list()
    other.connect(node)
    other.emit(5)
    source.emit(1)
    assert seen == [(2, 1)]


def test_an_end_passes_in_step() -> None:
    source: Stream[int] = Stream()
    node = in_step(source, source.map(double), source)
    seen = node.partition(2).sink_to_list()
    source.emit(1)
    source.close()
    assert seen == [((2, 1),)]


def test_together_finds_the_nearest_common_origin() -> None:
    source: Stream[int] = Stream()
    first = source.map(double)
    left, right = first.map(abs), first.accumulate(add)
    assert common_origin([left, right]) is first
    assert common_origin([left, source.map(abs)]) is source
    assert common_origin([in_step(first, left, right).map(sum), right]) is first


def test_together_zips_what_has_no_common_origin() -> None:
    source, other = Stream[int](), Stream[int]()
    waiting = source.map(double).filter(None)
    reset = source.accumulate(add, reset_stream=other)
    for stream in (other, waiting, reset, rate_limit(source, 1)):
        assert common_origin([source, stream]) is None
    seen = together([source, other]).sink_to_list()
    source.emit_many([1, 2])
    other.emit(3)
    assert seen == [(1, 3)]


async def test_together_zips_what_is_awaited() -> None:
    async def later(x: int) -> int:
        await asyncio.sleep(1)
        return -x

    source: Stream[int] = Stream(asynchronous=True)
    seen = together([source.map(later), source]).sink_to_list()
    for x in (1, 2):
        await source.emit(x)
    await source.join()
    assert seen == [(-1, 1), (-2, 2)]
    await source.close()
