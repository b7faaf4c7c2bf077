"""frequencies: how often every element has come."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from tests.support import Way, emitted, numbers, ways

from rapidz import Stream


@given(numbers, ways)
def test_frequencies_is_a_counter(xs: list[int], way: Way) -> None:
    got = emitted(lambda s: s.frequencies(), xs, way)
    assert got == [dict(Counter(xs[: i + 1])) for i in range(len(xs))]


def test_frequencies_emits_a_dict_of_its_own_every_time() -> None:
    """What a sink kept is not changed behind its back."""
    with Stream[str]() as source:
        seen = source.frequencies().sink_to_list()
        source.emit("a")
        source.emit("a")
    assert seen == [{"a": 1}, {"a": 2}]
    assert seen[0] is not seen[1]


def test_frequencies_keep_counting_through_an_edit() -> None:
    with Stream[str]() as source:
        node = source.frequencies()
        first = node.sink_to_list()
        source.emit("a")
        second = node.sink_to_list()
        source.emit("a")
    assert (first, second) == ([{"a": 1}, {"a": 2}], [{"a": 2}])
