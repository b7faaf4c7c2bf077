"""Visualization as text."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Any

import pytest

from rapidz import Stream
from rapidz.graph import to_dot, to_mermaid


class awkward(Stream[Any]):
    """A node with a name that has a meaning in every language."""

    def __str__(self) -> str:
        return 'a "quoted" \\ <b>#1;`|\nline'


def test_dot_has_nodes_edges_and_attributes() -> None:
    source = Stream[int](stream_name="in")
    node = source.partition(2)
    style = 'orientation="0" style="rounded,filled" fillcolor="white"'
    assert to_dot(node, rankdir="LR", ranksep=0.5).splitlines() == [
        "digraph {",
        '    graph [rankdir="LR" ranksep="0.5"]',
        f'    n0 [label="in; Stream" shape="ellipse" {style}]',
        f'    n1 [label="partition: 2" shape="diamond" {style}]',
        "    n0 -> n1",
        "}",
    ]


def test_dot_draws_numbers_and_dashes() -> None:
    a = Stream[int]()
    node = a.combine_latest(a.map(str), emit_on=1)
    assert 'n0 -> n2 [label="1" style="dashed"]' in to_dot(node)


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
def test_dot_reads_what_we_write() -> None:
    source = awkward()
    nodes = [source.zip(source), source.map(lambda x: x)]
    done = subprocess.run(
        ["dot", "-Tplain"],
        input=to_dot(nodes[0], label='a "title"'),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert sum(line.startswith("node ") for line in lines) == 3
    assert sum(line.startswith("edge ") for line in lines) == 3
    assert done.stderr == ""


def test_mermaid_has_a_shape_for_every_shape() -> None:
    source = Stream[int]()
    node = source.accumulate(max).partition(2).rate_limit(1).combine_latest(source)
    end = node.sink(print)
    assert to_mermaid(end, "LR").splitlines() == [
        "flowchart LR",
        '    n0(["Stream"])',
        '    n1["accumulate: max"]',
        '    n2{"partition: 2"}',
        '    n3{{"rate_limit: 1"}}',
        '    n4>"combine_latest"]',
        '    n5[/"sink: print"\\]',
        '    n0 -->|"0"| n1',
        '    n0 -->|"1"| n4',
        "    n1 --> n2",
        "    n2 --> n3",
        "    n3 --> n4",
        "    n4 --> n5",
    ]
    end.destroy()


def test_mermaid_draws_dashes_and_colours() -> None:
    a, b = Stream[int](), Stream[int]()
    node = a.combine_latest(b, emit_on=0)
    b._graphviz_fillcolor = "#ff0000"
    b._graphviz_shape = "egg"
    text = to_mermaid(node)
    assert 'n2("Stream")' in text
    assert "style n2 fill:#ff0000" in text
    assert "n2 -.-> n1" in text


def test_mermaid_escapes_what_has_a_meaning() -> None:
    assert '(["a #34;quoted#34; #92; #60;b#62;#35;1;#96;|<br/>line"])' in to_mermaid(awkward())


def test_mermaid_refuses_an_unknown_direction() -> None:
    with pytest.raises(ValueError, match=r"direction must be 'TB', .* got 'UP'"):
        to_mermaid(Stream[int](), "UP")


def test_text_pictures_need_no_library() -> None:
    script = (
        "import sys, rapidz, rapidz.graph\n"
        "rapidz.graph.to_dot(rapidz.Stream().map(str))\n"
        "rapidz.graph.to_mermaid(rapidz.Stream().map(str))\n"
        "print(sorted(set(sys.modules) & {'networkx', 'graphviz', 'IPython'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.strip() == "[]"
