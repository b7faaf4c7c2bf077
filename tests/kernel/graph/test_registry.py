"""Registry of operators: methods that are imported when they are first called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rapidz import Stream
from rapidz.kernel.graph.registry import LATER, load_later


def loud(stream: Stream[Any]) -> str:
    return "loud"


def quiet(stream: Stream[Any]) -> str:
    return "quiet"


@pytest.fixture
def classes() -> Iterator[tuple[Any, Any]]:
    """Two classes, one derived from the other, each with a method of the same name."""

    class Base(Stream[Any]):
        pass

    class Derived(Base):
        pass

    Base.register_later("voice", f"{__name__}:loud")
    Derived.register_later("voice", f"{__name__}:quiet")
    yield Base, Derived
    del LATER["voice"]


def test_a_derived_class_has_a_method_of_its_own(classes: tuple[Any, Any]) -> None:
    base, derived = classes
    assert (base().voice(), derived().voice()) == ("loud", "quiet")
    assert load_later("voice") is loud


def test_key_by_leaves_the_scatter_of_plain_streams_alone() -> None:
    with Stream[int]() as source:
        keyed = source.key_by(str)
        seen = source.scatter("thread").map(str).gather().sink_to_list()
        source.emit(1)
    assert (seen, keyed.name) == (["1"], None)
