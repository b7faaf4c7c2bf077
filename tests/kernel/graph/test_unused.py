"""A chain without a sink that is collected before any element came warns once."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from rapidz import Stream
from rapidz.graph import build_node_set

Node = Stream[Any]


def parse(x: Any) -> Any:
    return x


class write(Stream[Any]):
    def update(self, x: Any, who: Any = None) -> None:
        raise AssertionError("nobody keeps it")


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda source: source.map(parse), "<map: parse>"),
        (lambda source: source.map(parse).filter(str), "<filter: str>"),
        (lambda source: write(source.map(parse)), "<write>"),
        (lambda source: source.zip(Node()), "<zip>"),
        (lambda source: source.buffer(2), "<buffer>"),
        (lambda source: source.partition(2).flatten(), "<flatten>"),
    ],
)
def test_a_chain_without_a_sink_warns_once(build: Callable[[Node], object], named: str) -> None:
    source = Node()
    with pytest.warns(RuntimeWarning, match="no reference and no sink") as caught:
        build(source)
    assert [named in str(warning.message) for warning in caught] == [True]
    assert caught[0].filename == __file__


def test_a_chain_that_is_made_while_elements_come_warns_too() -> None:
    source = Node()
    seen = source.sink_to_list()
    source.emit(1)
    with pytest.warns(RuntimeWarning, match="<map: parse> has no reference"):
        source.map(parse)
    source.emit(2)
    assert seen == [1, 2]


def with_a_sink(source: Node) -> None:
    source.map(parse).sink(parse)


def that_got_an_element(source: Node) -> None:
    node = source.map(parse)
    source.emit(1)
    del node


def emitted_into(source: Node) -> None:
    node = source.map(parse)
    node.emit(1)


def destroyed(source: Node) -> None:
    node = source.map(parse)
    node.destroy()


def disconnected(source: Node) -> None:
    node = source.map(parse)
    source.disconnect(node)


def closed(source: Node) -> None:
    node = source.map(parse)
    source.close()
    del node


def drawn(source: Node) -> None:
    build_node_set(source.map(parse))


def dropped_whole(_: Node) -> None:
    source, other = Node(), Node()
    branches = [source.map(parse), source.filter(parse), source.zip(other)]
    last = source.combine_latest(other, emit_on=source).zip_latest(other).union(source)
    del source, other
    del branches, last


def dropped_in_a_cycle(_: Node) -> None:
    class Holder:
        def __init__(self) -> None:
            self.source = Node()
            self.node = self.source.map(self.work)

        def work(self, x: Any) -> Any:
            return x

    Holder()
    gc.collect()


def refused(source: Node) -> None:
    with pytest.raises(TypeError):
        source.map(3)  # type: ignore[call-overload]


def with_a_branch_that_is_gone(source: Node) -> None:
    node = source.map(parse)
    branch = node.map(str)
    source.emit(1)
    del branch, node


@pytest.mark.parametrize(
    "use",
    [
        with_a_sink,
        that_got_an_element,
        emitted_into,
        destroyed,
        disconnected,
        closed,
        drawn,
        dropped_whole,
        dropped_in_a_cycle,
        refused,
        with_a_branch_that_is_gone,
    ],
)
def test_what_is_used_does_not_warn(use: Callable[[Node], None]) -> None:
    source = Node()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use(source)
    assert [str(warning.message) for warning in caught] == []


def test_frames_do_not_warn() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    source = Node()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sdf: Any = source.to_dataframe(example=frame)
        sdf.groupby("a").b.sum()
        (sdf.a + 1).sum()
        sdf.window(n=2).b.mean()
        sdf.rolling(2)
        del sdf
    assert [str(warning.message) for warning in caught] == []
