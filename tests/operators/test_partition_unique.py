"""partition_unique: tuples of n elements with different keys."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    Boom,
    Way,
    fail_on,
    noted,
    numbers,
    refused,
    send,
    settle,
    through,
    turns,
    ways,
)

from rapidz import RefCounter, Stream
from rapidz.testing import run

keeps = st.sampled_from(["first", "last"])


def model(xs: list[Any], n: int, keep: str, key: Any) -> tuple[list[Any], list[Any]]:
    full: list[tuple[Any, ...]] = []
    batch: dict[Any, Any] = {}
    for x in xs:
        if keep == "last":
            batch.pop(key(x), None)
        batch.setdefault(key(x), x)
        if len(batch) == n:
            full.append(tuple(batch.values()))
            batch = {}
    return full, [*full, tuple(batch.values())] if batch else full


@given(numbers, st.integers(1, 4), keeps, ways)
def test_partition_unique_waits_for_n_different_keys(
    xs: list[int], n: int, keep: Any, way: Way
) -> None:
    got = through(lambda s: s.partition_unique(n, key=abs, keep=keep), xs, way)
    assert got == model(xs, n, keep, abs)


@pytest.mark.parametrize(
    ("keep", "wanted"), [("first", [(1, 2, 3), (1, 3, 2)]), ("last", [(2, 1, 3), (1, 3, 2)])]
)
def test_partition_unique_keeps_the_first_or_the_last_of_a_key(keep: Any, wanted: Any) -> None:
    """As streamz does it: the last one of a key also takes the last place."""
    before, _ = through(lambda s: s.partition_unique(3, keep=keep), [1, 2, 1, 3, 1, 3, 3, 2])
    assert before == wanted


def test_partition_unique_takes_a_key_to_pluck() -> None:
    before, _ = through(lambda s: s.partition_unique(2, key=0), [("a", 1), ("a", 2), ("b", 3)])
    assert before == [(("a", 1), ("b", 3))]


def test_partition_unique_emits_its_partial_at_a_flush() -> None:
    with Stream[int]() as source:
        seen = source.partition_unique(3).sink_to_list()
        source.emit(1)
        source.emit(1)
        source.flush()
        source.flush()
        source.emit(1)
    assert seen == [(1,), (1,)]


@pytest.mark.parametrize("keep", ["first", "last"])
def test_partition_unique_releases_every_counter_exactly_once(keep: Any) -> None:
    """Defect D35: `RefCounter` through `partition_unique` never fired; ruling 13."""

    async def go() -> list[int]:
        fired: list[int] = []
        async with Stream[int](asynchronous=True) as source:
            source.partition_unique(2, keep=keep).sink(lambda batch: None)
            told: list[int] = []
            for x in (1, 1, 2, 3):
                counter = RefCounter(cb=functools.partial(fired.append, x))
                await settle(source.emit(x, metadata=[{"ref": counter}]))
                await turns()
                told.append(len(fired))
            assert told == [0, 1, 3, 3], "the one of two equals is done with, 3 is still held"
        await turns()
        return fired

    assert sorted(run(go())) == [1, 1, 2, 3]


def test_partition_unique_leaves_out_an_element_whose_key_failed() -> None:
    """Ruling 3 (docs/rulings.md)."""
    with Stream[int]() as source:
        node = source.partition_unique(2, key=fail_on(2), stream_name="careful")
        seen = node.sink_to_list()
        source.emit(1)
        with pytest.raises(Boom) as caught:
            source.emit(2)
        source.emit(3)
    assert noted(caught.value, "partition_unique", "careful", "check", "2")
    assert seen == [(1, 3)]


def test_partition_unique_starts_anew_after_a_failed_batch() -> None:
    """Ruling 3 (docs/rulings.md)."""
    with Stream[int]() as source:
        seen = source.partition_unique(2).map(fail_on((0, 1))).sink_to_list()
        source.emit(0)
        with pytest.raises(Boom):
            source.emit(1)
        source.emit(0)
        source.emit(2)
    assert seen == [(0, 2)]


def test_partition_unique_passes_on_back_pressure_of_its_sink() -> None:
    async def slow(_: tuple[int, ...]) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            source.partition_unique(2).sink(slow)
            for x in range(6):
                await send(source, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 3.0


def test_partition_unique_follows_a_new_n() -> None:
    """Ruling 20 (docs/rulings.md)."""
    with Stream[int]() as source:
        node: Any = source.partition_unique(3)
        seen: list[Any] = node.sink_to_list()
        source.emit(0)
        node.n = 2
        source.emit(1)
    assert seen == [(0, 1)]


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None, True])
def test_partition_unique_refuses_an_n_that_is_no_positive_integer(n: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.partition_unique(n), "partition_unique", "n", n)


@pytest.mark.parametrize("keep", ["middle", None, 1])
def test_partition_unique_refuses_to_keep_anything_else(keep: object) -> None:
    refused(lambda s: s.partition_unique(2, keep=keep), "partition_unique", "keep", keep)


class Vague:
    """Neither true nor false, as arrays and frames are."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


@pytest.mark.parametrize("keep", ["first", "last"])
def test_partition_unique_takes_elements_without_a_truth_value(keep: Any) -> None:
    elements = [Vague(), Vague()]
    source = Stream[Any]()
    seen = source.partition_unique(2, key=id, keep=keep).sink_to_list()
    source.emit_many(elements)
    source.close()
    assert [x for row in seen for x in row] == elements
