"""pluck: one item, or several, of every element."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Way, emitted, noted, ways

from rapidz import Stream

triples = st.lists(st.tuples(st.integers(), st.text(max_size=2), st.booleans()), max_size=20)


@given(triples, st.integers(-3, 2), ways)
def test_pluck_is_the_subscription(xs: list[tuple[Any, ...]], pick: int, way: Way) -> None:
    assert emitted(lambda s: s.pluck(pick), xs, way) == [x[pick] for x in xs]


@given(triples, st.lists(st.integers(0, 2), max_size=4), ways)
def test_pluck_of_a_list_makes_tuples(xs: list[tuple[Any, ...]], pick: list[int], way: Way) -> None:
    assert emitted(lambda s: s.pluck(pick), xs, way) == [tuple(x[i] for i in pick) for x in xs]


def test_pluck_takes_keys_of_mappings() -> None:
    """Defect D48 (docs/rulings.md): a string is one key, not a list of keys."""
    xs = [{"name": "a", "age": 1}, {"name": "b", "age": 2}]
    assert emitted(lambda s: s.pluck("name"), xs) == ["a", "b"]
    assert emitted(lambda s: s.pluck(["age", "name"]), xs) == [(1, "a"), (2, "b")]


def test_pluck_takes_a_tuple_for_one_key() -> None:
    """Only a list means several: a tuple is a key like any other."""
    assert emitted(lambda s: s.pluck((0, 1)), [{(0, 1): "corner"}]) == ["corner"]


def test_pluck_names_itself_when_the_item_is_missing() -> None:
    with Stream[dict[str, int]]() as source:
        node = source.pluck("name", stream_name="careful")
        seen = node.sink_to_list()
        with pytest.raises(KeyError) as caught:
            source.emit({"age": 1})
        source.emit({"name": 2})
    assert noted(caught.value, "pluck", "careful", "{'age': 1}")
    assert seen == [2]


def test_pluck_follows_a_new_pick() -> None:
    """Ruling 20: configuration applies from the next element on, also one key to several."""
    with Stream[list[str]]() as source:
        node: Any = source.pluck(0)
        seen: list[Any] = node.sink_to_list()
        source.emit(["a", "b"])
        node.pick = 1
        source.emit(["a", "b"])
        node.pick = [1, 0]
        source.emit(["a", "b"])
    assert seen == ["a", "b", ("b", "a")]
