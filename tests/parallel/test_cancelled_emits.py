"""Ruling 22 on scattered streams: what has entered `scatter` arrives, whatever is cancelled."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parallel import functions as f
from tests.support import settle, turns

from rapidz import RefCounter, Stream
from rapidz.parallel import ParallelStream

STEPS: dict[str, Any] = {
    "quick": lambda s: s.map(f.number),
    "slow": lambda s: s.map(f.slowly),
    "buffer": lambda s: s.buffer(2),
    "accumulate": lambda s: s.accumulate(f.latest, start=0),
    "delay": lambda s: s.delay(0.002),
    "rate": lambda s: s.rate_limit(0.001),
    "fails": lambda s: s.map(f.fails_on_thirds),
}


def sending(stream: Stream[int], x: int, metadata: Any = None) -> asyncio.Task[None]:
    """Emit *x* in a task, whose end tells how the emit ended."""

    async def send() -> None:
        await settle(stream.emit(x, metadata=metadata))

    return asyncio.ensure_future(send())


class Diamond:
    """A random scattered diamond, and what went into it and came out."""

    def __init__(self, chance: random.Random, backend: Any) -> None:
        self.chance = chance
        self.entered: list[int] = []
        self.seen: list[Any] = []
        self.fails = False
        self.source: Stream[int] = Stream(asynchronous=True)
        if chance.random() < 0.5:
            self.source.on_error("skip")
        top = self._above(self.source).map(self._enter)
        top = top.scatter(backend, batch=chance.choice([1, "auto"]))
        branches = [self._branch(top) for _ in range(chance.choice([2, 2, 3]))]
        self._below(*branches)

    def _enter(self, x: int) -> int:
        self.entered.append(x)
        return x

    async def _arrive(self, row: Any) -> None:
        await asyncio.sleep(self.chance.choice([0, 0, 0.002]))
        self.seen.append(row)

    def _above(self, s: Any) -> Any:
        async def pause(x: int) -> int:
            await asyncio.sleep(0.001)
            return x

        return {
            "nothing": lambda: s,
            "buffer": lambda: s.buffer(2),
            "function": lambda: s.map(pause),
            "at once": lambda: s.map_async(pause, parallelism=2),
        }[self.chance.choice(["nothing", "nothing", "buffer", "function", "at once"])]()

    def _branch(self, s: Any) -> Any:
        kinds = [kind for kind in STEPS if kind != "fails" or self.source._policy is not None]
        for _ in range(self.chance.randint(0, 3)):
            kind = self.chance.choice(kinds)
            self.fails |= kind == "fails"
            s = STEPS[kind](s)
        return s

    def _below(self, first: Any, *others: Any) -> None:
        maxsize, room = self.chance.choice([1, 3, 20]), self.chance.choice([0, 0, 1, 5])
        if self.chance.random() < 0.3:  # they meet at home
            first, others = first.gather(), tuple(branch.gather() for branch in others)
        joined: Any = first.zip(*others, maxsize=maxsize)
        if room:
            joined = joined.buffer(room)
        if isinstance(joined, ParallelStream):
            joined = joined.gather()
        joined.sink(self._arrive)

    async def run(self, count: int) -> set[int]:
        """Emit *count* elements, cancel some of the emits, and close; return which were not."""
        chance, tasks = self.chance, list[asyncio.Task[None]]()
        tracked = chance.random() < 0.2
        for x in range(1, count + 1):
            metadata: Any = [{"ref": RefCounter()}] if tracked else None
            tasks.append(sending(self.source, x, metadata))
            if chance.random() < 0.5:
                await asyncio.sleep(chance.choice([0, 0, 0.001, 0.005]))
            if chance.random() < 0.5:
                chance.choice(tasks).cancel()
        if chance.random() < 0.7:
            await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(20):
            await settle(self.source.join())
            await settle(self.source.close())
            await asyncio.gather(*tasks, return_exceptions=True)
        return {x for x, task in enumerate(tasks, 1) if not task.cancelled()}

    def check(self, count: int) -> None:
        kept = asyncio.run(self.run(count))
        assert all(len(set(row)) == 1 for row in self.seen)
        arrived = [row[0] for row in self.seen]
        through = [x for x in self.entered if x % 3 or not self.fails]
        assert arrived == through == sorted(through)
        assert kept <= set(self.entered)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_what_has_entered_scatter_arrives_with_its_partners(seed: int) -> None:
    Diamond(random.Random(seed), "thread").check(12)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=3000, deadline=None)
@given(st.integers(0, 2**32))
def test_what_has_entered_scatter_arrives_with_its_partners_for_long(seed: int) -> None:
    Diamond(random.Random(seed), "thread").check(16)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_has_entered_scatter_arrives_with_its_partners_everywhere(
    seed: int, backend: Any
) -> None:
    Diamond(random.Random(seed), backend).check(8)


async def cancel_all_but_the_ends(source: Any) -> None:
    """Emit six elements, cancel the emits of four of them, and close."""
    waits = [sending(source, x) for x in range(6)]
    await turns(3)
    for wait in waits[1:5]:
        wait.cancel()
    async with asyncio.timeout(10):
        await waits[-1]
        await settle(source.close())


def test_an_emit_after_a_cancelled_one_ends() -> None:
    """Partners wait in two accumulates, and the emits of those before are cancelled."""

    async def main() -> list[Any]:
        source: Stream[int] = Stream(asynchronous=True)
        top = source.scatter("thread", batch=1)
        left = top.map(f.slowly)
        right = top.accumulate(f.latest, start=0).accumulate(f.latest, start=0)
        seen = left.zip(right, maxsize=1).gather().sink_to_list()
        await cancel_all_but_the_ends(source)
        return seen

    assert asyncio.run(main()) == [(x, x) for x in range(6)]


def test_an_element_emitted_into_a_scattered_node_by_hand_arrives_too() -> None:
    async def main() -> list[Any]:
        source: ParallelStream[int] = ParallelStream(asynchronous=True, backend="thread")
        seen = source.zip(source.map(f.slowly), maxsize=1).gather().sink_to_list()
        await cancel_all_but_the_ends(source)
        return seen

    assert asyncio.run(main()) == [(x, x) for x in range(6)]


def test_what_waits_in_front_of_scatter_is_withdrawn() -> None:
    """A buffer upstream of `scatter` is where an element waits that can still be withdrawn."""

    async def main() -> list[Any]:
        source: Stream[int] = Stream(asynchronous=True)
        seen = source.buffer(1).scatter("thread").map(f.slowly).gather().sink_to_list()
        waits = [sending(source, x) for x in range(6)]
        waits[3].cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await settle(source.close())
        return seen

    assert asyncio.run(main()) == [0, 1, 2, 4, 5]


def test_the_failure_of_an_element_whose_emit_was_cancelled_is_kept() -> None:
    async def main() -> None:
        source: Stream[int] = Stream(asynchronous=True)
        source.scatter("thread").map(f.fails_on_thirds).gather().sink_to_list()
        waits = [sending(source, x) for x in (1, 3)]
        await turns(3)
        waits[1].cancel()
        with pytest.raises(f.Bad):
            await settle(source.close())

    asyncio.run(main())
