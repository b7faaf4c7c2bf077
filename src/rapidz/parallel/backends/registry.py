"""Backend lookup: which one is meant by a name, an executor, a client or a function."""

from __future__ import annotations

import concurrent.futures
import difflib
import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.attribution import add_note
from rapidz.parallel.backends.executors import executor_to_client
from rapidz.parallel.backends.protocol import MEMBERS, Backend

#: Entry points of other packages that have a backend: each loads what `scatter` takes.
GROUP = "rapidz.backends"

_RULE = (
    "'dask', 'thread', 'process', an Executor, a Client, a Backend, or a function that returns one"
)


def find_backend(backend: Any = "dask", client: Any = None) -> Backend:
    """Return what *backend*, an argument of `scatter`, stands for."""
    if client is not None:
        if not isinstance(backend, str) or backend != "dask":
            raise ValueError(
                f"scatter: client must go with backend='dask', got {short_repr(backend)}"
            )
        return _from_client(client)
    if isinstance(backend, str):
        return _NAMED[backend]() if backend in _NAMED else _from_entry_point(backend)
    if isinstance(backend, type):
        return _from_function(backend)
    if hasattr(backend, "submit"):
        return _from_made(backend)
    if callable(backend):
        return _from_function(backend)
    raise TypeError(f"scatter: backend must be {_RULE}, got {short_repr(backend)}")


def _from_client(client: Any) -> Backend:
    if not _is_client(client):
        remedy = "an executor is given as backend="
        raise TypeError(
            f"scatter: client must be a distributed.Client ({remedy}), got {short_repr(client)}"
        )
    return _from_made(client)


def _is_client(x: Any) -> bool:
    return any(cls.__module__.partition(".")[0] == "distributed" for cls in type(x).__mro__) and (
        hasattr(x, "scheduler")
    )


def _from_entry_point(name: str) -> Backend:
    """The backend that another package has under *name*."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name in found:
        return find_backend(_loaded(found[name]))
    known = {**dict.fromkeys([*_NAMED, *found]), **_MEANT}
    (close,) = difflib.get_close_matches(name.lower(), known, 1) or [None]
    hint = "" if close is None else f"; did you mean {short_repr(_MEANT.get(close, close))}?"
    more = "".join(f", {short_repr(other)}" for other in sorted(found))
    raise ValueError(f"scatter: backend must be {_RULE}{more}, got {short_repr(name)}{hint}")


def _threads() -> Backend:
    from rapidz.parallel.backends.pools import Pool, threads_for_here

    return Pool("thread", threads_for_here())


def _processes() -> Backend:
    from rapidz.parallel.backends.pools import Pool, new_processes

    return Pool("process", new_processes, owned=True)


def _dask() -> Backend:
    remedy = (
        "make one first (`from distributed import Client; client = Client()`), give it as client=, "
        "or choose backend='thread' or 'process', which need none"
    )
    try:
        from rapidz.parallel.backends.dask import Dask, current_client
    except ImportError as error:
        raise RuntimeError(
            "scatter: backend 'dask' needs Dask (pip install 'rapidz[dask]') "
            f"and a client: {remedy}"
        ) from error
    try:
        return Dask(current_client())
    except ValueError as error:
        raise RuntimeError(f"scatter: backend 'dask' needs a client: {remedy}") from error


_NAMED: dict[str, Callable[[], Backend]] = {
    "dask": _dask,
    "thread": _threads,
    "process": _processes,
}


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        add_note(error, f"scatter: raised by the entry point {point.name!r} of {GROUP}")
        raise


#: What others call a backend that is here under another name.
_MEANT = {
    "distributed": "dask",
    "cluster": "dask",
    "client": "dask",
    "threading": "thread",
    "multiprocessing": "process",
    "loky": "process",
}


def _from_made(made: Any) -> Backend:
    """The backend of a client or an executor that is there already."""
    if isinstance(made, Backend):
        return made
    if hasattr(made, "verdict"):  # no executor has that: it is to be a backend
        missing = ", ".join(sorted(name for name in MEMBERS if not hasattr(made, name)))
        raise TypeError(
            f"scatter: backend must have all members of Backend (derive from FutureBackend), "
            f"got {short_repr(made)} without {missing}"
        )
    if _is_client(made):
        from rapidz.parallel.backends.dask import Dask

        return Dask(made)
    if isinstance(made, type) or not callable(getattr(made, "submit", None)):
        if inspect.iscoroutine(made):
            made.close()
        raise TypeError(f"scatter: backend must be {_RULE}, got {short_repr(made)}")
    from rapidz.parallel.backends.pools import Pool

    return Pool(short_repr(made), _Given(made), renewed=False)


class _Given:
    """Gives what is there already; equal to others that give the same."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def __call__(self) -> Any:
        return self._made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Given) and other._made is self._made

    def __hash__(self) -> int:
        return id(self._made)


def _from_function(function: Callable[[], Any]) -> Backend:
    """The backend that *function* makes, and makes again when an executor is broken."""
    try:
        made = function()
    except Exception as error:
        add_note(error, f"scatter: raised by backend, the function {short_repr(function)}")
        raise
    if isinstance(made, concurrent.futures.Executor):
        backend: Any = _from_executor(executor_to_client(made), function)
    else:
        backend = _from_made(made)
    backend.client_of = function
    return backend  # type: ignore[no-any-return]


def _from_executor(made: Any, function: Callable[[], Any]) -> Backend:
    from rapidz.parallel.backends.pools import Pool

    pool = Pool(getattr(function, "__name__", short_repr(function)), function)
    pool.begin_with(made)
    return pool
