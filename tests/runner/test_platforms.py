"""The runner and the command line import nothing that only POSIX has."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, select, signal, sys

for name in ("fcntl", "termios", "pty", "tty", "resource", "pwd", "grp"):
    sys.modules[name] = None
lacking = {select: ("poll", "epoll"), signal: ("SIGKILL", "SIGHUP", "SIGALRM"), os: ("fork",)}
for module, names in lacking.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
signal.SIGBREAK = signal.SIGUSR1 if hasattr(signal, "SIGUSR1") else signal.SIGTERM

import rapidz, rapidz.cli, rapidz.runner

source = rapidz.Stream.from_iterable([1])
source.sink(print)
print(rapidz.run(source, progress=True))
"""


def test_no_module_of_posix_is_needed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "1\ndone\n"), done.stderr
