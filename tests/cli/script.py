"""Scripts that tests start with ``rapidz run``, and the terminals that they see."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Seconds until a test gives up on a process.
DEADLINE = 60.0


def write(folder: Path, text: str, name: str = "app.py") -> Path:
    """Write a script; return its path."""
    path = folder / name
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


def command(*arguments: object) -> list[str]:
    """Return the command line of `rapidz` with *arguments*."""
    return [sys.executable, "-m", "rapidz", *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of a process that is started: unbuffered, so that pipes show it."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **changes}


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `rapidz run` to its end."""
    return subprocess.run(
        command("run", *arguments),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=DEADLINE,
        env=environment(),
        **options,
    )


@contextlib.contextmanager
def started(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start `rapidz run`; kill it at the end if it has not ended."""
    with subprocess.Popen(
        command("run", *arguments), text=True, encoding="utf-8", env=environment(), **options
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Poll *condition* until it is true."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE:g} s in vain for {what}"
        time.sleep(0.01)


def size(path: Path) -> int:
    """Return the size of a file, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


class Screen:
    """Terminal, as far as carriage returns and new lines go: `rows` is what is to be seen."""

    def __init__(self) -> None:
        self.rows = [""]
        self.drawn: list[str] = []
        """The row, each time that the cursor has gone back to its begin."""
        self._column = 0

    def feed(self, text: str) -> None:
        for character in text:
            if character == "\r":
                self.drawn.append(self.rows[-1].rstrip())
                self._column = 0
            elif character == "\n":
                self.rows.append("")
                self._column = 0
            else:
                row = self.rows[-1].ljust(self._column)
                self.rows[-1] = row[: self._column] + character + row[self._column + 1 :]
                self._column += 1
