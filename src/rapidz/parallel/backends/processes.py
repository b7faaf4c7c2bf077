"""A pool of processes of our own, which end when they should."""

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


class Processes(ProcessPoolExecutor):
    """A pool of processes that inherit no threads and no locks of this one.

    An interruption from the keyboard, which all processes of a terminal get, is for the program to
    deal with: they work on. They end with the program, however that ends.
    """

    def __init__(self, workers: int) -> None:
        if _given_up:
            raise RuntimeError("cannot schedule new futures: the program ends")
        context = new_context()
        self._begun = context.RawValue("b", False)
        super().__init__(workers, mp_context=context, initializer=_begin, initargs=(self._begun,))
        _pools.add(self)
        if multiprocessing.parent_process() is not None:
            # When a process that another one has begun ends, it waits for its own processes, and
            # must not do so at the same time as the threads that manage these.
            util.Finalize(None, _shut_down_all, exitpriority=100)

    def has_begun(self) -> bool:
        """Whether any of the processes has come so far as to work."""
        return bool(self._begun.value)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        manager = getattr(self, "_executor_manager_thread", None)
        if manager is not None:
            _managers.add(manager)
        super().shutdown(wait, cancel_futures=cancel_futures)

    def exit_codes(self, seconds: float = 1.0) -> list[int]:
        """With which codes the processes of a broken pool have ended."""
        processes = list((getattr(self, "_processes", None) or {}).values())
        manager = getattr(self, "_executor_manager_thread", None)
        if manager is not None:  # it asks them too, and only one of us can have the answer
            manager.join(seconds)
        return [code for process in processes if (code := process.exitcode) is not None]

    def kill(self) -> None:
        """End the processes at once, whatever they do."""
        for process in list((getattr(self, "_processes", None) or {}).values()):
            process.kill()


_pools: weakref.WeakSet[Processes] = weakref.WeakSet()
_managers: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_given_up: list[bool] = []
_children: set[Any] = getattr(import_module("multiprocessing.process"), "_children", set())


def _begin(begun: Any) -> None:
    """The first thing that a new process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="rapidz-parent", daemon=True).start()
    begun.value = True


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
    """The program has waited long enough for what is under way."""
    _given_up.append(True)
    for pool in list(_pools):
        pool.kill()


def _forget_all() -> None:
    """The processes are those of the parent, which goes on with them."""
    for pool in list(_pools):
        for process in (getattr(pool, "_processes", None) or {}).values():
            _children.discard(process)  # a program waits for its own at its end
    _pools.clear()
    _managers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
shutdown.after_giving_up.append(_kill_all)
