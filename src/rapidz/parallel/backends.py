"""Backends: what they can do, and which one is meant by a name, an executor or a client."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from rapidz.parallel.executors import executor_to_client

if TYPE_CHECKING:
    from rapidz.parallel.outcomes import Result
    from rapidz.parallel.work import Spec, Work


#: What to do about a task that failed as a whole: send it again, for it was lost by no fault of its
#: own; send it alone, for it may have ended its worker; give up, for nobody is left to do it; or
#: look for the element whose failure it is.
Verdict: TypeAlias = Literal["again", "alone", "gone", "final"]


class Unsent(RuntimeError):
    """The backend could not take a task, which is no fault of the task's."""


class Backend(Protocol):
    """Where tasks are done."""

    name: str
    chains: bool
    """Whether a task can be sent that needs the result of one that is not done yet."""
    patient: bool
    """Whether a task that ends its worker was tried several times before that is told."""
    travels: bool
    """Whether elements leave the process."""

    def slots(self) -> int:
        """How many tasks can be done at the same time."""
        ...

    def submit(self, work: Work, needs: list[Any], *, alone: bool = False) -> Any:
        """Begin *work*, which needs the results *needs*; return what stands for its result.

        *alone*: it may end its worker, and nothing else is under way.
        """
        ...

    def loaded(self, result: Any) -> Result:
        """The result, of what a future from `fetch` gives."""
        ...

    def fetch(self, ref: Any, values: bool, state_limit: float | None) -> Any:
        """Return a future of the `Result` behind *ref*, if need be without its values.

        *state_limit* is None for a task without a state, else how large a state may be to come too.
        """
        ...

    def explained(self, error: BaseException) -> str:
        """Say what has happened, to users, after the verdict "gone"."""
        ...

    def is_future(self, x: Any) -> bool:
        """Whether *x* is a future of the backend's own."""
        ...

    def lost(self, ref: Any) -> bool:
        """Whether the result behind *ref* is not there any more."""
        ...

    def stranded(self, ref: Any) -> bool:
        """Whether those are gone who should make the result behind *ref*, and cannot say so."""
        ...

    def verdict(self, ref: Any, error: BaseException) -> Verdict:
        """What to do about a task that failed as a whole; *ref* is what `submit` returned."""
        ...

    def value(self, future: Any) -> Any:
        """A future, for threads, of the value of one of the backend's own."""
        ...

    def future(self, ref: Any, index: int, value: Any) -> Any:
        """A future of the backend's own for one element, as users know them."""
        ...

    def home_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop on which futures of the backend's own can be awaited; None if on any."""
        ...

    def same(self, other: Any) -> bool:
        """Whether results of *other* can be used here."""
        ...

    def check(self, spec: Spec) -> None:
        """Refuse an operator that cannot travel."""
        ...

    def client_of(self) -> Any:
        """The client or executor itself."""
        ...

    def close(self) -> None:
        """Free what belongs to the backend alone."""
        ...


_RULE = "'dask', 'thread', 'process', an Executor, a Client, or a function that returns one"


def find_backend(backend: Any = "dask", client: Any = None) -> Backend:
    """Return what *backend*, an argument of `scatter`, stands for."""
    if client is not None:
        if backend != "dask":
            raise ValueError(f"scatter: client must go with backend='dask', got {backend!r}")
        return _from_made(client)
    if isinstance(backend, str):
        if backend in _NAMED:
            return _NAMED[backend]()
        raise ValueError(f"scatter: backend must be {_RULE}, got {backend!r}")
    if hasattr(backend, "submit"):
        return _from_made(backend)
    if callable(backend):
        return _from_function(backend)
    raise TypeError(f"scatter: backend must be {_RULE}, got {backend!r}")


def _threads() -> Backend:
    from rapidz.parallel.pools import Pool, threads_for_here

    return Pool("thread", threads_for_here())


def _processes() -> Backend:
    from rapidz.parallel.pools import Pool, new_processes

    return Pool("process", new_processes, owned=True)


def _dask() -> Backend:
    remedy = (
        "make one first (`from distributed import Client; client = Client()`), give it as client=, "
        "or choose backend='thread' or 'process', which need none"
    )
    try:
        from rapidz.parallel.dask import Dask, current_client
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


def _from_made(made: Any) -> Backend:
    """The backend of a client or an executor that is there already."""
    if type(made).__module__.partition(".")[0] == "distributed" and hasattr(made, "scheduler"):
        from rapidz.parallel.dask import Dask

        return Dask(made)
    if not callable(getattr(made, "submit", None)):
        raise TypeError(f"scatter: backend must be {_RULE}, got {made!r}")
    from rapidz.parallel.pools import Pool

    return Pool(repr(made), _Given(made), renewed=False)


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
    made = function()
    if isinstance(made, concurrent.futures.Executor):
        backend: Any = _from_executor(executor_to_client(made), function)
    else:
        backend = _from_made(made)
    backend.client_of = function
    return backend  # type: ignore[no-any-return]


def _from_executor(made: Any, function: Callable[[], Any]) -> Backend:
    from rapidz.parallel.pools import Pool

    pool = Pool(getattr(function, "__name__", repr(function)), function)
    pool.begin_with(made)
    return pool
