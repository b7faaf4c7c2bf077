"""Timer on the clock of a pipeline."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.protocol.node import Node


class Timer:
    """Timer that may be set again and again.

    That of a *node* is cancelled when the node is collected.
    """

    def __init__(self, node: Node | None = None) -> None:
        self._handle: asyncio.TimerHandle | None = None
        if node is not None:
            weakref.finalize(node, self.cancel).atexit = False

    def set(self, pipeline: RuntimeContext, when: float, action: Callable[[], object]) -> None:
        """Call *action* at the instant *when* of the clock; cancel what was set before."""
        self.cancel()
        clock = pipeline.clock

        def fire() -> None:
            if clock.time() < when:  # a loop calls early by as much as its clock is coarse
                self._handle = clock.call_at(when, fire)
            else:
                action()

        self._handle = clock.call_at(when, fire)

    def is_set(self) -> bool:
        return self._handle is not None and not self._handle.cancelled()

    def cancel(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.cancel()
