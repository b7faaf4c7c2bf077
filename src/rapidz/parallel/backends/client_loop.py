"""Asynchronous functions of users on the event loop that their futures are bound to.

A future of `distributed` can be awaited on the loop of its client alone, which need not be the
loop of the pipeline.  So an asynchronous function that gets such futures runs there, and what it
emits comes back.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from rapidz.kernel.compile.entry import push_below
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.failures import interrupted

if TYPE_CHECKING:
    from rapidz.kernel.graph.pipeline import LoopCall
    from rapidz.kernel.graph.stream import Stream
    from rapidz.parallel.backends.protocol import Backend


def bound(call: Callable[[Any], Any], backend: Backend) -> Callable[[Any], Any]:
    """Make *call*, an asynchronous function, run on the loop of *backend*."""

    async def there(x: Any) -> Any:
        try:
            result = call(x)
            return await result if inspect.isawaitable(result) else result
        except (SystemExit, KeyboardInterrupt) as error:
            raise interrupted(error) from error  # that loop serves others too

    async def here(x: Any) -> Any:
        loop = backend.home_loop()
        if loop is None or loop is asyncio.get_running_loop() or not loop.is_running():
            return await there(x)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(x), loop))

    return here


class Emitted:
    """What another loop awaits for an element to be through."""

    __slots__ = ("_hop",)

    def __init__(self, hop: LoopCall) -> None:
        self._hop = hop

    def __await__(self) -> Generator[Any, Any, None]:
        return self._hop.__await__()


def emitted(node: Stream[Any], x: Any, metadata: Any) -> Emitted | None:
    """Push what *node* emits on the loop of its pipeline; None if that is the loop here."""
    pipeline = node._pipeline.root()
    if not pipeline.needs_loop or loops.running_loop() is pipeline.running_on:
        return None
    return Emitted(pipeline.call_on_loop(functools.partial(push_below, node, x, metadata)))
