"""Compatibility module: clients of the backends of scattered streams."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from rapidz.parallel.backends.executors import delayed_execution, executor_to_client, result_maybe


def thread_default_client() -> Executor:
    """Return the thread pool that all pipelines share."""
    from rapidz.parallel.backends.pools import shared_threads

    return executor_to_client(shared_threads())


def _dask_default_client() -> Any:
    from rapidz.parallel.backends.dask import current_client

    return current_client()


#: Backends by name: functions that return a client.
DEFAULT_BACKENDS: dict[str, Callable[[], Any]] = {
    "dask": _dask_default_client,
    "thread": thread_default_client,
}

#: Colours of the nodes by backend.
FILL_COLOR_LOOKUP: dict[str, str] = {"dask": "cornflowerblue", "thread": "green"}

__all__ = [
    "DEFAULT_BACKENDS",
    "FILL_COLOR_LOOKUP",
    "delayed_execution",
    "executor_to_client",
    "result_maybe",
    "thread_default_client",
]
