"""Helpers for tests with real servers: waits with a deadline, leak checks, processes that die."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import reprlib
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rapidz.kernel.runtime.loop import background_loop
from rapidz.testing.plugin import _LIBRARY_THREADS, _pending_tasks

_DEADLINE = 30.0


def wait_until(
    condition: Callable[[], object], deadline: float = _DEADLINE, what: str = ""
) -> None:
    """Poll *condition* until it is true; fail the test after *deadline* seconds.

    The failure shows *what*, or what the variables were that a lambda looks at.
    """
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not true after {deadline:g} s: {what or _variables_of(condition)}")
        time.sleep(0.005)


def wait_for_all(count: Callable[[], int], total: int, stall: float = _DEADLINE) -> None:
    """Poll until ``count()`` is at least *total*, however slow the machine is.

    Fail the test when the count does not grow for *stall* seconds, and say how far it came.
    """
    found, end = 0, time.monotonic() + stall
    while (now := count()) < total:
        if now > found:
            found, end = now, time.monotonic() + stall
        if time.monotonic() > end:
            pytest.fail(f"{now} of {total}, and no more in {stall:g} s")
        time.sleep(0.005)


def _variables_of(condition: Callable[[], object]) -> str:
    """Return the variables around a function, lists with their lengths; at most some lines."""
    names = getattr(getattr(condition, "__code__", None), "co_freevars", ())
    found: list[str] = []
    for name, cell in zip(names, getattr(condition, "__closure__", None) or (), strict=False):
        value = cell.cell_contents
        size = f" ({len(value)} elements)" if isinstance(value, list) else ""
        found.append(f"{name} = {reprlib.repr(value)}{size}")
    return ", ".join(found) or repr(condition)


@contextlib.contextmanager
def no_leaks(deadline: float = 5.0) -> Iterator[None]:
    """Fail the test if the block leaves threads, tasks, sockets or files behind.

    Threads that the library keeps for the next pipeline are no leak.
    """
    background_loop()  # whose own sockets are no leak
    gc.collect()
    threads, tasks, files = set(threading.enumerate()), _pending_tasks(), _open_files()
    yield
    end = time.monotonic() + deadline
    while left := [
        *(repr(task) for task in _pending_tasks() - tasks),
        *(repr(thread) for thread in set(threading.enumerate()) - threads if not _kept(thread)),
        *_new_files(files),
    ]:
        if time.monotonic() > end:
            pytest.fail(f"left behind: {left}")
        gc.collect()
        time.sleep(0.02)


def _kept(thread: threading.Thread) -> bool:
    return thread.name.startswith(_LIBRARY_THREADS) and "source" not in thread.name


def open_below(folder: Path) -> list[str]:
    """Return the files below *folder* that this process has open, where the system tells."""
    return sorted(name for name in _open_files().values() if name.startswith(str(folder)))


def _new_files(before: dict[str, str]) -> list[str]:
    """Return what was opened since *before*; pipes by their number, for clients renew theirs."""
    now = _open_files()
    new = sorted(f"{fd}: {name}" for fd, name in now.items() if before.get(fd) != name)
    more = _pipes(now) - _pipes(before)
    return [each for each in new if "pipe:" not in each] + [f"{more} pipe ends"] * (more > 0)


def _pipes(files: dict[str, str]) -> int:
    return sum(name.startswith("pipe:") for name in files.values())


def _open_files() -> dict[str, str]:
    """Return the open descriptors and what each is open for, where the system tells."""
    found: dict[str, str] = {}
    folder = Path("/proc/self/fd")
    for name in os.listdir(folder) if folder.exists() else ():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            found[name] = os.readlink(folder / name)
    return found


def run_and_kill(
    program: str,
    *args: object,
    kills: int = 10,
    progress: Callable[[], int] | None = None,
    total: int = 0,
    pause: tuple[float, float] = (0.0, 0.3),
    seed: int | None = None,
    deadline: float = 120.0,
) -> int:
    """Run a Python program, end it by SIGKILL at random points, and start it again until done.

    Return the number of kills: fewer than *kills* if the program was done before.

    Parameters
    ----------
    program : str
        Source text; it may be indented.  It prints one line once it works, and exits with 0 when
        it is done; any other exit code of its own fails the test.
    *args : object
        Its arguments, as text in ``sys.argv[1:]``.
    kills : int
        How often it is killed.
    progress, total : callable, int
        ``progress()`` counts what is done, of *total*: the kills are then at random counts.
        Without them each is a random time after the first line that the program prints.
    pause : tuple of float
        Least and greatest number of seconds from that line, or from that count, to the kill.
    seed : int, optional
        Of the random numbers; printed, so that a failure shows it.
    deadline : float
        Seconds for all of it.
    """
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"run_and_kill: seed={seed}")
    random_numbers = random.Random(seed)
    # In the first three quarters: a quick program is not done before the last kill.
    points = sorted(random_numbers.sample(range(1, max(total * 3 // 4, kills + 2)), kills))
    end, done = time.monotonic() + deadline, 0
    while True:
        with _child(program, args) as child:
            if done < kills:
                least = points[done]
                _wait_for(child, lambda: progress is None or progress() >= least, end)  # noqa: B023
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(random_numbers.uniform(*pause))
                if child.poll() is None:
                    child.kill()
                    child.wait()
                    done += 1
                    continue
            try:
                code = child.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                came = "" if progress is None else f", {progress()} of {total}"
                pytest.fail(f"not done after {deadline:g} s and {done} kills{came} (seed {seed})")
            assert code == 0, f"the program ended with {code} (seed {seed})"
            return done


@contextlib.contextmanager
def _child(program: str, args: tuple[object, ...]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, args)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert child.stdout is not None
    try:
        child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _wait_for(child: subprocess.Popen[bytes], condition: Callable[[], bool], end: float) -> None:
    while child.poll() is None and not condition():
        if time.monotonic() > end:
            pytest.fail(f"the program makes no progress: {_variables_of(condition)}")
        time.sleep(0.002)
