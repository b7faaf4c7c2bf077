"""Progress of a run: counts and rates, in one line of a terminal or in plain lines."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Self, TextIO

from rapidz.runner.counts import FlowCounts, NodeCount
from rapidz.runner.pipeline_run import PipelineRun
from rapidz.runner.terminal_line import TerminalLine, is_terminal

#: Seconds between two refreshes of a line on a terminal.
REFRESH = 0.2
#: Seconds between two plain lines.
PLAIN_INTERVAL = 5.0
#: How many nodes of a side are named; the rest is summed up.
MAX_NAMED = 4
#: Seconds that a rate is the mean of.
RATE_SPAN = 2.0


class RunProgress:
    """Context manager that shows the counts of a run, and the rates of the last two seconds.

    On a terminal one line is redrawn.  In a pipe or file there is a plain line every *interval*
    seconds, and one at the end.  *out* is None: nothing is shown.
    """

    def __init__(
        self,
        run: PipelineRun,
        out: TextIO | None,
        interval: float = PLAIN_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        prefix: str = "rapidz: ",
    ) -> None:
        self._run, self._out, self._interval, self._clock = run, out, interval, clock
        self._prefix = prefix
        live = is_terminal(out) and os.environ.get("TERM") != "dumb"
        self._line = TerminalLine(out) if live and out is not None else None
        self._guard: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        self.every = REFRESH if live else min(interval, RATE_SPAN / 4)
        self._began = self._due = clock()
        self._past: list[tuple[float, FlowCounts]] = []

    def __enter__(self) -> Self:
        self._began = self._clock()
        self._due = self._began + (0 if self._line else self._interval)
        if self._run.counter is not None:
            self._past = [(self._began, self._run.counter.read())]
        if self._line is not None:
            self._guard = self._line.guarding()
        self._guard.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.__exit__(None, None, None)
        self._write_line(self._text(whole=True))

    def tick(self) -> None:
        """Show the present counts, if that is due."""
        now = self._clock()
        if self._run.counter is None or self._out is None:
            return
        self._past.append((now, self._run.counter.read()))
        while len(self._past) > 2 and now - self._past[1][0] >= RATE_SPAN:
            del self._past[0]
        if now < self._due:
            return
        if self._line is not None:
            self._due = now + REFRESH
            with contextlib.suppress(OSError, ValueError):  # the terminal has gone
                self._line.draw(self._text())
        else:
            self._due = now + self._interval
            self._write_line(self._text())

    def _write_line(self, text: str) -> None:
        if self._out is not None and text:
            with contextlib.suppress(OSError, ValueError):
                self._out.write(f"{self._prefix}{text}\n")
                self._out.flush()

    def _text(self, whole: bool = False) -> str:
        """Return the line; *whole*: for the run as a whole, with mean rates."""
        if self._run.counter is None:
            return ""
        now, counts = self._clock(), self._run.counter.read()
        since, before = (self._began, None) if whole or not self._past else self._past[0]
        span = now - since
        phase = "" if whole or self._run.phase in ("starting", "running") else self._run.phase
        flow = _described(counts, before, span)
        return "  ".join(filter(None, [duration(now - self._began), phase, flow]))


def _described(counts: FlowCounts, before: FlowCounts | None, span: float) -> str:
    """Return sources and sinks with their counts and rates."""
    sides = [
        _nodes(counts.sources, None if before is None else before.sources, span),
        _nodes(counts.sinks, None if before is None else before.sinks, span),
    ]
    return " -> ".join(filter(None, sides))


def _nodes(nodes: list[NodeCount], before: list[NodeCount] | None, span: float) -> str:
    if len(nodes) > MAX_NAMED:
        nodes = _summed(nodes)
        before = None if before is None else _summed(before)
    texts = []
    for place, node in enumerate(nodes):
        new = node.elements - (0 if before is None else before[place].elements)
        rate = f" ({new / span:,.0f}/s)" if span > 0 else ""
        texts.append(f"{node.label} {node.elements:,}{rate}")
    return ", ".join(texts)


def _summed(nodes: list[NodeCount]) -> list[NodeCount]:
    """Return the first of *nodes*, and the sum of the others."""
    first, rest = nodes[: MAX_NAMED - 1], nodes[MAX_NAMED - 1 :]
    total = sum(node.elements for node in rest)
    return [*first, NodeCount(f"{len(rest)} others", total)]


def duration(seconds: float) -> str:
    """Return a number of seconds as hours, minutes and seconds.

    >>> duration(75), duration(3661)
    ('01:15', '1:01:01')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
