"""`rapidz run` with its standard streams on terminals, broken pipes, or closed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.script import Screen, command, environment, run, started, wait_until, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX terminals and pipes"),
]

#: Makes the terminal of stdin the controlling one, so that it sends signals for keys.
WITH_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """Pseudo-terminal with a program on it."""

    def __init__(self, controller: int, process: subprocess.Popen[bytes]) -> None:
        self.process, self._controller = process, controller
        self.screen = Screen()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._controller, 4096)
            except OSError:  # the last program has closed it
                return
            if not data:
                return
            self.screen.feed(data.decode("utf-8", "replace"))

    def press(self, keys: bytes) -> None:
        os.write(self._controller, keys)

    def wait(self) -> int:
        status = self.process.wait(timeout=60)
        self._reader.join(60)
        return status


@contextmanager
def terminal(*arguments: object, columns: int = 100, **changes: str) -> Iterator[Terminal]:
    """Run `rapidz run` with all its streams on a pseudo-terminal."""
    import fcntl
    import struct
    import termios

    controller, inner = os.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_TERMINAL, *command("run", *arguments)],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
        env=environment(TERM=changes.get("TERM", "xterm")),
    )
    os.close(inner)
    shown = Terminal(controller, process)
    try:
        yield shown
    finally:
        if process.poll() is None:
            process.kill()
        shown.wait()
        os.close(controller)


TICKING = """
from rapidz import Stream
source = Stream.from_periodic(lambda: 1, poll_interval=0.01, stream_name="ticks")
total = source.accumulate(lambda total, x: total + x)
{print}
total.sink(lambda x: None, stream_name="out")
"""
LINE = re.compile(
    r"00:\d\d  (?:\w+  )?ticks; from_periodic (\d+) \(([\d,]+)/s\) -> "
    r".*out; sink: <lambda> (\d+) \("
)


def test_a_terminal_shows_one_line_that_is_refreshed(tmp_path: Path) -> None:
    with terminal(write(tmp_path, TICKING.format(print="")), "--for", "2s") as shown:
        assert shown.wait() == 0
    frames = [found for found in map(LINE.match, shown.screen.drawn) if found]
    counts = [int(found[1]) for found in frames]
    assert len(set(counts)) >= 3
    assert counts == sorted(counts)
    assert any(int(found[2]) > 0 for found in frames)
    assert all(abs(int(found[1]) - int(found[3])) <= 5 for found in frames)
    summary, rest = shown.screen.rows
    assert LINE.match(summary.removeprefix("rapidz: "))
    assert rest == ""


def test_what_is_printed_stands_above_the_line(tmp_path: Path) -> None:
    script = TICKING.format(print="total.sink(lambda x: print('total is', x))")
    with terminal(write(tmp_path, script), "--for", "1.5s") as shown:
        assert shown.wait() == 0
    printed = [row.rstrip() for row in shown.screen.rows[:-2]]
    assert printed == [f"total is {n}" for n in range(1, len(printed) + 1)]
    assert len(printed) > 2
    assert LINE.match(shown.screen.rows[-2].removeprefix("rapidz: "))


def test_the_line_is_cut_to_the_width_of_the_terminal(tmp_path: Path) -> None:
    script = write(tmp_path, TICKING.format(print=""))
    with terminal(script, "--for", "1s", columns=30) as shown:
        assert shown.wait() == 0
    frames = [frame for frame in shown.screen.drawn if not frame.startswith("rapidz: ")]
    assert all(len(frame) < 30 for frame in frames)
    assert any(frame.endswith("…") for frame in frames)


def test_control_c_drains_and_shows_so(tmp_path: Path) -> None:
    script = """
    from rapidz import Stream
    source = Stream.from_periodic(lambda: 1, poll_interval=0.01, stream_name="ticks")
    source.delay(1, spaced=False).partition(10**6).sink(lambda batch: print("drained", len(batch)))
    """
    with terminal(write(tmp_path, script)) as shown:
        wait_until(lambda: any("ticks" in frame for frame in shown.screen.drawn), "the line")
        shown.press(b"\x03")
        assert shown.wait() == 0
    assert any("  closing  " in frame for frame in shown.screen.drawn)
    rows = [row.rstrip() for row in shown.screen.rows]
    drained = next(int(row.split()[1]) for row in rows if row.startswith("drained"))
    assert drained > 0
    assert f"from_periodic {drained} (" in rows[-2]


def test_control_c_does_not_end_worker_processes_first(tmp_path: Path) -> None:
    script = """
    import itertools, time
    from rapidz import Stream
    def work(x):
        time.sleep(0.01)
        return x
    source = Stream.from_iterable(itertools.count(), stream_name="numbers")
    worked = source.scatter("process").map(work).gather()
    worked.partition(10**6).sink(lambda batch: print(batch == tuple(range(len(batch))), len(batch)))
    worked.sink(lambda x: None, stream_name="out")
    """
    with terminal(write(tmp_path, script)) as shown:
        results = re.compile(r"out; sink: <lambda> [1-9]")
        wait_until(lambda: any(map(results.search, shown.screen.drawn)), "results")
        shown.press(b"\x03")
        assert shown.wait() == 0
    rows = [row.rstrip() for row in shown.screen.rows]
    (drained,) = [row.split() for row in rows if row.startswith(("True", "False"))]
    assert drained[0] == "True"
    assert f"from_iterable {int(drained[1]):,} (" in rows[-2]


def test_control_c_twice_ends_at_once(tmp_path: Path) -> None:
    script = """
    from rapidz import Stream
    source = Stream.from_periodic(lambda: 1, poll_interval=0.01, stream_name="ticks")
    source.delay(1000).sink(print)
    """
    with terminal(write(tmp_path, script)) as shown:
        wait_until(lambda: any("ticks" in frame for frame in shown.screen.drawn), "the line")
        shown.press(b"\x03")
        wait_until(lambda: any("closing" in frame for frame in shown.screen.drawn), "the phase")
        shown.press(b"\x03")
        assert shown.wait() == 130
    assert "rapidz run: ended at once by a second signal" in shown.screen.rows


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    script = write(tmp_path, TICKING.format(print=""))
    with terminal(script, "--for", "1s", "--interval", "0.3s", TERM="dumb") as shown:
        assert shown.wait() == 0
    lines = [row for row in shown.screen.rows if row]
    assert len(lines) >= 1
    assert all(LINE.match(line.removeprefix("rapidz: ")) for line in lines)


def test_a_quiet_run_shows_nothing(tmp_path: Path) -> None:
    with terminal(write(tmp_path, TICKING.format(print="")), "--for", "0.5s", "--quiet") as shown:
        assert shown.wait() == 0
    assert shown.screen.rows == [""]


# --- pipes and closed streams -----------------------------------------------------------------

PRINTING = """
import itertools, time
from rapidz import Stream
source = Stream.from_iterable(itertools.count())
{chain}.sink(print)
"""


@pytest.mark.parametrize("chain", ["source", "source.buffer(10)"])
def test_a_reader_that_leaves_early_ends_the_run(tmp_path: Path, chain: str) -> None:
    path = write(tmp_path, PRINTING.format(chain=chain))
    with started(path, "--quiet", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(timeout=60) == 1
    assert err == ""


def test_a_reader_of_the_progress_that_leaves_ends_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, TICKING.format(print=""))
    reader, writer = os.pipe()
    os.close(reader)
    with started(path, "--for", "1s", "--interval", "0.1s", stderr=writer) as process:
        os.close(writer)
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_streams_harm_nothing(tmp_path: Path, closed: str) -> None:
    path = write(
        tmp_path,
        """
        from rapidz import Stream
        source = Stream.from_iterable(range(3))
        source.scatter("thread").map(str).gather().sink(print)
        """,
    )
    line = f"exec '{sys.executable}' -m rapidz run '{path}' {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "0\n1\n2\n")


def test_a_closed_stdout_is_a_failure_of_the_sink_alone(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        import pathlib
        from rapidz import Stream
        source = Stream.from_iterable(range(3))
        source.partition(5).sink(lambda batch: pathlib.Path(__file__, "..", "out").resolve()
                                 .write_text(str(batch)))
        """,
    )
    line = f"exec '{sys.executable}' -m rapidz run '{path}' >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "out").read_text() == "(0, 1, 2)"


# --- places and names -------------------------------------------------------------------------


def test_any_working_directory_and_file_name_will_do(tmp_path: Path) -> None:
    folder, cwd = tmp_path / "Fluß 数", tmp_path / "away"
    folder.mkdir()
    cwd.mkdir()
    write(folder, "def double(x):\n    return 2 * x\n", "hilfe_ü.py")
    script = """
    import os
    from hilfe_ü import double
    from rapidz import Stream
    quelle_ß = Stream.from_iterable([1, 2], stream_name="Fluß")
    quelle_ß.map(double).sink(print)
    print(os.getcwd())
    """
    path = write(folder, script, "mein skript.v2 λ.py")
    done = run(f"{os.path.relpath(path, cwd)}:quelle_ß", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{cwd.resolve()}\n2\n4\n"
    assert "Fluß; from_iterable 2 (" in done.stderr


def test_functions_of_a_script_run_in_worker_processes(tmp_path: Path) -> None:
    script = """
    from rapidz import Stream
    class Point:
        def __init__(self, x):
            self.x = x
    def point(x):
        return Point(x)
    source = Stream.from_iterable(range(3))
    source.scatter("process").map(point).gather().sink(lambda p: print(p.x))
    """
    done = run(write(tmp_path, script), "--quiet", cwd="/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n1\n2\n", "")
