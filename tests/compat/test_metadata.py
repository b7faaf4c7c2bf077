"""Metadata and reference counts (Ruling 13 (docs/rulings.md)).

The counts are those that streamz shows when it is run, save where the ruling changes them: a
counter fires once, after all that came of the element is done, and a failure is told apart.
"""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.compat.helpers import eventually, inc, stream, third
from tornado import gen

from rapidz import RefCounter


class Traced:
    """Elements 0, 1, 2 … each with a counter and its index as metadata."""

    def __init__(self, source: Any, node: Any) -> None:
        self.source = source
        self.probe = third.sees_all_that_leaves(node)
        self.refs: list[Any] = []
        self.fired: list[int] = []

    def metadata(self, **options: Any) -> list[dict[str, Any]]:
        i = len(self.refs)
        self.refs.append(RefCounter(cb=lambda: self.fired.append(i), **options))
        return [{"ref": self.refs[-1], "i": i}]

    @property
    def counts(self) -> list[int]:
        return [ref.count for ref in self.refs]

    @property
    def passed(self) -> list[tuple[Any, list[int]]]:
        """What came out, and whose metadata came with it."""
        return [(x, [m["i"] for m in metadata]) for x, metadata in self.probe.left]


Build = Callable[[Any], Any]
Rows = list[tuple[str, Build, Sequence[Any], list[Any], list[int]]]


def diamond(name: str) -> Build:
    return lambda s: getattr(s.map(inc), name)(s.map(abs))


ROWS: Rows = [
    # name, build, elements, what came out with whose metadata, counts at the end
    ("Stream", lambda s: s, [1, 2], [(1, [0]), (2, [1])], [0, 0]),
    ("map", lambda s: s.map(inc), [1, 2], [(2, [0]), (3, [1])], [0, 0]),
    ("filter", lambda s: s.filter(lambda x: x > 1), [1, 2], [(2, [1])], [0, 0]),
    ("starmap", lambda s: s.starmap(operator.add), [(1, 2)], [(3, [0])], [0]),
    ("accumulate", lambda s: s.accumulate(operator.add), [1, 2, 3],
     [(1, [0]), (3, [1]), (6, [2])], [0, 0, 0]),
    ("accumulate, start", lambda s: s.accumulate(operator.add, start=0), [1, 2],
     [(1, [0]), (3, [1])], [0, 0]),
    ("pluck", lambda s: s.pluck(0), [(1, 2)], [(1, [0])], [0]),
    ("flatten", lambda s: s.flatten(), [[1, 2], [], [3]],
     [(1, [0]), (2, [0]), (3, [2])], [0, 0, 0]),  # deliberate: streamz marks the last item only
    ("unique", lambda s: s.unique(), [1, 1, 2], [(1, [0]), (2, [2])], [0, 0, 0]),
    ("slice", lambda s: s.slice(1), [1, 2, 3], [(2, [1]), (3, [2])], [0, 0, 0]),
    ("partition", lambda s: s.partition(2), [1, 2, 3], [((1, 2), [0, 1])], [0, 0, 1]),
    ("partition, key", lambda s: s.partition(2, key=lambda x: x % 2), [1, 2, 3],
     [((1, 3), [0, 2])], [0, 1, 0]),
    ("partition_unique, first", lambda s: s.partition_unique(2), [1, 1, 2, 3],
     [((1, 2), [0, 2])], [0, 0, 0, 1]),
    ("partition_unique, last", lambda s: s.partition_unique(2, keep="last"), [1, 1, 2, 3],
     [((1, 2), [1, 2])], [0, 0, 0, 1]),
    ("sliding_window, partial", lambda s: s.sliding_window(2, return_partial=True), [1, 2, 3],
     [((1,), [0]), ((1, 2), [0, 1]), ((2, 3), [1, 2])], [0, 0, 1]),
    ("sliding_window", lambda s: s.sliding_window(2), [1, 2, 3],
     [((1, 2), [0, 1]), ((2, 3), [1, 2])], [0, 0, 1]),
    ("collect", lambda s: s.collect(), [1, 2], [], [1, 1]),
    ("zip, literal", lambda s: s.zip(7), [1, 2], [((1, 7), [0]), ((2, 7), [1])], [0, 0]),
    ("zip", diamond("zip"), [1, 2], [((2, 1), [0, 0]), ((3, 2), [1, 1])], [0, 0]),
    ("union", diamond("union"), [1, 2],
     [(2, [0]), (1, [0]), (3, [1]), (2, [1])], [0, 0]),
    ("combine_latest", diamond("combine_latest"), [1, 2],
     [((2, 1), [0, 0]), ((3, 1), [1, 0]), ((3, 2), [1, 1])], [0, 2]),
    ("zip_latest", diamond("zip_latest"), [1, 2],
     [((2, 1), [0, 0]), ((3, 1), [1, 0])], [0, 1]),
    ("old node with metadata", lambda s: third.double_it(s), [1], [(2, [0])], [0]),
    ("old node that holds", lambda s: third.keeps_two(s), [1, 2, 3],
     [((1, 2), [0, 1])], [0, 0, 1]),
]  # fmt: skip

rows = pytest.mark.parametrize(
    ("build", "elements", "passed", "counts"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)


@rows
def test_metadata_and_counts_without_a_loop(
    build: Build, elements: Sequence[Any], passed: list[Any], counts: list[int]
) -> None:
    s = stream()
    traced = Traced(s, build(s))
    for x in elements:
        s.emit(x, metadata=traced.metadata())
    assert traced.passed == passed
    assert traced.counts == counts
    expected = [i for i, count in enumerate(counts) if not count]
    eventually(lambda: len(traced.fired) >= len(expected))
    assert sorted(traced.fired) == expected
    traced.probe.destroy()


@rows
async def test_metadata_and_counts_inside_a_loop(
    build: Build, elements: Sequence[Any], passed: list[Any], counts: list[int]
) -> None:
    s = stream(asynchronous=True)
    traced = Traced(s, build(s))
    for x in elements:
        await s.emit(x, metadata=traced.metadata(loop=s.loop))
    assert traced.passed == passed
    assert traced.counts == counts
    await asyncio.sleep(0.01)
    assert sorted(traced.fired) == [i for i, count in enumerate(counts) if not count]


TIMED: Rows = [
    ("buffer", lambda s: s.buffer(5), [1, 2], [(1, [0]), (2, [1])], [0, 0]),
    ("delay", lambda s: s.delay(1), [1, 2], [(1, [0]), (2, [1])], [0, 0]),
    ("rate_limit", lambda s: s.rate_limit(1), [1, 2], [(1, [0]), (2, [1])], [0, 0]),
    ("latest", lambda s: s.latest(), [1], [(1, [0])], [0]),
    ("map_async", lambda s: s.map_async(lambda x: asyncio.sleep(1, x)), [1, 2],
     [(1, [0]), (2, [1])], [0, 0]),
    ("partition, timeout", lambda s: s.partition(5, timeout=1), [1, 2],
     [((1, 2), [0, 1])], [0, 0]),
    ("timed_window", lambda s: s.timed_window(5, emit_empty=False), [1, 2],
     [([1, 2], [0, 1])], [0, 0]),
    ("timed_window_unique", lambda s: s.timed_window_unique(5, emit_empty=False), [1, 1],
     [((1,), [0])], [0, 0]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "elements", "passed", "counts"),
    [row[1:] for row in TIMED],
    ids=[row[0] for row in TIMED],
)
async def test_metadata_and_counts_of_nodes_that_wait(
    build: Build, elements: Sequence[Any], passed: list[Any], counts: list[int]
) -> None:
    async with stream(asynchronous=True) as s:
        traced = Traced(s, build(s))
        for x in elements:
            await s.emit(x, metadata=traced.metadata(loop=s.loop))
        await s.join()
        await asyncio.sleep(10)
        assert traced.passed == passed
        assert traced.counts == counts
        assert sorted(traced.fired) == list(range(len(elements)))


@pytest.mark.parametrize("build", [lambda s: s.buffer(5), lambda s: s.delay(1)])
async def test_what_waits_in_a_queue_is_counted(build: Build) -> None:
    async with stream(asynchronous=True) as s:
        traced = Traced(s, build(s))
        traced.probe.sink(lambda x: gen.sleep(1))
        await s.emit(1, metadata=traced.metadata(loop=s.loop))
        assert traced.counts[0] >= 1
        assert traced.fired == []
        await s.join()
        assert traced.counts == [0]


async def test_what_latest_replaces_is_done() -> None:
    async with stream(asynchronous=True) as s:
        traced = Traced(s, s.latest())
        seen: list[int] = []

        async def slow(x: int) -> None:
            await asyncio.sleep(1)
            seen.append(x)

        traced.probe.sink(slow)
        for x in range(4):
            await s.emit(x, metadata=traced.metadata(loop=s.loop))
        await s.join()
        await asyncio.sleep(0.01)
        assert seen[-1] == 3
        assert sorted(traced.fired) == [0, 1, 2, 3]


def test_flush_of_collect_emits_and_releases_all_metadata() -> None:
    s = stream()
    node = s.collect()
    traced = Traced(s, node)
    for x in (1, 2):
        s.emit(x, metadata=traced.metadata())
    assert traced.counts == [1, 1]
    node.flush()
    assert traced.passed == [((1, 2), [0, 1])]
    assert traced.counts == [0, 0]


def test_flush_releases_the_metadata_of_a_partition() -> None:
    s = stream()
    traced = Traced(s, s.partition(2))
    s.emit(1, metadata=traced.metadata())
    assert traced.counts == [1]
    s.flush()
    assert traced.passed == [((1,), [0])]
    assert traced.counts == [0]


def test_zip_counts_what_waits_for_its_partner() -> None:
    a, b = stream(), stream()
    traced = Traced(a, a.zip(b))
    a.emit(1, metadata=traced.metadata())
    a.emit(2, metadata=traced.metadata())
    assert traced.counts == [1, 1]
    b.emit("b", metadata=traced.metadata())
    assert traced.counts == [0, 1, 0]
    assert traced.passed == [((1, "b"), [0, 2])]


def test_a_counter_fires_when_nothing_is_downstream() -> None:
    """Ruling 13: in streamz it never did."""
    fired: list[int] = []
    ref = RefCounter(cb=lambda: fired.append(1))
    stream().emit(1, metadata=[{"ref": ref}])
    eventually(lambda: fired)
    assert (fired, ref.count) == ([1], 0)


def test_an_element_fires_after_an_old_node_without_metadata() -> None:
    """Whether such a node's output carries the metadata of its input is nobody's promise."""
    s = stream()
    seen = third.add_offset(s).sink_to_list()
    fired: list[int] = []
    ref = RefCounter(cb=lambda: fired.append(1))
    s.emit(1, metadata=[{"ref": ref}])
    eventually(lambda: fired)
    assert (seen, fired, ref.count) == ([2], [1], 0)


async def test_a_counter_fires_once_after_all_descendants_are_done() -> None:
    """Ruling 13: in streamz rate_limit and map_async fired twice, and early."""
    done: list[str] = []

    async def slow(x: int) -> None:
        await asyncio.sleep(5)
        done.append(f"sink {x}")

    async with stream(asynchronous=True) as s:
        s.rate_limit(1).sink(slow)
        s.map_async(lambda x: asyncio.sleep(1, x)).sink(slow)
        s.buffer(2).map(inc).sink(slow)
        ref = RefCounter(cb=lambda: done.append("fired"), loop=s.loop)
        await s.emit(1, metadata=[{"ref": ref}])
        await s.join()
        await asyncio.sleep(1)
    assert sorted(done[:-1]) == ["sink 1", "sink 1", "sink 2"]
    assert done[-1] == "fired"


async def test_a_counter_distinguishes_failure_from_success() -> None:
    """Ruling 13: on_failure instead of cb; in streamz the counter stayed above zero for ever."""
    async with stream(asynchronous=True) as s:
        s.map(lambda x: 1 // x).sink(lambda x: None)
        done: list[object] = []
        ref: Any = RefCounter(cb=lambda: done.append("ok"), on_failure=done.append, loop=s.loop)
        with pytest.raises(ZeroDivisionError):
            await s.emit(0, metadata=[{"ref": ref}])
        await asyncio.sleep(0.01)
        (failure,) = done
        assert isinstance(failure, ZeroDivisionError)
        assert ref.count == 0


def test_failure_without_on_failure_does_not_call_cb() -> None:
    s = stream()
    s.map(lambda x: 1 // x).sink(lambda x: None)
    done: list[str] = []
    ref = RefCounter(cb=lambda: done.append("ok"))
    with pytest.raises(ZeroDivisionError):
        s.emit(0, metadata=[{"ref": ref}])
    later = RefCounter(cb=lambda: done.append("later"))
    s.emit(1, metadata=[{"ref": later}])
    eventually(lambda: done)
    assert done == ["later"]


async def test_failure_behind_a_queue_is_reported_too() -> None:
    async with stream(asynchronous=True) as s:
        s.buffer(2).map(lambda x: 1 // x).sink(lambda x: None)
        s.on_error("skip")
        done: list[object] = []
        ref: Any = RefCounter(cb=lambda: done.append("ok"), on_failure=done.append, loop=s.loop)
        await s.emit(0, metadata=[{"ref": ref}])
        await s.join()
        await asyncio.sleep(0.01)
        assert [type(failure) for failure in done] == [ZeroDivisionError]


def test_one_count_for_each_branch_while_it_is_in_flight() -> None:
    s = stream()
    counts: list[int] = []
    ref: Any = RefCounter()
    s.sink(lambda x: counts.append(ref.count))
    s.map(inc).sink(lambda x: counts.append(ref.count))
    s.emit(1, metadata=[{"ref": ref}])
    assert all(count >= 1 for count in counts)
    assert ref.count == 0


def test_metadata_without_a_counter_passes_along() -> None:
    s = stream()
    node = third.double_it(s.map(inc))
    s.emit(1, metadata=[{"offset": 7}, {"topic": "t"}])
    assert node.metadata_seen == [{"offset": 7}, {"topic": "t"}]


def test_nodes_retain_and_release_by_hand() -> None:
    s = stream()
    ref: Any = RefCounter()
    metadata = [{"ref": ref}, {"no": "counter"}, {}]
    s._retain_refs(metadata)
    assert ref.count == 1
    s._retain_refs(metadata, 3)
    assert ref.count == 4
    s._release_refs(metadata, n=2)
    assert ref.count == 2
    s._release_refs(metadata)
    assert ref.count == 1
    s._retain_refs([])
    s._release_refs([])


def test_counter_counts_and_calls_back_at_zero() -> None:
    fired: list[int] = []
    ref: Any = RefCounter(cb=lambda: fired.append(1))
    assert ref.count == 0
    ref.retain()
    ref.retain(2)
    assert ref.count == 3
    ref.release(n=2)
    assert (ref.count, fired) == (1, [])
    ref.release()
    assert ref.count == 0
    eventually(lambda: fired == [1])
    assert RefCounter(initial=2).count == 2
    assert str(ref) == "<RefCounter count=0>"


async def test_a_counter_runs_its_coroutine_callback_on_the_loop() -> None:
    fired: list[object] = []

    async def confirm() -> None:
        await asyncio.sleep(1)
        fired.append(asyncio.get_running_loop())

    s = stream(asynchronous=True)
    s.sink(lambda x: None)
    ref = RefCounter(cb=confirm, loop=s.loop)
    await s.emit(1, metadata=[{"ref": ref}])
    await asyncio.sleep(2)
    assert fired == [asyncio.get_running_loop()]


def test_counters_of_the_background_loop(virtual_background: Any) -> None:
    fired: list[int] = []
    s = stream(asynchronous=False)
    s.delay(1).sink(lambda x: None)
    for i in range(3):
        ref = RefCounter(cb=functools.partial(fired.append, i), loop=s.loop)
        s.emit(i, metadata=[{"ref": ref}])
    s.close()
    virtual_background.let_pass(1)
    assert fired == [0, 1, 2]
