"""Task dependencies: the payload of a task, and the results of other tasks that it refers to."""

from __future__ import annotations

import operator
from typing import Any, Final

from rapidz.parallel.backends.protocol import Backend
from rapidz.parallel.scheduling.handles import (
    HANDLES,
    ItemHandle,
    LocalHandle,
    RemoteHandle,
    is_local,
    iter_handles,
)
from rapidz.parallel.scheduling.task import Task
from rapidz.parallel.wire.containers import CONTAINERS, iter_leaves
from rapidz.parallel.wire.outcomes import PENDING, SPECIAL, FailedElement
from rapidz.parallel.wire.payload import PackedContainer, ResultRef, TaskPayload

#: What a worker has to dereference.
REFERENCES: Final = frozenset({ResultRef, PackedContainer})


class InputEncoder:
    """Encoder of inputs: a value as it is, a remote element as a reference to its result."""

    def __init__(self, backend: Backend, uid: str) -> None:
        self._backend, self._uid = backend, uid
        self.dependencies: list[Any] = []
        """What is referred to, each once: tasks, or futures of the backend's own kind."""
        self._indexes: dict[int, int] = {}

    def index(self, dependency: Any) -> int:
        """Return the index of *dependency*; add it if it is new."""
        at = self._indexes.setdefault(id(dependency), len(self.dependencies))
        if at == len(self.dependencies):
            self.dependencies.append(dependency)
        return at

    def __call__(self, x: Any) -> Any:
        kind = type(x)
        if kind is LocalHandle:
            return x.value
        if kind is RemoteHandle or kind is ItemHandle:
            return self._encode_handle(x)
        if kind in CONTAINERS:
            items = list(x.values() if kind is dict else x)
            encoded = [self(item) for item in items]
            return x if all(map(operator.is_, encoded, items)) else PackedContainer(x, encoded)
        return self._encode_future(x) if self._backend.is_future(x) else x

    def _encode_handle(self, x: RemoteHandle | ItemHandle) -> Any:
        task, root, backend = x.task(), x.root(), self._backend
        if task is None or not backend.supports_dependencies:
            return x.outcome()
        amended = root.index in root.batch.amended
        if is_local(x) and (amended or task.ref is None or backend.is_lost(task.ref)):
            return x.outcome()
        return ResultRef(self.index(task), root.index - task.start, x.path())

    def _encode_future(self, future: Any) -> Any:
        """Encode a future that a user's node has emitted."""
        if self._backend.supports_dependencies:
            return ResultRef(self.index(future))
        cancelled = future.cancelled()
        error = RuntimeError("the future was cancelled") if cancelled else future.exception()
        return future.result() if error is None else FailedElement(self._uid, 0, future, error)


def build_payload(task: Task, backend: Backend) -> tuple[TaskPayload, list[Any]]:
    """Return the payload of *task*, and the tasks and futures on which it depends."""
    chain = task.chain
    if backend.crosses_process and not chain.is_picklable():
        task.splits_left = [0]  # the cause is the chain: smaller tasks would fail as well
    encode = InputEncoder(backend, chain.uid)
    payload = TaskPayload(chain, task.inputs)
    payload.crosses_process = backend.crosses_process
    if not task.raw:
        payload.inputs = [encode(x) for x in task.inputs]
        kinds = set(map(type, payload.inputs))
        payload.bare = REFERENCES.isdisjoint(kinds)
        payload.special = payload.bare and not SPECIAL.isdisjoint(kinds)
    if chain.stateful and task.previous is not None:
        payload.retry = task.owner.retry
        source = task.previous.state_source()
        if source.state is not PENDING:
            payload.state = source.state
        else:
            payload.state_at = encode.index(source)
    return payload, encode.dependencies


def is_ready(x: Any, backend: Backend) -> bool:
    """Return whether a task with *x* among its inputs can be submitted."""
    if backend.supports_dependencies:
        return all(
            type(handle) is LocalHandle or handle.task() is not None for handle in iter_handles(x)
        )
    return is_local(x) and all(future.done() for future in futures_in(x, backend))


def futures_in(x: Any, backend: Backend) -> list[Any]:
    """Return the futures of the backend's own kind in *x*, which a user's node has emitted."""
    is_future = backend.is_future
    return [leaf for leaf in iter_leaves(x) if type(leaf) not in HANDLES and is_future(leaf)]
