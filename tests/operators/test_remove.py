"""remove: filter the other way round."""

from __future__ import annotations

import pytest
from hypothesis import given
from tests.support import (
    AsyncForm,
    Boom,
    Way,
    async_forms,
    bounded,
    emitted,
    fail_on,
    numbers,
    odd,
    refused,
    ways,
)

from rapidz import Stream


@given(numbers, ways)
def test_remove_keeps_what_the_predicate_denies(xs: list[int], way: Way) -> None:
    assert emitted(lambda s: s.remove(odd), xs, way) == [x for x in xs if not odd(x)]


@pytest.mark.parametrize("form", async_forms)
def test_remove_awaits_an_async_predicate(form: AsyncForm) -> None:
    """Ruling 7: `not coroutine` is always false, so not awaiting drops everything."""
    assert emitted(lambda s: s.remove(form(odd)), range(6), "await") == [0, 2, 4]
    assert bounded(lambda: emitted(lambda s: s.remove(form(odd)), range(6))) == [0, 2, 4]


def test_remove_lets_the_failure_of_its_predicate_through() -> None:
    with Stream[int]() as source:
        seen = source.remove(fail_on(2)).sink_to_list()
        with pytest.raises(Boom):
            source.emit(2)
        source.emit(0)
    assert seen == [0]


@pytest.mark.parametrize("predicate", [3, None])
def test_remove_refuses_what_cannot_be_called(predicate: object) -> None:
    """Ruling 19 (docs/rulings.md)."""
    refused(lambda s: s.remove(predicate), "remove", "predicate", predicate)
