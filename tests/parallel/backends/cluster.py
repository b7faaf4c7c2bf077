"""A Dask cluster of separate operating-system processes, on loopback."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed import Client

ROOT = Path(__file__).parents[3]


class Cluster:
    """A scheduler and two workers, which a nanny starts again when they die."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._config = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2"}
        self.scheduler = self._run("scheduler", "--host", "127.0.0.1", "--port", "0")
        self.address = self._address()
        self.workers = [
            self._run("worker", self.address, "--nthreads", "1", "--no-dashboard") for _ in range(2)
        ]

    def _run(self, command: str, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{command}", *args],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if command == "scheduler" else subprocess.DEVNULL,
            text=True,
            cwd=self._scratch,
            env={
                **os.environ,
                **self._config,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
                "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__STATUS__TASK_STREAM_LENGTH": "10",
            },
            start_new_session=True,
        )

    def _address(self) -> str:
        assert self.scheduler.stderr is not None
        for line in self.scheduler.stderr:
            if "Scheduler at:" in line:
                return line.split("Scheduler at:")[1].strip()
        raise RuntimeError("the scheduler did not start")

    def kill_one(self, client: Any) -> None:
        """Kill one of the processes in which tasks are done, and not its nanny."""
        pids = list(client.run(os.getpid).values())
        os.kill(random.choice(pids), signal.SIGKILL)

    def kill_scheduler(self) -> None:
        self.scheduler.kill()
        self.scheduler.wait()

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self.scheduler.stderr is not None:
            self.scheduler.stderr.close()


def client_of(made: Cluster, timeout: float = 30) -> Any:
    return Client(made.address, timeout=timeout)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def cluster(scratch: Path, **options: Any) -> Iterator[tuple[Cluster, Any]]:
    """A cluster, and a client of it."""
    made = Cluster(scratch)
    try:
        with client_of(made, **options) as client:
            client.wait_for_workers(2)
            yield made, client
    finally:
        made.stop()
