"""sink_to_textfile: elements as lines of a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from tests.support import noted, refused, settle

from rapidz import Stream
from rapidz.sinks.files import sink_to_textfile
from rapidz.sources import from_iterable


@pytest.mark.parametrize("way", ["destroy", "close"])
def test_sink_to_textfile_writes_out_and_closes(tmp_path: Path, way: str) -> None:
    path = tmp_path / "out"
    path.write_text("before\n")
    source = Stream[str]()
    node: Any = sink_to_textfile(source, path)
    source.emit_many(["a", "b"])
    if way == "destroy":
        node.destroy()
        node.destroy()
    else:
        source.close()
    assert node.file is path
    assert node._fp.closed
    assert path.read_text() == "before\na\nb\n"


def test_sink_to_textfile_takes_mode_and_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("before\n")
    with Stream[str]() as source:
        sink_to_textfile(source, str(path), end=";", mode="w")
        source.emit_many(["a", "b"])
    assert path.read_text() == "a;b;"


def test_sink_to_textfile_leaves_an_open_file_open() -> None:
    file = io.StringIO()
    with Stream[str]() as source:
        sink_to_textfile(source, file, "|")
        source.emit("a")
    assert file.getvalue() == "a|"


async def test_sink_to_textfile_goes_on_when_its_source_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    source = from_iterable(["a", "b"])
    sink_to_textfile(source, path, mode="w")
    for _ in range(2):
        source.start()
        await settle(source.join())
    assert path.read_text() == "a\nb\na\nb\n"
    await settle(source.close())


def test_sink_to_textfile_names_itself_in_errors(tmp_path: Path) -> None:
    with Stream[int]() as source:
        node: Any = sink_to_textfile(source, tmp_path / "out")
        with pytest.raises(TypeError) as caught:
            source.emit(1)
        assert noted(caught.value, str(node), "1")


def test_sink_to_textfile_refuses_what_is_no_file() -> None:
    refused(lambda s: s.sink_to_textfile(3), "sink_to_textfile", "file", 3)
