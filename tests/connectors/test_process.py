"""from_process: the lines of a command, its exit code, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.helpers import no_leaks, wait_until

from rapidz import Stream
from rapidz.connectors import process
from rapidz.connectors.codecs.errors import DecodeError
from rapidz.connectors.process import ProcessFailed
from rapidz.kernel.runtime.loop import background_loop

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals and process groups")


def python(program: str) -> list[str]:
    return [sys.executable, "-u", "-c", program]


def lines_of(cmd: Any, **options: Any) -> list[bytes]:
    source = Stream.from_process(cmd, **options)
    lines: list[bytes] = source.sink_to_list()
    source.start()
    source.join(30)
    assert (source.state, source.returncode) == ("done", 0)
    return lines


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return Path("/proc/self").exists() is False
    return status != "Z"


def commands_with(argument: str) -> list[int]:
    """Return the processes that have an argument, where the system tells."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argument.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


# --- elements ------------------------------------------------------------------------------------


def test_from_process_reads_all_2000_lines() -> None:
    assert lines_of("seq 2000") == [b"%d\n" % n for n in range(1, 2001)]


def test_from_process_reads_100_000_lines_in_order() -> None:
    assert lines_of(["seq", "100000"]) == [b"%d\n" % n for n in range(1, 100_001)]


def test_from_process_reads_all_lines_into_a_slow_sink() -> None:
    source, seen = Stream.from_process("seq 20"), []

    async def write(x: bytes) -> None:
        await asyncio.sleep(0.01)
        seen.append(int(x))

    source.sink(write)
    source.start()
    source.join(30)
    assert seen == list(range(1, 21))


def test_from_process_emits_a_last_line_without_newline() -> None:
    assert lines_of(["printf", "a b\\n\\nc"]) == [b"a b\n", b"\n", b"c"]
    assert lines_of("printf 'a b\\nc'", with_end=False) == [b"a b", b"c"]
    assert lines_of("true") == []


def test_from_process_runs_no_shell() -> None:
    assert lines_of("echo '$HOME' ; ls") == [b"$HOME ; ls\n"]


def test_from_process_merges_standard_error_on_request() -> None:
    program = python("import os; os.write(1, b'out\\n'); os.write(2, b'err\\n')")
    assert lines_of(program, with_stderr=True) == [b"out\n", b"err\n"]
    assert lines_of(program) == [b"out\n"]


def test_from_process_passes_options_to_the_command(tmp_path: Path) -> None:
    options = {"cwd": tmp_path, "env": {"NAME": "value", **os.environ}}
    program = python("import os; print(os.getcwd()); print(os.environ['NAME'])")
    expected = [os.fsencode(tmp_path.resolve()), b"value"]
    assert lines_of(program, open_kwargs=options, with_end=False) == expected


def test_from_process_decodes_lines_by_a_codec() -> None:
    source = Stream.from_process(["printf", '{"a": 1}\\nbad\\n2'], codec="json")
    failures: list[Any] = source.on_error("send").errors.sink_to_list()
    elements: list[Any] = source.sink_to_list()
    source.start()
    source.join(30)
    assert elements == [{"a": 1}, 2]
    assert [failure.element for failure in failures] == [b"bad"]


def test_start_runs_a_command_again() -> None:
    source = Stream.from_process("echo a")
    lines = source.sink_to_list()
    for _ in range(2):
        source.start()
        source.join(30)
    assert lines == [b"a\n", b"a\n"]


def test_from_process_does_not_read_while_the_sink_is_slow(tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    program = python(
        f"""
import os, sys
for n in range(1000):
    os.write(1, b"x" * 9999 + b"\\n")
    open({str(progress)!r}, "w").write(str(n))
"""
    )
    source, release, seen = Stream.from_process(program), [False], []

    async def write(x: bytes) -> None:
        while not release[0]:
            await asyncio.sleep(0.01)
        seen.append(len(x))

    source.sink(write)
    source.start()
    wait_until(lambda: progress.exists() and progress.read_text())
    before = ""
    while (text := progress.read_text()) != before or not text:
        before = text
        time.sleep(0.3)
    assert int(before) < 100, "buffers of the pipe, and no more"
    release[0] = True
    source.join(30)
    assert seen == [10_000] * 1000


# --- exit codes ----------------------------------------------------------------------------------


def test_exit_code_other_than_zero_fails_the_source() -> None:
    source = Stream.from_process(["sh", "-c", "echo a; echo oops >&2; exit 3"])
    lines = source.sink_to_list()
    source.start()
    with pytest.raises(ProcessFailed, match="sh exited with code 3: oops") as caught:
        source.join(30)
    assert (caught.value.returncode, caught.value.stderr) == (3, b"oops\n")
    assert (lines, source.state, source.returncode) == ([b"a\n"], "failed", 3)
    assert source.stderr == b"oops\n"


def test_exit_code_is_no_failure_without_check() -> None:
    source = Stream.from_process(["sh", "-c", "echo a; exit 3"], check=False)
    lines = source.sink_to_list()
    source.start()
    source.join(30)
    assert (lines, source.state, source.returncode) == ([b"a\n"], "done", 3)


def test_command_that_a_signal_ends_fails_the_source() -> None:
    source = Stream.from_process(["sh", "-c", "kill -9 $$"])
    source.sink_to_list()
    source.start()
    with pytest.raises(ProcessFailed, match="was ended by SIGKILL"):
        source.join(30)
    assert source.returncode == -9


def test_standard_error_is_bounded_and_never_blocks_the_command() -> None:
    program = python("import sys; sys.stderr.write('x' * 10_000_000 + 'end'); print('a')")
    source = Stream.from_process(program)
    lines = source.sink_to_list()
    source.start()
    source.join(30)
    assert lines == [b"a\n"]
    assert len(source.stderr) == 1 << 16
    assert source.stderr.endswith(b"xend")


def test_missing_program_fails_the_source() -> None:
    source = Stream.from_process("no-such-program-anywhere")
    source.sink_to_list()
    source.start()
    with pytest.raises(FileNotFoundError):
        source.join(30)
    assert source.state == "failed"


def test_arguments_of_the_command_show_in_no_message(caplog: pytest.LogCaptureFixture) -> None:
    source = Stream.from_process(["sh", "-c", "exit 1", "--password=hunter2"])
    source.sink_to_list()
    source.start()
    with pytest.raises(ProcessFailed) as caught:
        source.join(30)
    shown = [str(caught.value), repr(caught.value), repr(source), str(source), caplog.text]
    assert "hunter2" not in "".join(shown)


def test_line_that_is_too_long_is_a_failure() -> None:
    program = python("print('a'); print('x' * 1000); print('b')")
    source = Stream.from_process(program, max_size=100)
    failures: list[Any] = source.on_error("send").errors.sink_to_list()
    lines = source.sink_to_list()
    source.start()
    source.join(30)
    assert lines == [b"a\n", b"b\n"]
    assert [len(failure.element) for failure in failures] == [100]


def test_line_that_is_too_long_ends_a_source_without_policy() -> None:
    source = Stream.from_process(python("print('x' * 3_000_000)\nprint('b')"))
    lines = source.sink_to_list()
    source.start()
    with pytest.raises(DecodeError, match="longer than max_size"):
        source.join(30)
    assert (lines, source.state) == ([], "failed")


def test_failure_downstream_ends_the_command() -> None:
    source = Stream.from_process(python("while True: print(0)"))
    source.map(int).sink(lambda x: 1 // x)
    source.start()
    with pytest.raises(ZeroDivisionError):
        source.join(30)
    assert source.child is not None
    assert not is_alive(source.child.pid)


# --- stop ----------------------------------------------------------------------------------------


def test_stop_ends_the_command_and_its_children() -> None:
    program = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print(child.pid)
time.sleep(1000)
"""
    source = Stream.from_process(python(program))
    lines = source.sink_to_list()
    source.start()
    wait_until(lambda: lines)
    assert source.child is not None
    pids = [source.child.pid, int(lines[0])]
    assert all(map(is_alive, pids))
    source.stop()
    source.join(30)
    wait_until(lambda: not any(map(is_alive, pids)))
    assert (source.state, source.returncode) == ("stopped", -15)


def test_stop_kills_a_command_that_ignores_sigterm() -> None:
    program = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready")
while True:
    time.sleep(1000)
"""
    source = Stream.from_process(python(program), grace=0.1)
    lines = source.sink_to_list()
    source.start()
    wait_until(lambda: lines)
    source.stop()
    source.join(30)
    assert source.returncode == -9


def test_stop_ends_children_that_outlive_the_command() -> None:
    source = Stream.from_process(["sh", "-c", "sleep 1000 & echo $!"])
    lines = source.sink_to_list()
    source.start()
    wait_until(lambda: lines)
    pid = int(lines[0])
    assert is_alive(pid)
    source.stop()
    source.join(30)
    wait_until(lambda: not is_alive(pid))


def test_end_of_the_command_does_not_wait_for_children_in_the_background() -> None:
    source = Stream.from_process(["sh", "-c", "sleep 1000 > /dev/null & echo $!"])
    lines = source.sink_to_list()
    source.start()
    wait_until(lambda: lines)
    try:
        source.join(20)
        assert (source.state, source.returncode) == ("done", 0)
    finally:
        os.kill(int(lines[0]), 9)


def test_stop_ends_a_command_whose_output_is_not_read() -> None:
    source, release, seen = Stream.from_process("yes"), [False], []

    async def write(x: bytes) -> None:
        seen.append(x)
        while not release[0]:
            await asyncio.sleep(0.01)

    source.sink(write)
    with no_leaks():
        source.start()
        wait_until(lambda: seen)
        source.stop()
        release[0] = True
        source.join(30)
    assert (source.state, source.returncode) == ("stopped", -15)


def test_stop_while_the_command_starts_ends_its_children() -> None:
    program, tag = "sleep $0 & sleep $0", f"1000.{os.getpid()}"
    source = Stream.from_process(["sh", "-c", program, tag])
    source.sink_to_list()
    for turns in range(12):

        async def stop_after(turns: int = turns) -> None:
            source.start()
            for _ in range(turns):
                await asyncio.sleep(0)
            source.stop()

        with no_leaks():
            asyncio.run_coroutine_threadsafe(stop_after(), background_loop()).result(30)
            source.join(30)
        wait_until(lambda: not commands_with(tag))


def test_loop_that_shuts_down_while_the_command_starts_ends() -> None:
    tag = f"1001.{os.getpid()}"
    program = f"""
import asyncio
from rapidz import Stream

async def main(turns):
    source = Stream.from_process(["sleep", "{tag}"], asynchronous=True)
    source.sink_to_list()
    source.start()
    for _ in range(turns):
        await asyncio.sleep(0)

for turns in range(8):
    asyncio.run(main(turns))
"""
    subprocess.run(python(program), timeout=30, check=True)
    wait_until(lambda: not commands_with(tag))


def test_stop_does_not_wait_for_a_daemon_that_keeps_the_output() -> None:
    daemon = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"],
                         start_new_session=True)
print(child.pid)
"""
    for rest in ("", "time.sleep(1000)"):  # the command has ended, or not
        source = Stream.from_process(python(daemon + rest), grace=20)
        lines = source.sink_to_list()
        source.start()
        wait_until(lambda lines=lines: lines)  # type: ignore[misc]
        pid = int(lines[0])
        try:
            source.stop()
            source.join(15)
            assert source.state == "stopped"
            assert is_alive(pid), "it has left the group of the command"
        finally:
            os.kill(pid, 9)


def test_stop_is_bounded_when_no_signal_reaches_the_command(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "_send_signal", lambda *args: None)
    monkeypatch.setattr(process, "_KILL_WAIT", 0.05)
    source = Stream.from_process(python("import time; print(1); time.sleep(1000)"), grace=0)
    lines = source.sink_to_list()
    source.start()
    wait_until(lambda: lines)
    source.stop()
    source.join(15)
    assert source.child is not None
    assert f"process {source.child.pid} cannot be ended" in caplog.text


def test_stop_before_start_and_twice_does_nothing() -> None:
    source = Stream.from_process("echo a")
    lines = source.sink_to_list()
    source.stop()
    source.start()
    source.join(30)
    source.stop()
    assert lines == [b"a\n"]


def test_twenty_starts_and_stops_of_from_process_leave_nothing() -> None:
    source = Stream.from_process(python("import time; print(1); time.sleep(1000)"))
    lines = source.sink_to_list()
    with no_leaks():
        for n in range(20):
            source.start()
            if n % 2:
                wait_until(lambda n=n: len(lines) > n // 2)  # type: ignore[misc]
            source.stop()
            source.join(30)
    assert source.child is not None


@pytest.mark.parametrize(
    ("cmd", "message"),
    [
        (3, "from_process: cmd must be a str or a list of str, got int"),
        (["a", 3], "from_process: cmd must be a str or a list of str, got list"),
        ("", "from_process: cmd must name a program, got ''"),
        ([], "from_process: cmd must name a program, got []"),
    ],
)
def test_from_process_refuses_what_is_no_command(cmd: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        Stream.from_process(cmd)
    assert str(caught.value) == message
