"""zip: the n-th elements of several streams, together."""

from __future__ import annotations

import asyncio
import functools
import threading
from builtins import zip as builtin_zip
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    Boom,
    Way,
    begin,
    bounded,
    double,
    emitted,
    fail_on,
    in_thread,
    numbers,
    send,
    settle,
    turns,
    ways,
)

import rapidz
from rapidz import BackPressureError, RefCounter, Stream
from rapidz.testing import run

tagged = st.lists(st.tuples(st.integers(0, 2), st.integers()), max_size=20)


def zip_of(*streams: Any, **options: Any) -> Any:
    return rapidz.zip(*streams, **options)


@given(tagged)
def test_zip_is_the_builtin_zip(xs: list[tuple[int, int]]) -> None:
    sources = [Stream[int]() for _ in range(3)]
    seen: list[Any] = zip_of(*sources, maxsize=100).sink_to_list()
    for port, x in xs:
        sources[port].emit(x)
    for source in sources:
        source.close()
    columns = [[x for port, x in xs if port == number] for number in range(3)]
    assert seen == list(builtin_zip(*columns, strict=False))


@given(numbers, ways)
def test_zip_of_a_stream_with_itself(xs: list[int], way: Way) -> None:
    """Engine rule 3 (docs/rulings.md): `s.zip(s)` works."""
    assert emitted(lambda s: s.zip(s), xs, way) == [(x, x) for x in xs]


@given(numbers, ways)
def test_zip_closes_a_diamond(xs: list[int], way: Way) -> None:
    got = emitted(lambda s: s.map(double).zip(s.map(str)), xs, way)
    assert got == [(double(x), str(x)) for x in xs]


def test_zip_puts_literals_in_their_places() -> None:
    with Stream[int]() as a, Stream[int]() as b:
        seen: list[Any] = zip_of("left", a, 3, b, None).sink_to_list()
        a.emit(1)
        b.emit(2)
    assert seen == [("left", 1, 3, 2, None)]


def test_zip_does_not_confuse_none_with_nothing() -> None:
    assert emitted(lambda s: s.zip(s), [None, False]) == [(None, None), (False, False)]


def test_zip_applies_back_pressure_to_the_fast_side() -> None:
    """Defect D26: the bound was maxsize + 1; ruling 12 (docs/rulings.md): bounded."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as a, Stream[str](asynchronous=True) as b:
            seen: list[Any] = zip_of(a, b, maxsize=2).sink_to_list()
            waits = [begin(a, x) for x in range(3)]
            await turns()
            assert [wait.done() for wait in waits] == [True, True, False]
            await send(b, "x")
            await waits[2]
            await send(b, "y")
            await send(b, "z")
        return seen

    assert run(go()) == [(0, "x"), (1, "y"), (2, "z")]


def test_zip_wakes_one_waiter_for_each_slot() -> None:
    """Defect D26: one partner woke all 50 waiters; ruling 12 (docs/rulings.md): one per slot."""

    async def go() -> tuple[list[int], list[Any]]:
        async with Stream[int](asynchronous=True) as a, Stream[int](asynchronous=True) as b:
            seen: list[Any] = zip_of(a, b, maxsize=1).sink_to_list()
            waits = [begin(a, x) for x in range(5)]
            free = []
            for x in range(5):
                await turns()
                free.append(sum(wait.done() for wait in waits))
                await send(b, x)
        return free, seen

    free, seen = run(go())
    assert free == [1, 2, 3, 4, 5]
    assert seen == [(x, x) for x in range(5)]


def test_zip_bounds_three_sides() -> None:
    async def go() -> list[Any]:
        async with (
            Stream[int](asynchronous=True) as a,
            Stream[int](asynchronous=True) as b,
            Stream[int](asynchronous=True) as c,
        ):
            seen: list[Any] = zip_of(a, b, c, maxsize=1).sink_to_list()
            left = [begin(a, x) for x in range(2)]
            middle = [begin(b, x) for x in range(2)]
            await turns()
            assert [wait.done() for wait in left + middle] == [True, False, True, False]
            await send(c, 0)
            await turns()
            assert all(wait.done() for wait in left + middle)
            await send(c, 1)
        return seen

    assert run(go()) == [(0, 0, 0), (1, 1, 1)]


def test_zip_refuses_to_wait_for_the_thread_that_is_emitting() -> None:
    """Defect D24: plain stream: 50 held; ruling 12 (docs/rulings.md): raise instead of hanging."""

    def go() -> list[Any]:
        with Stream[int]() as a, Stream[int]() as b:
            seen: list[Any] = zip_of(a, b, maxsize=3).sink_to_list()
            for x in range(3):
                a.emit(x)
            with pytest.raises(BackPressureError):
                a.emit(3)
            b.emit(0)
            a.emit(3)
            for x in range(1, 4):
                b.emit(x)
        return seen

    assert bounded(go) == [(x, x) for x in range(4)], "the refused element was not taken"


def test_zip_refuses_to_block_the_only_thread_that_feeds_it() -> None:
    """Defect D25: "12 to a, then 12 to b": dead-lock at the 12th emit, no message."""

    def go() -> None:
        with Stream[int](asynchronous=False) as a, Stream[int](asynchronous=False) as b:
            zip_of(a, b, maxsize=3).sink(lambda _: None)
            for x in range(3):
                a.emit(x)
            with pytest.raises(BackPressureError):
                a.emit(3)

    bounded(go)


def test_zip_blocks_a_thread_until_another_one_frees_capacity() -> None:
    """Defect D24: "other thread: RuntimeError no current event loop"; right: same bound."""

    def go() -> list[Any]:
        with Stream[int]() as a, Stream[int]() as b:
            seen: list[Any] = zip_of(a, b, maxsize=2).sink_to_list()
            both = threading.Barrier(2)

            def feed(source: Stream[int]) -> None:
                source.emit(0)  # so that both threads are known to the pipeline
                both.wait()
                for x in range(1, 200):
                    source.emit(x)

            threads = [in_thread(functools.partial(feed, source)) for source in (a, b)]
            for thread in threads:
                thread.join(10)
                assert not thread.is_alive()
        return seen

    assert bounded(go) == [(x, x) for x in range(200)]


def test_zip_emits_what_is_possible_when_an_input_is_removed() -> None:
    """Defect D27: "disconnect c": stuck for ever; right: emit the pairs now possible."""
    a, b, c = Stream[int](), Stream[int](), Stream[int]()
    node = zip_of(a, b, c)
    seen: list[Any] = node.sink_to_list()
    for x in range(2):
        a.emit(x)
        b.emit(x)
    c.disconnect(node)
    assert seen == [(0, 0), (1, 1)]
    a.emit(2)
    b.emit(2)
    assert seen[2:] == [(2, 2)]
    for source in (a, b, c):
        source.close()


def test_zip_frees_the_waiters_when_an_input_is_removed() -> None:
    """Ruling 12 (docs/rulings.md): an input can be removed at any time."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as a, Stream[int](asynchronous=True) as b:
            node = zip_of(a, b, maxsize=1)
            seen: list[Any] = node.sink_to_list()
            waits = [begin(a, x) for x in range(3)]
            await turns()
            b.disconnect(node)
            await asyncio.wait(waits, timeout=10)
            assert all(wait.done() for wait in waits)
        return seen

    assert run(go()) == [(0,), (1,), (2,)]


@pytest.mark.parametrize("ahead", [0, 1])
def test_zip_emits_nothing_when_it_is_destroyed(ahead: int) -> None:
    """To take the node out loses what waits in it; it makes no tuples of another width."""
    a, b = Stream[int](), Stream[int]()
    node = zip_of(a, b)
    seen: list[Any] = node.sink_to_list()
    (a, b)[ahead].emit(1)
    node.destroy()
    assert seen == []
    for source in (a, b):
        source.close()


def test_zip_takes_another_input_while_it_runs() -> None:
    """Defect D51 (docs/rulings.md): in rapidz `connect` on zip was a KeyError."""
    a, b, c = Stream[int](), Stream[int](), Stream[int]()
    node = zip_of(a, b)
    seen: list[Any] = node.sink_to_list()
    a.emit(1)
    b.emit(1)
    c.connect(node)
    a.emit(2)
    b.emit(2)
    c.emit(2)
    assert seen == [(1, 1), (2, 2, 2)]
    for source in (a, b, c):
        source.close()


def test_zip_runs_the_first_input_before_its_siblings() -> None:
    """The contract: `first=` moves that upstream's edge to this node to the front."""
    with Stream[int]() as a, Stream[int]() as b:
        order: list[Any] = []
        a.sink(lambda x: order.append("sibling"))
        node = zip_of(a, b, first=a)
        node.sink(order.append)
        b.emit(2)
        a.emit(1)
    assert order == [(1, 2), "sibling"]


def test_zip_drops_what_has_no_partner_at_the_end() -> None:
    """As the builtin does: an element without a partner makes no tuple."""
    a, b = Stream[int](), Stream[int]()
    seen: list[Any] = zip_of(a, b).sink_to_list()
    a.emit(1)
    a.close()
    b.close()
    assert seen == []


def test_zip_goes_on_after_a_failure_downstream() -> None:
    """Ruling 3 (docs/rulings.md): the pair left the queues when it was emitted."""
    with Stream[int]() as a, Stream[int]() as b:
        seen: list[Any] = zip_of(a, b).map(fail_on((0, 0))).sink_to_list()
        a.emit(0)
        with pytest.raises(Boom):
            b.emit(0)
        a.emit(1)
        b.emit(1)
    assert seen == [(1, 1)]


def test_zip_passes_on_back_pressure_of_its_sink() -> None:
    async def slow(_: object) -> None:
        await asyncio.sleep(1)

    async def go() -> float:
        async with Stream[int](asynchronous=True) as source:
            source.zip(source).sink(slow)
            for x in range(3):
                await send(source, x)
            return asyncio.get_running_loop().time()

    assert run(go()) == 3.0


def test_zip_releases_a_counter_when_the_pair_is_done() -> None:
    """Ruling 13 (docs/rulings.md)."""
    fired: list[str] = []

    async def go() -> None:
        async with Stream[int](asynchronous=True) as a, Stream[int](asynchronous=True) as b:
            zip_of(a, b).sink(lambda _: fired.append("sink"))
            counter = RefCounter(cb=lambda: fired.append("a"))
            await settle(a.emit(1, metadata=[{"ref": counter}]))
            await turns()
            assert fired == []
            counter = RefCounter(cb=lambda: fired.append("b"))
            await settle(b.emit(1, metadata=[{"ref": counter}]))
            await turns()

    run(go())
    assert fired[0] == "sink"
    assert sorted(fired[1:]) == ["a", "b"]


def test_zip_follows_a_new_maxsize() -> None:
    """Ruling 20 (docs/rulings.md)."""

    async def go() -> list[bool]:
        async with Stream[int](asynchronous=True) as a, Stream[int](asynchronous=True) as b:
            node = zip_of(a, b, maxsize=1)
            node.sink(lambda _: None)
            await send(a, 0)
            node.maxsize = 3
            waits = [begin(a, x) for x in range(1, 4)]
            await turns()
            done = [wait.done() for wait in waits]
            await send(b, 0)
            await settle(waits[-1])
        return done

    assert run(go()) == [True, True, False]


@pytest.mark.parametrize("maxsize", [0, -1, 1.5, "2", None, True])
def test_zip_refuses_a_maxsize_that_is_no_positive_integer(maxsize: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    source: Stream[int] = Stream()
    with pytest.raises((TypeError, ValueError), match=r"^zip: maxsize must be .+, got "):
        zip_of(source, Stream(), maxsize=maxsize)
    assert not list(source.downstreams)


def test_zip_refuses_literals_alone() -> None:
    """Nothing would ever be emitted."""
    with pytest.raises((TypeError, ValueError), match=r"^zip: "):
        zip_of(1, 2)


def test_zip_refuses_a_first_that_is_no_input() -> None:
    a, b, stranger = Stream[int](), Stream[int](), Stream[int]()
    with pytest.raises((TypeError, ValueError), match=r"^zip: first must be .+, got "):
        zip_of(a, b, first=stranger)


def test_a_pool_with_nothing_to_do_is_not_waited_for() -> None:
    with ThreadPoolExecutor(2) as pool:
        pool.submit(int).result()
        a, b = Stream[int](), Stream[int]()
        pairs = a.zip(b, maxsize=1).sink_to_list()
        a.emit(1)
        with pytest.raises(BackPressureError):
            bounded(lambda: a.emit(2), 20)
        assert pairs == []


@given(
    st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=25),
    st.integers(1, 3),
)
def test_the_two_forms_of_zip_are_one_rule(events: list[tuple[int, bool]], maxsize: int) -> None:
    """What `inline` writes and what `compile` closes over: pairs, waits and what is let in."""

    async def go() -> list[Any]:
        log: list[Any] = []
        async with Stream[int](asynchronous=True) as a, Stream[int](asynchronous=True) as b:
            seen: list[Any] = a.zip(b, maxsize=maxsize).sink_to_list()
            waits: list[asyncio.Future[object]] = []
            for number, (port, lets_run) in enumerate(events):
                waits.append(begin((a, b)[port], number))
                if lets_run:
                    await turns()
                log.append((list(seen), [wait.done() for wait in waits] if lets_run else None))
            await turns()
            log.append((list(seen), [wait.done() for wait in waits]))
            for wait in waits:
                wait.cancel()
            await turns()
        return log

    inlined = run(go())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rapidz.zip, "_can_inline", lambda _: False)
        closed = run(go())
    assert inlined == closed
