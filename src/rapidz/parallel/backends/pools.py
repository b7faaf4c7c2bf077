"""Pools of threads or processes, and whatever else has a `submit`."""

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
    travels_by_value,
)
from rapidz.parallel.backends.processes import Processes
from rapidz.parallel.backends.protocol import FutureBackend, Unsent, Verdict, cpus
from rapidz.parallel.wire.payload import TaskPayload, run, run_pickled
from rapidz.parallel.wire.pickling import dumps
from rapidz.parallel.wire.program import LARGE_CHAIN_BYTES, Chain, OperatorSpec

# When the program ends, what was registered last is called first, and pipelines drain before the
# pools shut down, which they may need for that.
importlib.import_module("concurrent.futures.process")
drain_first()

#: What is amiss if processes cannot even begin.
_GUARD = "let the script do its work below `if __name__ == '__main__':`"
#: With which code a process of ours ends that builds pipelines before it has begun to work.
STILLBORN = 86

_threads: dict[int, ThreadPoolExecutor] = {}
_makers: dict[int, Callable[[], ThreadPoolExecutor]] = {}
_here = threading.local()
_lock = threading.Lock()


def shared_threads(depth: int = 0) -> ThreadPoolExecutor:
    """The pool of threads that all pipelines share: at least four, so that waiting may overlap.

    A pipeline that is built by a task of such a pool has one of the next *depth*: if tasks waited
    for others of the same pool, there might be no thread left to do these.
    """
    with _lock:
        pool = _threads.get(depth)
        if pool is None or pool._shutdown:
            pool = _threads[depth] = ThreadPoolExecutor(
                max(4, cpus()), f"rapidz-pool-{depth}", initializer=_begin_at, initargs=(depth,)
            )
        return pool


def _begin_at(depth: int) -> None:
    _here.depth = depth


def threads_for_here() -> Callable[[], ThreadPoolExecutor]:
    """What makes the pool of threads for a pipeline that is built here."""
    depth = getattr(_here, "depth", -1) + 1
    return _makers.setdefault(depth, partial(shared_threads, depth))


def new_processes(workers: int | None = None) -> Processes:
    """A new pool of processes, unless this is a process that another one is about to begin."""
    if is_importing_the_script():
        if is_worker():  # its parent says what is wrong, once
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(STILLBORN)
        raise RuntimeError(f"scatter: a new process must not make processes itself; {_GUARD}")
    return Processes(workers or cpus())


def _forget_threads() -> None:
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


#: How many pools in a row may break before any of their processes has begun.
MOST_STILLBORN = 3


def _is_broken(executor: Any) -> bool:
    return bool(getattr(executor, "_broken", False))


class Pool(FutureBackend):
    """Tasks go to an executor; their results come back to this process.

    Parameters
    ----------
    name : str
        For messages.
    make : callable
        Returns the executor, and, if it is *renewed*, a new one when that is broken.
    owned : bool
        Whether to shut the executor down at the end.
    """

    def __init__(
        self, name: str, make: Callable[[], Any], *, owned: bool = False, renewed: bool = True
    ) -> None:
        self.name = name
        self.make = make
        self._owned, self._renewed = owned, renewed
        self._executor: Any = None
        self._solitary: Any = None
        """A pool of one process of our own, for tasks that may end it.

        Whoever is tried there cannot die while another process begins, which would take the server
        of new processes with it, and by that all pools.
        """
        self._slots, self._pid = 0, os.getpid()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._stillborn = 0
        """How many executors in a row broke before any process had begun."""
        self._last_code: int | None = None
        """With which code the last process ended that was tried alone."""
        self._has_worked = False
        """Whether any process ever has."""
        self._made_by: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        """Which executor has made a future."""
        self._lock = threading.Lock()
        self.travels = True

    def executor(self) -> Any:
        with self._lock:
            if self._renewed:
                self._executor = self._if_alive(self._executor)
            if self._executor is None:
                self.begin_with(self.make())
            return self._executor

    def _solitary_one(self) -> Any:
        with self._lock:
            self._solitary = self._if_alive(self._solitary) or new_processes(1)
            return self._solitary

    def _if_alive(self, made: Any) -> Any:
        """The executor *made*; None if it can do nothing more, and note how far it had come."""
        if not _is_broken(made):
            return made if self._pid == os.getpid() else None
        begun = not isinstance(made, Processes) or made.has_begun()
        self._stillborn = 0 if begun else self._stillborn + 1
        self._has_worked |= begun
        return None

    def begin_with(self, executor: Any) -> None:
        """Use *executor*, until it is broken."""
        self._executor = executor
        self._pid = os.getpid()
        self._slots = getattr(executor, "_max_workers", None) or cpus()
        self.travels = not isinstance(executor, ThreadPoolExecutor)

    def slots(self) -> int:
        return self._slots or cpus()

    def submit(self, work: TaskPayload, needs: list[Any], *, alone: bool = False) -> Any:
        try:
            executor = self._solitary_one() if alone and self._owned else self.executor()
        except OSError as error:  # there are no means to make one at the moment
            raise Unsent(str(error)) from error
        if not self.travels:
            return self._wrap_output_edge(executor, run, work)
        if self._owned and len(work.chain.data) > LARGE_CHAIN_BYTES:
            self._write(work.chain)
        return self._wrap_output_edge(executor, run_pickled, dumps(work))

    def _wrap_output_edge(self, executor: Any, function: Callable[..., Any], x: Any) -> Any:
        """Submit *x* for *function*.

        To begin a process may fail, and a pool may break meanwhile, by what others do in it.
        """
        try:
            future = executor.submit(function, x)
        except RuntimeError as error:  # it is broken, or was shut down
            if not (self._renewed and _is_broken(executor)):
                raise
            raise Unsent(str(error)) from error
        except (OSError, EOFError) as error:
            raise Unsent(str(error)) from error
        if _is_broken(executor):  # it may have come in too late to be told so
            raise Unsent(f"{self.name} broke meanwhile")
        self._made_by[future] = executor
        return future

    def _write(self, chain: Chain) -> None:
        """Leave *chain* in a file for the processes, which read it once each."""
        if chain.path is None:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="rapidz-")
            path = Path(self._folder.name, f"{chain.uid}-{len(chain.specs)}")
            path.write_bytes(chain.data)
            chain.path = str(path)

    def stranded(self, ref: Any) -> bool:
        return not ref.done() and _is_broken(self._made_by.get(ref))

    def verdict(self, ref: Any, error: BaseException) -> Verdict:
        if isinstance(error, (Unsent, concurrent.futures.CancelledError)):
            return "again"
        if isinstance(error, concurrent.futures.BrokenExecutor):
            return self._verdict_on_the_dead(self._made_by.get(ref)) if self._renewed else "gone"
        if isinstance(error, RuntimeError) and "cannot schedule new futures" in str(error):
            return "gone"
        return "final"

    def _verdict_on_the_dead(self, executor: Any) -> Verdict:
        if executor is self._solitary and executor is not None:
            self._last_code = next(iter(executor.exit_codes()), None)
        if not isinstance(executor, Processes) or executor.has_begun():
            return "alone"
        if STILLBORN in executor.exit_codes():
            self._stillborn = MOST_STILLBORN  # the next ones would fare no better
        return "again" if self._stillborn < MOST_STILLBORN else "gone"

    def explained(self, error: BaseException) -> str:
        if self._stillborn >= MOST_STILLBORN:
            remedy = "all end before they work" if self._has_worked else _remedy()
            return f"{self.name}: no process could begin; {remedy}"
        code = self._last_code
        if code is not None and isinstance(error, concurrent.futures.BrokenExecutor):
            return f"the process ended with code {code}{_signal_of(code)}"
        return f"{self.name}: {error}"

    def same(self, other: Any) -> bool:
        return isinstance(other, Pool) and other.make == self.make

    def check(self, spec: OperatorSpec) -> None:
        self.executor()
        super().check(spec)

    def client_of(self) -> Any:
        return executor_to_client(self.executor())

    def close(self) -> None:
        made = self._executor, self._solitary
        self._executor = self._solitary = None
        for executor in made:
            if self._owned and executor is not None:
                executor.shutdown(wait=False)


def _remedy() -> str:
    return _GUARD if travels_by_value() else f"{_GUARD}, or install cloudpickle"


def _signal_of(code: int) -> str:
    """The name of the signal that ended a process, if it was one."""
    try:
        return f" ({signal.Signals(-code).name})"
    except ValueError:
        return ""
