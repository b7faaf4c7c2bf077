"""Random graphs with cycles, flushes and closes at any moment: no element is lost or doubled."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.support import settle

from rapidz import Stream, StreamClosed
from rapidz.testing import run

Node = Stream[Any]

#: What a branch may hold on its way; each lets every element through, sooner or later.
HOLDERS = ["nothing", "partition", "partition_unique", "collect", "sliding", "old"]
QUEUES = ["buffer", "delay", "rate_limit", "async map", "map_async", "timed_window"]


class Old(Stream[Any]):
    def update(self, x: Any, who: Any = None) -> Any:
        return self._emit(x)


async def same(x: Any) -> Any:
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


branches = st.lists(st.sampled_from(HOLDERS), max_size=3)
queueing = st.lists(st.sampled_from(HOLDERS + QUEUES), max_size=3)
feedbacks = st.sampled_from(["none", "connect", "emit", "lambda"])
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
        if feedback == "connect":
            back.connect(source)
        else:
            back.sink(source.emit if feedback == "emit" else lambda x: source.emit(x))
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
@given(queueing, queueing, feedbacks, steps, st.integers(0, 3), st.none() | st.integers(0, 5))
def test_no_element_is_lost_or_doubled_in_a_loop(
    branch: list[str],
    other: list[str],
    feedback: str,
    steps: list[str],
    rounds: int,
    close_at: int | None,
) -> None:
    # What is fed back by `emit` is waited for: here it might wait for room that only it could make.
    assume(feedback in ("none", "connect") or set(branch) <= {*HOLDERS, "async map"})

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
