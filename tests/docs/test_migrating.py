"""Statements of `docs/migrating.md` and of decision records that no other test covers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from rapidz import Retry, Stream


async def _write_slowly(x: int, written: list[int]) -> None:
    await asyncio.sleep(1)
    written.append(x)


async def _wait_half_a_second(wait: Awaitable[object]) -> None:
    async with asyncio.timeout(0.5):
        await wait


async def test_cancelling_the_task_that_awaits_an_emit_cancels_the_element() -> None:
    """Decision 0002. In streamz the element went on."""
    written: list[int] = []
    async with Stream[int](asynchronous=True) as source:
        source.sink(_write_slowly, written)
        with pytest.raises(TimeoutError):
            await _wait_half_a_second(source.emit(1))
        await source.emit(2)
    assert written == [2]


async def test_an_emit_that_a_task_watches_goes_on_when_that_is_cancelled() -> None:
    """Decision 0002: how to cancel the wait alone."""
    written: list[int] = []
    async with Stream[int](asynchronous=True) as source:
        source.sink(_write_slowly, written)
        emitting = asyncio.ensure_future(source.emit(1))
        with pytest.raises(TimeoutError):
            await _wait_half_a_second(emitting)
        assert emitting.cancelled()
    assert written == [1]


async def test_cancellation_withdraws_only_what_waits_for_capacity() -> None:
    """Decision 0002: the other way to cancel the wait alone. Ruling 22: who waits is withdrawn."""
    written: list[int] = []
    async with Stream[int](asynchronous=True) as source:
        source.buffer(1).sink(_write_slowly, written)
        await source.emit(0)
        await source.emit(1)
        with pytest.raises(TimeoutError):
            await _wait_half_a_second(source.emit(2))
    assert written == [0, 1]


async def test_an_element_that_waits_for_capacity_enters_before_the_end() -> None:
    """What `docs/shutdown.md` says: the end travels behind all elements that came before it."""
    written: list[int] = []
    async with Stream[int](asynchronous=True) as source:
        source.buffer(1).sink(_write_slowly, written)
        waits = [source.emit(x) for x in range(4)]
    assert written == [0, 1, 2, 3]
    assert all(wait.done() for wait in waits)


async def test_join_raises_all_pending_failures_as_a_group() -> None:
    source = Stream[int](asynchronous=True)
    source.buffer(5).map(lambda x: 1 / x).sink(print)
    waits = [source.emit(0), source.emit(0)]
    with pytest.raises(ExceptionGroup) as caught:
        await source.join()
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError] * 2
    assert all(wait.done() for wait in waits)
    await source.close()


def test_the_skipped_elements_are_counted_at_the_node_that_failed() -> None:
    source = Stream[int]()
    above = source.map(abs).on_error("skip")
    failing = above.map(lambda x: 1 / x)
    seen = failing.sink_to_list()
    source.emit_many([0, -2, 0])
    assert (above.skipped, failing.skipped, seen) == (0, 2, [0.5])


def test_a_retry_ends_in_what_then_says() -> None:
    source = Stream[int]()
    node = source.map(lambda x: 1 / x).on_error(Retry(times=2, wait=0, then="skip"))
    seen = node.sink_to_list()
    source.emit_many([0, 4])
    assert (node.skipped, seen) == (1, [0.25])
