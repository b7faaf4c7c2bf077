"""Pool backend: threads, processes, and any other executor."""

from __future__ import annotations

import concurrent.futures
import importlib
import os
import signal
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rapidz.kernel.graph.shutdown import drain_first
from rapidz.parallel.backends.executors import executor_to_client
from rapidz.parallel.backends.process_start import (
    is_importing_the_script,
    is_worker,
    pickles_by_value,
)
from rapidz.parallel.backends.processes import WorkerProcesses
from rapidz.parallel.backends.protocol import FailureKind, FutureBackend, TaskRejected, cpu_count
from rapidz.parallel.wire.chain import LARGE_CHAIN_BYTES, Chain, OperatorSpec
from rapidz.parallel.wire.payload import TaskPayload, run, run_pickled
from rapidz.parallel.wire.pickling import dumps

# At exit, what was registered last is called first: pipelines drain before the pools, which they
# may need for that, shut down.
importlib.import_module("concurrent.futures.process")
drain_first()

_SCRIPT_GUARD = "let the script do its work below `if __name__ == '__main__':`"
#: Exit code of a worker that imports the script, which makes processes itself.
RECURSIVE_START_CODE = 86
#: How many pools in a row may break before any of their processes was ready to work.
MOST_FAILED_STARTS = 3
#: The least number of shared threads: functions that wait for something overlap.
LEAST_THREADS = 4

_threads: dict[int, ThreadPoolExecutor] = {}
_thread = threading.local()
_lock = threading.Lock()


def shared_threads(depth: int = 0) -> ThreadPoolExecutor:
    """Return the thread pool that all pipelines share.

    A pipeline that is built by a task of such a pool uses one of the next *depth*: if tasks waited
    for others of the same pool, they might occupy all threads that these need.
    """
    with _lock:
        pool = _threads.get(depth)
        if pool is None or pool._shutdown:
            pool = _threads[depth] = ThreadPoolExecutor(
                max(LEAST_THREADS, cpu_count()),
                f"rapidz-pool-{depth}",
                initializer=partial(setattr, _thread, "depth", depth),
            )
        return pool


def thread_backend() -> PoolBackend:
    """Return a backend of shared threads, for a pipeline that is built in this thread."""
    depth = getattr(_thread, "depth", -1) + 1
    return PoolBackend("thread", partial(shared_threads, depth), identity=(shared_threads, depth))


def new_processes(workers: int | None = None) -> WorkerProcesses:
    """Return a new process pool; refuse in a process that is being started itself."""
    if is_importing_the_script():
        if is_worker():  # its parent reports the error, once
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(RECURSIVE_START_CODE)
        raise RuntimeError(
            f"scatter: a new process must not make processes itself; {_SCRIPT_GUARD}"
        )
    return WorkerProcesses(workers or cpu_count())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.clear)


def _is_broken(executor: Any) -> bool:
    return bool(getattr(executor, "_broken", False))


class PoolBackend(FutureBackend):
    """Backend that submits tasks to an executor; results come back to this process.

    Parameters
    ----------
    name : str
        For messages.
    make : callable
        Returns the executor, and, if it is *renewed*, a new one when that is broken.
    owned : bool
        Whether to shut the executor down at the end.
    renewed : bool
        Whether a broken executor is replaced.
    identity : object
        Equal for backends that share results; *make* by default.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Any],
        *,
        owned: bool = False,
        renewed: bool = True,
        identity: Any = None,
    ) -> None:
        self.name = name
        self.make = make
        self._owned, self._renewed = owned, renewed
        self._identity = make if identity is None else identity
        self._executor: Any = None
        self._isolated: Any = None
        """A pool of one process, for tasks that may end it.

        Such a task cannot end while another process starts, which would end the fork server, and
        by that all pools.
        """
        self._slots, self._pid = 0, os.getpid()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._failed_starts = 0
        """How many executors in a row broke before any process was ready to work."""
        self._starts_recursively = False
        """Whether every process would import the script, which makes processes itself."""
        self._last_code: int | None = None
        """The exit code of the last isolated process."""
        self._has_worked = False
        """Whether any process was ever ready to work."""
        self._made_by: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        """The executor of each future."""
        self._lock = threading.Lock()
        self._is_lane = False
        """Whether it is the process of one lane."""

    def executor(self) -> Any:
        """Return the executor; make it if it is missing or broken."""
        with self._lock:
            if self._renewed:
                self._executor = self._if_alive(self._executor)
            if self._executor is None:
                self.use(self.make())
            return self._executor

    def _isolated_executor(self) -> Any:
        with self._lock:
            self._isolated = self._if_alive(self._isolated) or new_processes(1)
            return self._isolated

    def _if_alive(self, made: Any) -> Any:
        """Return the executor *made*, or None if it is unusable; record whether it ever started."""
        if not _is_broken(made):
            return made if self._pid == os.getpid() else None
        started = not isinstance(made, WorkerProcesses) or made.has_started()
        self._failed_starts = 0 if started else self._failed_starts + 1
        self._has_worked |= started
        return None

    def use(self, executor: Any) -> None:
        """Use *executor* until it is broken."""
        self._executor = executor
        self._pid = os.getpid()
        self._slots = getattr(executor, "_max_workers", None) or cpu_count()
        self.crosses_process = not isinstance(executor, ThreadPoolExecutor)

    def slots(self) -> int:
        return self._slots or cpu_count()

    def submit(
        self, payload: TaskPayload, dependencies: list[Any], *, isolated: bool = False
    ) -> Any:
        if self._starts_recursively:
            raise RuntimeError(f"cannot schedule new futures: {_SCRIPT_GUARD}")
        try:
            executor = self._isolated_executor() if isolated and self._owned else self.executor()
        except OSError as error:  # no memory, or no process, for it at the moment
            raise TaskRejected(str(error)) from error
        if not self.crosses_process:
            return self._submit_to(executor, run, payload)
        if self._owned and len(payload.chain.data) > LARGE_CHAIN_BYTES:
            self._write(payload.chain)
        return self._submit_to(executor, run_pickled, dumps(payload))

    def open_lane(self, lane: int) -> PoolBackend:
        """Return where the calls of one lane run: a process of its own, or this pool."""
        if not self._owned:
            return self
        made = PoolBackend(self.name, partial(new_processes, 1), owned=True)
        made._is_lane = True
        return made

    def submit_call(self, function: Callable[[Any], Any], x: Any, lane: int) -> Any:
        """Call *function* with *x* for a lane; return a future.  TaskRejected: not at present."""
        if self._starts_recursively:
            raise RuntimeError(f"cannot schedule new futures: {_SCRIPT_GUARD}")
        try:
            executor = self.executor()
        except OSError as error:
            raise TaskRejected(str(error)) from error
        return self._submit_to(executor, function, x)

    def close_lane(self) -> None:
        """Free what belongs to the lane alone."""
        if self._is_lane:
            self.close()

    def _submit_to(self, executor: Any, function: Callable[..., Any], x: Any) -> Any:
        """Submit the call of *function* with *x*; TaskRejected if the pool breaks meanwhile."""
        try:
            future = executor.submit(function, x)
        except RuntimeError as error:  # it is broken, or was shut down
            if not (self._renewed and _is_broken(executor)):
                raise
            raise TaskRejected(str(error)) from error
        except (OSError, EOFError) as error:  # a process could not be started
            raise TaskRejected(str(error)) from error
        if _is_broken(executor):  # perhaps too late for this future to be failed with the others
            raise TaskRejected(f"{self.name} broke meanwhile")
        self._made_by[future] = executor
        return future

    def _write(self, chain: Chain) -> None:
        """Write *chain* to a file, which each process reads once."""
        if chain.path is None:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="rapidz-")
            path = Path(self._folder.name, f"{chain.uid}-{len(chain.specs)}")
            path.write_bytes(chain.data)
            chain.path = str(path)

    def is_orphaned(self, ref: Any) -> bool:
        return not ref.done() and _is_broken(self._made_by.get(ref))

    def classify_failure(self, ref: Any, error: BaseException) -> FailureKind:
        kind = super().classify_failure(ref, error)
        if kind == "unavailable" and self._renewed:
            return self._classify_death(self._made_by.get(ref))
        closed = isinstance(error, RuntimeError) and "cannot schedule new futures" in str(error)
        return "unavailable" if kind == "fail" and closed else kind

    def _classify_death(self, executor: Any) -> FailureKind:
        if executor is self._isolated and executor is not None:
            self._last_code = next(iter(executor.exit_codes()), None)
        if not isinstance(executor, WorkerProcesses) or executor.has_started():
            return "isolate"
        if RECURSIVE_START_CODE in executor.exit_codes():
            self._starts_recursively = True  # another attempt would end the same way
            self._failed_starts = MOST_FAILED_STARTS
        return "retry" if self._failed_starts < MOST_FAILED_STARTS else "unavailable"

    def describe_failure(self, error: BaseException) -> str:
        if self._failed_starts >= MOST_FAILED_STARTS:
            guard = _SCRIPT_GUARD + ("" if pickles_by_value() else ", or install cloudpickle")
            remedy = "all end before they work" if self._has_worked else guard
            return f"{self.name}: no process could begin; {remedy}"
        code = self._last_code
        if code is not None and isinstance(error, concurrent.futures.BrokenExecutor):
            return f"the process ended with code {code}{_signal_name(code)}"
        return super().describe_failure(error)

    def shares_results(self, other: Any) -> bool:
        return isinstance(other, PoolBackend) and other._identity == self._identity

    def check_operator(self, spec: OperatorSpec) -> None:
        self.executor()
        super().check_operator(spec)

    def client(self) -> Any:
        return executor_to_client(self.executor())

    def close(self) -> None:
        made = self._executor, self._isolated
        self._executor = self._isolated = None
        for executor in made:
            if self._owned and executor is not None:
                executor.shutdown(wait=False)


def _signal_name(code: int) -> str:
    """Return the name, in brackets, of the signal that ended a process; empty if none did."""
    try:
        return f" ({signal.Signals(-code).name})"
    except ValueError:
        return ""
