"""filenames: each name once, as the files appear."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
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
