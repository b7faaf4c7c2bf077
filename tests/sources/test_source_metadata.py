"""Metadata of elements that a source emits, and that a class with `_emit` of its own passes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rapidz import RefCounter, Source, Stream


class numbers(Source[int]):
    def __init__(self, log: list[Any], by_hand: bool, **kwargs: Any) -> None:
        self.log, self.by_hand = log, by_hand
        super().__init__(**kwargs)

    async def run(self) -> None:
        for x in range(4):
            metadata = [{"ref": counter(self.log, x)}]
            if self.by_hand:
                for wait in self._emit(x, metadata=metadata):
                    await wait
            else:
                await self.emit(x, asynchronous=True, metadata=metadata)


def counter(log: list[Any], x: int) -> RefCounter:
    return RefCounter(
        cb=lambda: log.append(("done", x)), on_failure=lambda error: log.append(("failed", x))
    )


def refuse_one(x: int) -> None:
    if x == 1:
        raise ValueError


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_failure_behind_a_queue_is_reported_to_the_source(by_hand: bool) -> None:
    log: list[Any] = []
    source = numbers(log, by_hand, asynchronous=True)
    source.buffer(2).sink(refuse_one)
    source.start()
    with pytest.raises(ValueError):  # noqa: PT011
        await source.join()
    await asyncio.sleep(0)
    assert sorted(log) == [("done", 0), ("done", 2), ("done", 3), ("failed", 1)]


async def test_an_emit_of_its_own_gets_the_metadata_and_passes_it_on() -> None:
    class outer(Stream[Any]):
        def _emit(self, x: Any, metadata: Any = None) -> Any:
            assert metadata[0]["n"] == x
            return super()._emit(x, metadata=metadata)

    source, log = outer(asynchronous=True), list[Any]()
    pairs = source.partition(2)
    seen = pairs.sink_to_list()
    pairs.current_metadata  # recorded from now on
    for x in range(4):
        await source.emit(x, metadata=[{"n": x, "ref": counter(log, x)}])
    await asyncio.sleep(0)
    assert seen == [(0, 1), (2, 3)]
    last: Any = pairs.current_metadata
    assert [item["n"] for item in last] == [2, 3]
    assert log == [("done", x) for x in range(4)]
