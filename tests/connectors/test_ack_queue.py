"""AckQueue: sends acknowledgements; what becomes of those that cannot be sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import pytest

from rapidz.connectors.ack_queue import AckQueue
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart

QUICK = Restart(wait=0.01, limit=0.01)


class acknowledged(Source[Any]):
    """Emits one number after another, and acknowledges each to a server that may refuse that."""

    infinite: ClassVar[bool | None] = True
    default_restart: ClassVar[Restart | None] = QUICK

    def __init__(self, *failures: Exception, **kwargs: Any) -> None:
        self.failures, self.sent, self.runs = list(failures), list[int](), 0
        self.acks: AckQueue[int] = AckQueue(self, self._acknowledge)
        super().__init__(asynchronous=True, **kwargs)

    async def _acknowledge(self, items: Sequence[int]) -> None:
        if self.failures:
            raise self.failures.pop()
        self.sent += items

    async def run(self) -> None:
        self.runs += 1
        await self.acks.flush()
        self.connected()
        n = 0
        while self._may_emit():
            self.acks.raise_failure()
            n += 1
            wait = self.emit_tracked(n, partial(self.acks.add, n))
            if wait is not None:
                await wait
            await asyncio.sleep(0.01)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_an_acknowledgement_that_is_refused_fails_the_source() -> None:
    source = acknowledged(ValueError("no permission"), ValueError("no permission"))
    source.sink(lambda x: None)
    source.start()
    await until(lambda: source.state == "failed")
    assert isinstance(source.exception, ValueError)
    with pytest.raises(ValueError, match="no permission"):
        await source.join()
    assert not source.sent
    source.start()  # the server does not refuse any more
    await until(lambda: len(source.sent) > 3)
    assert source.sent[:2] == [1, 1]  # that of the first run, which was kept
    source.stop()
    await source.close()


async def test_a_transient_failure_to_acknowledge_is_a_warning_and_retried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    source = acknowledged(OSError("lost"), OSError("lost"))
    source.sink(lambda x: None)
    source.start()
    await until(lambda: len(source.sent) > 3)
    assert source.sent[0] == 1
    assert source.runs == 2
    assert source.state == "running"
    source.stop()
    await source.close()
    assert [r.levelname for r in caplog.records] == ["WARNING"] * 2  # not sent, starts again
    assert "acknowledgements could not be sent: OSError: lost" in caplog.text


async def test_a_second_attempt_acknowledges_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    source = acknowledged(OSError("lost"))
    source.sink(lambda x: None)
    source.start()
    await until(lambda: len(source.sent) > 3)
    source.stop()
    await source.close()
    assert source.runs == 1
    assert not caplog.records


async def test_several_may_wait_until_no_request_is_in_flight() -> None:
    gate = asyncio.Event()

    async def send(items: Sequence[int]) -> None:
        await gate.wait()

    source = acknowledged()
    source.acks = queue = AckQueue(source, send)
    source._pipeline.bind()
    queue.add(1)
    waiting = [asyncio.ensure_future(queue.wait_idle()) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)
    gate.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)


@pytest.mark.parametrize("turns", range(6))
def test_acknowledgements_go_on_when_a_loop_ended_before_they_were_sent(turns: int) -> None:
    source = acknowledged()
    source.sink(lambda x: None)

    async def begin() -> None:
        source.start()
        await asyncio.sleep(0)
        source.acks.add(100)
        for _ in range(turns):
            await asyncio.sleep(0)

    async def go_on() -> None:
        source.start()
        await until(lambda: len(source.sent) > 3)
        assert 100 in source.sent
        source.stop()
        await source.close()

    asyncio.run(begin())
    asyncio.run(go_on())
