"""Alignment by element: one tuple of what the branches of a stream emit for each element."""

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

from rapidz import SKIP, RefCounter, Retry, Stream
from rapidz.dataframe.collection.zip_by_element import align_by_element, zip_by_element
from rapidz.testing import record


def pairs(*branches: Stream[Any]) -> list[Any]:
    return zip_by_element(*branches).sink_to_list()


def fails_on_odd(x: int) -> int:
    if x % 2:
        raise ValueError(x)
    return -x


def skips_odd(x: int) -> Any:
    return SKIP if x % 2 else -x


@given(st.lists(st.integers(0, 9)))
def test_results_of_the_same_element_are_paired(elements: list[int]) -> None:
    source: Stream[int] = Stream()
    seen = pairs(source.map(double), source, source.accumulate(add))
    source.emit_many(elements)
    assert seen == [(2 * x, x, sum(elements[: i + 1])) for i, x in enumerate(elements)]


@given(st.lists(st.integers(0, 9)))
def test_an_element_that_one_branch_loses_is_dropped_with_its_partners(elements: list[int]) -> None:
    source: Stream[int] = Stream()
    failing, skipping = source.map(fails_on_odd), source.map(skips_odd)
    seen = pairs(failing, source.map(double)), pairs(source.map(double), skipping)
    for x in elements:
        if x % 2:
            with pytest.raises(ValueError, match=str(x)):
                source.emit(x)
        else:
            source.emit(x)
    expected = [(-x, 2 * x) for x in elements if x % 2 == 0]
    assert seen == (expected, [(b, a) for a, b in expected])


@pytest.mark.parametrize("policy", ["skip", "send"])
def test_pairs_stay_aligned_after_a_policy(policy: Any) -> None:
    source: Stream[int] = Stream()
    seen = pairs(source.map(double), source.map(fail_on(2)).on_error(policy))
    source.emit_many([1, 2, 3])
    assert seen == [(2, 1), (6, 3)]


async def test_pairs_wait_for_a_retry() -> None:
    source: Stream[int] = Stream(asynchronous=True)
    failures = iter([True, False, False, False])

    def fails_once(x: int) -> int:
        if next(failures):
            raise ValueError(x)
        return -x

    branch = source.map(fails_once).on_error(Retry(times=1, wait=1))
    seen = record(zip_by_element(branch, source.map(double)))
    for x in (1, 2, 3):
        source.emit(x)
    await settle(source.join())
    assert [pair for _, pair in seen] == [(-1, 2), (-2, 4), (-3, 6)]


async def test_pairs_stay_aligned_while_downstream_is_slow() -> None:
    """The policy makes every branch take one element after the other; none of them may lag."""

    async def slow(_: object) -> None:
        await asyncio.sleep(1)

    source: Stream[int] = Stream(asynchronous=True)
    source.on_error("skip")
    node = zip_by_element(source.map(fail_on(2)), source.map(double))
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
            total = align_by_element([total, source.map(add, n)]).map(sum)
        seen = total.sink_to_list()
        source.emit_many([1, 2])
        assert seen == [2 * x + sum(x + n for n in range(200)) for x in (1, 2)]


async def test_a_failure_downstream_reaches_the_awaiter() -> None:
    async def fails(_: object) -> None:
        await asyncio.sleep(1)
        raise ValueError("below")

    source: Stream[int] = Stream(asynchronous=True)
    zip_by_element(source.map(double), source).sink(fails)
    with pytest.raises(ValueError, match="below"):
        await source.emit(1)


def test_a_destroyed_pairing_leaves_no_node_behind() -> None:
    source: Stream[int] = Stream()
    node = zip_by_element(source.map(double), source)
    node.destroy()
    gc.collect()
    assert list(source.downstreams) == []


async def test_a_pairing_applies_back_pressure() -> None:
    source: Stream[int] = Stream(asynchronous=True)
    zip_by_element(source, source.map(double)).rate_limit("10s").sink_to_list()
    now = asyncio.get_running_loop().time
    for x in (1, 2, 3):
        await source.emit(x)
    assert now() == 20
    await source.close()


def test_a_pairing_reports_when_an_element_is_done() -> None:
    source: Stream[int] = Stream()
    seen = pairs(source.map(double), source.map(fail_on(2)).on_error("skip"))
    done: list[int] = []
    for x in (1, 2, 3):
        source.emit(x, metadata=[{"ref": RefCounter(cb=partial(done.append, x))}])
    source.join()
    source.close()
    gc.collect()
    assert (seen, [x for x in done if x != 2]) == ([(2, 1), (6, 3)], [1, 3])


def test_a_pairing_survives_an_edit_of_the_graph() -> None:
    source: Stream[int] = Stream()
    node = zip_by_element(source.map(double), source)
    seen = node.sink_to_list()
    source.emit(1)
    other = source.sink_to_list()
    source.emit(2)
    assert (seen, other) == ([(2, 1), (4, 2)], [2])


def test_a_pairing_without_reference_is_collected() -> None:
    source: Stream[int] = Stream()
    node = weakref.ref(zip_by_element(source.map(double), source))
    gc.collect()
    assert node() is None
    source.emit(1)


def test_an_end_passes_a_pairing() -> None:
    source: Stream[int] = Stream()
    node = zip_by_element(source.map(double), source)
    seen = node.partition(2).sink_to_list()
    source.emit(1)
    source.close()
    assert seen == [((2, 1),)]


def test_branches_of_branches_stay_aligned() -> None:
    source: Stream[int] = Stream()
    source.on_error("skip")
    first = source.map(double)
    left, right = first.map(fail_on(4)), first.accumulate(add)
    inner = align_by_element([left, right]).map(sum)
    seen = align_by_element([inner, right, source]).sink_to_list()
    source.emit_many([1, 2, 3])
    assert seen == [(4, 2, 1), (18, 12, 3)]


def test_streams_without_a_common_origin_are_paired_by_position() -> None:
    source, other = Stream[int](), Stream[int]()
    seen = align_by_element([source, other]).sink_to_list()
    large = align_by_element([source, source.filter(lambda x: x > 1)]).sink_to_list()
    source.emit_many([1, 2])
    other.emit(3)
    source.close()
    assert (seen, large) == ([(1, 3)], [(1, 2)])


async def test_awaited_branches_are_paired() -> None:
    async def later(x: int) -> int:
        await asyncio.sleep(1)
        return -x

    source: Stream[int] = Stream(asynchronous=True)
    seen = align_by_element([source.map(later), source]).sink_to_list()
    for x in (1, 2):
        await source.emit(x)
    await source.join()
    assert seen == [(-1, 1), (-2, 2)]
    await source.close()
