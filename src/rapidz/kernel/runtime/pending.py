"""What a node still has to do: it keeps `join` waiting, and a dropped node stops its clock."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.protocol.node import Node


class PendingToken:
    """Says to the pipeline that a node holds elements which it will emit by itself."""

    __slots__ = ("_token",)

    def __init__(self) -> None:
        self._token: asyncio.Future[None] | None = None

    def begin(self, pipeline: RuntimeContext) -> None:
        if self._token is None:
            token = pipeline.running_on.create_future()
            if self._token is None:  # a finalizer may have come in between
                self._token = token
                pipeline.active.add(token)

    def end(self, pipeline: RuntimeContext) -> None:
        if self._token is not None:
            token, self._token = self._token, None
            pipeline.active.discard(token)
            if not token.done() and not token.get_loop().is_closed():
                token.set_result(None)


class Timer:
    """One timer, to be set and set again; that of a *node* stops when the node is dropped."""

    def __init__(self, node: Node | None = None) -> None:
        self._handle: asyncio.TimerHandle | None = None
        if node is not None:
            weakref.finalize(node, self.cancel).atexit = False

    def set(self, pipeline: RuntimeContext, when: float, action: Callable[[], object]) -> None:
        """Do *action* at the instant *when* of the pipeline's clock, and nothing before."""
        self.cancel()
        clock = pipeline.clock

        def ring() -> None:
            if clock.time() < when:  # a loop calls early by as much as its clock is coarse
                self._handle = clock.call_at(when, ring)
            else:
                action()

        self._handle = clock.call_at(when, ring)

    def is_set(self) -> bool:
        return self._handle is not None and not self._handle.cancelled()

    def cancel(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.cancel()
