"""Terminal line: one line of a terminal that is redrawn, and what else is printed above it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO

#: Width of a terminal that does not tell.
DEFAULT_WIDTH = 80


class TerminalLine:
    """The last line of a terminal, for text that is refreshed; from any thread.

    Text that others print, through the streams that `guarding` puts in place of sys.stdout and
    sys.stderr, erases the line first; the next `draw` puts it below.
    """

    def __init__(self, out: TextIO) -> None:
        self.lock = threading.RLock()
        self._out = out
        self._width = 0
        """Columns that are drawn now."""
        self._inside_line = False
        """Whether others have printed a line in part."""

    def draw(self, text: str) -> None:
        """Show *text*, cut to the width of the terminal; nothing inside the line of others."""
        with self.lock:
            if self._inside_line:
                return
            text = cut(text, terminal_width(self._out) - 1)  # a full line would wrap
            width = columns(text)
            self._out.write(f"\r{text}{' ' * (self._width - width)}")
            self._out.flush()
            self._width = width

    def erase(self) -> None:
        """Remove the text, so that the cursor is at the begin of an empty line."""
        with self.lock:
            if self._width:
                self._out.write(f"\r{' ' * self._width}\r")
                self._out.flush()
                self._width = 0

    def write(self, stream: Any, text: str) -> int:
        """Write the *text* of others to *stream*, where the line is."""
        with self.lock:
            if text:
                self.erase()
                self._inside_line = not text.endswith("\n")
            written: int = stream.write(text)
            if self._inside_line:
                stream.flush()
            return written

    @contextlib.contextmanager
    def guarding(self) -> Iterator[None]:
        """Let what is printed on a terminal go by this line."""
        before = sys.stdout, sys.stderr
        guards: list[Any] = [
            GuardedStream(each, self) if is_terminal(each) else each for each in before
        ]
        sys.stdout, sys.stderr = guards
        handlers = [
            (handler, guard)
            for handler in logging.root.handlers
            if isinstance(handler, logging.StreamHandler)
            for stream, guard in zip(before, guards, strict=True)
            if handler.stream is stream is not guard
        ]
        for handler, guard in handlers:
            handler.setStream(guard)
        try:
            yield
        finally:
            self.erase()
            for handler, guard in handlers:
                if handler.stream is guard:
                    handler.setStream(guard.inner)
            if sys.stdout is guards[0]:
                sys.stdout = before[0]
            if sys.stderr is guards[1]:
                sys.stderr = before[1]


class GuardedStream:
    """Text stream of a terminal whose last line is redrawn: its text goes above that line."""

    def __init__(self, stream: TextIO, line: TerminalLine) -> None:
        self.inner, self._line = stream, line

    def write(self, text: str) -> int:
        return self._line.write(self.inner, text)

    def writelines(self, lines: Any) -> None:
        for text in lines:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether *stream* is an open terminal."""
    try:
        return stream is not None and stream.isatty()
    except (ValueError, OSError, AttributeError):  # it is closed, or no file
        return False


def terminal_width(stream: TextIO) -> int:
    """Return the columns of the terminal behind *stream*."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError, AttributeError):
        return DEFAULT_WIDTH


def columns(text: str) -> int:
    """Return how many columns of a terminal *text* takes.

    >>> columns("abc"), columns("数")
    (3, 2)
    """
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return *text*, cut to *width* columns, without control characters.

    >>> cut("a long line", 6)
    'a lon…'
    """
    text = "".join(character if character.isprintable() else " " for character in text)
    if columns(text) <= width:
        return text
    while text and columns(text) >= width:
        text = text[:-1]
    return f"{text}…"
