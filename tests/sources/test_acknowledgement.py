"""Acknowledgement by sources: reported once for each element, before the run is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.support import Boom, bounded, fail_on

from rapidz import Source
from rapidz.sources import InOrder
from rapidz.testing import run


class listed(Source[Any]):
    """Emits what it is given, and logs what becomes of it."""

    def __init__(self, items: list[Any], settle: float | None = None, **kwargs: Any) -> None:
        self.items, self.settle, self.log = items, settle, list[Any]()
        super().__init__(**kwargs)

    async def run(self) -> None:
        try:
            for x in self.items:
                await self._emit_item(x)
            if self.settle is not None:
                await asyncio.Event().wait()
        finally:
            if self.settle is not None:
                self.log.append(await self.settled(self.settle))

    async def _emit_item(self, x: Any) -> None:
        await self.emit_decoded(x, int, lambda: self.done(x), lambda error: self.failed(x, error))

    def done(self, x: Any) -> object:
        self.log.append(f"done {x}")
        return None

    def failed(self, x: Any, error: BaseException) -> object:
        self.log.append(f"failed {x}")
        return None


async def finish(source: Source[Any]) -> list[Exception]:
    source.start()
    try:
        await source.join()
    except Exception as error:
        return [error]
    return []


async def test_what_cannot_be_decoded_has_failed() -> None:
    source = listed(["0", "1", "x", "3"], 5, asynchronous=True)
    assert len(await finish(source)) == 1
    assert source.log == ["done 0", "done 1", "failed x", True] or source.log == [
        "failed x", "done 0", "done 1", True,
    ]  # fmt: skip
    assert source.state == "failed"


async def test_settled_waits_for_elements_that_a_flush_emits() -> None:
    source = listed(["0", "1", "2"], 5, asynchronous=True)
    source.partition(2).sink(source.log.append)
    source.start()
    await asyncio.sleep(1)
    source.stop()
    await source.close()
    assert source.log == [(0, 1), "done 0", "done 1", (2,), "done 2", True]


async def test_settled_gives_up_after_its_timeout() -> None:
    source = listed(["0"], 3, asynchronous=True)
    source.partition(2).sink(source.log.append)
    source.start()
    await asyncio.sleep(1)
    source.stop()
    await asyncio.sleep(4)
    assert source.log == [False]
    await source.close()
    await asyncio.sleep(0)
    assert source.log == [False, (0,), "done 0"]


def raise_at_once() -> object:
    raise Boom("ack")


async def raise_later() -> None:
    await asyncio.sleep(1)
    raise Boom("ack")


def cancel_at_once() -> object:
    raise asyncio.CancelledError


async def cancel_later() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("cancel", [cancel_at_once, cancel_later])
async def test_an_acknowledgement_that_is_cancelled_fails_the_source(
    cancel: Callable[[], object],
) -> None:
    class refused(listed):
        def done(self, x: Any) -> object:
            return cancel()

    source = refused(["0"], 5, asynchronous=True)
    source.start()
    await asyncio.sleep(2)
    assert source.state == "failed"
    assert "CancelledError" in str(source.exception)
    assert await source.settled(0.1)
    with pytest.raises(RuntimeError, match="CancelledError"):
        await source.join()


def test_elements_of_a_loop_that_has_ended_are_settled() -> None:
    source = listed(["0", "1", "2"], asynchronous=True)
    batches = source.partition(5).sink_to_list()

    async def first() -> None:
        source.start()
        await asyncio.sleep(1)

    async def second() -> bool:
        source.start()
        await asyncio.sleep(1)
        await source.close()
        return await source.settled(1)

    run(first())
    assert run(second())
    assert [x for batch in batches for x in batch] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("fail", [raise_at_once, raise_later])
async def test_an_acknowledgement_that_fails_fails_the_source(
    fail: Callable[[], object],
) -> None:
    class refused(listed):
        def done(self, x: Any) -> object:
            return fail() if x == "1" else super().done(x)

    source = refused(["0", "1"], 5, asynchronous=True)
    source.start()
    await asyncio.sleep(2)
    assert source.state == "failed"
    assert isinstance(source.exception, Boom)
    with pytest.raises(Boom):
        await source.join()
    assert source.log == ["done 0", True]


async def test_a_report_may_be_asynchronous() -> None:
    class slow(listed):
        def done(self, x: Any) -> Awaitable[None]:
            async def later() -> None:
                await asyncio.sleep(1)
                self.log.append(f"done {x}")

            return later()

    source = slow(["0"], asynchronous=True)
    await finish(source)
    assert source.log == ["done 0"]


@pytest.mark.parametrize("kept", [False, True])
async def test_join_and_close_wait_for_acknowledgements(kept: bool) -> None:
    source = listed(["0", "1", "2"], asynchronous=True)
    if kept:
        source.partition(2).sink(len)
    await finish(source)
    if kept:
        await source.close()
    assert source.log == ["done 0", "done 1", "done 2"]


@pytest.mark.parametrize("queued", [False, True])
async def test_exactly_one_report_for_each_element(queued: bool) -> None:
    source = listed([str(x) for x in range(10)], 5, asynchronous=True)
    node: Any = source.buffer(3) if queued else source
    node.sink(fail_on(4))
    await finish(source)
    await source.settled(5)
    words = [entry for entry in source.log if isinstance(entry, str)]
    assert "failed 4" in words
    numbers = [word.split()[1] for word in words]
    assert len(numbers) == len(set(numbers))


async def test_a_source_of_synchronous_sinks_lets_the_loop_run() -> None:
    source = listed([str(x) for x in range(30_000)], asynchronous=True)
    turns, deepest = 0, 0
    source.sink(lambda x: None)
    source.start()
    while source.state == "running":
        await asyncio.sleep(0)
        turns += 1
        deepest = max(deepest, source._unsettled)
    assert turns > 2
    assert deepest < 30_000
    await source.join()


def test_elements_are_reported_in_the_background_too() -> None:
    def go() -> list[Any]:
        source = listed(["0", "1", "2"], asynchronous=False)
        source.scatter("thread").map(lambda x: x + 1).gather().sink(source.log.append)
        source.start()
        source.join()
        source.close()
        return source.log

    log = bounded(go)
    assert sorted(x for x in log if isinstance(x, int)) == [1, 2, 3]
    assert sorted(x for x in log if isinstance(x, str)) == ["done 0", "done 1", "done 2"]


@pytest.mark.parametrize("what", ["done", "failed"])
async def test_a_callback_that_cannot_be_called_is_refused(what: str) -> None:
    source = Source[Any](asynchronous=True)
    options: dict[str, Any] = {what: 3}
    with pytest.raises(TypeError, match=f"{what} must be callable, got 3"):
        source.emit_tracked(1, **options)


def test_a_prefix_advances_over_all_that_is_done() -> None:
    seen: list[int] = []
    prefix = InOrder[int](seen.append)
    tickets = [prefix.add(n) for n in range(5)]
    for n in (1, 2, 0, 4):
        tickets[n]()
    assert (seen, prefix.committed, prefix.pending) == ([2], 2, 2)
    prefix.clear()
    tickets[3]()
    assert (seen, prefix.committed, prefix.pending) == ([2], 2, 0)
