"""Blocking calls are found by the names in code, and only where they are called."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from time import sleep as nap
from typing import Any

import pytest

from rapidz.cli.blocking_calls import blocking_calls

QUEUE: queue.Queue[int] = queue.Queue()
EVENT = threading.Event()
CONNECTION = sqlite3.connect(":memory:", check_same_thread=False)
CONNECTION.close()


def names(function: Any) -> list[str]:
    return [call.name for call in blocking_calls(function)]


def sleeps(x: int) -> None:
    time.sleep(x)


def runs(x: int) -> None:
    subprocess.run(["true"], check=True, timeout=x)


def imports(x: int) -> None:
    import time as clock
    from os import system

    clock.sleep(x)
    system("true")


def opens(x: str) -> str:
    with open(x) as file:
        return file.read()


def reads(x: Any) -> str:
    return str(x.path.read_text())


def nested(x: int) -> Any:
    return [subprocess.call([str(y)]) for y in range(x)], lambda: urllib.request.urlopen(
        "http://x"
    ).read()


class Callable:
    def __call__(self, x: int) -> None:
        nap(x)

    def method(self, x: int) -> None:
        nap(x)


async def awaits(x: int) -> None:
    sleeps(x)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (sleeps, ["time.sleep"]),
        (runs, ["subprocess.run"]),
        (imports, ["time.sleep", "os.system"]),
        (opens, ["open"]),
        (reads, ["read_text"]),
        (nested, ["subprocess.call", "urllib.request.urlopen"]),
        (Callable(), ["time.sleep"]),
        (Callable().method, ["time.sleep"]),
        (awaits, ["time.sleep"]),
        (lambda x: QUEUE.get(), ["QUEUE.get"]),
        (lambda x: EVENT.wait(x), ["EVENT.wait"]),
        (lambda x: CONNECTION.execute(x).fetchall(), ["CONNECTION.execute"]),
        (time.sleep, ["time.sleep"]),
    ],
)
def test_what_blocks_is_found(function: Any, found: list[str]) -> None:
    assert sorted(names(function)) == sorted(found)


async def in_threads(x: int) -> None:
    await asyncio.to_thread(time.sleep, x)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(
        None,
        time.sleep,
        x,
    )
    await asyncio.sleep(x)


def mentions(x: Any) -> Any:
    return x.sleep, time.monotonic(), time.sleep, QUEUE.empty(), list(map(time.sleep, [x]))


def works(x: Any) -> Any:
    return Path(x).name, EVENT.is_set(), threading.current_thread(), x.open(), len(str(x))


@pytest.mark.parametrize("function", [in_threads, mentions, works, print, len, str, dict.get, Path])
def test_what_does_not_block_is_not(function: Any) -> None:
    assert names(function) == []


def test_the_line_and_the_way_are_known() -> None:
    (call,) = blocking_calls(awaits)
    assert (call.path, call.through) == (__file__, "sleeps")
    assert call.line == sleeps.__code__.co_firstlineno + 1


def test_recursion_ends() -> None:
    def again(x: int) -> int:
        return again(x - 1) if x else 0

    assert names(again) == []
