"""Progress of runs: text, rates, and a terminal line that does not disturb what others print."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Any

import pytest
from tests.cli.script import Screen

import rapidz
from rapidz import Stream
from rapidz.runner.pipeline_run import PipelineRun
from rapidz.runner.progress import RunProgress
from rapidz.runner.terminal_line import TerminalLine, columns, cut, is_terminal


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_of(*streams: Stream[Any]) -> PipelineRun:
    return PipelineRun(streams, counts=True)


def test_plain_lines_have_counts_and_the_rate_of_the_last_seconds() -> None:
    source: Stream[int] = Stream(stream_name="in")
    ticks = Stream.from_iterable([1], stream_name="ticks")
    node = ticks.union(source).sink(print, stream_name="out")
    run, out, clock = run_of(ticks), io.StringIO(), Clock()
    assert run.counter is not None
    departed = next(iter(ticks.downstreams))._count_arrivals()[0]
    with RunProgress(run, out, interval=1, clock=clock) as progress:
        for second in range(1, 5):
            clock.now = 100.0 + second
            departed[0] += 10 * second
            progress.tick()
    assert out.getvalue().splitlines() == [
        "rapidz: 00:01  ticks; from_iterable 10 (10/s) -> out; sink: print 0 (0/s)",
        "rapidz: 00:02  ticks; from_iterable 30 (15/s) -> out; sink: print 0 (0/s)",
        "rapidz: 00:03  ticks; from_iterable 60 (25/s) -> out; sink: print 0 (0/s)",
        "rapidz: 00:04  ticks; from_iterable 100 (35/s) -> out; sink: print 0 (0/s)",
        "rapidz: 00:04  ticks; from_iterable 100 (25/s) -> out; sink: print 0 (0/s)",
    ]
    node.destroy()


def test_many_nodes_are_summed_up() -> None:
    source = Stream.from_iterable([1, 2])
    nodes = [source.sink(lambda x: None, stream_name=f"out {n}") for n in range(6)]
    run, out, clock = run_of(source), io.StringIO(), Clock()
    with RunProgress(run, out, clock=clock):
        rapidz.run(source)
        clock.now += 2
    assert out.getvalue() == (
        "rapidz: 00:02  from_iterable 2 (1/s) -> out 0; sink: <lambda> 2 (1/s), "
        "out 1; sink: <lambda> 2 (1/s), out 2; sink: <lambda> 2 (1/s), 3 others 6 (3/s)\n"
    )
    del nodes


def test_counts_are_those_of_sources_and_sinks() -> None:
    source = Stream.from_iterable(range(10))
    even = source.filter(lambda x: x % 2 == 0).sink(lambda x: None, stream_name="even")
    pairs = source.zip(source.map(str)).sink(lambda x: None, stream_name="pairs")
    run = run_of(source)
    assert rapidz.run(source) == "done"
    assert run.counter is not None
    counts = run.counter.read()
    assert counts.sources == [("from_iterable", 10)]
    assert counts.sinks == [("even; sink: <lambda>", 5), ("pairs; sink: <lambda>", 10)]
    assert (counts.emitted, counts.arrived) == (10, 15)
    del even, pairs


def test_run_shows_progress_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    source = Stream.from_iterable(range(10))
    seen = source.sink_to_list()
    assert rapidz.run(source, progress=True) == "done"
    err = capsys.readouterr().err
    assert err.startswith("rapidz: 00:00  from_iterable 10 (")
    assert len(err.splitlines()) == 1
    assert len(seen) == 10


def test_a_closed_or_lacking_stderr_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for out in (closed, None):
        monkeypatch.setattr(sys, "stderr", out)
        assert rapidz.run(Stream.from_iterable([1]), progress=True) == "done"


# --- the terminal line ----------------------------------------------------------------------------


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_the_line_is_erased_before_others_print(
    monkeypatch: pytest.MonkeyPatch, screen: Screen
) -> None:
    out = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    line = TerminalLine(out)
    with line.guarding():
        line.draw("a long line of progress")
        print("first")
        print("part", end="")
        line.draw("not inside a line")
        print(" of second")
        line.draw("short")
        sys.stderr.writelines(["third\n"])
        line.draw("last")
    assert sys.stdout is out
    screen.feed(out.getvalue())
    assert [row.rstrip() for row in screen.rows] == ["first", "part of second", "third", ""]
    assert "not inside a line" not in out.getvalue()


def test_handlers_of_the_log_write_above_the_line(
    monkeypatch: pytest.MonkeyPatch, screen: Screen
) -> None:
    out = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", out)
    handler = logging.StreamHandler()
    monkeypatch.setattr(logging.root, "handlers", [handler])
    line = TerminalLine(out)
    with line.guarding():
        line.draw("a long line of progress")
        logging.getLogger("test").warning("a warning")
    assert handler.stream is out
    screen.feed(out.getvalue())
    assert [row.rstrip() for row in screen.rows] == ["a warning", ""]


def test_a_shorter_text_leaves_nothing_of_a_longer_one(screen: Screen) -> None:
    out = FakeTerminal()
    line = TerminalLine(out)
    for text in ("a long text", "a text", "short"):
        line.draw(text)
    screen.feed(out.getvalue())
    assert [row.rstrip() for row in screen.rows] == ["short"]


def test_wide_characters_are_erased_by_two_blanks_each() -> None:
    out = FakeTerminal()
    line = TerminalLine(out)
    line.draw("数字")
    line.draw("a")
    assert out.getvalue() == "\r数字\ra   "


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("数字", 4), ("e\u0301", 1), ("", 0)])
def test_columns_are_those_of_a_terminal(text: str, width: int) -> None:
    assert columns(text) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("数字数字", 5, "数字…"), ("a\x1b[2J\n", 9, "a [2J ")],
)
def test_text_is_cut_and_has_no_control_characters(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_what_is_closed_or_no_file_is_no_terminal() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as out:
        assert not is_terminal(out)
    assert not is_terminal(out)
    assert not is_terminal(None)
    assert not is_terminal(object())  # type: ignore[arg-type]
