"""`rapidz draw`: pictures and text of the pipelines of a script, which is not run."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.script import write

from rapidz import Stream, cli
from rapidz.cli.draw import style_for
from rapidz.cli.tree import ASCII, UNICODE, to_tree

SCRIPT = """
from rapidz import Stream
source = Stream.from_iterable([1, 2, 3], stream_name="numbers", start=True)
source.map(str).sink(print)
source.start()
source.join()
"""


def draw(*arguments: object) -> int:
    return cli.main(["draw", *map(str, arguments)])


def test_a_script_is_drawn_as_text_and_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw(write(tmp_path, SCRIPT)) == 0
    assert capsys.readouterr().out == "numbers; from_iterable → map: str → sink: print\n"


@pytest.mark.parametrize(
    ("form", "begin"), [("txt", "numbers"), ("mermaid", "flowchart TD"), ("dot", "digraph {")]
)
def test_text_goes_to_stdout_or_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, begin: str
) -> None:
    script, out = write(tmp_path, SCRIPT), tmp_path / f"out.{form}"
    assert draw(script, "-o", form) == 0
    text = capsys.readouterr().out
    assert text.startswith(begin)
    sys.modules.pop("app")
    assert draw(script, "-o", out) == 0
    assert out.read_text("utf-8") == text
    assert capsys.readouterr().out == f"{out}\n"


def test_several_pipelines_make_several_files(tmp_path: Path) -> None:
    script = f"{SCRIPT}\nother = Stream()\nother.sink(print)\n"
    assert draw(write(tmp_path, script), "-o", tmp_path / "out.mmd") == 0
    assert (tmp_path / "out-1.mmd").read_text().count("numbers") == 1
    assert "Stream" in (tmp_path / "out-2.mmd").read_text()


def test_a_name_selects_a_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = f"{SCRIPT}\ndef make():\n    return Stream().flatten()\n"
    assert draw(f"{write(tmp_path, script)}:make") == 0
    assert capsys.readouterr().out == "Stream → flatten\n"


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's program dot")
@pytest.mark.parametrize(("form", "begin"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_images_are_drawn_by_graphviz(tmp_path: Path, form: str, begin: bytes) -> None:
    out = tmp_path / f"out.{form}"
    assert draw(write(tmp_path, SCRIPT), "-o", out) == 0
    assert out.read_bytes().startswith(begin)


def test_an_image_without_graphviz_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert draw(write(tmp_path, SCRIPT), "-o", tmp_path / "out.svg") == 1
    assert "needs Graphviz's program `dot`" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["out", "out.doc", "-", ""])
def test_an_unknown_format_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    assert draw(write(tmp_path, SCRIPT), f"--output={output}") == 2
    assert "-o must have one of the extensions png, svg, pdf, jpeg, jpg" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw(write(tmp_path, SCRIPT), "-o", tmp_path / "lacking" / "out.txt") == 1
    assert capsys.readouterr().err.startswith("rapidz draw: ")


def test_a_script_that_raises_shows_its_own_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw(write(tmp_path, f"{SCRIPT}\nsource.map(3)\n")) == 1
    err = capsys.readouterr().err
    assert err.count("File ") == 1
    assert err.endswith("TypeError: map: func must be callable, got 3\n")


# --- trees --------------------------------------------------------------------------------------


def test_branches_are_lines_and_joins_have_numbers() -> None:
    source: Stream[int] = Stream(stream_name="source")
    node = source.map(abs)
    left, right = node.filter(None), node.partition(2)
    nodes: list[Stream[Any]] = [
        left.zip(right).sink(print),
        left.sink(print),
        Stream().union(right),
    ]
    assert to_tree(nodes[0]).splitlines() == [
        "source; Stream → map: abs",
        "├─ filter: _truthy",
        "│  ├─ zip (1) → sink: print",
        "│  └─ sink: print",
        "└─ partition: 2",
        "   ├─ (1)",
        "   └─ union (2)",
        "Stream → (2)",
    ]


def test_a_cycle_and_a_long_chain_are_drawn() -> None:
    source: Stream[int] = Stream()
    node = source.map(abs)
    node.connect(source)
    assert to_tree(source) == "Stream (1) → map: abs → (1)"
    node.disconnect(source)
    nodes: list[Stream[int]] = [source]
    for _ in range(3000):
        nodes.append(nodes[-1].map(abs))
        nodes.append(nodes[-1].map(abs))
        nodes[-2].map(abs)
    assert to_tree(source).count("map: abs") >= 6000


def test_what_a_stream_cannot_encode_is_drawn_in_ascii() -> None:
    class Out:
        encoding = "ascii"

    source: Stream[int] = Stream()
    nodes = [source.map(abs).map(abs), source.map(str)]
    assert style_for(Out()) is ASCII  # type: ignore[arg-type]
    assert style_for(None) is UNICODE
    assert to_tree(source, ASCII) == "Stream\n|- map: abs -> map: abs\n`- map: str"
    del nodes
