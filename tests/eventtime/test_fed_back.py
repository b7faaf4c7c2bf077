"""Sinks that send elements back while results leave: each is in one result, or late."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Collect, Stream

KINDS: dict[str, Callable[..., Any]] = {
    "tumbling": lambda s, **o: s.tumbling(10, **o),
    "sliding": lambda s, **o: s.sliding(10, 5, **o),
    "session": lambda s, **o: s.session(3, **o),
}


class FeedBack:
    """Sends up to 30 elements to the source, from sinks of results and of late elements."""

    def __init__(self, source: Any, seed: int, often: float) -> None:
        self.source, self.rng, self.often = source, random.Random(seed), often
        self.newest = self.count = self.fed = 0
        self.last: dict[Any, list[Any]] = {}
        self.late: list[int] = []

    def emit(self, step: int) -> None:
        self.newest = t = max(0, self.newest + step)
        self.count += 1
        self.source.emit((t, self.count % 3, self.count))

    def feed(self) -> None:
        if self.fed < 30 and self.rng.random() < self.often:
            self.fed += 1
            self.emit(self.rng.choice([-20, -5, 0, 3, 30, 200]))

    def take(self, result: Any) -> None:
        if result.final:
            at = result.key, result.start
            if result.revision:  # it takes the place of the one before
                assert self.last[at].pop().revision == result.revision - 1
            if result.value is not None:
                self.last.setdefault(at, []).append(result)
        self.feed()

    def take_late(self, late: Any) -> None:
        self.late.append(late.element[2])
        self.feed()


def check(kind: str, seed: int, often: float, steps: list[int], **options: Any) -> None:
    source = Stream[Any]()
    fed = FeedBack(source, seed, often)
    keyed = source.event_time(0, lag=4).key_by(1)
    node = KINDS[kind](keyed, **options).aggregate(all=Collect(2))
    node.sink(fed.take)
    node.late.sink(fed.take_late)
    for step in steps:
        fed.emit(step)
    source.close()
    results = [result for each in fed.last.values() for result in each]
    inside = Counter(number for result in results for number in result.value["all"])
    if kind == "sliding":
        inside = Counter(dict.fromkeys(inside, 1))
    assert inside + Counter(fed.late) == Counter(range(1, fed.count + 1))
    assert node.open_count == 0


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    often=st.sampled_from([0.3, 0.8]),
    steps=st.lists(st.sampled_from([-12, -3, 0, 1, 2, 5, 9]), min_size=3, max_size=25),
    lateness=st.sampled_from([0, 3, 12]),
    emit=st.sampled_from(["close", "update"]),
)
def test_what_sinks_send_back_is_in_one_result_or_late(
    kind: str, seed: int, often: float, steps: list[int], lateness: int, emit: str
) -> None:
    check(kind, seed, often, steps, lateness=lateness, emit=emit)
