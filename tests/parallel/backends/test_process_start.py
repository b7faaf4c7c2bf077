"""Scripts without a main guard, and programs that fork, with a pool of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rapidz import Stream
from rapidz.parallel import WorkerDied

pytestmark = [pytest.mark.server, pytest.mark.timeout(60)]

WITHOUT_CLOUDPICKLE = "import sys; sys.modules['cloudpickle'] = None\n"

UNGUARDED = """
from rapidz import Stream

class Point:
    def __init__(self, x):
        self.x = x

class Refused(Exception):
    pass

factor = 10

def scaled(point):
    if point.x == 3:
        raise Refused(point.x)
    return Point(point.x * factor)

print("once")
with Stream() as source:
    node = source.scatter("process").map(scaled)
    failures = node.errors.sink_to_list()
    seen = node.map(lambda point: point).buffer(10).gather().sink_to_list()
    source.emit_many(map(Point, range(5)))
print([point.x for point in seen], {type(point) is Point for point in seen})
print([type(failure.exception) is Refused for failure in failures])
print([type(failure.element) is Point for failure in failures])
"""

COUNTING_POOLS = """
import atexit
from rapidz.parallel.backends import pools, processes

class Counted(pools.WorkerProcesses):
    count = 0

    def __init__(self, workers):
        Counted.count += 1
        super().__init__(workers)

pools.WorkerProcesses = Counted
processes.EXIT_CODE_SECONDS = 30
atexit.register(lambda: print("pools:", Counted.count))
"""

GUARDED = """
from rapidz import Stream

def scaled(x):
    return 10 * x

if __name__ == "__main__":
    with Stream() as source:
        seen = source.scatter("process").map(scaled).buffer(10).gather().sink_to_list()
        source.emit_many(range(3))
    print(seen)
"""

FORKING = """
import os, sys
from rapidz import Stream

def inc(x):
    return x + 1

def child():
    {what}

if __name__ == "__main__":
    source = Stream()
    seen = source.scatter("process").map(inc).gather().sink_to_list()
    source.emit(1)
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(0)
    print("child ended with", os.waitpid(pid, 0)[1])
    source.emit(2)
    source.close()
    print(seen)
"""


def run(*command: str, folder: Path) -> tuple[list[str], list[str]]:
    """The lines that a program prints, and those that it prints about errors."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )
    return done.stdout.splitlines(), done.stderr.splitlines()


def script(folder: Path, text: str) -> tuple[list[str], list[str]]:
    (folder / "script.py").write_text(text, "utf-8")
    return run("script.py", folder=folder)


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    printed, errors = script(tmp_path, UNGUARDED)
    assert errors == []
    assert printed == ["once", "[0, 10, 20, 40] {True}", "[True]", "[True]"]


def test_a_module_that_is_run_needs_no_guard(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "tool.py").write_text(UNGUARDED, "utf-8")
    printed, errors = run("-m", "package.tool", folder=tmp_path)
    assert errors == []
    assert printed == ["once", "[0, 10, 20, 40] {True}", "[True]", "[True]"]


def test_without_cloudpickle_a_script_without_a_guard_gets_one_error(tmp_path: Path) -> None:
    text = WITHOUT_CLOUDPICKLE + UNGUARDED.replace("lambda point: point", "abs")
    _, errors = script(tmp_path, text.replace("node.errors.sink_to_list()", "[]"))
    told = [line for line in errors if "no process could begin" in line]
    assert len(told) == 1
    assert "if __name__ == '__main__':" in told[0]
    assert told[0].endswith("or install cloudpickle")
    assert [line for line in errors if line.startswith("Traceback")] == [
        "Traceback (most recent call last):"
    ]


def test_a_script_that_every_process_would_run_is_tried_by_one_pool(tmp_path: Path) -> None:
    text = UNGUARDED.replace("lambda point: point", "abs")
    printed, _ = script(tmp_path, WITHOUT_CLOUDPICKLE + COUNTING_POOLS + text)
    assert [line for line in printed if line.startswith("pools")] == ["pools: 1"]


def test_without_cloudpickle_a_script_with_a_guard_works(tmp_path: Path) -> None:
    printed, errors = script(tmp_path, WITHOUT_CLOUDPICKLE + GUARDED)
    assert errors == []
    assert printed == ["[0, 10, 20]"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_may_have_processes_of_its_own(tmp_path: Path) -> None:
    what = """
    with Stream() as own:
        got = own.scatter("process").map(inc).buffer(9).gather().sink_to_list()
        own.emit_many(range(3))
    print(got, flush=True)
"""
    printed, errors = script(tmp_path, FORKING.format(what=what))
    assert errors == []
    assert printed == ["[1, 2, 3]", "child ended with 0", "[2, 3]"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_may_go_on_with_the_stream_of_its_parent(tmp_path: Path) -> None:
    what = """
    source.emit(5)
    source.close()
    print(seen, flush=True)
"""
    printed, errors = script(tmp_path, FORKING.format(what=what))
    assert errors == []
    assert printed == ["[2, 6]", "child ended with 0", "[2, 3]"]


def killed(x: int) -> int:
    if x == 7:
        os.kill(os.getpid(), 9)
    if x == 8:
        os._exit(3)
    return x


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("element", "said"), [(7, "ended with code -9 (SIGKILL)"), (8, "ended with code 3")]
)
def test_the_death_of_a_worker_reports_its_exit_code(element: int, said: str) -> None:
    source = Stream()
    node = source.scatter("process").map(killed)
    failures = node.errors.sink_to_list()
    node.buffer(9).gather().sink_to_list()
    source.emit(element)
    source.close(50)
    (failure,) = failures
    assert isinstance(failure.exception, WorkerDied)
    assert str(failure.exception).endswith(said)
