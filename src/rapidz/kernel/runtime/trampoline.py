"""Trampolines: they keep Python's stack flat, however many nodes an element passes."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.push import Pending, Push, exception_group, when_all
from rapidz.kernel.runtime.tasks import exception_of

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.runtime.pipeline_lock import PipelineLock

#: How many emits of one pipeline may be on the stack, one within the other.
MAX_NESTED = 64

#: How much of Python's stack is left to the functions of users and to long pipelines.
STACK_RESERVE = 300


class Trampoline:
    """Takes up elements one after the other that would else pile up on the stack.

    The first push through a trampoline runs at once and then takes up all those
    that arrived meanwhile, in the same thread; these return at once.  What an
    interruption (`KeyboardInterrupt`, `SystemExit` …) leaves in the queue is
    taken up by `resume`.
    """

    def __init__(self, pipeline: RuntimeContext) -> None:
        self._pipeline = weakref.ref(pipeline)
        self._lock = pipeline.lock
        self._join_queues: dict[int, deque[tuple[Push[Any], Any]]] = {}
        self.interrupted: deque[tuple[Push[Any], Any]] = deque()
        """What interruptions have left."""
        self.nested = 0
        """How many emits are on the stack."""
        self.returned = 0
        """How many elements have come back by way of this trampoline."""

    def belong_to(self, lock: PipelineLock) -> None:
        """Use another *lock*: that of the parent means nothing in a forked child."""
        self._lock = lock
        self.nested = 0

    def take(self, push: Push[Any], *, feedback: bool) -> Push[Any]:
        """Return *push* by way of the trampoline.

        An element that is *fed back* is not waited for: it may have to queue
        behind the very element that it results from.
        """

        def hop(x: Any) -> Pending:
            if feedback:
                self.returned += 1
            queue = self._join_queues.get(get_ident())
            if queue is not None:
                queue.append((push, x))
                return None
            wait = self._drive(push, x)
            return None if feedback else wait

        return hop

    def emit(self, push: Push[Any], x: Any) -> Pending:
        """Push *x*, emitted by way of the general entrance.

        At once, as long as few emits are on the stack, so that feedback is depth
        first; beyond that, one after the other.
        """
        if self.nested:
            self.returned += 1
            if self.nested >= MAX_NESTED or is_deep():
                queue = self._join_queues.get(get_ident())
                if queue is not None:
                    queue.append((push, x))
                    return None
                return self._drive(push, x)
        # From here to `try` there is no call, so that no interruption can arrive in between.
        lock, me = self._lock, get_ident()
        inside, busy = lock.inside, lock.busy
        lock.inside = me
        lock.busy = True
        self.nested += 1
        has_lock = True  # pyright: ignore[reportUnusedVariable] - interrupts look for it
        try:
            return push(x)
        finally:
            self.nested -= 1
            lock.inside, has_lock = inside, False  # noqa: F841 # pyright: ignore[reportUnusedVariable]
            lock.busy = busy
            if lock.waiters and not busy:
                lock.pass_on()

    def within(self, action: Callable[[], Any]) -> Any:
        """Do *action*; what it emits counts as emitted from within."""
        lock, me = self._lock, get_ident()
        inside, busy = lock.inside, lock.busy
        lock.inside = me
        lock.busy = True
        self.nested += 1
        try:
            return action()
        finally:
            self.nested -= 1
            lock.inside = inside
            lock.busy = busy
            if lock.waiters and not busy:
                lock.pass_on()

    def _drive(self, push: Push[Any], x: Any) -> Pending:
        me = get_ident()
        self._join_queues[me] = queue = deque([(push, x)])
        waits: list[Awaitable[object]] = []
        errors: list[Exception] = []
        try:
            while queue:
                push, x = queue.popleft()
                try:
                    if (wait := push(x)) is not None and not _is_well(wait):
                        waits.append(wait)
                except Exception as error:
                    errors.append(error)
        except BaseException:
            self._leave(queue, errors)
            raise
        finally:
            del self._join_queues[me]
        if not waits:
            if errors:
                raise exception_group(errors, "elements")
            return None
        pipeline = self._pipeline()
        if len(waits) == 1 and not errors:
            return waits[0]
        return None if pipeline is None else pipeline.start(when_all(waits, errors))

    def _leave(self, queue: deque[tuple[Push[Any], Any]], errors: list[Exception]) -> None:
        """Keep for later what an interruption does not let come through now."""
        pipeline = self._pipeline()
        if pipeline is None:
            return
        for error in errors:
            pipeline.record_failure(error)
        if queue:
            self.interrupted.extend(queue)
            pipeline.resume_later(self)

    def resume(self) -> None:
        """Take up what interruptions have left; what fails is kept."""
        pipeline = self._pipeline()
        while self.interrupted and pipeline is not None:
            push, x = self.interrupted.popleft()
            try:
                self._drive(push, x)
            except Exception as error:
                pipeline.record_failure(error)


def is_deep() -> bool:
    """Return whether little is left of Python's stack."""
    limit = sys.getrecursionlimit()
    try:
        sys._getframe(max(limit - STACK_RESERVE, limit // 2))
    except ValueError:
        return False
    return True


def _is_well(wait: Any) -> bool:
    """Return whether *wait* has ended, and nothing failed."""
    return isinstance(wait, asyncio.Future) and wait.done() and exception_of(wait) is None
