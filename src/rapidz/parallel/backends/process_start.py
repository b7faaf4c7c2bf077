"""Start of worker processes: which method, and whether the script is imported in them.

`multiprocessing` imports the script of the program in every process that it starts, so that
functions of the script can be found there by name.  A script without ``if __name__ ==
"__main__":`` so begins anew in each of them.  Where cloudpickle is installed, functions and
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
from typing import Any, ClassVar

#: How the processes are called, by which a process knows that it is one before it has begun.
NAME = "rapidz-worker"

_here = threading.local()


def travels_by_value() -> bool:
    """Whether functions and classes of the script need no import of it."""
    return find_spec("cloudpickle") is not None


def is_worker() -> bool:
    """Whether this is a process of a pool of ours, also while the script is imported there."""
    return multiprocessing.current_process().name.startswith(NAME)


def is_importing_the_script() -> bool:
    """Whether this process is being started, and the script is imported for that."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


@contextlib.contextmanager
def _without_the_script() -> Iterator[None]:
    """Start processes, in this thread, that do not import the script."""
    _here.leaves_out = travels_by_value()
    try:
        yield
    finally:
        _here.leaves_out = False


def _preparing(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Make what `multiprocessing` asks for what a new process must know, here with less."""

    @functools.wraps(original)
    def prepared(name: str) -> dict[str, Any]:
        data = original(name)
        if getattr(_here, "leaves_out", False):
            for key in ("init_main_from_name", "init_main_from_path", "main_path"):
                data.pop(key, None)
        return data

    return prepared


# There is no other way to choose this for some processes and leave all others as they are.
spawn.get_preparation_data = _preparing(spawn.get_preparation_data)


class _Spawned(context.SpawnProcess):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = f"{NAME}-{self.name}"

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802
        with _without_the_script():
            return context.SpawnProcess._Popen(process_obj)


class _Spawning(context.SpawnContext):
    Process: ClassVar[Any] = _Spawned


if sys.platform == "win32":

    def new_context() -> Any:
        """Choose how processes start: such that they inherit no threads and no locks."""
        return _Spawning()

else:
    from multiprocessing import forkserver

    class _Served(context.ForkServerProcess):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.name = f"{NAME}-{self.name}"

        @staticmethod
        def _Popen(process_obj: Any) -> Any:  # noqa: N802
            with _without_the_script():
                return context.ForkServerProcess._Popen(process_obj)

    class _Serving(context.ForkServerContext):
        Process: ClassVar[Any] = _Served

    def new_context() -> Any:
        """Choose how processes start: such that they inherit no threads and no locks.

        A server of processes starts them soonest.  A program that was forked cannot use that of its
        parent, and `multiprocessing` makes none there.
        """
        try:
            with _without_the_script():
                forkserver.ensure_running()
        except ChildProcessError:
            return _Spawning()
        except OSError:  # for want of memory, say: the first process tries it again
            pass
        return _Serving()
