"""Visualization by Graphviz and networkx, and errors where one of them is missing."""

from __future__ import annotations

import shutil
import sys
import types
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from rapidz import Stream
from rapidz.graph import (
    _get_display_cls,
    create_graph,
    readable_graph,
    to_graphviz,
    visualize,
)

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")


def inc(x: int) -> int:
    return x + 1


@pytest.fixture
def no_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)


class Shown:
    def __init__(self, data: Any) -> None:
        self.data = data


class ShownSVG(Shown):
    pass


@pytest.fixture
def ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    display = types.ModuleType("IPython.display")
    vars(display).update(Image=Shown, SVG=ShownSVG)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)


# --- networkx ----------------------------------------------------------------------------


def test_create_graph_fills_a_graph_of_networkx() -> None:
    source = Stream[int](stream_name="in")
    node = source.map(inc)
    graph: Any = nx.DiGraph()
    assert create_graph(node, graph) is graph
    assert list(graph.edges) == [(hash(source), hash(node))]
    attributes = graph.nodes[hash(source)]
    assert attributes.pop("node")() is source
    assert attributes == {
        "label": " in Stream ",
        "shape": "ellipse",
        "orientation": "0",
        "style": "rounded,filled",
        "fillcolor": "white",
    }


def test_create_graph_makes_a_graph_if_there_is_none() -> None:
    node = Stream[int]().map(inc)
    assert isinstance(create_graph(node), nx.DiGraph)


def test_create_graph_marks_edges_by_style_and_number() -> None:
    a = Stream[int]()
    b = a.map(inc)
    both = a.combine_latest(b, emit_on=b)
    graph = create_graph(both)
    assert graph.edges[hash(a), hash(both)] == {"label": "1", "style": "dashed"}
    assert graph.edges[hash(b), hash(both)] == {"style": "solid"}


def test_a_stream_that_enters_twice_has_two_edges_in_a_multigraph() -> None:
    source = Stream[int]()
    pairs = source.zip(source)
    assert create_graph(pairs).number_of_edges() == 1
    assert create_graph(pairs, nx.MultiDiGraph()).number_of_edges() == 2


def test_a_graph_can_be_walked_in_order_and_leads_back_to_the_nodes() -> None:
    source = Stream[int]()
    node = source.map(inc)
    end = node.filter(None)
    graph: Any = create_graph(node)
    assert [graph.nodes[i]["node"]() for i in nx.topological_sort(graph)] == [source, node, end]


def test_readable_graph_calls_nodes_by_their_labels() -> None:
    source = Stream[int]()
    nodes = [source.map(inc) for _ in range(3)]
    graph: Any = create_graph(source)
    readable = readable_graph(graph)
    assert type(readable) is nx.DiGraph
    assert list(readable) == [" Stream ", " map; inc ", " map; inc -1", " map; inc -2"]
    assert readable.nodes[" map; inc -1"]["node"]() is nodes[1]
    assert readable.edges[" Stream ", " map; inc -1"] == {"label": "1"}


def test_create_graph_without_networkx_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ImportError, match=r"networkx: pip install 'rapidz\[graph\]'"):
        create_graph(Stream[int]())


# --- graphviz ----------------------------------------------------------------------------


def test_to_graphviz_makes_a_digraph() -> None:
    pytest.importorskip("graphviz")
    source = Stream[int]()
    node = source.map(inc)
    digraph = to_graphviz(readable_graph(create_graph(node)), rankdir="LR", ranksep=0.5)
    assert '" Stream " -> " map; inc "' in digraph.source
    assert "rankdir=LR" in digraph.source
    assert "weakref" not in digraph.source
    assert str(hash(source)) in to_graphviz(create_graph(node)).source


def test_to_graphviz_without_the_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ImportError, match=r"graphviz: pip install 'rapidz\[graph\]'"):
        to_graphviz(nx.DiGraph())


@needs_dot
@pytest.mark.usefixtures("no_ipython")
@pytest.mark.parametrize(
    ("name", "begin"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")]
)
def test_visualize_writes_the_format_of_the_extension(
    tmp_path: Path, name: str, begin: bytes
) -> None:
    source: Any = Stream[int]()
    node = source.zip(source).map(str)
    node.connect(source)
    assert node.visualize(tmp_path / name, rankdir="LR") is None
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@needs_dot
def test_visualize_writes_png_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    visualize(Stream[int]())
    visualize(Stream[int](), "v1.2")
    visualize(Stream[int](), "other", format="svg")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"mystream.png", "v1.2.png", "other.svg"}


@needs_dot
@pytest.mark.usefixtures("ipython")
def test_visualize_returns_what_a_notebook_shows(tmp_path: Path) -> None:
    source: Any = Stream[int]()
    assert source.visualize(None).data.startswith(b"\x89PNG")
    shown = source.visualize(str(tmp_path / "a.svg"))
    assert type(shown) is ShownSVG
    assert shown.data.startswith("<?xml")
    assert source.visualize(tmp_path / "a.pdf") is None


def test_visualize_writes_text_without_any_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    source: Any = Stream[int]()
    source.visualize(tmp_path / "a.dot", rankdir="LR")
    source.visualize(tmp_path / "a.mmd", rankdir="LR")
    assert (tmp_path / "a.dot").read_text().startswith('digraph {\n    graph [rankdir="LR"]')
    assert (tmp_path / "a.mmd").read_text().startswith("flowchart LR")


def test_visualize_without_dot_names_the_alternatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RuntimeError, match=r"program `dot`.*to_mermaid.*to_dot"):
        visualize(Stream[int](), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_visualize_refuses_an_unknown_format() -> None:
    with pytest.raises(ValueError, match=r"format must be one of png, .*, got 'xyz'"):
        visualize(Stream[int](), "a", format="xyz")


@needs_dot
def test_errors_of_dot_are_reported() -> None:
    with pytest.raises(RuntimeError, match="dot failed: "):
        visualize(Stream[int](), None, **{"a b": 1})


# --- IPython -----------------------------------------------------------------------------


@pytest.mark.usefixtures("ipython")
def test_display_classes_are_those_of_ipython() -> None:
    assert _get_display_cls("png") is Shown
    assert _get_display_cls("svg") is ShownSVG
    assert _get_display_cls("pdf")(b"data") is None


@pytest.mark.usefixtures("no_ipython")
def test_without_ipython_nothing_is_displayed() -> None:
    assert _get_display_cls("png")(data=b"data") is None


def test_the_display_class_of_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'xyz'"):
        _get_display_cls("xyz")
