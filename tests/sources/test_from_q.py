"""from_q: what others put into a queue."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from typing import Any

import pytest
from tests.support import settle
from tornado import queues

from rapidz import Stream
from rapidz.sources import from_q
from rapidz.testing import VirtualBackground, record


async def test_from_q_looks_at_a_queue_of_threads() -> None:
    q: queue.Queue[int] = queue.Queue()
    source = from_q(q, "250ms", start=True)
    seen = record(source)
    q.put(1)
    await asyncio.sleep(0.5625)
    q.put(2)
    q.put(3)
    await asyncio.sleep(1)
    source.stop()
    assert seen == [(0.0, 1), (0.75, 2), (0.75, 3)]
    assert (source.q, source.sleep, source.sleep_time) == (q, 0.25, 0.25)


@pytest.mark.parametrize("kind", [asyncio.Queue, queues.Queue])
async def test_from_q_waits_for_an_asynchronous_queue(kind: Any) -> None:
    q = kind()
    source = from_q(q, start=True)
    seen = record(source)
    await asyncio.sleep(0.3)
    q.put_nowait(1)
    await asyncio.sleep(1)
    assert seen == [(0.3, 1)]
    source.stop()
    await asyncio.sleep(0)
    q.put_nowait(2)
    await asyncio.sleep(1)
    assert len(seen) == 1
    source.start()
    await asyncio.sleep(1)
    assert [x for _, x in seen] == [1, 2]
    await settle(source.close())


async def test_from_q_leaves_in_the_queue_what_exceeds_capacity() -> None:
    q: queue.Queue[int] = queue.Queue()
    for n in range(3):
        q.put(n)

    async def slow(x: int) -> None:
        await asyncio.sleep(1)

    source = from_q(q, start=True)
    source.sink(slow)
    await asyncio.sleep(0.5)
    assert q.qsize() == 2
    source.stop()
    await settle(source.join())
    assert q.qsize() == 2


async def test_from_q_of_a_deque() -> None:
    source = from_q(deque([1, 2]), start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(1)
    source.stop()
    assert seen == [1, 2]


def test_from_q_in_the_background(virtual_background: VirtualBackground) -> None:
    q: queue.Queue[int] = queue.Queue()
    source = Stream[int]().from_q(q)  # on an instance too
    seen = source.sink_to_list()
    source.start()
    q.put(1)
    virtual_background.let_pass(0.1)
    source.stop()
    source.join()
    assert seen == [1]


async def test_from_q_ends_with_a_queue_that_is_shut_down() -> None:
    class shut(Exception):
        pass

    from rapidz.sources import queues as module

    class Queue:
        def get_nowait(self) -> int:
            raise shut

    before = module.SHUT
    module.SHUT = (*before, shut)
    try:
        source = from_q(Queue(), start=True)
        await settle(source.join())
    finally:
        module.SHUT = before
    assert source.state == "done"


def test_from_q_refuses_what_is_no_queue() -> None:
    for wrong in (3, None, Stream[int]()):
        with pytest.raises(TypeError, match="from_q: q must be a queue with get_nowait, got"):
            from_q(wrong)
    with pytest.raises(ValueError, match=r"from_q: sleep_time must be .+, got -1"):
        from_q(queue.Queue(), -1)
