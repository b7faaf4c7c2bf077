"""In-flight token: tells the pipeline that a node will emit by itself, so that `join` waits."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.protocol.node import Node


class InFlightToken:
    """Keeps `join` waiting while a node has elements that it will emit by itself.

    That of a *node* ends when the node is collected, with what it was to emit.
    """

    __slots__ = ("_pipeline", "_token")

    def __init__(self, node: Node | None = None) -> None:
        self._token: asyncio.Future[None] | None = None
        if node is not None:
            weakref.finalize(node, self._abandon).atexit = False

    def begin(self, pipeline: RuntimeContext) -> None:
        if self._token is None:
            token = pipeline.running_on.create_future()
            if self._token is None:  # a finalizer may have interrupted
                self._token, self._pipeline = token, pipeline
                pipeline.active.add(token)

    def end(self, pipeline: RuntimeContext) -> None:
        if self._token is not None:
            token, self._token = self._token, None
            pipeline.active.discard(token)
            if not token.done() and not token.get_loop().is_closed():
                token.set_result(None)

    def _abandon(self) -> None:
        """End the token, from the thread that has collected the node."""
        if (token := self._token) is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                token.get_loop().call_soon_threadsafe(self.end, self._pipeline)
