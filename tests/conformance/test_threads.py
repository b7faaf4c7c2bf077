"""Four threads at once: nothing lost, nothing doubled, first in first out for each caller.

Defect D23: "4 threads emit": `accumulate` kept 192,397 of 200,000. Ruling 5 (docs/rulings.md).
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support import add

import rapidz
from rapidz import Stream

THREADS, EMITS = 4, 50_000

Element = tuple[int, int]


@pytest.fixture(autouse=True)
def _many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(*works: Callable[[], object]) -> None:
    """Run all *works* at once, each in a thread of its own; what one raises is raised here."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(works))

    def call(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=call, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive(), "a thread hangs"
    if failures:
        raise failures[0]


def emitter(source: Stream[Any], elements: list[Any], bulk: bool = False) -> Callable[[], object]:
    def work() -> None:
        if bulk:
            source.emit_many(elements)
        else:
            for x in elements:
                source.emit(x)

    return work


def numbered(emits: int) -> list[list[Element]]:
    """What each thread emits: its own number and a count."""
    return [[(thread, n) for n in range(emits)] for thread in range(THREADS)]


def check_each_once_and_in_order(seen: list[Element], emits: int, threads: int = THREADS) -> None:
    assert len(seen) == threads * emits
    for thread, _ in Counter(thread for thread, _ in seen).items():
        assert [n for number, n in seen if number == thread] == list(range(emits))


ways = pytest.mark.parametrize(
    ("asynchronous", "bulk", "emits"),
    [
        pytest.param(None, False, EMITS, id="plain"),
        pytest.param(None, True, EMITS, id="plain-bulk"),
        pytest.param(False, True, EMITS, id="loop-bulk"),
        pytest.param(False, False, 500, id="loop"),
        pytest.param(False, False, EMITS, id="loop-long", marks=pytest.mark.soak),
    ],
)


@ways
def test_accumulate_counts_every_emit_of_four_threads(
    asynchronous: bool | None, bulk: bool, emits: int
) -> None:
    with Stream[int](asynchronous=asynchronous) as source:
        seen = source.accumulate(add, start=0).sink_to_list()
        in_threads(*[emitter(source, [1] * emits, bulk) for _ in range(THREADS)])
    assert seen == list(range(1, THREADS * emits + 1))


@ways
def test_partition_holds_every_emit_of_four_threads_once(
    asynchronous: bool | None, bulk: bool, emits: int
) -> None:
    with Stream[Element](asynchronous=asynchronous) as source:
        seen = source.partition(4).sink_to_list()
        in_threads(*[emitter(source, elements, bulk) for elements in numbered(emits)])
    assert all(len(batch) == 4 for batch in seen)
    check_each_once_and_in_order([x for batch in seen for x in batch], emits)


@ways
def test_unique_passes_one_of_four_equal_emits(
    asynchronous: bool | None, bulk: bool, emits: int
) -> None:
    with Stream[int](asynchronous=asynchronous) as source:
        seen = source.unique().sink_to_list()
        in_threads(*[emitter(source, list(range(emits)), bulk) for _ in range(THREADS)])
    assert sorted(seen) == list(range(emits))


def zipped(asynchronous: bool | None, bulk: bool, emits: int, maxsize: int) -> list[Any]:
    """Two threads feed each side of a zip; both sides are known to it before the race begins."""
    with (
        Stream[Element](asynchronous=asynchronous) as a,
        Stream[Element](asynchronous=asynchronous) as b,
    ):
        node: Any = rapidz.zip(a, b, maxsize=maxsize)
        seen: list[Any] = node.sink_to_list()
        met = threading.Barrier(THREADS)

        def feeding(source: Stream[Element], thread: int) -> Callable[[], object]:
            work = emitter(source, [(thread, n) for n in range(1, emits)], bulk)

            def first_one_then_the_rest() -> None:
                source.emit((thread, 0))
                met.wait()
                work()

            return first_one_then_the_rest

        in_threads(feeding(a, 0), feeding(a, 1), feeding(b, 2), feeding(b, 3))
    return seen


@pytest.mark.parametrize(
    ("asynchronous", "bulk", "emits", "maxsize"),
    [
        pytest.param(None, False, EMITS, 100, id="plain"),
        pytest.param(None, True, EMITS, 100, id="plain-bulk"),
        pytest.param(False, True, EMITS, 100, id="loop-bulk"),
        pytest.param(None, False, 1_000, 2, id="plain-tight"),
        pytest.param(False, False, 500, 2, id="loop-tight"),
        pytest.param(None, False, EMITS, 2, id="plain-tight-long", marks=pytest.mark.soak),
        pytest.param(False, False, EMITS, 10, id="loop-long", marks=pytest.mark.soak),
    ],
)
def test_zip_pairs_every_emit_of_four_threads_once(
    asynchronous: bool | None, bulk: bool, emits: int, maxsize: int
) -> None:
    seen = zipped(asynchronous, bulk, emits, maxsize)
    assert len(seen) == 2 * emits
    check_each_once_and_in_order([left for left, _ in seen], emits, threads=2)
    check_each_once_and_in_order([right for _, right in seen], emits, threads=2)


def test_many_nodes_may_be_added_while_other_threads_emit() -> None:
    """An edit of the graph between two elements: none of them is lost on the old branches."""
    with Stream[int]() as source:
        seen = source.sink_to_list()
        late: list[int] = []

        def edit() -> None:
            for _ in range(200):
                node: Any = source.sink(late.append)
                node.destroy()

        in_threads(*[emitter(source, list(range(2_000))) for _ in range(3)], edit)
    assert sorted(seen) == sorted(list(range(2_000)) * 3)
    assert not Counter(late) - Counter(dict.fromkeys(range(2000), 3 * 200))
