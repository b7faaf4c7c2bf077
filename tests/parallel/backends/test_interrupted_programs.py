"""Programs that are interrupted, killed or stuck, and what becomes of their processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.server, pytest.mark.timeout(60)]

FUNCTIONS = """
import multiprocessing, os, signal, threading, time
from rapidz import Stream
from rapidz.kernel.graph import shutdown

def slow(x):
    time.sleep(0.01)
    return x

def stuck(x):
    if x == 1:
        time.sleep(50)
    return x

def process_id(x):
    time.sleep(0.02)
    return os.getpid()
"""

INTERRUPTED = """
if __name__ == "__main__":
    source = Stream()
    node = source.scatter("process").map(slow).on_error("skip")
    seen, joining, working = [], threading.Event(), threading.Event()
    def keep(x):
        seen.append(x)
        working.set()
    def interrupt():
        joining.wait()
        working.wait()
        os.killpg(0, signal.SIGINT)
    node.buffer(400).gather().sink(keep)
    source.emit_many(range(200))
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        joining.set()
        source.join()
    except KeyboardInterrupt:
        print("interrupted")
    source.close()
    print(seen == list(range(200)), node.skipped)
"""

IN_A_CHILD = """
def work():
    with Stream() as source:
        seen = source.scatter("process").map(slow).buffer(10).gather().sink_to_list()
        source.emit_many([3, 1])
    print(seen, flush=True)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    child.join(20)
    print(child.exitcode)
    child.kill()
"""

STUCK = """
if __name__ == "__main__":
    shutdown.EXIT_SECONDS = 0.5
    source = Stream()
    source.scatter("process", batch=1).map(stuck).buffer(9).gather().sink(print)
    source.emit(0)
    source.join()  # processes take as long to start as the machine pleases
    source.emit(1)
    try:
        source.close(0.5)
    except TimeoutError:
        print("still under way")
"""

ENDLESS = """
if __name__ == "__main__":
    source = Stream()
    source.scatter("process", batch=1).map(process_id).gather().sink(lambda x: print(x, flush=True))
    while True:
        source.emit(1)
"""


def program(tmp_path: Path, text: str) -> subprocess.Popen[str]:
    """Begin a program, in a group of processes of its own."""
    path = tmp_path / "program.py"
    path.write_text(FUNCTIONS + text, "utf-8")
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def printed(made: subprocess.Popen[str]) -> list[str]:
    try:
        return made.communicate(timeout=30)[0].splitlines()
    finally:
        made.kill()


def test_an_interruption_is_for_the_program_and_not_for_its_processes(tmp_path: Path) -> None:
    assert printed(program(tmp_path, INTERRUPTED)) == ["interrupted", "True 0"]


def test_a_child_process_may_have_processes_of_its_own(tmp_path: Path) -> None:
    assert printed(program(tmp_path, IN_A_CHILD)) == ["[3, 1]", "0"]


def test_a_program_ends_although_an_element_does_not(tmp_path: Path) -> None:
    assert printed(program(tmp_path, STUCK)) == ["0", "still under way"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_a_program_that_is_killed(tmp_path: Path, how: signal.Signals) -> None:
    made = program(tmp_path, ENDLESS)
    assert made.stdout is not None
    worker = int(made.stdout.readline())
    assert is_alive(worker)
    made.send_signal(how)
    made.wait(20)
    made.stdout.close()
    end = time.monotonic() + 20
    while is_alive(worker):
        assert time.monotonic() < end
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether the process is there, and not only waits for somebody to take notice of its end."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it may end while it is looked at
        return False
    return state != "Z"
