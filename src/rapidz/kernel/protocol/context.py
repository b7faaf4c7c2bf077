"""Context of a node: protocols of the pipeline and the outlet that a node uses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from weakref import WeakSet

from rapidz.kernel.protocol.clock import Clock
from rapidz.kernel.protocol.push import Pending, Push


class RuntimeContext(Protocol):
    """The side of a pipeline that its tasks, queues, gates and timers see."""

    active: set[Any]
    """Tasks and futures that `join` waits for."""
    gates: WeakSet[Any]
    lock: Any
    loop: asyncio.AbstractEventLoop | None
    needs_loop: bool
    pending_failures: Any
    reentry: Any
    threads: Any
    tracked: bool
    """Whether elements carry metadata."""

    @property
    def running_on(self) -> asyncio.AbstractEventLoop: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def monotonic(self) -> Callable[[], float]: ...

    def check_loop(self) -> None: ...

    def start(self, awaitable: Awaitable[object]) -> Pending: ...

    def run_unless_awaited(self, task: Any) -> None: ...

    def resume_later(self, trampoline: Any) -> None: ...

    def record_emitters(self) -> None: ...

    def record_failure(self, error: Exception, *, log_at_once: bool = False) -> None: ...

    def record_interruption(self, error: BaseException) -> None: ...


class PipelineContext(RuntimeContext, Protocol):
    """The side of a pipeline that compilation sees."""

    alignment: tuple[int, Any] | None
    asynchronous: bool | None
    compiled: bool
    edits: int
    joins: WeakSet[Any]
    policies: int
    time: Any
    records_emitters: bool
    trampoline: Any

    def absorb(self, other: Any) -> Any: ...

    def is_one_with(self, other: object) -> bool: ...

    def runs_here(self) -> bool: ...

    def emit_blocks(self) -> bool: ...

    def run(self, action: Callable[[], Pending], *, asynchronous: bool = False) -> Any: ...

    def as_awaitable(self, wait: Pending) -> Awaitable[object]: ...

    def failed_awaitable(self, error: Exception) -> Awaitable[object]: ...

    def has_interrupted(self) -> bool: ...

    def resume_interrupted(self) -> None: ...

    def raise_pending(self) -> None: ...

    def enable_tracking(self) -> None: ...


class OutletContext(Protocol):
    """The compiled push of the edges of a node."""

    run: Any
    linked: bool
    depth: int
    version: int

    @property
    def push(self) -> Push[Any]:
        """The push for a step that pushes once and at once."""
        ...

    @property
    def send(self) -> Push[Any]:
        """The push for all other steps: an edit of the graph reaches it."""
        ...

    @property
    def push_many(self) -> Callable[[Any], Pending] | None:
        """The push of a `BulkSlice`, if the one node downstream can take it."""
        ...

    @property
    def capacity(self) -> Callable[[], int] | None:
        """The capacity for `push_many`, if that has a bound."""
        ...

    def link(self) -> None: ...

    def connect(self, node: Any, branches: Any) -> None: ...

    def fused(self, form: Any, node: Any, **surroundings: Any) -> Callable[..., Any]: ...

    def invalidate(self) -> None: ...
