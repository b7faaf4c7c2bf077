"""What stands for an element in a task that is sent: its value, or where a worker finds it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

from rapidz.parallel.scheduling.handles import Here, Item, Remote, is_here
from rapidz.parallel.wire.containers import CONTAINERS
from rapidz.parallel.wire.outcomes import FailedElement
from rapidz.parallel.wire.payload import PackedContainer, ResultRef

if TYPE_CHECKING:
    from rapidz.parallel.backends.protocol import Backend

#: What a worker has to look up.
STAND_INS: Final = frozenset({ResultRef, PackedContainer})


class Needs:
    """The results that a task needs, each once."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        """Tasks, or futures of the backend's own."""
        self._places: dict[int, int] = {}

    def place(self, need: Any) -> int:
        """At which place *need* is."""
        at = self._places.get(id(need))
        if at is None:
            at = self._places[id(need)] = len(self.all)
            self.all.append(need)
        return at


class Encoder:
    """Finds what stands for an element in a task."""

    def __init__(self, backend: Backend, needs: Needs, uid: str) -> None:
        self._backend, self._needs, self._uid = backend, needs, uid

    def __call__(self, x: Any) -> Any:
        kind = type(x)
        if kind is Here:
            return x.value
        if kind is Remote or kind is Item:
            return self._handle(x)
        if kind in CONTAINERS:
            items = list(x.values() if kind is dict else x)
            encoded = [self(item) for item in items]
            return x if all(map(operator.is_, encoded, items)) else PackedContainer(x, encoded)
        return self._future(x) if self._backend.is_future(x) else x

    def _handle(self, x: Remote | Item) -> Any:
        task, root, backend = x.task(), x.root(), self._backend
        if task is None or not backend.supports_dependencies:
            return x.outcome()
        amended = root.index in root.batch.amended
        if is_here(x) and (amended or task.ref is None or backend.is_lost(task.ref)):
            return x.outcome()
        return ResultRef(self._needs.place(task), root.index - task.start, x.path())

    def _future(self, future: Any) -> Any:
        """What stands for a future that comes from a node of the user's own."""
        if self._backend.supports_dependencies:
            return ResultRef(self._needs.place(future))
        if future.cancelled():
            return FailedElement(self._uid, 0, future, RuntimeError("the future was cancelled"))
        error = future.exception()
        return future.result() if error is None else FailedElement(self._uid, 0, future, error)
