"""from_textfile, from_csv, from_jsonlines: files followed, resumed, rotated, and bad content."""

from __future__ import annotations

import asyncio
import bz2
import dataclasses
import gzip
import hashlib
import json
import lzma
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.helpers import open_below
from tests.support import settle

from rapidz import Stream
from rapidz.sources import followed, tail
from rapidz.sources.decoding import DecodeError

CHUNK_SIZE = 1 << 16
LINES = [f"{n}\n" for n in range(30_000)]


@pytest.fixture(params=[3, 1 << 16], ids=["small slices", "large slices"])
def slices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "SLICE", request.param)


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


async def collect(source: Any) -> list[Any]:
    """Run a finite source to its end, and return its elements."""
    seen = source.sink_to_list()
    source.start()
    await source.join()
    assert source.state == "done"
    return list(seen)


def sources(path: Path) -> list[tuple[Any, Path, bytes, list[Any]]]:
    """Return for each source of rows: its class, a file, the content, the elements."""
    rows = [{"a": str(n), "b": f"x{n}"} for n in range(5)]
    text = "".join(f"{row['a']},{row['b']}\n" for row in rows)
    values = "".join(json.dumps(row) + "\n" for row in rows)
    return [
        (Stream.from_textfile, path / "f.txt", text.encode(), text.splitlines(keepends=True)),
        (Stream.from_csv, path / "f.csv", f"a,b\n{text}".encode(), rows),
        (Stream.from_jsonlines, path / "f.jsonl", values.encode(), rows),
    ]


@pytest.mark.usefixtures("slices")
async def test_sources_end_behind_the_last_line_without_a_line_feed(tmp_path: Path) -> None:
    for make, path, content, expected in sources(tmp_path):
        path.write_bytes(content[:-1])
        source = make(path, follow=False)
        whole = [
            x.rstrip("\n") if i == 4 and isinstance(x, str) else x for i, x in enumerate(expected)
        ]
        assert await collect(source) == whole
        source.start()  # once more
        await source.join()
        assert source.state == "done"


@pytest.mark.usefixtures("slices")
async def test_sources_follow_files_that_grow(tmp_path: Path) -> None:
    for make, path, content, expected in sources(tmp_path):
        half = content.index(b"3") + 1
        path.write_bytes(content[:half])
        source = make(path, follow=True, poll_interval=1, start=True)
        seen = source.sink_to_list()
        await asyncio.sleep(0.5)
        assert seen == expected[:3]
        append(path, content[half:])
        await asyncio.sleep(1)
        source.stop()
        assert seen == expected
        assert source.state == "stopped"


@pytest.mark.parametrize(
    ("end", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
async def test_sources_read_compressed_files(tmp_path: Path, end: str, compress: Any) -> None:
    for make, path, content, expected in sources(tmp_path):
        packed = Path(f"{path}{end}")
        packed.write_bytes(compress(content))
        source = make(packed, follow=False)
        assert await collect(source) == expected
        resumed = make(packed, follow=False)
        seen = resumed.sink_to_list()
        first = make(packed, follow=False)
        first.sink(lambda x, s=first, y=expected[1]: x == y and s.stop())
        first.start()
        await settle(first.join())
        resumed.seek(first.position())
        resumed.start()
        await resumed.join()
        assert seen == expected[2:]


def damaged(data: bytes, way: str) -> bytes:
    """Return compressed *data* cut off, with bytes that are wrong, or replaced."""
    half = len(data) // 2
    if way == "cut":
        return data[:half]
    return data[:half] + b"\xff" * 50 + data[half + 50 :] if way == "wrong" else b"no such format"


def numbered_rows(path: Path) -> list[tuple[Any, str, bytes, list[Any]]]:
    """Return for each source of rows: its class, its extension, much content, the elements."""
    numbers = [f"{hashlib.md5(str(n).encode()).hexdigest()}" for n in range(3000)]
    text = "".join(f"{n}\n" for n in numbers)
    return [
        (Stream.from_textfile, ".txt", text.encode(), text.splitlines(keepends=True)),
        (Stream.from_csv, ".csv", f"a\n{text}".encode(), [{"a": n} for n in numbers]),
        (
            Stream.from_jsonlines,
            ".jsonl",
            "".join(f'"{n}"\n' for n in numbers).encode(),
            numbers,
        ),
    ]


@pytest.mark.parametrize("way", ["cut", "wrong", "other"])
@pytest.mark.parametrize(
    ("end", "compress"),
    [(".gz", gzip.compress), (".bz2", lambda x: bz2.compress(x, 1)), (".xz", lzma.compress)],
    ids=["gzip", "bz2", "xz"],
)
async def test_a_damaged_compressed_file_does_not_hide_the_others(
    tmp_path: Path, end: str, compress: Any, way: str
) -> None:
    for make, kind, content, elements in numbered_rows(tmp_path):
        bad = tmp_path / f"1{kind}{end}"
        bad.write_bytes(damaged(compress(content), way))
        (tmp_path / f"2{kind}{end}").write_bytes(compress(content))
        source = make(tmp_path / f"*{kind}{end}", follow=False)
        failures = source.errors.sink_to_list()
        seen = await collect(source)
        assert [f.element for f in failures if isinstance(f.element, str)] == [str(bad)]
        assert f"cannot read the file {bad}: " in str(failures[-1].exception)
        assert seen[-len(elements) :] == elements
        before = seen[: -len(elements)]
        if end == ".gz":
            assert (len(before) > 1000) == (way != "other")
        pickle.dumps(source.position())
        if way == "wrong":  # which is decompressed to wrong lines, until a check finds it
            continue
        assert before == elements[: len(before)]  # whole lines
        assert len(failures) == 1

        source = make(tmp_path / f"*{kind}{end}", follow=False)
        seen = source.sink_to_list()
        source.start()
        with pytest.raises(DecodeError, match=re.escape(str(bad))):
            await source.join()
        assert (source.state, seen) == ("failed", before)
        source.start()
        await source.join()
        assert seen == before + elements


async def test_a_compressed_file_is_read_on_once_it_is_complete(tmp_path: Path) -> None:
    for make, kind, content, elements in numbered_rows(tmp_path):
        path = tmp_path / f"x{kind}.gz"
        data = gzip.compress(content)
        path.write_bytes(data[:-1000])
        source = make(path, follow=True, poll_interval=1).on_error("skip")
        seen = source.sink_to_list()
        source.start()
        await asyncio.sleep(2.5)
        assert 0 < len(seen) < len(elements)
        assert source.skipped == 1
        path.write_bytes(data)
        await asyncio.sleep(1)
        source.stop()
        assert seen == elements


async def test_sources_read_urls_of_fsspec(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for make, path, content, expected in sources(tmp_path):
        memory.pipe(f"/{path.name}", content)
        assert await collect(make(f"memory://{path.name}", follow=False)) == expected
        source = make(f"memory://{path.name}", follow=True, poll_interval=1, start=True)
        seen = source.sink_to_list()
        await asyncio.sleep(0.5)
        with memory.open(f"/{path.name}", "ab") as file:
            file.write(content[-content[:-1][::-1].index(b"\n") - 1 :])
        await asyncio.sleep(1)
        source.stop()
        assert seen == [*expected, expected[-1]]
        local = tmp_path / f"local-{path.name}"
        local.write_bytes(content)
        assert await collect(make(f"file://{local}", follow=False)) == expected
    memory.rm("/", recursive=True)


async def test_sources_read_all_files_that_match_in_order(tmp_path: Path) -> None:
    for make, path, content, expected in sources(tmp_path):
        for name in ("b", "a", "c"):
            (tmp_path / f"{name}-{path.name}").write_bytes(content)
        assert await collect(make(str(tmp_path / f"?-{path.name}"), follow=False)) == expected * 3


@pytest.mark.usefixtures("slices")
async def test_from_textfile_follows_files_that_appear(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("old\n")
    source = Stream.from_textfile(str(tmp_path / "*.log"), 1, from_end=True, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    (tmp_path / "b.log").write_text("b1\n")
    append(tmp_path / "a.log", "a1\n")
    await asyncio.sleep(1)
    append(tmp_path / "a.log", "a2\nhalf")
    (tmp_path / "a.log").rename(tmp_path / "a-1.log")  # still matches
    (tmp_path / "a.log").write_text("new\n")
    (tmp_path / "b.log").unlink()
    await asyncio.sleep(1)
    await settle(source.close())
    assert seen == ["a1\n", "b1\n", "a2\n", "new\n", "half"]


async def test_from_textfile_can_be_followed_by_a_buffer(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntw")
    source: Any = Stream.from_textfile(path, 1, start=True)
    seen = source.buffer(10).sink_to_list()
    await asyncio.sleep(0.5)
    assert source.buffer == "tw"
    await settle(source.close())
    assert seen == ["one\n", "tw"]


async def test_from_textfile_notices_a_file_rewritten_beyond_its_position(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    source = Stream.from_textfile(path, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    path.write_text("three\nfour\nfive\n")
    await asyncio.sleep(1)
    source.stop()
    assert seen == ["one\n", "two\n", "three\n", "four\n", "five\n"]


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
async def test_positions_resume_behind_any_element(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "log"
    lines = ["a\x0bb\x1c\n", "é\r\n", "b\n", "\n", "ccc\r", "d\n", "e" * 2000 + "\n", "é"]
    path.write_bytes("".join(lines).encode(encoding))
    expected = [line.replace("\r\n", "\n").replace("\r", "\n") for line in lines]
    for n in range(1, len(lines)):
        first = Stream.from_textfile(path, follow=False, encoding=encoding)
        seen: list[str] = []

        def take(x: str, n: int = n, seen: list[str] = seen, source: Any = first) -> None:
            seen.append(x)
            if len(seen) == n:
                source.stop()

        first.sink(take)
        first.start()
        await settle(first.join())
        position = pickle.loads(pickle.dumps(first.position()))
        second = Stream.from_textfile(path, follow=False, encoding=encoding)
        second.seek(position)
        assert second.position() == position
        assert seen + await collect(second) == expected


@pytest.mark.usefixtures("slices")
async def test_position_in_the_step_of_an_element_is_behind_that(tmp_path: Path) -> None:
    for make, path, content, expected in sources(tmp_path):
        path.write_bytes(content)
        source = make(path, follow=False)
        positions: list[Any] = []
        source.sink(lambda x, s=source, p=positions: p.append(s.position()))
        source.start()
        await source.join()
        for n, position in enumerate(positions, 1):
            again = make(path, follow=False)
            again.seek(position)
            assert await collect(again) == expected[n:]


async def test_position_of_csv_has_the_header(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('a,b\n1,"x\ny"\n2,z\n')
    source = Stream.from_csv(path)
    source.sink(lambda row: source.stop())
    source.start()
    await settle(source.join())
    (place,) = source.position().values()
    assert place["names"] == ["a", "b"]
    assert place["offset"] == len('a,b\n1,"x\ny"\n')


@pytest.mark.usefixtures("slices")
async def test_seek_finds_a_file_that_was_renamed_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    first = Stream.from_textfile(path, 1, start=True)
    seen = first.sink_to_list()
    await asyncio.sleep(0.5)
    first.stop()
    position = first.position()
    append(path, "three\n")
    path.rename(tmp_path / "log.2")
    (tmp_path / "log.1").write_text("four\n")
    os.utime(tmp_path / "log.2", (1, 1))
    os.utime(tmp_path / "log.1", (2, 2))
    path.write_text("five\n")
    second = Stream.from_textfile(path, 1)
    second.seek(position)
    seen += await follow_for(second, 0.5)
    assert seen == ["one\n", "two\n", "three\n", "four\n", "five\n"]


async def follow_for(source: Any, seconds: float) -> list[Any]:
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(seconds)
    await settle(source.close())
    return list(seen)


async def test_seek_begins_anew_if_the_file_is_another_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    first = Stream.from_textfile(path, follow=False)
    await collect(first)
    for content in ("xxx\ntwo\nthree\n", "one\n"):
        path.write_text(content)
        second = Stream.from_textfile(path, follow=False)
        second.seek(first.position())
        assert await collect(second) == content.splitlines(keepends=True)
        assert "not the one of the position" in caplog.text
        caplog.clear()


async def test_positions_cover_all_files_of_a_pattern(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(f"{name}1\n{name}2\n")
    first = Stream.from_textfile(str(tmp_path / "?"), follow=False)
    seen: list[str] = []
    first.sink(seen.append)
    first.sink(lambda x: first.stop() if x == "b1\n" else None)
    first.start()
    await settle(first.join())
    second = Stream.from_textfile(str(tmp_path / "?"), follow=False)
    second.seek(first.position())
    assert seen + await collect(second) == ["a1\n", "a2\n", "b1\n", "b2\n", "c1\n", "c2\n"]


def test_seek_is_refused_where_there_is_no_position(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\n")
    source = Stream.from_textfile(path)
    for position in (5, {"x": 1}, {"x": {"offset": 1}}):
        with pytest.raises(TypeError, match="from_textfile: position must be a result of"):
            source.seek(position)
    with path.open() as file:
        for bad in (Stream.from_textfile(file), Stream.from_textfile(path, encoding="utf-16")):
            with pytest.raises(OSError, match="no positions"):
                bad.position()
            with pytest.raises(OSError, match="no positions"):
                bad.seek({})


async def test_seek_is_refused_while_the_source_runs(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a\n")
    source = Stream.from_textfile(tmp_path / "log", 1, start=True)
    source.sink_to_list()
    await asyncio.sleep(0.5)
    with pytest.raises(RuntimeError, match="seek needs a source that does not run"):
        source.seek(source.position())
    source.stop()


@dataclasses.dataclass
class Item:
    a: int
    b: str


async def test_sources_emit_objects_of_a_type(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("b,a\nx,1\ny,2\n")
    (tmp_path / "x.jsonl").write_text('{"a": 1, "b": "x"}\n\n{"a": 2, "b": "y"}\n')
    expected = [Item(1, "x"), Item(2, "y")]
    assert await collect(Stream.from_csv(tmp_path / "x.csv", Item)) == expected
    assert await collect(Stream.from_jsonlines(tmp_path / "x.jsonl", Item)) == expected


@pytest.mark.usefixtures("slices")
async def test_undecodable_content_goes_to_the_policy_with_its_bytes(tmp_path: Path) -> None:
    bad = b"\xff\xfe bad"
    for make, path, content, expected in sources(tmp_path):
        lines = content.splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:-2], bad + b"\n", *lines[-2:]]))
        source = make(path, follow=False)
        seen, failures = source.sink_to_list(), source.errors.sink_to_list()
        source.start()
        await source.join()
        assert seen == expected
        assert [(f.element, type(f.exception).__name__) for f in failures] == [(bad, "DecodeError")]
        assert failures[0].node is source


async def test_undecodable_content_fails_a_source_without_a_policy(tmp_path: Path) -> None:
    for make, path, content, expected in sources(tmp_path):
        lines = content.splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:-2], b"\xff\n", *lines[-2:]]))
        source = make(path, follow=False)
        seen = source.sink_to_list()
        source.start()
        with pytest.raises(ValueError, match="cannot decode 1 byte"):
            await source.join()
        assert source.state == "failed"
        source.start()
        await source.join()
        assert seen == expected


async def test_from_csv_refuses_a_header_that_has_a_name_more_than_once(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b,a\n1,2,3\n")
    (tmp_path / "2.csv").write_text("a,b\n4,5\n")
    source = Stream.from_csv(tmp_path / "*.csv")
    source.start()
    with pytest.raises(ValueError, match="the header has 'a' more than once"):
        await source.join()
    assert source.state == "failed"
    source = Stream.from_csv(tmp_path / "*.csv")
    failures = source.errors.sink_to_list()
    assert await collect(source) == [{"a": "4", "b": "5"}]
    assert [f.element for f in failures] == [b"a,b,a", b"1,2,3"]
    with pytest.raises(ValueError, match="from_csv: names must be different, got 'a' more"):
        Stream.from_csv(tmp_path / "1.csv", header=False, names=["a", "b", "a"])


async def test_lines_that_are_too_long_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "CHUNK_SIZE", CHUNK_SIZE)
    long = b"x" * 3 * CHUNK_SIZE
    for make, path, content, expected in sources(tmp_path):
        lines = content.splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:-2], long + b"\n", *lines[-2:]]))
        source = make(path, follow=False, max_size=100)
        seen, failures = source.sink_to_list(), source.errors.sink_to_list()
        source.start()
        await source.join()
        assert seen == expected
        assert [f.element for f in failures] == [long[:100]]
        assert "max_size" in str(failures[0].exception)


async def test_a_missing_file_fails_and_a_policy_waits_for_it(tmp_path: Path) -> None:
    for make, path, content, expected in sources(tmp_path):
        source = make(path, follow=False)
        source.sink_to_list()
        source.start()
        with pytest.raises(FileNotFoundError):
            await source.join()
        source = make(path, follow=True, poll_interval=1).on_error("skip")
        seen = source.sink_to_list()
        source.start()
        await asyncio.sleep(2.5)
        assert source.state == "running"
        path.write_bytes(content)
        await asyncio.sleep(1)
        source.stop()
        assert seen == expected


async def test_a_pattern_that_matches_nothing_is_an_empty_stream(tmp_path: Path) -> None:
    for make, path, _, _ in sources(tmp_path):
        assert await collect(make(f"{path}.*", follow=False)) == []


async def test_a_stop_behind_the_last_line_emits_the_incomplete_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "x").write_text("one\ntwo\nthr")
    source = Stream.from_textfile(tmp_path / "x", asynchronous=True)
    seen = source.sink_to_list()
    source.filter(lambda x: x == "two\n").sink(lambda _: source.stop())
    source.start()
    await settle(source.join())
    assert seen == ["one\n", "two\n", "thr"]


async def test_start_and_stop_leave_no_thread_task_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "CHUNK_SIZE", CHUNK_SIZE)
    path = tmp_path / "log"
    path.write_text("".join(LINES))
    source = Stream.from_textfile(path, 0.1)
    seen = source.sink_to_list()
    for _ in range(20):
        source.start()
        await asyncio.sleep(0.05)
        source.stop()
        await settle(source.join())
    assert open_below(tmp_path) == []
    assert seen == LINES


async def test_back_pressure_reads_no_more_than_a_chunk_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "CHUNK_SIZE", CHUNK_SIZE)
    path = tmp_path / "log"
    path.write_text("".join(LINES))
    source: Any = Stream.from_textfile(path, follow=False)
    seen: list[str] = []

    async def slow(x: str) -> None:
        await asyncio.sleep(1)
        seen.append(x)

    source.sink(slow)
    source.start()
    await asyncio.sleep(100.5)
    assert source.file.tell() == CHUNK_SIZE < path.stat().st_size
    source.stop()
    await settle(source.join())
    assert seen == LINES[: len(seen)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": 5}, "path must be a path or a URL, got 5"),
        ({"path": ""}, "path must be a path or a URL, got ''"),
        ({"path": "nosuch://u:secret@h/x"}, "path must be a URL that fsspec knows, got one of"),
        ({"compression": "rar"}, "compression must be 'infer', 'gzip'.* or None, got 'rar'"),
        ({"max_size": 0}, "max_size must be an int >= 1, got 0"),
        ({"follow": 1}, "follow must be a bool, got 1"),
        ({"poll_interval": "soon"}, "poll_interval must be .*, got 'soon'"),
        ({"type": 5}, "type must be .*"),
    ],
)
def test_sources_of_rows_check_their_arguments(options: Any, message: str) -> None:
    make: Any
    for make, name in ((Stream.from_csv, "from_csv"), (Stream.from_jsonlines, "from_jsonlines")):
        with pytest.raises((TypeError, ValueError), match=f"{name}: {message}") as caught:
            make(**{"path": "x", **options})
        assert "secret" not in str(caught.value)


def test_credentials_of_a_url_are_in_no_message(caplog: pytest.LogCaptureFixture) -> None:
    fsspec = pytest.importorskip("fsspec")
    url = "memory://user:hunter2@host/x"
    options = {"storage_options": {"password": "hunter2"}}
    fsspec.filesystem("memory").pipe("/x", b"1\n")
    make: Any
    for make in (Stream.from_jsonlines, Stream.from_csv, Stream.from_textfile):
        source = make(url, follow=False, **options)
        source.sink_to_list()
        source.start()
        with pytest.raises(FileNotFoundError) as caught:
            source.join()
        shown = f"{source!r} {source} {caught.value!r} {caught.value.__notes__} {caplog.text}"
        assert "hunter2" not in shown
    node = Stream[Any]().to_jsonlines(url, **options)  # type: ignore[arg-type]
    assert "hunter2" not in f"{node!r} {node}"
