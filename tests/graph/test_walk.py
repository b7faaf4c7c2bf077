"""Walks over the graph: they find every node, in any shape of graph, and change nothing."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from rapidz import Stream
from rapidz.graph import _clean_text
from rapidz.graph.walk import build_node_set, depth_first, diagram_of, plain_label

DEEP = 10_000


def same(x: Any) -> Any:
    return x


def edges(node: Stream[Any]) -> list[tuple[int, int]]:
    return [(edge.upstream, edge.downstream) for edge in diagram_of(node).edges]


def test_a_walk_from_any_node_finds_all_of_them() -> None:
    a, b = Stream[int](), Stream[int]()
    left, right = a.map(same), b.map(same)
    both = left.zip(right)
    end = both.sink(same)
    everything = {a, b, left, right, both, end}
    assert all(build_node_set(node) == everything for node in everything)
    end.destroy()


def test_a_walk_adds_to_the_set_that_it_is_given() -> None:
    a = Stream[int]()
    b = a.map(same)
    known: set[Any] = {"something else"}
    assert build_node_set(b, known) is known
    assert known == {"something else", a, b}


def test_a_walk_stops_at_nodes_that_are_known() -> None:
    a = Stream[int]()
    b = a.map(same)
    c = b.map(same)
    assert build_node_set(a, {b}) == {a, b}
    assert c.upstreams == [b]


def test_a_walk_from_what_is_no_stream_is_refused() -> None:
    not_a_stream: Any = "a"
    with pytest.raises(TypeError, match="node must be a Stream, got 'a'"):
        build_node_set(not_a_stream)


def test_sources_come_first_and_then_branch_by_branch() -> None:
    a, b = Stream[int](stream_name="a"), Stream[int](stream_name="b")
    left = a.map(same)
    both = left.zip(b)
    right = a.filter(None)
    assert depth_first(both) == [a, left, both, right, b]


def test_a_feedback_loop_is_walked_once() -> None:
    source = Stream[int]()
    step = source.map(same)
    back = step.filter(None)
    back.connect(source)
    assert build_node_set(step) == {source, step, back}
    assert depth_first(back)[0] is back
    assert edges(back) == [(0, 1), (1, 2), (2, 0)]


def test_a_loop_of_one_node_is_drawn() -> None:
    node = Stream[int]()
    node.connect(node)
    assert edges(node) == [(0, 0)]


def test_a_stream_zipped_with_itself_has_an_edge_to_each_port() -> None:
    source = Stream[int]()
    pairs = source.zip(source)
    assert edges(pairs) == [(0, 1), (0, 1)]
    assert [edge.attributes for edge in diagram_of(pairs).edges] == [{}, {}]


def test_branches_are_numbered_in_the_order_in_which_they_get_elements() -> None:
    source = Stream[int]()
    a, b, c = source.map(same), source.filter(None), source.unique()
    numbered = {edge.downstream: edge.attributes["label"] for edge in diagram_of(source).edges}
    assert [numbered[i] for i in (1, 2, 3)] == ["0", "1", "2"]
    assert depth_first(source) == [source, a, b, c]


def test_what_combine_latest_does_not_emit_on_is_dashed() -> None:
    a, b = Stream[int](stream_name="a"), Stream[int](stream_name="b")
    node = a.combine_latest(b, emit_on=a)
    styles = [edge.attributes["style"] for edge in diagram_of(node).edges]
    assert styles == ["solid", "dashed"]


def test_attributes_of_instance_and_class_are_drawn() -> None:
    class red(Stream[Any]):
        _graphviz_fillcolor = "red"

    node = red()
    node._graphviz_shape = "circle"
    (drawn_node,) = diagram_of(node).nodes
    assert drawn_node.attributes() == {
        "shape": "circle",
        "orientation": "0",
        "style": "rounded,filled",
        "fillcolor": "red",
    }


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_ten_thousand_nodes_are_drawn_without_recursion(shape: str) -> None:
    source = node = Stream[int]()
    kept: list[Stream[int]] = []
    for _ in range(DEEP):
        above = node if shape == "chain" else source
        kept.append(node := above.map(same))
    assert len(build_node_set(node)) == DEEP + 1
    drawn = diagram_of(source)
    assert (len(drawn.nodes), len(drawn.edges)) == (DEEP + 1, DEEP)
    while kept:  # from below: a deep chain is not to be freed by recursion
        kept.pop()


def test_a_wide_join_is_drawn_in_time() -> None:
    sources = [Stream[int]() for _ in range(2_000)]
    joined: Stream[int] = sources[0].union(*sources[1:])
    assert len(edges(joined)) == 2_000


def test_a_picture_keeps_no_node_alive() -> None:
    source = Stream[int]()
    node: Stream[int] | None = source.map(same)
    ref = weakref.ref(node)
    drawn = diagram_of(source)
    del node
    gc.collect()
    assert ref() is None
    assert drawn.nodes[1].node() is None


def test_a_walk_changes_nothing() -> None:
    source = Stream[int]()
    pairs = source.zip(source.map(same))
    end = pairs.sink(same)
    nodes = depth_first(source)
    before = [(list(node.upstreams), list(node.downstreams), dict(vars(node))) for node in nodes]
    diagram_of(pairs)
    after = [(list(node.upstreams), list(node.downstreams), dict(vars(node))) for node in nodes]
    assert after == before
    end.destroy()


def test_a_walk_survives_edits_by_another_thread() -> None:
    source = Stream[int]()
    kept = [source.map(same) for _ in range(50)]
    over = threading.Event()

    def edit() -> None:
        while not over.is_set():
            kept[0].destroy()
            source.connect(kept[0])

    editing = threading.Thread(target=edit)
    editing.start()
    try:
        assert all(len(build_node_set(source)) >= 50 for _ in range(200))
    finally:
        over.set()
        editing.join()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<map: inc>", " map; inc "),
        ("<map: <lambda>>", " map; lambda "),
        ("<a name; map: f>", " a name map; f "),
        ("a-b.c,d", "a b c d"),
        ("a_b", "a_b"),
        ("0.5", "0 5"),
    ],
)
def test_text_is_cleaned_for_graphviz(text: str, clean: str) -> None:
    assert _clean_text(text) == clean


def test_text_is_cleaned_of_what_one_says() -> None:
    assert _clean_text("abc-d", match="[a]") == " bc-d"


@pytest.mark.parametrize(
    ("text", "label"), [("<map: <lambda>>", "map: <lambda>"), ("odd", "odd"), ("<>", "<>")]
)
def test_a_label_has_no_brackets_around_it(text: str, label: str) -> None:
    assert plain_label(text) == label
