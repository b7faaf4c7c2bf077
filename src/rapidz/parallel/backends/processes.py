"""Process pool whose workers end with the program, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import weakref
from concurrent.futures.process import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import connection, util
from typing import Any

from rapidz.kernel.graph import shutdown
from rapidz.parallel.backends.process_start import new_context

#: How long to wait, in seconds, until the exit codes of a broken pool are known.
EXIT_CODE_SECONDS = 1.0


class WorkerProcesses(ProcessPoolExecutor):
    """Process pool whose workers inherit no threads and no locks.

    An interrupt from the keyboard, which all processes of a terminal get, is for the program to
    handle: the workers ignore it.
    """

    def __init__(self, workers: int) -> None:
        if _killed:
            raise RuntimeError("cannot schedule new futures: the program ends")
        context = new_context()
        self._initialised = context.RawValue("b", False)
        super().__init__(
            workers,
            mp_context=context,
            initializer=_initialise_worker,
            initargs=(self._initialised,),
        )
        _pools.add(self)
        if multiprocessing.parent_process() is not None:
            # A process that `multiprocessing` has started waits for its own processes as it ends,
            # and must not do so at the same time as the threads that manage these.
            util.Finalize(None, _shut_down_all, exitpriority=100)

    def has_started(self) -> bool:
        """Return whether any of the processes was ever ready to work."""
        return bool(self._initialised.value)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        manager = getattr(self, "_executor_manager_thread", None)
        if manager is not None:
            _managers.add(manager)
        super().shutdown(wait, cancel_futures=cancel_futures)

    def exit_codes(self) -> list[int]:
        """Return the exit codes of the processes of a broken pool."""
        processes = self.processes()
        manager = getattr(self, "_executor_manager_thread", None)
        if manager is not None:  # it polls them too, and only one of us can have the answer
            manager.join(EXIT_CODE_SECONDS)
        return [code for process in processes if (code := process.exitcode) is not None]

    def processes(self) -> list[Any]:
        """Return the processes that were started and are not known to have ended."""
        return list((getattr(self, "_processes", None) or {}).values())


_pools: weakref.WeakSet[WorkerProcesses] = weakref.WeakSet()
_managers: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_killed: list[bool] = []
_children: set[Any] = getattr(import_module("multiprocessing.process"), "_children", set())


def _initialise_worker(initialised: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="rapidz-parent", daemon=True).start()
    initialised.value = True


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _shut_down_all() -> None:
    for pool in list(_pools):
        pool.shutdown(wait=False)
    for manager in list(_managers):
        manager.join()


def _kill_all() -> None:
    """Kill the workers: the shutdown of the program has reached its time limit."""
    _killed.append(True)
    for pool in list(_pools):
        for process in pool.processes():
            process.kill()


def _disown_all() -> None:
    """Forget the pools after a fork: their processes are those of the parent, which keeps them."""
    for pool in list(_pools):
        for process in pool.processes():
            _children.discard(process)  # or the program would wait for them as it ends
    _pools.clear()
    _managers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
shutdown.after_exit_timeout.append(_kill_all)
