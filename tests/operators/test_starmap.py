"""starmap: the items of an element are the arguments of the function."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    AsyncForm,
    Boom,
    Way,
    add,
    async_forms,
    bounded,
    emitted,
    noted,
    refused,
    ways,
)

from rapidz import SKIP, Stream

pairs = st.lists(st.tuples(st.integers(), st.integers()), max_size=20)


@given(pairs, ways)
def test_starmap_is_itertools_starmap(xs: list[tuple[int, int]], way: Way) -> None:
    assert emitted(lambda s: s.starmap(add), xs, way) == [add(a, b) for a, b in xs]


@pytest.mark.parametrize(
    "element",
    [(1, 2), [1, 2], iter([1, 2]), {1: "a", 2: "b"}, range(1, 3)],
    ids=lambda x: type(x).__name__,
)
def test_starmap_takes_any_iterable(element: Any) -> None:
    """Defect D30 (docs/rulings.md): `starmap` on a list element was a TypeError."""
    assert emitted(lambda s: s.starmap(add), [element]) == [3]


def test_starmap_puts_its_further_arguments_after_the_items() -> None:
    def text(a: int, b: int, c: int, sep: str = " ") -> str:
        return sep.join(map(str, (a, b, c)))

    assert emitted(lambda s: s.starmap(text, 9, sep="-"), [(1, 2)]) == ["1-2-9"]


def test_starmap_may_skip_an_element() -> None:
    """Ruling 15 (docs/rulings.md), for map's sibling."""
    assert emitted(lambda s: s.starmap(lambda a: SKIP if a else a), [(0,), (1,)]) == [0]


@pytest.mark.parametrize("form", async_forms)
def test_starmap_awaits_an_async_function(form: AsyncForm) -> None:
    """Ruling 7 (docs/rulings.md)."""
    xs = [(1, 2), (3, 4)]
    assert emitted(lambda s: s.starmap(form(add)), xs, "await") == [3, 7]
    assert bounded(lambda: emitted(lambda s: s.starmap(form(add)), xs)) == [3, 7]


def test_starmap_names_itself_when_the_function_fails() -> None:
    def fail(a: int, b: int) -> int:
        raise Boom((a, b))

    with Stream[tuple[int, int]]() as source:
        node = source.starmap(fail, stream_name="careful")
        with pytest.raises(Boom) as caught:
            source.emit((1, 2))
        assert noted(caught.value, "starmap", "careful", "fail", "(1, 2)")
        del node


def test_starmap_names_itself_when_the_element_is_no_iterable() -> None:
    with Stream[Any]() as source:
        node = source.starmap(add)
        with pytest.raises(TypeError) as caught:
            source.emit(7)
        assert noted(caught.value, "starmap", "7")
        del node


def test_starmap_follows_a_new_function_and_new_arguments() -> None:
    """Ruling 20 (docs/rulings.md)."""

    def weighted(a: int, b: int, factor: int, offset: int = 0) -> int:
        return (a + b) * factor + offset

    with Stream[tuple[int, int]]() as source:
        node: Any = source.starmap(weighted, 2)
        seen: list[int] = node.sink_to_list()
        source.emit((1, 1))
        node.args = (3,)
        source.emit((1, 1))
        node.kwargs["offset"] = 10
        source.emit((1, 1))
        node.func = lambda a, b, factor, offset: a
        source.emit((1, 1))
    assert seen == [4, 6, 16, 1]


@pytest.mark.parametrize("func", [3, None])
def test_starmap_refuses_what_cannot_be_called(func: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.starmap(func), "starmap", "func", func)
