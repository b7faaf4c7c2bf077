"""slice: a slice of the stream, as of a list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Boom, Way, emitted, fail_on, refused, ways

from rapidz import Stream

bounds = st.one_of(st.none(), st.integers(0, 12))
steps = st.one_of(st.none(), st.integers(1, 5))


@given(st.integers(0, 12), bounds, bounds, steps, ways)
def test_slice_is_the_slice_of_a_list(
    count: int, start: int | None, end: int | None, step: int | None, way: Way
) -> None:
    """Ruling 10 (docs/rulings.md)."""
    xs = list(range(count))
    assert emitted(lambda s: s.slice(start, end, step), xs, way) == xs[start:end:step]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [((1, None, 2), [1, 3, 5, 7, 9]), ((2, 8, 3), [2, 5]), ((0, 0), [])],
)
def test_slice_selects_as_a_list_slice_does(arguments: Any, wanted: list[int]) -> None:
    """Defect D29 (docs/rulings.md): `slice(1,None,2)`."""
    assert emitted(lambda s: s.slice(*arguments), range(10)) == wanted


def test_slice_takes_its_bounds_by_name() -> None:
    assert emitted(lambda s: s.slice(start=1, end=8, step=3), range(10)) == [1, 4, 7]


def test_slice_counts_an_element_that_failed_downstream() -> None:
    """Ruling 3: the place in the stream is taken once slice let the element through."""
    with Stream[int]() as source:
        seen = source.slice(0, 3).map(fail_on(1)).sink_to_list()
        source.emit(0)
        with pytest.raises(Boom):
            source.emit(1)
        source.emit(2)
        source.emit(3)
    assert seen == [0, 2]


def test_slice_keeps_the_stream_open_after_its_end() -> None:
    """Elements after the last one wanted are dropped without a sound; siblings go on."""
    with Stream[int]() as source:
        seen = source.slice(0, 1).sink_to_list()
        every = source.sink_to_list()
        for x in range(3):
            source.emit(x)
    assert (seen, every) == ([0], [0, 1, 2])


@pytest.mark.parametrize("value", [-1, 1.5, "1"])
@pytest.mark.parametrize("argument", ["start", "end", "step"])
def test_slice_refuses_negative_and_other_bounds(argument: str, value: object) -> None:
    """The contract: negatives refused; ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.slice(**{argument: value}), "slice", argument, value)


def test_slice_refuses_a_step_of_zero() -> None:
    refused(lambda s: s.slice(0, 5, 0), "slice", "step", 0)
