"""In-flight token: tells the pipeline that a node will emit by itself, so that `join` waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext


class InFlightToken:
    """Keeps `join` waiting while a node has elements that it will emit by itself."""

    __slots__ = ("_token",)

    def __init__(self) -> None:
        self._token: asyncio.Future[None] | None = None

    def begin(self, pipeline: RuntimeContext) -> None:
        if self._token is None:
            token = pipeline.running_on.create_future()
            if self._token is None:  # a finalizer may have interrupted
                self._token = token
                pipeline.active.add(token)

    def end(self, pipeline: RuntimeContext) -> None:
        if self._token is not None:
            token, self._token = self._token, None
            pipeline.active.discard(token)
            if not token.done() and not token.get_loop().is_closed():
                token.set_result(None)
