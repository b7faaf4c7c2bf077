from __future__ import annotations

import asyncio
import time

from rapidz import Stream
from rapidz.testing import record


async def test_record_notes_the_instant_of_each_element() -> None:
    source: Stream[str] = Stream(asynchronous=True)
    log = record(source)
    await source.emit("a")
    await asyncio.sleep(1.5)
    await source.emit("b")
    assert log == [(0.0, "a"), (1.5, "b")]


def test_record_without_a_loop_uses_monotonic_time() -> None:
    source: Stream[int] = Stream()
    log = record(source)
    before = time.monotonic()
    source.emit(1)
    ((instant, element),) = log
    assert before <= instant <= time.monotonic()
    assert element == 1
