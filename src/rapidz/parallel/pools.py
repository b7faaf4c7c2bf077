"""Pools of threads or processes, and whatever else has a `submit`."""

from __future__ import annotations

import concurrent.futures
import importlib
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rapidz.kernel.ending import drain_first
from rapidz.parallel.backends import Verdict
from rapidz.parallel.outcomes import pickled
from rapidz.parallel.work import HEAVY_CHAIN, Chain, Spec, Work, dumps, run, run_pickled

# When the program ends, what was registered last is called first, and pipelines drain before the
# pools shut down, which they may need for that.
importlib.import_module("concurrent.futures.process")
drain_first()

#: What is amiss if processes cannot even begin.
_GUARD = "let the script do its work below `if __name__ == '__main__':`"

_threads: dict[int, ThreadPoolExecutor] = {}
_makers: dict[int, Callable[[], ThreadPoolExecutor]] = {}
_here = threading.local()
_lock = threading.Lock()


def cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


def new_processes() -> ProcessPoolExecutor:
    """A pool of processes that inherit no threads and no locks of this one."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(f"scatter: a new process must not make processes itself; {_GUARD}")
    known = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in known else "spawn"
    return ProcessPoolExecutor(cpus(), mp_context=multiprocessing.get_context(method))


def _forget_threads() -> None:
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def _nothing() -> None:
    """What a new process can do if it can do anything."""


class Pool:
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

    chains = patient = False

    def __init__(
        self, name: str, make: Callable[[], Any], *, owned: bool = False, renewed: bool = True
    ) -> None:
        self.name = name
        self.make = make
        self._owned, self._renewed = owned, renewed
        self._executor: Any = None
        self._slots, self._process = 0, os.getpid()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._first: Any = None
        """The first task of a pool of our own: it tells whether processes can begin at all."""
        self.travels = True

    def executor(self) -> Any:
        broken = self._renewed and (
            getattr(self._executor, "_broken", False) or self._process != os.getpid()
        )
        if self._executor is None or broken:
            self.begin_with(self.make())
        return self._executor

    def begin_with(self, executor: Any) -> None:
        """Use *executor*, until it is broken."""
        self._executor = executor
        self._process = os.getpid()
        self._slots = getattr(executor, "_max_workers", None) or cpus()
        self.travels = not isinstance(executor, ThreadPoolExecutor)

    def slots(self) -> int:
        self.executor()
        return self._slots

    def submit(self, work: Work, needs: list[Any]) -> Any:
        executor = self.executor()
        if self._owned and self._first is None:
            self._first = executor.submit(_nothing)
        if self.travels:
            if self._owned and len(work.chain.pickled) > HEAVY_CHAIN:
                self._write(work.chain)
            return executor.submit(run_pickled, pickled(work))
        return executor.submit(run, work)

    def _write(self, chain: Chain) -> None:
        """Leave *chain* in a file for the processes, which read it once each."""
        if chain.path is None:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="rapidz-")
            path = Path(self._folder.name, f"{chain.uid}-{len(chain.specs)}")
            path.write_bytes(chain.pickled)
            chain.path = str(path)

    def fetch(self, ref: Any, values: bool, state_limit: float | None) -> Any:
        return ref

    def lost(self, ref: Any) -> bool:
        return False

    def verdict(self, error: BaseException) -> Verdict:
        if isinstance(error, concurrent.futures.BrokenExecutor):
            never_began = self._first is not None and self._first.exception() is not None
            return "alone" if self._renewed and not never_began else "gone"
        if isinstance(error, concurrent.futures.CancelledError):
            return "again"
        if isinstance(error, RuntimeError) and "cannot schedule new futures" in str(error):
            return "gone"
        return "final"

    def explained(self, error: BaseException) -> str:
        if self._first is not None and self._first.done() and self._first.exception() is not None:
            return f"{self.name}: no process could begin; {_GUARD}"
        return f"{self.name}: {error}"

    def is_future(self, x: Any) -> bool:
        return isinstance(x, Future)

    def value(self, future: Any) -> Any:
        return future

    def future(self, ref: Any, index: int, value: Any) -> Any:
        future: Future[Any] = Future()
        future.set_result(value)
        return future

    def same(self, other: Any) -> bool:
        return isinstance(other, Pool) and other.make == self.make

    def check(self, spec: Spec) -> None:
        self.executor()
        if self.travels:
            check_travels(spec)

    def client_of(self) -> Any:
        return self.executor()

    def close(self) -> None:
        executor, self._executor = self._executor, None
        if self._owned and executor is not None:
            executor.shutdown(wait=False)

    def __repr__(self) -> str:
        return self.name


def check_travels(spec: Spec) -> None:
    """Refuse an operator whose function, or another argument, cannot be sent to a process."""
    for name, part in spec.parts():
        try:
            dumps(part)
        except Exception as error:
            found = find_spec("cloudpickle") is not None
            remedy = "" if found else "; define it in a module, or install cloudpickle"
            raise TypeError(
                f"{spec.name}: {name} must be something that can be sent to another process, "
                f"got {part!r} ({error}){remedy}"
            ) from error
