"""Pools of threads or processes, and whatever else has a `submit`."""

from __future__ import annotations

import concurrent.futures
import importlib
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from typing import Any

from rapidz.kernel.ending import drain_first
from rapidz.parallel.work import Chain, Spec, Work, run

# When the program ends, what was registered last is called first, and pipelines drain before the
# pools shut down, which they may need for that.
importlib.import_module("concurrent.futures.process")
drain_first()

_threads: list[ThreadPoolExecutor] = []
_lock = threading.Lock()


def cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def shared_threads() -> ThreadPoolExecutor:
    """The pool of threads that all pipelines share: at least four, so that waiting may overlap."""
    with _lock:
        if not _threads or _threads[0]._shutdown:
            _threads[:] = [ThreadPoolExecutor(max(4, cpus()), thread_name_prefix="rapidz")]
        return _threads[0]


def new_processes() -> ProcessPoolExecutor:
    """A pool of processes that inherit no threads and no locks of this one."""
    known = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in known else "spawn"
    return ProcessPoolExecutor(cpus(), mp_context=multiprocessing.get_context(method))


def _forget_threads() -> None:
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


class Pool:
    """Tasks go to an executor; their results come back to this process.

    Parameters
    ----------
    name : str
        For messages.
    make : callable
        Returns the executor, and a new one when that is broken.
    owned : bool
        Whether to shut the executor down at the end.
    """

    chains = False

    def __init__(self, name: str, make: Callable[[], Any], *, owned: bool, renewed: bool) -> None:
        self.name = name
        self._make, self._owned, self._renewed = make, owned, renewed
        self._executor: Any = None
        self._slots = 0
        self.travels = True

    def executor(self) -> Any:
        if self._executor is None:
            self._executor = made = self._make()
            self._slots = getattr(made, "_max_workers", None) or cpus()
            self.travels = not isinstance(made, ThreadPoolExecutor)
        return self._executor

    def slots(self) -> int:
        self.executor()
        return self._slots

    def submit(self, work: Work, needs: list[Any]) -> Any:
        executor = self.executor()
        try:
            return executor.submit(run, work)
        except BrokenProcessPool:
            if not self._renewed:
                raise
            self._executor = None
            return self.executor().submit(run, work)

    def fetch(self, ref: Any, values: bool, state_limit: float | None) -> Any:
        return ref

    def lost(self, ref: Any) -> bool:
        return False

    def verdict(self, error: BaseException) -> str:
        if isinstance(error, BrokenProcessPool):
            if not self._renewed:
                return "gone"
            self._executor = None
            return "alone"
        if isinstance(error, concurrent.futures.BrokenExecutor):
            return "gone"
        if isinstance(error, concurrent.futures.CancelledError):
            return "again"
        if isinstance(error, RuntimeError) and "shutdown" in str(error):
            return "gone"
        return "final"

    def is_future(self, x: Any) -> bool:
        return isinstance(x, Future)

    def value(self, future: Any) -> Any:
        return future

    def future(self, ref: Any, index: int, value: Any) -> Any:
        future: Future[Any] = Future()
        future.set_result(value)
        return future

    def same(self, other: Any) -> bool:
        return isinstance(other, Pool) and other.name == self.name

    def check(self, operator: str, argument: str, func: Any) -> None:
        self.executor()
        if self.travels:
            check_travels(operator, argument, func)

    def client_of(self) -> Any:
        return self.executor()

    def close(self) -> None:
        executor, self._executor = self._executor, None
        if self._owned and executor is not None:
            executor.shutdown(wait=False)


def check_travels(operator: str, argument: str, func: Any) -> None:
    """Refuse a function that cannot be sent to another process."""
    try:
        Chain([Spec(operator, (func,), {})], operator).pickled  # noqa: B018
    except Exception as error:
        raise TypeError(
            f"{operator}: {argument} must be something that can be sent to another process "
            f"(define it in a module, or install cloudpickle), got {func!r}: {error}"
        ) from error
