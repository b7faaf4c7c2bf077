"""Keeps Python's stack flat, however long the way of an element is."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from rapidz.kernel.push import Pending, Push, group, when_all

if TYPE_CHECKING:
    from rapidz.kernel.pipeline import Pipeline


class Trampoline:
    """Takes up elements one after the other that would else pile up on the stack.

    The first push through a trampoline runs at once and then sees to all those
    that came in meanwhile; these return at once.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = weakref.ref(pipeline)
        self._queue: deque[tuple[Push[Any], Any]] | None = None

    def take(self, push: Push[Any]) -> Push[Any]:
        def hop(x: Any) -> Pending:
            if self._queue is not None:
                self._queue.append((push, x))
                return None
            return self._drive(push, x)

        return hop

    def _drive(self, push: Push[Any], x: Any) -> Pending:
        self._queue = queue = deque([(push, x)])
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
            self._queue = None
        if not waits:
            if errors:
                raise group(errors, "elements")
            return None
        pipeline = self._pipeline()
        if len(waits) == 1 and not errors:
            return waits[0]
        return None if pipeline is None else pipeline.start(when_all(waits, errors))
