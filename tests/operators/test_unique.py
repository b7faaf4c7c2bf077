"""unique: elements whose key has not been seen lately."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, Way, emitted, fail_on, noted, numbers, refused, ways

from rapidz import Stream

histories = st.one_of(st.none(), st.integers(1, 4))


def model(xs: list[Any], history: int | None, key: Any = lambda x: x) -> list[Any]:
    seen: list[Any] = []
    kept: list[Any] = []
    for x in xs:
        if key(x) not in seen[-history if history else None :]:
            seen.append(key(x))
            kept.append(x)
    return kept


@given(numbers, histories, ways)
def test_unique_remembers_first_in_first_out(xs: list[int], history: int | None, way: Way) -> None:
    """Ruling 11 (docs/rulings.md): `history=` is first-in first-out."""
    assert emitted(lambda s: s.unique(history=history), xs, way) == model(xs, history)


@given(numbers, histories, ways)
def test_unique_works_on_unhashable_elements(xs: list[int], history: int | None, way: Way) -> None:
    """Ruling 11 (docs/rulings.md): unhashable elements work."""
    lists = [[x] for x in xs]
    assert emitted(lambda s: s.unique(history=history), lists, way) == model(lists, history)


@given(numbers, histories)
def test_unique_works_when_only_some_elements_are_hashable(
    xs: list[int], history: int | None
) -> None:
    mixed = [x if x % 2 else [x] for x in xs]
    assert emitted(lambda s: s.unique(history=history), mixed) == model(mixed, history)


def test_unique_forgets_by_first_appearance_not_by_last_use() -> None:
    """Defect D50: `[1,2,1,3,2,1]` with 2 gives [1,2,3,1]; streamz' way gives [1,2,3,2,1]."""
    assert emitted(lambda s: s.unique(history=2), [1, 2, 1, 3, 2, 1]) == [1, 2, 3, 1]


def test_unique_with_maxsize_forgets_by_last_use() -> None:
    """Promise 1 and ruling 11: the spelling of streamz keeps the meaning of streamz."""
    assert emitted(lambda s: s.unique(maxsize=2), [1, 2, 1, 3, 2, 1]) == [1, 2, 3, 2, 1]
    lists = [[x] for x in [1, 2, 1, 3, 2, 1]]
    assert emitted(lambda s: s.unique(maxsize=2), lists) == [[1], [2], [3], [2], [1]]


def test_unique_accepts_the_options_of_streamz() -> None:
    """Ruling 11 (docs/rulings.md): `maxsize=` and `hashable=` accepted."""
    assert emitted(lambda s: s.unique(maxsize=1, hashable=False), [[1], [1], [2], [1]]) == [
        [1],
        [2],
        [1],
    ]
    assert emitted(lambda s: s.unique(hashable=True), [1, 1, 2]) == [1, 2]


@given(numbers, histories, ways)
def test_unique_compares_keys(xs: list[int], history: int | None, way: Way) -> None:
    def magnitude(x: int) -> int:
        return abs(x)

    got = emitted(lambda s: s.unique(history=history, key=magnitude), xs, way)
    assert got == model(xs, history, abs)


def test_unique_does_not_remember_an_element_whose_key_failed() -> None:
    """Ruling 3 (docs/rulings.md)."""
    calls: list[int] = []

    def fails_first(x: int) -> int:
        calls.append(x)
        if len(calls) == 1:
            raise Boom(x)
        return x

    with Stream[int]() as source:
        node = source.unique(key=fails_first, stream_name="careful")
        seen = node.sink_to_list()
        with pytest.raises(Boom) as caught:
            source.emit(1)
        source.emit(1)
        source.emit(1)
    assert noted(caught.value, "unique", "careful", "fails_first", "1")
    assert seen == [1]


def test_unique_remembers_an_element_that_failed_downstream() -> None:
    """Ruling 3 (docs/rulings.md): its own function returned, so the state is committed."""
    with Stream[int]() as source:
        seen = source.unique().map(fail_on(1)).sink_to_list()
        with pytest.raises(Boom):
            source.emit(1)
        source.emit(1)
        source.emit(2)
    assert seen == [2]


def test_unique_follows_new_configuration() -> None:
    """Ruling 20; ruling 21 (docs/rulings.md) names `key` and `seen`."""
    with Stream[int]() as source:
        node: Any = source.unique()
        seen: list[int] = node.sink_to_list()
        source.emit(1)
        source.emit(1)
        node.seen.clear()
        source.emit(1)
        node.key = abs
        source.emit(-1)
        source.emit(-2)
        source.emit(2)
    assert seen == [1, 1, -2]


def test_unique_forgets_unhashable_keys_when_seen_is_cleared() -> None:
    """The same, once a key has come that cannot be hashed."""
    with Stream[Any]() as source:
        node: Any = source.unique()
        seen: list[Any] = node.sink_to_list()
        for x in (1, [2], 1, [2]):
            source.emit(x)
        node.seen.clear()
        for x in (1, [2]):
            source.emit(x)
    assert seen == [1, [2], 1, [2]]


@pytest.mark.parametrize("history", [0, -1, 1.5, "2", True])
def test_unique_refuses_a_history_that_is_no_positive_integer(history: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.unique(history=history), "unique", "history", history)
    refused(lambda s: s.unique(maxsize=history), "unique", "maxsize", history)


def test_unique_refuses_two_different_bounds() -> None:
    source: Stream[int] = Stream()
    with pytest.raises((TypeError, ValueError), match="unique: "):
        source.unique(history=2, maxsize=3)
