"""Random branches with failures, retries, queues and cancelled emits: rows stay whole."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import settle

from rapidz import RefCounter, Retry, Stream
from rapidz.testing import run

KINDS = ("slow", "quick", "buffer", "delay", "rate", "async", "fold", "diamond", "side")


class Branches:
    """Builds branches that emit one for one, from a random generator."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.rows: list[Any] = []
        """What came out of joins within branches."""

    def first_of(self, row: tuple[int, ...]) -> int:
        self.rows.append(row)
        return row[0]

    def quick(self, x: int) -> int:
        if self.chance.random() < 0.1:
            raise ValueError(x)
        return x

    async def slow(self, x: int) -> int:
        await asyncio.sleep(self.chance.choice([0, 0.1, 1]))
        if self.chance.random() < 0.03:
            raise asyncio.CancelledError
        return self.quick(x)

    async def fold(self, _: int, x: int) -> int:
        return await self.slow(x)

    def build(self, s: Any, depth: int = 0) -> Any:
        for _ in range(self.chance.randint(0, 3)):
            s = self.step(s, self.chance.choice(KINDS), depth)
        return s

    def step(self, s: Any, kind: str, depth: int) -> Any:
        if kind == "diamond":
            return self.diamond(s, depth + 1) if depth < 2 else s
        if kind == "side":
            s.map(self.quick).sink(lambda x: None)
            return s
        return {
            "slow": lambda: s.map(self.slow),
            "quick": lambda: s.map(self.quick),
            "buffer": lambda: s.buffer(self.chance.randint(1, 3)),
            "delay": lambda: s.delay(0.5),
            "rate": lambda: s.rate_limit(0.5),
            "async": lambda: s.map_async(self.slow, parallelism=self.chance.randint(1, 3)),
            "fold": lambda: s.accumulate(self.fold, start=0),
        }[kind]()

    def diamond(self, s: Any, depth: int) -> Any:
        left, right = self.build(s, depth), self.build(s, depth)
        return left.zip(right, maxsize=self.chance.choice([1, 2, 20])).map(self.first_of)


async def rows(chance: random.Random) -> list[Any]:
    """What comes out of a random join while emits fail and are cancelled at random."""
    source: Stream[int] = Stream(asynchronous=True)
    policy: Any = chance.choice([None, "skip", Retry(1, wait=0.1, then="skip")])
    if policy is not None:
        source.on_error(policy)
    branches = Branches(chance)
    first, *others = [branches.build(source) for _ in range(chance.choice([2, 2, 3]))]
    seen: list[Any] = first.zip(*others, maxsize=chance.choice([1, 3, 20])).sink_to_list()
    tracked, cancels = chance.random() < 0.3, chance.random() < 0.7
    tasks: list[asyncio.Future[Any]] = []
    for x in range(8):
        metadata: Any = [{"ref": RefCounter()}] if tracked else None
        tasks.append(asyncio.ensure_future(settle(source.emit(x, metadata=metadata))))
        if chance.random() < 0.5:
            await asyncio.sleep(chance.choice([0, 0.3, 1, 2]))
        if cancels and chance.random() < 0.5:
            chance.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with contextlib.suppress(Exception):  # what failed without a policy
        await source.close()
    assert all(len(set(row)) == 1 for row in branches.rows)
    return seen


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_rows_stay_whole_whatever_fails_and_is_cancelled(seed: int) -> None:
    """Ruling 23, with ruling 22."""
    seen = run(rows(random.Random(seed)))
    assert all(len(set(row)) == 1 for row in seen)
    assert [row[0] for row in seen] == sorted({row[0] for row in seen})
