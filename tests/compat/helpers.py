"""What the compatibility tests share: the surface is looked at from outside, hence untyped."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.compat import third_party as _third_party

from rapidz import Stream

third: Any = _third_party
rapidz: Any = importlib.import_module("rapidz")
core: Any = importlib.import_module("rapidz.core")
sinks: Any = importlib.import_module("rapidz.sinks")
sources: Any = importlib.import_module("rapidz.sources")


def stream(*args: Any, **options: Any) -> Any:
    """A `Stream` as old code sees it."""
    return Stream(*args, **options)


def inc(x: Any) -> Any:
    return x + 1


def eventually(predicate: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait in real time for something that another thread does."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not predicate():
        assert time.monotonic() < end, f"not so within {seconds} s"
        pause.wait(0.002)


def near(expected: Any) -> Any:
    """Instants at which `gen.sleep` may end: Tornado counts them in wall-clock time."""
    return pytest.approx(expected, abs=0.01)


async def instants(stream: Any, elements: Sequence[Any]) -> list[float]:
    """Emit one element after the other; when each emit was over."""
    now, over = asyncio.get_running_loop().time, []
    for x in elements:
        await stream.emit(x)
        over.append(now())
    return over


def emit_all(stream: Any, elements: Sequence[Any]) -> None:
    for x in elements:
        stream.emit(x)
