"""to_csv, to_jsonlines, to_textfile: append, overwrite, atomic, rolling, keys, bad elements."""

from __future__ import annotations

import asyncio
import bz2
import dataclasses
import datetime
import errno
import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connectors.helpers import open_below

from rapidz import Stream
from rapidz.connectors.files.output import OutputFile
from rapidz.connectors.files.template import FileTemplate, quote_key
from rapidz.testing import check_operator

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": 'y"\n,'}, {"a": 3, "b": "z"}]

#: For each sink: elements, and the text that they are in a file.
SINKS: dict[str, tuple[list[Any], list[str]]] = {
    "to_textfile": (["one", "two", "three"], ["one\n", "two\n", "three\n"]),
    "to_jsonlines": (ROWS, [json.dumps(row, separators=(",", ":")) + "\n" for row in ROWS]),
    "to_csv": (ROWS, ["1,x\n", '2,"y""\n,"\n', "3,z\n"]),
}
UNPACK = [(".gz", gzip.decompress), (".bz2", bz2.decompress), (".xz", lzma.decompress)]
every_sink = pytest.mark.parametrize("name", SINKS)


def header(name: str) -> str:
    return "a,b\n" if name == "to_csv" else ""


def write(name: str, path: Any, elements: Any = None, **options: Any) -> Any:
    with Stream[Any]() as source:
        node = getattr(source, name)(path, **options)
        source.emit_many(SINKS[name][0] if elements is None else elements)
    return node


def contents(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


@every_sink
@pytest.mark.parametrize("options", [{}, {"batch": 2}, {"batch": 100}, {"fsync": True}], ids=str)
def test_files_are_appended_to(name: str, options: Any, tmp_path: Path) -> None:
    lines = SINKS[name][1]
    path = tmp_path / "folder" / "x"
    for _ in range(2):
        write(name, path, **options)
    assert path.read_text() == header(name) + "".join(lines * 2)


@every_sink
def test_an_element_is_in_the_file_when_emit_returns(name: str, tmp_path: Path) -> None:
    elements, lines = SINKS[name]
    source = Stream[Any]()
    getattr(source, name)(tmp_path / "x")
    for n, x in enumerate(elements, 1):
        source.emit(x)
        assert (tmp_path / "x").read_text() == header(name) + "".join(lines[:n])
    source.close()


@every_sink
def test_mode_w_overwrites_and_a_torn_line_is_ended(name: str, tmp_path: Path) -> None:
    lines = SINKS[name][1]
    path = tmp_path / "x"
    path.write_text(f"{header(name)}{lines[0]}to")
    write(name, path)
    assert path.read_text() == header(name) + lines[0] + "to\n" + "".join(lines)
    write(name, path, mode="w")
    assert path.read_text() == header(name) + "".join(lines)


@every_sink
def test_mode_atomic_shows_a_file_once_it_is_complete(name: str, tmp_path: Path) -> None:
    elements, lines = SINKS[name]
    path = tmp_path / "x"
    path.write_text("old")
    (tmp_path / "x~part").write_text("left by a process that was killed")
    source = Stream[Any]()
    node = getattr(source, name)(path, mode="atomic", fsync=True)
    source.emit_many(elements)
    assert path.read_text() == "old"
    source.close()
    assert contents(tmp_path) == {"x": header(name) + "".join(lines)}
    assert node.paths == [str(path)]


@every_sink
@pytest.mark.parametrize(
    ("end", "unpack"),
    [(".gz", gzip.decompress), (".bz2", bz2.decompress), (".xz", lzma.decompress)],
)
@pytest.mark.parametrize("mode", ["a", "atomic"])
def test_the_extension_says_the_compression(
    name: str, end: str, unpack: Callable[[bytes], bytes], mode: str, tmp_path: Path
) -> None:
    path = tmp_path / f"x{end}"
    write(name, path, mode=mode)
    assert unpack(path.read_bytes()).decode() == header(name) + "".join(SINKS[name][1])


@every_sink
def test_urls_of_fsspec_are_written(name: str) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for mode in ("w", "atomic", "a"):
        write(name, "memory://folder/x", mode=mode)
    lines = SINKS[name][1]
    assert memory.cat("/folder/x").decode() == header(name) + "".join(lines * 2)
    assert memory.ls("/folder", detail=False) == ["/folder/x"]
    memory.rm("/folder", recursive=True)


@every_sink
def test_files_roll_by_count_and_size(name: str, tmp_path: Path) -> None:
    lines, head = SINKS[name][1], header(name)
    write(name, tmp_path / "{number}.x", roll_count=2)
    write(name, tmp_path / "{number}.x", roll_bytes=1)
    assert contents(tmp_path) == {
        "000000.x": head + "".join(lines[:2]),
        "000001.x": head + lines[2],
        **{f"{n + 2:06}.x": head + line for n, line in enumerate(lines)},
    }


def test_files_roll_by_time_and_by_batch(tmp_path: Path) -> None:
    source = Stream[str]()
    source.to_textfile(tmp_path / "a{number}", roll_every=1e-9)
    source.to_textfile(tmp_path / "b{number}", file_per_batch=True, batch=2, mode="atomic")
    source.emit_many(["1", "2", "3"])
    assert contents(tmp_path) == {
        "a000000": "1\n",
        "a000001": "2\n",
        "a000002": "3\n",
        "b000000": "1\n2\n",
    }
    source.close()
    assert contents(tmp_path)["b000001"] == "3\n"


def test_files_roll_by_key_and_time_of_the_element(tmp_path: Path) -> None:
    elements = [
        {"k": "a", "t": datetime.datetime(2026, 1, 1, 23, tzinfo=datetime.UTC)},
        {"k": "b", "t": 1767312000},
        {"k": "a", "t": datetime.date(2026, 1, 2)},
        {"k": "a", "t": datetime.datetime(2026, 1, 1, 1)},
    ]
    path = tmp_path / "{date}" / "{key}.txt"
    with Stream[Any]() as source:
        texts = source.map(lambda x: x)
        texts.to_jsonlines(path, key="k", time="t", codec=(lambda x: x["k"].encode(), bytes))
        source.emit_many(elements)
    assert contents(tmp_path) == {
        "2026-01-01/a.txt": "a\na\n",
        "2026-01-02/a.txt": "a\n",
        "2026-01-02/b.txt": "b\n",
    }


@pytest.mark.parametrize("mode", ["w", "atomic"])
def test_files_of_keys_are_never_overwritten(mode: str, tmp_path: Path) -> None:
    for _ in range(3):
        write(
            "to_textfile", tmp_path / "{key}.x.gz", ["a", "b"], key=str, mode=mode, compression=None
        )
    expected = {f"{key}{n}.x.gz": f"{key}\n" for key in "ab" for n in ("", "-1", "-2")}
    assert contents(tmp_path) == expected


def test_more_keys_than_open_files(tmp_path: Path) -> None:
    keys = [str(n % 100) for n in range(1000)]
    write("to_textfile", tmp_path / "{key}", keys, key=str)
    assert contents(tmp_path) == {str(n): f"{n}\n" * 10 for n in range(100)}
    write("to_csv", tmp_path / "csv" / "{key}", [{"k": k} for k in keys], key="k", batch=7)
    expected = {str(n): "k\n" + f"{n}\n" * 10 for n in range(100)}
    assert contents(tmp_path / "csv") == expected


HOSTILE = [
    *("../../etc/x", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "~", "\0", "C:\\x"),
    *(".hidden", "é" * 300, "\ud800", "%2e%2e", "{key}", "\n"),
]


@given(st.text() | st.sampled_from(HOSTILE))
def test_a_key_is_one_name_in_its_folder(key: str) -> None:
    name = quote_key(key)
    assert name
    assert not name.startswith(".")
    assert len(name) < 200
    assert not set(name) & set("/\\\0\n\r:~"[:-1])
    assert name.isascii()
    path = FileTemplate("t", "out/{key}/{key}.csv").path(None, key, 0)
    assert os.path.normpath(path) == path
    assert path.startswith("out/")


@given(st.text(max_size=5), st.text(max_size=5))
def test_different_keys_have_different_names(a: str, b: str) -> None:
    assert (quote_key(a) == quote_key(b)) == (a == b)


def test_hostile_keys_stay_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    elements, codec = [{"k": key} for key in HOSTILE], (lambda x: ascii(x).encode(), bytes)
    for mode in ("a", "atomic"):
        write("to_jsonlines", folder / "{key}.x", elements, key="k", mode=mode, codec=codec)
    assert list(tmp_path.iterdir()) == [tmp_path / "deep"]
    assert list((tmp_path / "deep").iterdir()) == [folder]
    assert len(list(folder.iterdir())) == 2 * len(HOSTILE)
    assert all(path.parent == folder for path in folder.rglob("*"))


@every_sink
@pytest.mark.parametrize("batch", [1, 3, 10])
def test_bad_elements_go_to_the_policy_one_by_one(name: str, batch: int, tmp_path: Path) -> None:
    elements, lines = SINKS[name]
    bad = object()
    with Stream[Any]() as source:
        node = getattr(source, name)(tmp_path / "x", batch=batch)
        failures = node.errors.sink_to_list()
        source.emit_many([bad, elements[0], elements[1], bad, elements[2]])
    assert (tmp_path / "x").read_text() == header(name) + "".join(lines)
    assert [f.element for f in failures] == [bad, bad]
    assert "cannot encode object" in str(failures[0].exception)


@every_sink
def test_bad_elements_raise_without_a_policy(name: str, tmp_path: Path) -> None:
    elements, lines = SINKS[name]
    with Stream[Any]() as source:
        getattr(source, name)(tmp_path / "x", batch=2)
        source.emit(elements[0])
        with pytest.raises(ValueError, match="cannot encode object"):
            source.emit(object())
        source.emit_many(elements[1:])
    assert (tmp_path / "x").read_text() == header(name) + "".join(lines)


def test_retries_do_not_write_the_good_elements_again(tmp_path: Path) -> None:
    from rapidz import Retry

    with Stream[Any]() as source:
        node = source.to_jsonlines(tmp_path / "x", batch=3).on_error(
            Retry(times=2, wait=0.001, then="skip")
        )
        source.emit_many([1, object(), 2])
    assert (tmp_path / "x").read_text() == "1\n2\n"
    assert node.skipped == 1


def test_keys_that_fail_are_failures_of_their_elements(tmp_path: Path) -> None:
    with Stream[Any]() as source:
        node = source.to_jsonlines(tmp_path / "{key}", key="k", batch=3)
        failures = node.errors.sink_to_list()
        source.emit_many([{"k": 1}, {"x": 1}, {"k": 2}])
    assert contents(tmp_path) == {"1": '{"k":1}\n', "2": '{"k":2}\n'}
    assert [f.element for f in failures] == [{"x": 1}]


def test_a_full_disk_leaves_no_part_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """File whose disk is full after six bytes."""

        def __init__(self, raw: Any) -> None:
            self._raw, self.full = raw, True

        def write(self, data: bytes) -> int:
            if self.full and self._raw.tell() + len(data) > 6:
                if self._raw.tell() == 6:
                    raise OSError(errno.ENOSPC, "No space left on device")
                data = data[: 6 - self._raw.tell()]
            return int(self._raw.write(data))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._raw, name)

    files: list[Any] = []
    opened = OutputFile._open

    def open_full(output: OutputFile, mode: str) -> Any:
        files.append(Full(opened(output, mode)))
        return files[-1]

    monkeypatch.setattr(OutputFile, "_open", open_full)
    source = Stream[str]()
    node = source.to_textfile(tmp_path / "x")
    failures = node.errors.sink_to_list()
    source.emit_many(["one", "two"])
    assert (tmp_path / "x").read_text() == "one\n"
    files[0].full = False
    source.emit("three")
    source.close()
    assert (tmp_path / "x").read_text() == "one\nthree\n"
    assert [f.element for f in failures] == ["two"]


def test_a_file_that_cannot_be_opened_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with Stream[str]() as source:
        source.to_textfile(tmp_path / "x")
        with pytest.raises(IsADirectoryError):
            source.emit("one")


@dataclasses.dataclass
class Item:
    a: int
    b: str


def test_csv_writes_objects_and_sequences(tmp_path: Path) -> None:
    write("to_csv", tmp_path / "x", [Item(1, "x"), {"b": "y"}, (3, "z"), [4, None]])
    assert (tmp_path / "x").read_text() == "a,b\n1,x\n,y\n3,z\n4,\n"
    write("to_csv", tmp_path / "y", [(1, 2)], header=False, delimiter=";")
    assert (tmp_path / "y").read_text() == "1;2\n"


def test_csv_keeps_the_header_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("b,a\n")
    write("to_csv", tmp_path / "x", [{"a": 1, "b": 2}])
    assert (tmp_path / "x").read_text() == "b,a\n2,1\n"


@every_sink
def test_sinks_to_files_pass_the_checks_of_operators(name: str, tmp_path: Path) -> None:
    elements = SINKS[name][0]
    check_operator(
        lambda stream: getattr(stream, name)(tmp_path / "x"), elements, fails_on=object()
    )


async def test_a_synchronous_pipeline_writes_at_once_inside_a_loop(tmp_path: Path) -> None:
    with Stream[str]() as source:
        source.to_textfile(tmp_path / "x", fsync=True)
        source.emit("one")
        assert (tmp_path / "x").read_text() == "one\n"


async def test_batches_are_written_after_a_time(tmp_path: Path) -> None:
    async with Stream[str](asynchronous=True) as source:
        source.to_textfile(tmp_path / "x", batch=100, max_wait=1)
        await source.emit("one")
        assert not (tmp_path / "x").exists()
        await asyncio.sleep(1.5)
        assert (tmp_path / "x").read_text() == "one\n"


def test_opening_and_closing_leaves_no_file_open(tmp_path: Path) -> None:
    for _ in range(20):
        write("to_textfile", tmp_path / "{key}-{number}", ["a", "b"], key=str)
        source = Stream[str]()
        node = source.to_textfile(tmp_path / "x")
        source.emit("one")
        node.destroy()
    assert open_below(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": 5}, "path must be a path or a URL, got 5"),
        ({"path": "{x}"}, "path must have no fields but {date}.* got '{x}'"),
        ({"path": "{"}, "path must be a template, got '{'"),
        ({"path": "{key}"}, "key must be a name or a function, as the path has {key}, got None"),
        ({"key": "k"}, "key needs a path with {key}"),
        ({"key": 1.5, "path": "{key}"}, "key must be a name or a function, got 1.5"),
        ({"time": "k"}, "time needs a path with {date} or another time"),
        ({"roll_count": 5}, "path must have {number} for files that roll, got 'x'"),
        ({"roll_count": 0, "path": "{number}"}, "roll_count must be an int >= 1, got 0"),
        ({"roll_every": 0, "path": "{number}"}, "roll_every must be .*, got 0"),
        ({"mode": "x"}, "mode must be 'a' or 'w' or 'atomic', got 'x'"),
        ({"fsync": 1}, "fsync must be a bool, got 1"),
        ({"compression": 1}, "compression must be 'infer'.*, got 1"),
        ({"batch": 0}, "batch must be an int >= 1, got 0"),
    ],
)
@every_sink
def test_sinks_check_their_arguments(name: str, options: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{name}: {message}"):
        getattr(Stream(), name)(**{"path": "x", **options})
