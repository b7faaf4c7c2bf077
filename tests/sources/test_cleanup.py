"""What a source awaits to free its resources is not interrupted by the `stop` that ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from rapidz import Source


class Client(Source[int]):
    """Counts what it opens, and what it has closed to the end."""

    infinite = True
    opened = closed = 0

    async def run(self) -> None:
        self.opened += 1
        try:
            await self.serve()
        finally:
            await asyncio.sleep(0.001)
            self.closed += 1

    async def serve(self) -> None:
        raise NotImplementedError


class Polling(Client):
    async def serve(self) -> None:
        while self._may_emit():
            await self.emit(1, asynchronous=True)
            await asyncio.sleep(0)


class Busy(Client):
    async def serve(self) -> None:
        while self._may_emit():
            await self.emit(1, asynchronous=True)


class Waiting(Client):
    async def serve(self) -> None:
        while True:
            await self.emit(1, asynchronous=True)
            await asyncio.sleep(100)


async def slow(_: int) -> None:
    await asyncio.sleep(0.001)


@pytest.mark.parametrize("kind", [Polling, Busy, Waiting])
@pytest.mark.parametrize("sink", [slow, lambda _: None])
def test_a_stop_of_another_thread_does_not_interrupt_the_end(
    kind: type[Client], sink: Callable[[int], Any]
) -> None:
    source = kind()
    source.sink(sink)
    for n in range(30):
        source.start()
        time.sleep(0.0005 * (n % 4))
        source.stop()
        source.join(timeout=30)
    assert source.closed == source.opened
    source.close()


@pytest.mark.parametrize("kind", [Polling, Busy, Waiting])
def test_a_stop_by_a_sink_does_not_interrupt_the_end(kind: type[Client]) -> None:
    source = kind()
    source.sink(lambda _: source.stop())
    for _ in range(30):
        source.start()
        source.join(timeout=30)
    assert source.closed == source.opened == 30
    source.close()
