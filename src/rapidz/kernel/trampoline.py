"""Keeps Python's stack flat, however long the way of an element is."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Awaitable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from rapidz.kernel.push import Pending, Push, group, when_all

if TYPE_CHECKING:
    from rapidz.kernel.pipeline import Pipeline


class Trampoline:
    """Takes up elements one after the other that would else pile up on the stack.

    The first push through a trampoline runs at once and then sees to all those
    that came in meanwhile, in the same thread; these return at once.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = weakref.ref(pipeline)
        self._queues: dict[int, deque[tuple[Push[Any], Any]]] = {}

    def take(self, push: Push[Any], *, feedback: bool) -> Push[Any]:
        """Return *push* by way of the trampoline.

        An element that is *fed back* is not waited for: it may have to queue
        behind the very element that it came of.
        """

        def hop(x: Any) -> Pending:
            queue = self._queues.get(get_ident())
            if queue is not None:
                queue.append((push, x))
                return None
            wait = self._drive(push, x)
            return None if feedback else wait

        return hop

    def _drive(self, push: Push[Any], x: Any) -> Pending:
        me = get_ident()
        self._queues[me] = queue = deque([(push, x)])
        waits: list[Awaitable[object]] = []
        errors: list[Exception] = []
        try:
            while queue:
                push, x = queue.popleft()
                try:
                    if (wait := push(x)) is not None:
                        waits.append(wait)
                except Exception as error:
                    errors.append(error)
        finally:
            del self._queues[me]
        if not waits:
            if errors:
                raise group(errors, "elements")
            return None
        pipeline = self._pipeline()
        if len(waits) == 1 and not errors:
            return waits[0]
        return None if pipeline is None else pipeline.start(when_all(waits, errors))
