"""Backend interface: what `scatter` asks of a place where tasks run, and a base class for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import pickle
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from rapidz.parallel.wire.outcomes import TaskResult
    from rapidz.parallel.wire.payload import TaskPayload
    from rapidz.parallel.wire.program import OperatorSpec


#: What to do about a task that failed as a whole: send it again, for it was lost by no fault of its
#: own; send it alone, for it may have ended its worker; give up, for nobody is left to do it; or
#: look for the element whose failure it is.
Verdict: TypeAlias = Literal["again", "alone", "gone", "final"]


class Unsent(RuntimeError):
    """The backend could not take a task, which is no fault of the task's."""


@runtime_checkable
class Backend(Protocol):
    """Where tasks are done.  `FutureBackend` has all of it but `submit`."""

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

    def submit(self, work: TaskPayload, needs: list[Any], *, alone: bool = False) -> Any:
        """Begin *work*, which needs the results *needs*; return what stands for its result.

        *alone*: it may end its worker, and nothing else is under way.
        """
        ...

    def loaded(self, result: Any) -> TaskResult:
        """The result, of what a future from `fetch` gives."""
        ...

    def fetch(self, ref: Any, values: bool, state_limit: float | None) -> Any:
        """Return a future of the `TaskResult` behind *ref*, if need be without its values.

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

    def check(self, spec: OperatorSpec) -> None:
        """Refuse an operator that cannot travel."""
        ...

    def client_of(self) -> Any:
        """The client or executor itself."""
        ...

    def close(self) -> None:
        """Free what belongs to the backend alone."""
        ...


#: What an object must have to be a backend.
MEMBERS = frozenset(
    name for name in {**Backend.__annotations__, **vars(Backend)} if not name.startswith("_")
)


class FutureBackend:
    """Backend whose tasks are futures of `concurrent.futures`: derive from it and write `submit`.

    Results come back to this process, and a task is sent once the values that it needs are here.
    A task that fails with `concurrent.futures.BrokenExecutor` is not done: by default the backend
    is then taken to be gone.
    """

    name = "own"
    chains = patient = False
    travels = True

    def slots(self) -> int:
        return cpus()

    def submit(self, work: TaskPayload, needs: list[Any], *, alone: bool = False) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: submit must be written")

    def loaded(self, result: Any) -> TaskResult:
        return pickle.loads(result) if isinstance(result, bytes) else result  # type: ignore[no-any-return]

    def fetch(self, ref: Any, values: bool, state_limit: float | None) -> Any:
        return ref

    def lost(self, ref: Any) -> bool:
        return False

    def stranded(self, ref: Any) -> bool:
        return False

    def verdict(self, ref: Any, error: BaseException) -> Verdict:
        if isinstance(error, (Unsent, concurrent.futures.CancelledError)):
            return "again"
        return "gone" if isinstance(error, concurrent.futures.BrokenExecutor) else "final"

    def explained(self, error: BaseException) -> str:
        return f"{self.name}: {error}"

    def is_future(self, x: Any) -> bool:
        return isinstance(x, concurrent.futures.Future)

    def value(self, future: Any) -> Any:
        return future

    def future(self, ref: Any, index: int, value: Any) -> Any:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_result(value)
        return future

    def same(self, other: Any) -> bool:
        return other is self

    def home_loop(self) -> asyncio.AbstractEventLoop | None:
        return None

    def check(self, spec: OperatorSpec) -> None:
        if self.travels:
            spec.check_picklable()

    def client_of(self) -> Any:
        return self

    def close(self) -> None:
        """Free what belongs to the backend alone."""

    def __repr__(self) -> str:
        return self.name


def cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
