"""Start of worker processes: the start method, and whether the script is imported in them.

`multiprocessing` imports the script of the program in every process that it starts, so that
functions of the script can be found there by name.  A script without ``if __name__ ==
"__main__":`` so runs again in each of them.  Where cloudpickle is installed, functions and
classes of the script travel by value instead, and it is not imported.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import multiprocessing.context as context
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing import spawn
from multiprocessing.process import BaseProcess
from typing import Any, ClassVar

#: Prefix of the names of workers, by which a process is known as one before it is initialised.
WORKER_NAME = "rapidz-worker"

_thread = threading.local()


def pickles_by_value() -> bool:
    """Return whether functions and classes of the script can be sent without importing it."""
    return find_spec("cloudpickle") is not None


def is_worker() -> bool:
    """Return whether this is a worker, also while the script is imported in it."""
    return multiprocessing.current_process().name.startswith(WORKER_NAME)


def is_importing_the_script() -> bool:
    """Return whether this process is being started, and imports the script for that."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


@contextlib.contextmanager
def _without_the_script() -> Iterator[None]:
    """Start processes, in this thread, that do not import the script."""
    _thread.skips_script = pickles_by_value()
    try:
        yield
    finally:
        _thread.skips_script = False


def _wrap_preparation(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Wrap the function by which `multiprocessing` prepares a process: it may omit the script."""

    @functools.wraps(original)
    def preparation_data(name: str) -> dict[str, Any]:
        data = original(name)
        if getattr(_thread, "skips_script", False):
            for key in ("init_main_from_name", "init_main_from_path", "main_path"):
                data.pop(key, None)
        return data

    return preparation_data


# `multiprocessing` has no option for this: the wrapper leaves all other processes as they are.
spawn.get_preparation_data = _wrap_preparation(spawn.get_preparation_data)


class _Worker(BaseProcess):
    """Worker process: it has a name of its own, and need not import the script."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = f"{WORKER_NAME}-{self.name}"

    def start(self) -> None:
        with _without_the_script():
            super().start()


class _SpawnedWorker(_Worker, context.SpawnProcess):
    """Worker process that this one starts."""


class _SpawnContext(context.SpawnContext):
    Process: ClassVar[Any] = _SpawnedWorker


if sys.platform == "win32":

    def new_context() -> Any:
        """Return a context whose processes inherit no threads and no locks."""
        return _SpawnContext()

else:
    from multiprocessing import forkserver

    class _ServedWorker(_Worker, context.ForkServerProcess):
        """Worker process that a fork server starts."""

    class _ForkServerContext(context.ForkServerContext):
        Process: ClassVar[Any] = _ServedWorker

    def new_context() -> Any:
        """Return a context whose processes inherit no threads and no locks.

        A fork server starts them fastest.  A program that was forked cannot use that of its
        parent, and `multiprocessing` starts none there.
        """
        try:
            with _without_the_script():
                forkserver.ensure_running()
        except ChildProcessError:
            return _SpawnContext()
        except OSError:  # lack of memory, for example: the first process tries it again
            pass
        return _ForkServerContext()
