"""Sinks to files: full disks, restarts, torn members, names, devices, forked processes."""

from __future__ import annotations

import bz2
import errno
import gzip
import logging
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import printed_by

from rapidz import Restart, Stream
from rapidz.connectors.files.output import PART, OutputFile
from rapidz.connectors.files.template import quote_key

SOON = Restart(wait=0.001)
compressions = pytest.mark.parametrize(
    ("end", "pack", "unpack"),
    [
        (".gz", gzip.compress, gzip.decompress),
        (".bz2", bz2.compress, bz2.decompress),
        (".xz", lzma.compress, lzma.decompress),
    ],
)


class Disk:
    """Disk that is full at some lengths of its files, the first time."""

    def __init__(self, *full_at: int) -> None:
        self.full_at = list(full_at)
        self.opened: list[str] = []

    def room(self, at: int, size: int) -> int:
        """Return how many bytes fit at a position; raise if none."""
        if not self.full_at or at + size <= self.full_at[0]:
            return size
        if at == self.full_at[0]:
            del self.full_at[0]
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.full_at[0] - at


class FullFile:
    """File on such a disk."""

    def __init__(self, raw: Any, disk: Disk) -> None:
        self._raw, self._disk = raw, disk

    def write(self, data: bytes) -> int:
        at = os.fstat(self._raw.fileno()).st_size
        return int(self._raw.write(data[: self._disk.room(at, len(data))]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def use(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = OutputFile._open

    def open_on_disk(output: OutputFile, mode: str) -> Any:
        disk.opened.append(mode)
        return FullFile(opened(output, mode), disk)

    monkeypatch.setattr(OutputFile, "_open", open_on_disk)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("mode", ["a", "w", "atomic"])
def test_a_restart_continues_the_file(
    mode: Any, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(10, 22, 26)
    use(disk, monkeypatch)
    with Stream[str]() as source:
        source.to_textfile(tmp_path / "x", mode=mode, batch=batch, restart=SOON)
        source.emit_many([f"line{n}" for n in range(8)])
    assert (tmp_path / "x").read_text().split() == [f"line{n}" for n in range(8)]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert not disk.full_at
    assert set(disk.opened[1:]) == {"ab"}


def test_a_batch_of_many_files_is_cut_off_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Disk(5), monkeypatch)
    with Stream[Any]() as source:
        source.to_csv(tmp_path / "{key}", key="k", batch=4, restart=SOON)
        source.emit_many([{"k": key} for key in "abab"])
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "a": "k\na\na\n",
        "b": "k\nb\nb\n",
    }


def test_a_batch_that_cannot_be_synced_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OSError(errno.EIO, "Input/output error")]
    sync = os.fsync

    def fail_once(descriptor: int) -> None:
        if failures:
            raise failures.pop()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_once)
    with Stream[str]() as source:
        source.to_textfile(tmp_path / "x", fsync=True, restart=SOON)
        source.emit_many(["one", "two"])
    assert (tmp_path / "x").read_text() == "one\ntwo\n"


def test_what_others_appended_is_never_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OtherAppends(Disk):
        def room(self, at: int, size: int) -> int:
            try:
                return super().room(at, size)
            except OSError:
                with open(tmp_path / "x", "a") as other:
                    other.write("|other\n")
                raise

    use(OtherAppends(6), monkeypatch)
    with Stream[str]() as source:
        source.to_textfile(tmp_path / "x", restart=SOON)
        source.emit_many(["one", "two"])
    assert (tmp_path / "x").read_text() == "one\ntw|other\ntwo\n"


@pytest.mark.parametrize("mode", ["a", "w", "atomic"])
def test_a_restart_loses_nothing_of_a_compressed_file(
    mode: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(3, 12, 30)
    use(disk, monkeypatch)
    path = tmp_path / "x.gz"
    with Stream[str]() as source:
        source.to_textfile(path, mode=mode, restart=SOON)
        source.emit_many([f"line{n}" for n in range(5)])
    assert not disk.full_at
    lines = gzip.decompress(path.read_bytes()).decode().split()
    assert list(dict.fromkeys(lines)) == [f"line{n}" for n in range(5)]


def test_a_parquet_file_of_one_batch_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    use(Disk(100), monkeypatch)
    with Stream[Any]() as source:
        source.to_parquet(tmp_path / "{number}.parquet", batch=2, restart=SOON)
        source.emit_many([{"n": n} for n in range(4)])
    paths = sorted(tmp_path.glob("*.parquet"))
    assert [parquet.read_table(path)["n"].to_pylist() for path in paths] == [[0, 1], [2, 3]]


def test_a_parquet_file_of_many_batches_fails_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow.parquet")
    use(Disk(100), monkeypatch)
    source = Stream[Any]()
    source.to_parquet(tmp_path / "x.parquet", batch=1, restart=SOON)
    with pytest.raises(OSError, match="No space left"):
        source.emit_many([{"n": n} for n in range(4)])
    with pytest.raises(OSError, match="earlier write failed"):
        source.close()
    assert not (tmp_path / "x.parquet").exists()


@compressions
def test_a_torn_member_is_cut_off_before_appending(
    end: str,
    pack: Callable[[bytes], bytes],
    unpack: Callable[[bytes], bytes],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / f"x{end}"
    whole, torn = pack(b"a\n1\n") + pack(b"2\n"), pack(b"3\n")[:-2]
    for before, rows in ((whole + torn, "12"), (torn, ""), (whole, "12")):
        caplog.clear()
        path.write_bytes(before)
        with caplog.at_level(logging.WARNING, "rapidz.sinks"), Stream[Any]() as source:
            source.to_csv(path)
            source.emit({"a": "new"})
        assert unpack(path.read_bytes()).decode().split() == ["a", *rows, "new"]
        expected = [f"the last {len(torn)} bytes of {len(before)} were cut off"]
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) == (before != whole)
        assert all(text in message for text, message in zip(expected, messages, strict=False))


@compressions
def test_a_file_of_another_format_stays_as_it_is(
    end: str, pack: Any, unpack: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"x{end}"
    path.write_bytes(b"these are no compressed data, but text")
    with Stream[Any]() as source:
        source.to_textfile(path)
        with pytest.raises(ValueError, match=r"to_textfile: path must be a .* file to append to"):
            source.emit("x")
    assert path.read_bytes() == b"these are no compressed data, but text"


def test_no_key_has_the_name_of_a_file_that_is_not_complete(tmp_path: Path) -> None:
    keys = ["x", f"x{PART}", "x.part", "x%7Epart", "k" * 500, "k" * 500 + PART]
    assert not any(quote_key(key).endswith(PART) for key in keys)
    with Stream[str]() as source:
        source.to_textfile(tmp_path / "{key}", key=str, mode="atomic")
        source.emit_many(keys)
    assert sorted(p.read_text() for p in tmp_path.iterdir()) == sorted(f"{key}\n" for key in keys)


@pytest.mark.parametrize("mode", ["a", "w", "atomic"])
def test_a_refused_element_leaves_no_file(mode: Any, tmp_path: Path) -> None:
    with Stream[Any]() as source:
        node = source.to_jsonlines(tmp_path / "{key}", key=0, mode=mode).on_error("skip")
        source.emit_many([("a", object()), ("b", 1)])
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert node.paths == [str(tmp_path / "b")]


@pytest.mark.parametrize("mode", ["w", "atomic"])
def test_only_regular_files_are_replaced(mode: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with Stream[str]() as source:
        source.to_textfile(tmp_path / "pipe", mode=mode)
        with pytest.raises(ValueError, match=f"to_textfile: path must be a regular.*{mode}"):
            source.emit("x")
    with Stream[str]() as source:
        source.to_textfile(tmp_path / "folder", mode=mode)
        with pytest.raises(IsADirectoryError, match="folder"):
            source.emit("x")
    assert (tmp_path / "pipe").is_fifo()


FORKED = """
import os
from rapidz import Stream

for name, mode in (("x", "a"), ("x.gz", "a"), ("w", "w"), ("atomic", "atomic")):
    source = Stream()
    source.to_textfile(f"{folder}/{name}", mode=mode)
    source.emit("parent")
    child = os.fork()
    if child == 0:
        try:
            source.emit("child")
        except RuntimeError as error:
            print(name, str(error)[:52], flush=True)
        source.close()
        os._exit(0)
    os.waitpid(child, 0)
    source.emit("end")
    source.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_may_append_but_not_replace(tmp_path: Path) -> None:
    refused = "to_textfile: the file was opened by another"
    printed = printed_by(f"folder = {str(tmp_path)!r}\n{FORKED}")
    assert [line.split(" ", 1)[0] for line in printed] == ["x.gz", "w", "atomic"]
    assert all(refused in line for line in printed)
    assert (tmp_path / "x").read_text() == "parent\nchild\nend\n"
    assert (tmp_path / "w").read_text() == (tmp_path / "atomic").read_text() == "parent\nend\n"
    assert gzip.decompress((tmp_path / "x.gz").read_bytes()) == b"parent\nend\n"
