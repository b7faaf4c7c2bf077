"""Backend registry: lookup by name, entry point, executor, client or factory function."""

from __future__ import annotations

import concurrent.futures
import difflib
import inspect
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.attribution import add_note
from rapidz.parallel.backends.executors import executor_to_client
from rapidz.parallel.backends.protocol import BACKEND_MEMBERS, Backend

#: The group of the entry points by which other packages register a backend.
ENTRY_POINT_GROUP = "rapidz.backends"

_RULE = "an Executor, a Client, a Backend, a function that returns one, or one of"

#: Other names of the built-in backends, for the hint in an error message.
_SYNONYMS = {
    "distributed": "dask",
    "cluster": "dask",
    "client": "dask",
    "threading": "thread",
    "multiprocessing": "process",
    "loky": "process",
}


def find_backend(backend: Any = "dask", client: Any = None) -> Backend:
    """Return the backend for the arguments *backend* and *client* of `scatter`."""
    if client is not None:
        if not isinstance(backend, str) or backend != "dask":
            raise ValueError(
                f"scatter: client must go with backend='dask', got {short_repr(backend)}"
            )
        if not _is_client(client):
            raise TypeError(
                "scatter: client must be a distributed.Client (an executor is given as backend=), "
                f"got {short_repr(client)}"
            )
        return _wrap(client)
    if isinstance(backend, str):
        return _BUILT_IN[backend]() if backend in _BUILT_IN else _from_entry_point(backend)
    if hasattr(backend, "submit") and not isinstance(backend, type):
        return _wrap(backend)
    if callable(backend):
        return _from_function(backend)
    raise TypeError(f"scatter: backend must be {_rule(_BUILT_IN)}, got {short_repr(backend)}")


def _is_client(x: Any) -> bool:
    return any(cls.__module__.partition(".")[0] == "distributed" for cls in type(x).__mro__) and (
        hasattr(x, "scheduler")
    )


def _threads() -> Backend:
    from rapidz.parallel.backends.pools import thread_backend

    return thread_backend()


def _processes() -> Backend:
    from rapidz.parallel.backends.pools import PoolBackend, new_processes

    return PoolBackend("process", new_processes, owned=True)


def _dask() -> Backend:
    remedy = (
        "make one first (`from distributed import Client; client = Client()`), give it as client=, "
        "or choose backend='thread' or 'process', which need none"
    )
    try:
        from rapidz.parallel.backends.dask import DaskBackend, current_client
    except ImportError as error:
        raise RuntimeError(
            "scatter: backend 'dask' needs Dask (pip install 'rapidz[dask]') "
            f"and a client: {remedy}"
        ) from error
    try:
        return DaskBackend(current_client())
    except ValueError as error:
        raise RuntimeError(f"scatter: backend 'dask' needs a client: {remedy}") from error


_BUILT_IN: dict[str, Callable[[], Backend]] = {
    "dask": _dask,
    "thread": _threads,
    "process": _processes,
}


def backend_names() -> list[str]:
    """Return the names that `scatter` accepts: built-in backends, then registered ones."""
    registered = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
    return [*_BUILT_IN, *sorted(registered.difference(_BUILT_IN))]


def _rule(names: Iterable[str]) -> str:
    return f"{_RULE} {', '.join(map(short_repr, names))}"


def _from_entry_point(name: str) -> Backend:
    """Return the backend that another package has registered under *name*."""
    found = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in found:
        return find_backend(_load(found[name]))
    names = backend_names()
    known = {**dict.fromkeys(names), **_SYNONYMS}
    (close,) = difflib.get_close_matches(name.lower(), known, 1) or [None]
    hint = "" if close is None else f"; did you mean {short_repr(_SYNONYMS.get(close, close))}?"
    raise ValueError(f"scatter: backend must be {_rule(names)}, got {short_repr(name)}{hint}")


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        add_note(error, f"scatter: raised by the entry point {point.name!r} of {ENTRY_POINT_GROUP}")
        raise


def _wrap(made: Any) -> Backend:
    """Return the backend of *made*: itself, or one around a client or an executor."""
    if isinstance(made, Backend):
        return made
    if hasattr(made, "classify_failure"):  # no executor has that: it is meant as a backend
        missing = ", ".join(sorted(name for name in BACKEND_MEMBERS if not hasattr(made, name)))
        raise TypeError(
            f"scatter: backend must have all members of Backend (derive from FutureBackend), "
            f"got {short_repr(made)} without {missing}"
        )
    if _is_client(made):
        from rapidz.parallel.backends.dask import DaskBackend

        return DaskBackend(made)
    if isinstance(made, type) or not callable(getattr(made, "submit", None)):
        if inspect.iscoroutine(made):
            made.close()
        raise TypeError(f"scatter: backend must be {_rule(_BUILT_IN)}, got {short_repr(made)}")
    from rapidz.parallel.backends.pools import PoolBackend

    return PoolBackend(short_repr(made), lambda: made, renewed=False, identity=made)


def _from_function(function: Callable[[], Any]) -> Backend:
    """Return the backend that *function* makes, and makes again when an executor is broken."""
    try:
        made = function()
    except Exception as error:
        add_note(error, f"scatter: raised by backend, the function {short_repr(function)}")
        raise
    if isinstance(made, concurrent.futures.Executor):
        from rapidz.parallel.backends.pools import PoolBackend

        pool = PoolBackend(getattr(function, "__name__", short_repr(function)), function)
        pool.use(executor_to_client(made))
        backend: Any = pool
    else:
        backend = _wrap(made)
    backend.client = function
    return backend  # type: ignore[no-any-return]
