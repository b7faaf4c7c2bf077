"""Progress display of a long run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO


class Progress:
    """Progress line: redrawn in place on a terminal, else a few plain lines.

    *out* is the file to write to, None to write nothing; *fraction* returns how much of the work
    is done (0 to 1) after a number of elements; *every* is how many of them one `advance` counts.
    """

    def __init__(
        self,
        out: TextIO | None,
        fraction: Callable[[int], float],
        every: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._out, self._fraction, self._every, self._clock = out, fraction, every, clock
        self._live = out is not None and out.isatty()
        self._started = clock()
        self._due = 0.0 if self._live else 0.25
        self._count = 0

    def advance(self, _: object = None) -> None:
        """Count *every* more elements, and update the display if that is due."""
        self._count += self._every
        if self._out is None:
            return
        if self._live:
            if (now := self._clock()) >= self._due:
                self._due = now + 0.1
                self._show(self._out, self._fraction(self._count))
        elif self._due <= (fraction := self._fraction(self._count)) < 1:
            self._due = (fraction // 0.25 + 1) * 0.25  # with the last, four plain lines
            self._show(self._out, fraction)

    def finish(self, count: int) -> float:
        """Write the last line, for *count* elements; return the seconds since the start."""
        self._count = count
        if self._out is not None:
            self._show(self._out, 1.0)
        if self._out is not None and self._live:
            self._out.write("\n")
        return self._elapsed()

    def _elapsed(self) -> float:
        return max(self._clock() - self._started, 1e-9)

    def _show(self, out: TextIO, fraction: float) -> None:
        rate = self._count / self._elapsed()
        line = f"{fraction:4.0%}  {self._count:>9,} flights  {rate:>9,.0f} flights/s"
        if self._live:
            width = shutil.get_terminal_size().columns - 1  # a full line would wrap
            out.write("\r" + line[:width])
        else:
            out.write(line + "\n")
        out.flush()
