"""Bulk entry: `emit_many` takes no more from an iterator than it pushes, in all execution modes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, fail_on, settle

from rapidz import Stream
from rapidz.testing import run


def listed(n: int) -> Iterator[int]:
    return iter(list(range(n)))


def ranged(n: int) -> Iterator[int]:
    return iter(range(n))


def generated(n: int) -> Iterator[int]:
    yield from range(n)


iterators = pytest.mark.parametrize("make", [listed, ranged, generated])


async def fail_at_three(x: int) -> int:
    return fail_on(3)(x)  # type: ignore[no-any-return]


chains: dict[str, Callable[[Stream[int]], Stream[int]]] = {
    "plain": lambda s: s.map(fail_on(3)),
    "fork": lambda s: s.map(fail_on(3)).union(s),
    "async": lambda s: s.map(fail_at_three),
    "policy": lambda s: s.map(lambda x: x).map(fail_on(3)).on_error("raise"),
}

every_chain = pytest.mark.parametrize("chain", chains)


@iterators
@every_chain
@pytest.mark.parametrize("asynchronous", [None, False])
def test_what_comes_after_a_failure_stays_in_the_iterator(
    make: Callable[[int], Iterator[int]], chain: str, asynchronous: bool | None
) -> None:
    source = Stream[int](asynchronous=asynchronous)
    seen = chains[chain](source).sink_to_list()
    elements = make(6)
    with pytest.raises(Boom):
        source.emit_many(elements)
    assert list(elements) == [4, 5]
    assert [x for x in seen if x != 3] == [x for x in seen if x < 3]
    source.close()


@iterators
@every_chain
@pytest.mark.parametrize("asynchronous", [None, True])
async def test_what_comes_after_a_failure_stays_in_the_iterator_in_a_loop(
    make: Callable[[int], Iterator[int]], chain: str, asynchronous: bool | None
) -> None:
    source = Stream[int](asynchronous=asynchronous)
    chains[chain](source).sink_to_list()
    elements = make(6)
    with pytest.raises(Boom):
        await settle(source.emit_many(elements))
    assert list(elements) == [4, 5]
    await settle(source.close())


@iterators
async def test_what_follows_a_failure_stays_in_the_iterator_of_a_blocking_stream(
    make: Callable[[int], Iterator[int]],
) -> None:
    source = Stream[int](asynchronous=False)
    source.map(fail_on(3)).sink(id)
    elements = make(6)
    with pytest.raises(Boom):
        source.emit_many(elements)
    assert list(elements) == [4, 5]
    source.close()


@iterators
def test_what_comes_after_a_failure_stays_in_the_iterator_of_a_thread(
    make: Callable[[int], Iterator[int]],
) -> None:
    async def main() -> list[int]:
        source = Stream[int](asynchronous=True)
        source.map(fail_on(3)).sink(id)
        elements = make(6)

        def feed() -> None:
            with pytest.raises(Boom):
                source.emit_many(elements).result()

        await asyncio.to_thread(feed)
        return list(elements)

    assert asyncio.run(main()) == [4, 5]


@iterators
@pytest.mark.parametrize("asynchronous", [None, False])
def test_a_pending_failure_leaves_the_iterator_alone(
    make: Callable[[int], Iterator[int]], asynchronous: bool | None
) -> None:
    source = Stream[int](asynchronous=asynchronous)
    source.buffer(10).map(fail_on(0)).sink(id)
    source.emit(0)
    while not source._pipeline.pending_failures:
        pass
    elements = make(3)
    with pytest.raises(Boom):
        source.emit_many(elements)
    assert list(elements) in ([0, 1, 2], [1, 2])  # one may be at the gate already
    source.close()


def test_a_generator_is_asked_for_elements_in_the_thread_that_calls() -> None:
    threads = set()

    def elements() -> Iterator[int]:
        for x in range(3):
            threads.add(threading.get_ident())
            yield x

    source = Stream[int](asynchronous=False)
    seen = source.sink_to_list()
    source.emit_many(elements())
    assert seen == [0, 1, 2]
    assert threads == {threading.get_ident()}
    source.close()


@given(
    st.lists(st.integers(0, 9), max_size=12), st.sampled_from([None, True, False]), st.booleans()
)
def test_emit_many_takes_as_many_as_emit_in_a_loop_would(
    elements: list[int], asynchronous: bool | None, generator: bool
) -> None:
    """The model: emit one after the other until one fails."""
    rest = (x for x in elements) if generator else iter(elements)
    seen: list[Any] = []

    def go() -> Any:
        source = Stream[int](asynchronous=asynchronous)
        source.map(fail_on(7)).sink(seen.append)
        return source.emit_many(rest)

    async def main() -> None:
        await settle(go())

    failed = False
    try:
        if asynchronous:
            run(main())
        else:
            go()
    except Boom:
        failed = True
    good = elements.index(7) if 7 in elements else len(elements)
    assert (seen, failed) == (elements[:good], 7 in elements)
    assert list(rest) == elements[good + 1 :]


@pytest.mark.parametrize("collection", [list, iter])
async def test_elements_go_in_at_the_call_in_a_loop(collection: Callable[[Any], Any]) -> None:
    source = Stream[int](asynchronous=True)
    seen = source.sink_to_list()
    done = source.emit_many(collection([1, 2]))
    assert seen == [1, 2]
    await source.emit(3)
    await done
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("collection", [list, iter])
async def test_elements_are_in_before_a_close(collection: Callable[[Any], Any]) -> None:
    source = Stream[int](asynchronous=True)
    seen = source.partition(5).sink_to_list()
    done = source.emit_many(collection([1, 2]))
    await source.close()
    await done
    assert seen == [(1, 2)]


async def test_the_call_takes_no_more_than_there_is_capacity_for() -> None:
    source = Stream[int](asynchronous=True)
    seen = source.buffer(2).map_async(asyncio.sleep, parallelism=1).sink_to_list()
    taken: list[int] = []

    def elements() -> Iterator[int]:
        for x in range(10):
            taken.append(x)
            yield 0

    done = source.emit_many(elements())
    assert 0 < len(taken) < 10
    await done
    await source.close()
    assert len(seen) == 10


async def test_a_long_collection_lets_the_loop_run_others() -> None:
    source = Stream[int](asynchronous=True)
    seen = source.sink_to_list()
    done = source.emit_many(range(10_000))
    assert 0 < len(seen) < 10_000
    ran = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: ran.set_result(len(seen)))
    await done
    assert len(seen) == 10_000
    assert ran.result() < 10_000


@pytest.mark.parametrize("collection", [list, iter])
async def test_a_failure_at_the_call_is_raised_by_its_result(
    collection: Callable[[Any], Any],
) -> None:
    source = Stream[int](asynchronous=True)
    source.sink(fail_on(3))
    done = source.emit_many(collection([1, 3, 5]))
    with pytest.raises(Boom):
        await done
    source.emit_many(collection([3]))  # dropped: kept for the next call
    await asyncio.sleep(0.01)
    with pytest.raises(Boom):
        await source.emit(1)
