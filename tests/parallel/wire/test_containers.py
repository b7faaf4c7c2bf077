"""Nested containers of futures give on every backend what containers of values give."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parallel import functions as f
from tests.support import bounded

from rapidz import Stream
from rapidz.parallel import ParallelStream
from rapidz.parallel.wire.containers import iter_leaves, map_leaves

#: What stands for the element in a shape; everything else stands for itself.
#: Threads of Dask draw random numbers while Hypothesis draws its own.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module:Warning")

ELEMENT = "element"

hashable = st.recursive(
    st.sampled_from([ELEMENT, 1, "a"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3)
    ),
    max_leaves=4,
)
shapes: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([ELEMENT, 1, "a"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
        st.sets(hashable, max_size=3),
        st.frozensets(hashable, max_size=3),
    ),
    max_leaves=6,
)


def filled(shape: Any, x: Any) -> Any:
    """The *shape* with *x* in the place of every element, built without the library."""
    if isinstance(shape, dict):
        return {key: filled(item, x) for key, item in shape.items()}
    if isinstance(shape, (list, tuple, set, frozenset)):
        return type(shape)(filled(item, x) for item in shape)
    return x if shape == ELEMENT else shape


class emits(ParallelStream[Any]):
    """A node of the user's: it emits a container of the futures that it gets."""

    def __init__(self, upstream: Any, shape: Any, **kwargs: Any) -> None:
        super().__init__(upstream, **kwargs)
        self.shape = shape

    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        return self._emit(filled(self.shape, x))


BELOW: dict[str, tuple[Callable[[Any], Any], Callable[[list[Any]], list[Any]]]] = {
    "nothing": (lambda s: s, lambda values: values),
    "a buffer": (lambda s: s.buffer(10), lambda values: values),
    "a function": (lambda s: s.map(f.alone), lambda values: [[x] for x in values]),
    "a pair": (lambda s: s.zip(s), lambda values: [(x, x) for x in values]),
    "a window": (
        lambda s: s.partition(2),
        lambda values: [tuple(values[at : at + 2]) for at in range(0, len(values), 2)],
    ),
    "another node": (
        lambda s: emits(s, [ELEMENT, {"again": ELEMENT}]),
        lambda values: [[x, {"again": x}] for x in values],
    ),
    "a total": (
        lambda s: s.accumulate(f.paired, start=None),
        lambda values: [(values[at - 1] if at else None, x) for at, x in enumerate(values)],
    ),
}


def check(shape: Any, name: str, elements: list[int], backend: Any) -> None:
    below, wanted = BELOW[name]
    source: Any = Stream()
    try:
        node = emits(source.scatter(backend).map(f.inc), shape)
        seen = below(node).gather().sink_to_list()
        bounded(lambda: (source.emit_many(elements), source.close()), 10)
    finally:
        source.destroy()
    assert seen == wanted([filled(shape, x + 1) for x in elements])


elements = st.lists(st.integers(0, 9), max_size=4)
names = st.sampled_from(sorted(BELOW))


@settings(max_examples=60)
@given(shapes, names, elements)
def test_containers_of_futures_give_containers_of_values_on_threads(
    shape: Any, name: str, elements: list[int]
) -> None:
    check(shape, name, elements, "thread")


@settings(max_examples=20)
@given(shape=shapes, name=names, elements=elements)
def test_containers_of_futures_give_containers_of_values_in_processes(
    processes: ProcessPoolExecutor, shape: Any, name: str, elements: list[int]
) -> None:
    check(shape, name, elements, processes)


@settings(max_examples=15)
@given(shape=shapes, name=names, elements=elements)
def test_containers_of_futures_give_containers_of_values_on_dask(
    client: Any, shape: Any, name: str, elements: list[int]
) -> None:
    check(shape, name, elements, client)


@given(shapes)
def test_a_container_is_built_anew_only_where_something_changes(shape: Any) -> None:
    assert map_leaves(shape, lambda leaf: leaf) is shape
    assert map_leaves(shape, lambda leaf: 7 if leaf == ELEMENT else leaf) == filled(shape, 7)
    assert [leaf for leaf in iter_leaves(shape) if isinstance(leaf, (list, dict, set))] == []


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_one_failing_future_of_a_container_fails_its_element_alone(
    failing: int, backend: Any
) -> None:
    class some_fail(ParallelStream[Any]):
        def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            submit = self.default_client().submit
            return self._emit([x, {"a": submit(f.fails_on_thirds, x)}])

    source: Any = Stream()
    gathered = some_fail(source.scatter(backend)).gather().on_error("skip")
    seen = gathered.sink_to_list()
    for x in (failing, 3, 4):
        source.emit(x)
    bounded(source.close)
    fine = [x for x in (failing, 3, 4) if x % 3]
    assert [x[0] for x in seen] == fine
