"""Random graphs with cycles, flushes and closes at any moment: no element is lost or doubled."""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import settle

from rapidz import Stream, StreamClosed
from rapidz.testing import run

Node = Stream[Any]

#: What a branch may hold on its way; each lets every element through, sooner or later.
HOLDERS = ["nothing", "partition", "partition_unique", "collect", "sliding", "old"]
QUEUES = [
    "buffer",
    "buffer of one",
    "delay",
    "rate_limit",
    "async map",
    "slow map",
    "map_async",
    "timed_window",
    "timed_window_unique",
    "partition with a timeout",
    "zip",
    "zip_latest",
    "scatter",
]
#: How an element comes back.  By an `async def` function, the function waits for what it emits.
FEEDBACKS = ["none", "connect", "emit", "lambda", "emit_many", "awaited", "another pipeline"]


class Old(Stream[Any]):
    def update(self, x: Any, who: Any = None) -> Any:
        return self._emit(x)


async def same(x: Any) -> Any:
    return x


async def slow(x: Any) -> Any:
    await asyncio.sleep(0.25)
    return x


def held(stream: Node, kind: str) -> Node:
    if kind == "partition":
        return stream.partition(3).flatten()
    if kind == "partition_unique":
        return stream.partition_unique(3, key=id).flatten()
    if kind == "collect":
        return stream.collect().flatten()
    if kind == "sliding":
        return stream.sliding_window(1).flatten()
    if kind == "old":
        return Old(stream)
    if kind == "buffer":
        return stream.buffer(2)
    if kind == "buffer of one":
        return stream.buffer(1)
    if kind == "slow map":
        return stream.map(slow)
    if kind == "timed_window_unique":
        return stream.timed_window_unique(0.7, key=id, emit_empty=False).flatten()
    if kind == "partition with a timeout":
        return stream.partition(3, timeout=0.4).flatten()
    if kind == "zip":
        return stream.zip(stream.buffer(1), maxsize=1).pluck(0)
    if kind == "zip_latest":
        return stream.zip_latest(stream.map(same), maxsize=1).pluck(0)
    if kind == "scatter":
        return stream.scatter("thread").map(lambda x: x).gather()
    if kind == "delay":
        return stream.delay(0.5)
    if kind == "rate_limit":
        return stream.rate_limit(0.5)
    if kind == "async map":
        return stream.map(same)
    if kind == "map_async":
        return stream.map_async(same, parallelism=2)
    if kind == "timed_window":
        return stream.timed_window(0.7, emit_empty=False).flatten()
    return stream


def feed_back(back: Node, source: Node, feedback: str) -> None:
    async def emits(x: Any) -> None:
        await settle(source.emit(x))

    if feedback == "connect":
        back.connect(source)
    elif feedback == "another pipeline":
        other = Node(asynchronous=True)
        back.sink(other.emit)
        other.sink(source.emit)
    elif feedback == "awaited":
        back.sink(emits)
    elif feedback == "emit_many":
        back.sink(lambda x: source.emit_many([x]))
    else:
        back.sink(source.emit if feedback == "emit" else lambda x: source.emit(x))


branches = st.lists(st.sampled_from(HOLDERS), max_size=3)
#: One join at most: a join in the branch of a join waits for what a drain has sent to both.
queueing = st.lists(st.sampled_from(HOLDERS + QUEUES), max_size=3).filter(
    lambda kinds: kinds.count("zip") + kinds.count("zip_latest") <= 1
)
feedbacks = st.sampled_from(FEEDBACKS[:4])
steps = st.lists(st.sampled_from(["emit", "emit", "emit", "flush"]), max_size=8)


def pipeline(
    source: Node, branch: list[str], other: list[str], feedback: str, close_at: int | None
) -> tuple[list[Any], list[Any]]:
    """Two branches that see all elements; those of the first come back one less, above zero.

    An element is a pair: a unique name, and how often it comes back.  The one named *close_at*
    closes the source, in a branch between these two.
    """
    stream = source
    for kind in branch:
        stream = held(stream, kind)
    first = stream.sink_to_list()
    if feedback != "none":
        back = stream.filter(lambda x: x[1] > 0).map(lambda x: (x[0], x[1] - 1))
        feed_back(back, source, feedback)
    if close_at is not None:
        source.filter(lambda x: x == (close_at, 0)).sink(lambda _: source.close())
    stream = source
    for kind in other:
        stream = held(stream, kind)
    return first, stream.sink_to_list()


def expected(names: list[int], rounds: int, feedback: str) -> Counter[Any]:
    lowest = 0 if feedback != "none" else rounds
    return Counter((name, n) for name in names for n in range(lowest, rounds + 1))


@settings(max_examples=120)
@given(branches, branches, feedbacks, steps, st.integers(0, 3), st.none() | st.integers(0, 5))
def test_no_element_is_lost_or_doubled(
    branch: list[str],
    other: list[str],
    feedback: str,
    steps: list[str],
    rounds: int,
    close_at: int | None,
) -> None:
    source = Node()
    seen = pipeline(source, branch, other, feedback, close_at)
    names = list[int]()
    try:
        for name, step in enumerate(steps):
            if step == "flush":
                source.flush()
            else:
                source.emit((name, rounds))
                names.append(name)
    except StreamClosed:
        assert close_at in names
    source.close()
    wanted = expected(names, rounds, feedback)
    assert [Counter(part) for part in seen] == [wanted, wanted]


@settings(max_examples=80)
@given(
    queueing,
    queueing,
    st.sampled_from(FEEDBACKS),
    steps,
    st.integers(0, 3),
    st.none() | st.integers(0, 5),
)
def test_no_element_is_lost_or_doubled_in_a_loop(
    branch: list[str],
    other: list[str],
    feedback: str,
    steps: list[str],
    rounds: int,
    close_at: int | None,
) -> None:
    async def go() -> tuple[tuple[list[Any], list[Any]], list[int]]:
        source = Node(asynchronous=True)
        seen = pipeline(source, branch, other, feedback, close_at)
        names = list[int]()
        for name, step in enumerate(steps):
            try:
                if step == "flush":
                    await settle(source.flush())
                else:
                    await settle(source.emit((name, rounds)))
                    names.append(name)
            except StreamClosed:
                assert close_at in names
        await settle(source.close())
        return seen, names

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen, names = run(go(), limit=10_000)
    wanted = expected(names, rounds, feedback)
    assert [Counter(part) for part in seen] == [wanted, wanted]
