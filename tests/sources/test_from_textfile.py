"""from_textfile: lines as they are written. sink_to_file: the old way to write some."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.support import Boom, fail_on, settle, turns

from rapidz import Stream
from rapidz.sources import from_textfile, sink_to_file, tail


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


async def test_from_textfile_follows_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\nb\n")
    source = from_textfile(path, "1s")
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(0.5)
    assert seen == ["a\n", "b\n"]
    append(path, "c")
    await asyncio.sleep(1)
    assert (seen, source.buffer) == (["a\n", "b\n"], "c")
    append(path, "d\ne\n")
    await asyncio.sleep(1)
    source.stop()
    assert seen == ["a\n", "b\n", "cd\n", "e\n"]


async def test_from_textfile_emits_an_unfinished_line_when_it_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\nb")
    source = from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    assert seen == ["a\n"]
    source.stop()
    await settle(source.join())
    assert seen == ["a\n", "b"]
    append(path, "c\n")
    source.start()
    await asyncio.sleep(0.5)
    await settle(source.close())
    assert seen == ["a\n", "b", "c\n"]


@pytest.mark.parametrize("way", ["flush", "close"])
async def test_from_textfile_emits_an_unfinished_line_at_the_end(tmp_path: Path, way: str) -> None:
    path = tmp_path / "log"
    path.write_text("a\nb")
    source = from_textfile(path, 1, start=True)
    seen = source.partition(2).sink_to_list()
    await asyncio.sleep(0.5)
    await settle(getattr(source, way)())
    assert seen == [("a\n", "b")]
    await settle(source.close())


async def test_from_textfile_may_begin_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    source = from_textfile(path, 1, from_end=True, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    append(path, "new\n")
    await asyncio.sleep(1)
    source.stop()
    assert seen == ["new\n"]


async def test_from_textfile_follows_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\nhalf")
    source = from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    path.rename(tmp_path / "log.1")
    append(tmp_path / "log.1", " of it")
    await asyncio.sleep(1)  # no file of that name for a while
    path.write_text("b\n")
    await asyncio.sleep(1)
    source.stop()
    assert seen == ["a\n", "half of it", "b\n"]


async def test_from_textfile_reads_an_old_file_to_its_end_first(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\n")
    source = from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    append(path, "last\n")
    path.rename(tmp_path / "log.1")
    path.write_text("first\n")
    await asyncio.sleep(1)
    source.stop()
    assert seen == ["a\n", "last\n", "first\n"]


async def test_from_textfile_reads_what_was_rotated_twice_between_two_reads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log"
    path.write_text("a\n")
    for name in ("log.4", "log2", "log-20200101"):
        (tmp_path / name).write_text("other\n")
        os.utime(tmp_path / name, (1, 1))
    source = from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    append(path, "b\n")
    path.rename(tmp_path / "log.3")
    (tmp_path / "log.2").write_text("c\n")
    (tmp_path / "log-20991231").touch()
    (tmp_path / "log.1").write_text("d\ne")
    for name in ("log.3", "log.2", "log.1", "log-20991231"):  # of one tick of the clock
        os.utime(tmp_path / name, (10**9, 10**9))
    path.write_text("f\n")
    for name in ("log2", "log.1.gz"):
        (tmp_path / name).write_text("other\n")
    await asyncio.sleep(1)
    append(tmp_path / "log.3", "too late\n")
    path.rename(tmp_path / "log.0")
    path.write_text("g\n")
    await asyncio.sleep(2)
    source.stop()
    assert seen == ["a\n", "b\n", "c\n", "d\n", "e", "f\n", "g\n"]
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "log.1.gz is newer than what was read" in warnings[0]


async def test_from_textfile_reads_what_was_rotated_twice_while_it_was_stopped(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    path.write_text("same\n")
    source = from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    source.stop()
    await settle(source.join())
    append(path, "a\n")
    path.rename(tmp_path / "log.2")
    (tmp_path / "log.1").write_text("same\nb\n")
    os.utime(tmp_path / "log.2", (1, 1))
    path.write_text("same\nc\n")
    source.start()
    await asyncio.sleep(0.5)
    source.stop()
    assert seen == ["same\n", "a\n", "same\n", "b\n", "same\n", "c\n"]


async def test_files_of_a_pattern_that_were_rotated_twice_are_read_once(tmp_path: Path) -> None:
    for pattern in ("*.log", "*.log*"):
        folder = tmp_path / str(len(pattern))
        folder.mkdir()
        path = folder / "x.log"
        path.write_text("a\n")
        source = from_textfile(folder / pattern, 1, start=True)
        seen = source.sink_to_list()
        await asyncio.sleep(0.5)
        path.rename(folder / "x.log.2")
        (folder / "x.log.1").write_text("b\n")
        path.write_text("c\n")
        await asyncio.sleep(2)
        source.stop()
        assert sorted(seen) == ["a\n", "b\n", "c\n"]


async def test_from_textfile_follows_a_truncation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\nb\nhalf")
    source = from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    path.write_text("c\n")
    await asyncio.sleep(1)
    source.stop()
    assert seen == ["a\n", "b\n", "half", "c\n"]


async def test_from_textfile_finds_the_file_rotated_when_it_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\n")
    source = from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    source.stop()
    await settle(source.join())
    assert source.file is None
    path.rename(tmp_path / "log.1")
    path.write_text("b\n")
    source.start()
    await asyncio.sleep(0.5)
    source.stop()
    assert seen == ["a\n", "b\n"]


async def test_from_textfile_reads_a_file_object_and_leaves_it_open(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\nb")
    with path.open() as file:
        source = from_textfile(file, 1, start=True)
        seen = source.sink_to_list()
        assert source.file is file
        await asyncio.sleep(0.5)
        append(path, "c\n")
        await asyncio.sleep(1)
        path.write_text("d\n")
        await asyncio.sleep(1)
        await settle(source.close())
        assert not file.closed
    assert seen == ["a\n", "bc\n", "d\n"]


async def test_from_textfile_of_what_is_no_file_on_a_disk() -> None:
    file = io.BytesIO(b"left out")
    source = from_textfile(file, 1, from_end=True, start=True)
    seen: list[Any] = source.sink_to_list()
    await asyncio.sleep(0.5)
    position = file.tell()
    file.write(b"a\nb")
    file.seek(position)
    await asyncio.sleep(1)
    source.stop()
    await settle(source.join())
    assert seen == [b"a\n", b"b"]


async def test_from_textfile_takes_any_delimiter_and_encoding(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes("é--ü--x".encode("utf-16"))
    source = from_textfile(str(path), 1, delimiter="--", encoding="utf-16", start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    await settle(source.close())
    assert seen == ["é--", "ü--", "x"]


CHUNK_SIZE = 1 << 16


async def test_from_textfile_puts_together_what_was_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "CHUNK_SIZE", CHUNK_SIZE)
    lines = [f"{'é' * n}\r\n" for n in range(700)]
    assert len("".join(lines).encode()) > 2 * CHUNK_SIZE
    path = tmp_path / "log"
    path.write_bytes("".join(lines).encode())
    source = from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    source.stop()
    assert seen == [line.replace("\r\n", "\n") for line in lines]


async def test_from_textfile_does_not_split_a_line_that_it_has_read_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "CHUNK_SIZE", CHUNK_SIZE)
    path = tmp_path / "log"
    lines = ["a\n", "b" * CHUNK_SIZE + "\n", "c\n"]
    path.write_text("".join(lines))
    source = from_textfile(path, 1, start=True)
    seen: list[str] = []

    def take(x: str) -> None:
        seen.append(x)
        if x == "a\n":
            source.stop()

    source.sink(take)
    await settle(source.join())
    assert seen == lines[:1]
    source.start()
    await asyncio.sleep(0.5)
    await settle(source.close())
    assert seen == lines


async def test_from_textfile_accepts_back_pressure_and_resumes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{n}\n" for n in range(5)) + "rest")
    seen: list[str] = []

    async def slow(x: str) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    source = from_textfile(path, 0.1, start=True)
    source.sink(slow)
    await asyncio.sleep(1.5)
    source.stop()
    await settle(source.join())
    assert seen == ["0\n", "1\n"]
    source.start()
    await asyncio.sleep(10)
    await settle(source.close())
    assert seen == ["0\n", "1\n", "2\n", "3\n", "4\n", "rest"]


async def test_from_textfile_goes_on_behind_a_line_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\nb\nc\n")
    source = from_textfile(path, 1, start=True)
    seen = source.map(fail_on("b\n")).sink_to_list()
    await asyncio.sleep(0.5)
    assert (seen, source.state) == (["a\n"], "failed")
    with pytest.raises(Boom):
        await source.join()
    source.start()
    await asyncio.sleep(0.5)
    source.stop()
    assert seen == ["a\n", "c\n"]


async def test_from_textfile_fails_where_there_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    source = from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    with pytest.raises(FileNotFoundError):
        await source.join()
    assert source.state == "failed"
    path.write_text("a\n")
    source.start()
    await asyncio.sleep(0.5)
    source.stop()
    assert seen == ["a\n"]


async def test_from_textfile_reads_in_a_thread_and_does_not_block_the_loop() -> None:
    ready = threading.Event()

    class slow(io.StringIO):
        def read(self, size: int | None = -1) -> str:
            assert ready.wait(30)
            return super().read(size)

    source = from_textfile(slow("a\n"), 1, start=True)
    seen = source.sink_to_list()
    await turns()
    source.stop()  # while the thread is stuck
    await settle(source.join())
    assert (seen, source.state) == ([], "stopped")
    ready.set()
    source.start()
    await asyncio.sleep(0.5)
    await settle(source.close())
    assert seen == ["a\n"]


def test_from_textfile_refuses_bad_arguments() -> None:
    with pytest.raises(TypeError, match=r"from_textfile: f must be .+, got 3"):
        from_textfile(3)
    with pytest.raises(ValueError, match=r"from_textfile: delimiter must be .+, got ''"):
        from_textfile("x", delimiter="")
    with pytest.raises(TypeError, match=r"from_textfile: delimiter must be .+, got 1"):
        from_textfile("x", delimiter=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"from_textfile: poll_interval must be .+, got 'soon'"):
        from_textfile("x", "soon")
    with pytest.raises(ValueError, match=r"from_textfile: encoding must be .+, got 'klingon'"):
        from_textfile("x", encoding="klingon")


# --- sink_to_file ---------------------------------------------------------------------------


def test_sink_to_file_writes_within_its_block(tmp_path: Path) -> None:
    path = tmp_path / "out"
    source = Stream[str]()
    with sink_to_file(path, source, prefix="<", suffix=">", flush=True) as file:
        source.emit("a")
        assert path.read_text() == "<a>"
        source.emit("b")
    assert file.closed
    source.emit("c")
    assert path.read_text() == "<a><b>"
    assert not list(source.downstreams)
    with sink_to_file(path, source, mode="a", suffix=""):
        source.emit("d")
    assert path.read_text() == "<a><b>d"


def test_sink_to_file_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    path = tmp_path / "out"
    source = Stream[str]()
    with sink_to_file(str(path), source.delay(0.01)):
        source.emit("a")
    assert path.read_text() == "a\n"


def test_sink_to_file_closes_the_file_after_a_failure(tmp_path: Path) -> None:
    source = Stream[str]()
    with pytest.raises(Boom), sink_to_file(tmp_path / "out", source) as file:
        raise Boom(1)
    assert file.closed
    assert not list(source.downstreams)


def test_sink_to_file_refuses_what_is_no_stream(tmp_path: Path) -> None:
    with (
        pytest.raises(TypeError, match="sink_to_file: upstream must be a Stream, got 3"),
        sink_to_file(tmp_path / "out", 3),  # type: ignore[arg-type]
    ):
        pass
