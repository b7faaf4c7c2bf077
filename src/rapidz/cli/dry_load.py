"""Dry load of a script: its pipelines are built, and none of its sources is started."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from rapidz.cli.target import LoadedTarget
from rapidz.kernel.graph.engine_node import EngineNode
from rapidz.kernel.graph.stream import Stream
from rapidz.sources.base import Source

_PACKAGE = str(Path(__file__).parents[1]) + os.sep


class CodeLocation(NamedTuple):
    """Place in the code of the user, "" and 0 if it is not known."""

    path: str
    line: int

    def __str__(self) -> str:
        if not self.path:
            return ""
        path = os.path.relpath(self.path) if is_below(self.path, os.getcwd()) else self.path
        return f"{path}:{self.line}"


UNKNOWN = CodeLocation("", 0)


class DryLoad:
    """What the execution of a script has built, and where."""

    def __init__(self, loaded: LoadedTarget) -> None:
        self.loaded = loaded
        self.started: weakref.WeakSet[Source[Any]] = weakref.WeakSet()
        """Sources that the script has started, or would have."""
        self.warnings: list[warnings.WarningMessage] = []
        self._places: weakref.WeakKeyDictionary[Any, CodeLocation] = weakref.WeakKeyDictionary()

    def execute(self) -> None:
        """Execute the script."""
        with warnings.catch_warnings(record=True) as caught, self._recording():
            warnings.simplefilter("always")
            try:
                self.loaded.load()
            finally:
                self.warnings += caught

    def streams(self) -> list[Stream[Any]]:
        """Return the streams of the target; a function that makes them is called."""
        with warnings.catch_warnings(record=True) as caught, self._recording():
            warnings.simplefilter("always")
            try:
                return self.loaded.streams()
            finally:
                self.warnings += caught

    def place_of(self, node: Any) -> CodeLocation:
        """Return where *node* was built."""
        return self._places.get(node, UNKNOWN)

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        """Note where nodes are built, and which sources are to be started, in place of it."""
        build, start = EngineNode._build, Source.start

        def build_and_note(node: Any, *args: Any) -> None:
            self._places[node] = caller()
            build(node, *args)

        def note_start(source: Source[Any]) -> None:
            self.started.add(source)

        EngineNode._build = build_and_note  # type: ignore[method-assign, assignment]
        Source.start = note_start  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            EngineNode._build = build  # type: ignore[method-assign]
            Source.start = start  # type: ignore[method-assign]


def caller() -> CodeLocation:
    """Return the line outside the library that has led to this call."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_PACKAGE, "<rapidz ")):
        frame = frame.f_back
    if frame is None:
        return UNKNOWN
    return CodeLocation(frame.f_code.co_filename, frame.f_lineno)


def is_below(path: str, folder: str) -> bool:
    """Return whether *path* is in *folder*, or in a folder of it."""
    return os.path.abspath(path).startswith(os.path.join(os.path.abspath(folder), ""))
