"""Backend interface: what `scatter` requires of a place where tasks run, and a base class."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import pickle
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from rapidz.parallel.wire.chain import OperatorSpec
from rapidz.parallel.wire.outcomes import TaskResult
from rapidz.parallel.wire.payload import TaskPayload

#: What the failure of a whole task means: it was lost by accident, submit it again; it may have
#: ended its worker, submit it in isolation; the backend is gone for good; or one of its elements
#: is the cause.
FailureKind: TypeAlias = Literal["retry", "isolate", "unavailable", "fail"]


class TaskRejected(RuntimeError):
    """The backend cannot accept a task at present: it is submitted again after a pause."""


@runtime_checkable
class Backend(Protocol):
    """Protocol of a place where tasks run.  `FutureBackend` implements all of it but `submit`."""

    name: str
    supports_dependencies: bool
    """Whether a task can be submitted that needs the result of one that is still in flight."""
    retries_worker_death: bool
    """Whether a task that ends its worker is tried several times before that is reported."""
    crosses_process: bool
    """Whether elements leave the process."""

    def slots(self) -> int:
        """Return how many tasks can run at the same time."""
        ...

    def submit(
        self, payload: TaskPayload, dependencies: list[Any], *, isolated: bool = False
    ) -> Any:
        """Start a task that needs the results *dependencies*; return a reference to its result.

        *isolated*: it may end its worker, and no other task is in flight.
        """
        ...

    def decode_result(self, result: Any) -> TaskResult:
        """Return the result of a task, from what a future of `fetch` results in."""
        ...

    def fetch(self, ref: Any, values: bool, state_limit: float | None) -> Any:
        """Return a future of the `TaskResult` behind *ref*, without its values if not *values*.

        A state of more than *state_limit* bytes stays; None for a task without a state.
        """
        ...

    def describe_failure(self, error: BaseException) -> str:
        """Return a message for users about *error*, which made the backend unavailable."""
        ...

    def is_future(self, x: Any) -> bool:
        """Return whether *x* is a future of the backend's own kind."""
        ...

    def is_lost(self, ref: Any) -> bool:
        """Return whether the result behind *ref* no longer exists."""
        ...

    def is_orphaned(self, ref: Any) -> bool:
        """Return whether the workers of the task *ref* are gone and no future will report it."""
        ...

    def classify_failure(self, ref: Any, error: BaseException) -> FailureKind:
        """Return what *error*, the failure of a whole task, means; `submit` returned *ref*."""
        ...

    def value_future(self, future: Any) -> Any:
        """Return a `concurrent.futures.Future` of the value of a future of the backend's own."""
        ...

    def element_future(self, ref: Any, index: int, value: Any) -> Any:
        """Return a future of the backend's own kind for one element, to give to users.

        It is the outcome *index* of the task *ref*, or *value* if *ref* is None.
        """
        ...

    def event_loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop on which futures of the backend's own can be awaited; None if on any."""
        ...

    def shares_results(self, other: Any) -> bool:
        """Return whether results of the backend *other* can be used here."""
        ...

    def check_operator(self, spec: OperatorSpec) -> None:
        """Raise TypeError for an operator that cannot run here."""
        ...

    def client(self) -> Any:
        """Return the client or executor itself."""
        ...

    def close(self) -> None:
        """Free what belongs to the backend alone."""
        ...


#: The names of all members of `Backend`.
BACKEND_MEMBERS = frozenset(
    name for name in {**Backend.__annotations__, **vars(Backend)} if not name.startswith("_")
)


class FutureBackend:
    """Base class of backends whose tasks are `concurrent.futures`: override `submit`.

    Results come back to this process, and a task is submitted once all its inputs are here.
    An error that is a `concurrent.futures.BrokenExecutor` makes the backend unavailable.
    """

    name = "own"
    supports_dependencies = retries_worker_death = False
    crosses_process = True

    def slots(self) -> int:
        return cpu_count()

    def submit(
        self, payload: TaskPayload, dependencies: list[Any], *, isolated: bool = False
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: submit must be written")

    def decode_result(self, result: Any) -> TaskResult:
        return pickle.loads(result) if isinstance(result, bytes) else result  # type: ignore[no-any-return]

    def fetch(self, ref: Any, values: bool, state_limit: float | None) -> Any:
        return ref

    def is_lost(self, ref: Any) -> bool:
        return False

    def is_orphaned(self, ref: Any) -> bool:
        return False

    def classify_failure(self, ref: Any, error: BaseException) -> FailureKind:
        if isinstance(error, (TaskRejected, concurrent.futures.CancelledError)):
            return "retry"
        return "unavailable" if isinstance(error, concurrent.futures.BrokenExecutor) else "fail"

    def describe_failure(self, error: BaseException) -> str:
        return f"{self.name}: {error}"

    def is_future(self, x: Any) -> bool:
        return isinstance(x, concurrent.futures.Future)

    def value_future(self, future: Any) -> Any:
        return future

    def element_future(self, ref: Any, index: int, value: Any) -> Any:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_result(value)
        return future

    def shares_results(self, other: Any) -> bool:
        return other is self

    def event_loop(self) -> asyncio.AbstractEventLoop | None:
        return None

    def check_operator(self, spec: OperatorSpec) -> None:
        if self.crosses_process:
            spec.check_picklable()

    def client(self) -> Any:
        return self

    def close(self) -> None:
        """Free what belongs to the backend alone: nothing, by default."""

    def __repr__(self) -> str:
        return self.name


def cpu_count() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
