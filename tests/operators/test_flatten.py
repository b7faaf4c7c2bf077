"""flatten (concat): the items of every element, one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, Way, emitted, fail_on, noted, send, ways

from rapidz import Stream
from rapidz.testing import record, run

nested = st.lists(st.lists(st.integers(), max_size=4), max_size=10)


@given(nested, ways)
def test_flatten_is_itertools_chain(xs: list[list[int]], way: Way) -> None:
    assert emitted(lambda s: s.flatten(), xs, way) == [item for x in xs for item in x]


def test_concat_is_flatten() -> None:
    assert emitted(lambda s: s.concat(), [[1, 2], [3]]) == [1, 2, 3]


@pytest.mark.parametrize(
    "element", [(1, 2), iter([1, 2]), {1: "a", 2: "b"}, range(1, 3)], ids=lambda x: type(x).__name__
)
def test_flatten_takes_any_iterable(element: Any) -> None:
    assert emitted(lambda s: s.flatten(), [element]) == [1, 2]


def test_flatten_takes_a_generator_and_only_as_it_goes() -> None:
    steps: list[str] = []

    def items() -> Iterator[int]:
        for n in range(2):
            steps.append(f"made {n}")
            yield n

    with Stream[Iterator[int]]() as source:
        node = source.flatten().map(lambda n: steps.append(f"used {n}"))
        source.emit(items())
        del node
    assert steps == ["made 0", "used 0", "made 1", "used 1"]


def test_flatten_waits_for_capacity_before_every_item() -> None:
    async def slow(x: int) -> None:
        await asyncio.sleep(1)

    async def go() -> tuple[list[tuple[float, int]], float]:
        async with Stream[list[int]](asynchronous=True) as source:
            node = source.flatten()
            seen = record(node)
            node.sink(slow)
            await send(source, [1, 2, 3])
            return seen, asyncio.get_running_loop().time()

    assert run(go()) == ([(0.0, 1), (1.0, 2), (2.0, 3)], 3.0)


def test_flatten_keeps_unawaited_elements_together() -> None:
    """The second element starts after the first one's last item."""

    async def slow(x: int) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    seen: list[int] = []

    async def go() -> None:
        async with Stream[list[int]](asynchronous=True) as source:
            source.flatten().sink(slow)
            source.emit([1, 2])
            source.emit([3, 4])

    run(go())
    assert seen == [1, 2, 3, 4]


def test_flatten_goes_on_after_an_item_that_failed_downstream() -> None:
    """Defect D17 (docs/rulings.md): "flatten fails at item 2 of 3": item 3 was lost."""
    with Stream[list[int]]() as source:
        seen = source.flatten().map(fail_on(2)).sink_to_list()
        with pytest.raises(Boom):
            source.emit([1, 2, 3])
    assert seen == [1, 3]


def test_flatten_raises_a_group_when_several_items_failed_downstream() -> None:
    """Defect D17: all tried, then one error group; ruling 2 (docs/rulings.md)."""

    def fail(x: int) -> int:
        raise Boom(x)

    with Stream[list[int]]() as source:
        node = source.flatten().map(fail)
        with pytest.raises(ExceptionGroup) as caught:
            source.emit([1, 2])
        del node
    assert [boom.subject for boom in caught.value.exceptions if isinstance(boom, Boom)] == [1, 2]


def test_flatten_goes_on_after_an_item_that_failed_in_an_async_sink() -> None:
    """The same within a loop, where the items wait for each other."""
    seen: list[int] = []

    async def careful(x: int) -> None:
        await asyncio.sleep(1)
        if x == 2:
            raise Boom(x)
        seen.append(x)

    async def go() -> None:
        async with Stream[list[int]](asynchronous=True) as source:
            source.flatten().sink(careful)
            with pytest.raises(Boom):
                await send(source, [1, 2, 3])

    run(go())
    assert seen == [1, 3]


def test_flatten_delivers_the_items_before_an_iterator_failed() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise Boom("items")

    with Stream[Iterator[int]]() as source:
        node = source.flatten(stream_name="careful")
        seen = node.sink_to_list()
        with pytest.raises(Boom) as caught:
            source.emit(items())
    assert noted(caught.value, "flatten", "careful")
    assert seen == [1]


def test_flatten_names_itself_when_an_element_is_no_iterable() -> None:
    with Stream[Any]() as source:
        node = source.flatten()
        with pytest.raises(TypeError) as caught:
            source.emit(7)
        del node
    assert noted(caught.value, "flatten", "7")
