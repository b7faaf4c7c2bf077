"""filenames: each name once, as the files appear."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.connectors.helpers import wait_until
from tests.support import fail_on, settle

from rapidz.sources import filenames


async def test_filenames_of_a_directory_sorted_and_once(tmp_path: Path) -> None:
    for name in "cab":
        (tmp_path / name).touch()
    source = filenames(tmp_path, "1s")
    seen = source.map(lambda path: Path(path).name).sink_to_list()
    source.start()
    await asyncio.sleep(2.5)
    assert seen == ["a", "b", "c"]
    (tmp_path / "e").touch()
    (tmp_path / "d").touch()
    await asyncio.sleep(1)
    source.stop()
    assert seen == ["a", "b", "c", "d", "e"]
    assert source.path == str(tmp_path / "*")
    assert source.seen == {str(tmp_path / name) for name in "abcde"}


async def test_filenames_of_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "a.txt").touch()
    source = filenames(str(tmp_path / "*.csv"), 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    source.stop()
    assert seen == [str(tmp_path / "a.csv")]


async def test_filenames_of_a_directory_with_brackets(tmp_path: Path) -> None:
    folder = tmp_path / "[x]"
    folder.mkdir()
    (folder / "a").touch()
    source = filenames(folder, 1, start=True)
    seen = source.sink_to_list()
    await asyncio.sleep(0.5)
    source.stop()
    assert seen == [str(folder / "a")]


async def test_filenames_goes_on_behind_a_name_that_failed(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    source = filenames(tmp_path, 1)
    seen = source.map(fail_on(str(tmp_path / "b"))).sink_to_list()
    source.start()
    await asyncio.sleep(0.5)
    assert source.state == "failed"
    with pytest.raises(Exception, match="b"):
        await source.join()
    source.start()
    await asyncio.sleep(0.5)
    await settle(source.close())
    assert seen == [str(tmp_path / "a"), str(tmp_path / "c")]


def test_filenames_refuses_what_is_no_path() -> None:
    with pytest.raises(TypeError, match=r"filenames: path must be .+, got 3"):
        filenames(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"filenames: path must be .+, got ''"):
        filenames("")
    with pytest.raises(ValueError, match=r"filenames: poll_interval must be .+, got 0"):
        filenames("x", 0)


def test_filenames_scans_at_once_when_the_system_reports_a_change(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    (tmp_path / "deep").mkdir()
    for pattern in (str(tmp_path), str(tmp_path / "*" / "*.csv")):
        source = filenames(pattern, "1h")
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda seen=seen, pattern=pattern: seen or "csv" in pattern)  # type: ignore[misc]
        end = time.monotonic() + 30
        n = 0
        while not any(name.endswith(".csv") for name in seen):
            assert time.monotonic() < end
            (tmp_path / "deep" / f"{n}.csv").touch()  # the watcher may not be ready at once
            (tmp_path / f"{n}.csv").touch()
            n += 1
            time.sleep(0.05)
        source.close()


def test_filenames_polls_if_it_is_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for force, hidden in ((True, False), (False, True)):
        if hidden:
            monkeypatch.setitem(sys.modules, "watchfiles", None)
        source = filenames(tmp_path, 0.01, force_polling=force)
        seen = source.sink_to_list()
        source.start()
        (tmp_path / f"{force}").touch()
        wait_until(lambda seen=seen: len(seen))  # type: ignore[misc]
        assert not [thread for thread in threading.enumerate() if "watcher" in thread.name]
        source.close()
        (tmp_path / f"{force}").unlink()
    with pytest.raises(TypeError, match="filenames: force_polling must be a bool, got 1"):
        filenames(tmp_path, force_polling=1)  # type: ignore[arg-type]


async def test_filenames_of_a_url(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/names/a.csv", b"")
    for pattern in ("memory://names", "memory://names/*.csv"):
        source = filenames(pattern, 1, start=True)
        seen = source.sink_to_list()
        await asyncio.sleep(0.5)
        source.stop()
        assert seen == ["memory:///names/a.csv"]
    memory.rm("/names", recursive=True)
