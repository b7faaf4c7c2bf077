"""Order of elements while a failure is pending, whichever emit raises it.

Ruling 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.support import Boom, settle, turns

from rapidz import RefCounter, Stream
from rapidz.kernel.protocol.push import withdraw
from rapidz.testing import run


def boom_at(bad: int) -> Callable[[int], int]:
    """Return a function that fails for *bad*."""

    def step(x: int) -> int:
        if x == bad:
            raise Boom(x)
        return x

    return step


async def with_pending_failure() -> tuple[Stream[int], list[int]]:
    """A source with a pending failure, and what came out of its queue."""
    source = Stream[int](asynchronous=True)
    seen = source.buffer(1000).map(boom_at(0)).sink_to_list()
    await settle(source.emit(0))
    await asyncio.sleep(0.5)
    return source, seen


def test_an_emit_cancelled_beside_a_pending_failure_enters_in_order() -> None:
    async def go() -> list[int]:
        source, seen = await with_pending_failure()
        emits = [asyncio.ensure_future(settle(source.emit(x))) for x in (1, 2, 3, 4)]
        emits[1].cancel()
        assert isinstance((await asyncio.gather(*emits, return_exceptions=True))[0], Boom)
        await settle(source.close())
        return seen

    assert run(go()) == [2, 3, 4]


@pytest.mark.parametrize("many", [False, True])
def test_an_unawaited_emit_enters_before_those_after_a_failure(many: bool) -> None:
    async def go() -> list[int]:
        source, seen = await with_pending_failure()
        source.emit(1)
        source.emit(2)
        with pytest.raises(Boom):
            await settle(source.emit_many([3, 4]) if many else source.emit(3))
        await settle(source.emit(5))
        await settle(source.close())
        return seen

    assert run(go()) == [1, 2, 5]


def test_an_unawaited_emit_enters_before_one_with_metadata() -> None:
    async def go() -> list[int]:
        source, seen = await with_pending_failure()
        source.emit(1)
        source.emit(2, metadata=[{"ref": RefCounter()}])
        await turns()
        with pytest.raises(Boom):
            await settle(source.close())
        return seen

    assert run(go()) == [1, 2]


def test_an_emit_that_enters_after_a_failure_fails_by_itself() -> None:
    async def go() -> list[int]:
        source, seen = await with_pending_failure()
        source.map(boom_at(1)).sink(lambda _: None)
        first = source.emit(1)
        with pytest.raises(Boom) as pending:
            await settle(source.emit(2))
        with pytest.raises(Boom) as failed:
            await settle(first)
        assert [pending.value.args, failed.value.args] == [(0,), (1,)]
        await settle(source.close())
        return seen

    assert run(go()) == [1]


def test_an_emit_that_enters_after_a_failure_can_be_withdrawn() -> None:
    async def go() -> list[int]:
        source, _ = await with_pending_failure()

        async def slow(x: int) -> int:
            await asyncio.sleep(1)
            return x

        seen = source.map(slow).sink_to_list()
        first, second = source.emit(1), source.emit(2)
        with pytest.raises(Boom):
            await settle(source.emit(3))
        withdraw([first])
        await settle(second)
        await settle(source.close())
        return seen

    assert run(go()) == [2]
