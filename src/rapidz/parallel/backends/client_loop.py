"""Event-loop affinity: asynchronous functions of users run where their futures can be awaited.

A future of `distributed` can be awaited on the loop of its client alone, which need not be the
loop of the pipeline.  An asynchronous function that gets such futures runs there, and what it
emits returns to the loop of the pipeline.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any

from rapidz.kernel.compile.entry import push_downstream
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.failures import interrupted
from rapidz.kernel.runtime.loop_call import LoopCall
from rapidz.parallel.backends.protocol import Backend


def bind_to_loop(call: Callable[[Any], Any], backend: Backend) -> Callable[[Any], Any]:
    """Make *call*, an asynchronous function, run on the loop of *backend*."""

    async def on_that_loop(x: Any) -> Any:
        try:
            result = call(x)
            return await result if inspect.isawaitable(result) else result
        except (SystemExit, KeyboardInterrupt) as error:
            raise interrupted(error) from error  # that loop serves others too

    async def bound(x: Any) -> Any:
        loop = backend.event_loop()
        if loop is None or loop is asyncio.get_running_loop() or not loop.is_running():
            return await on_that_loop(x)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(on_that_loop(x), loop))

    return bound


class LoopEmission:
    """Awaitable, on another loop, for an element that is emitted on the loop of its pipeline."""

    __slots__ = ("_call",)

    def __init__(self, call: LoopCall) -> None:
        self._call = call

    def __await__(self) -> Generator[Any, Any, None]:
        return self._call.__await__()


def emit_on_pipeline_loop(node: Stream[Any], x: Any, metadata: Any) -> LoopEmission | None:
    """Emit *x* downstream of *node* on the loop of its pipeline; None if that is running here."""
    pipeline = node._pipeline
    if not pipeline.needs_loop or loops.running_loop() is pipeline.running_on:
        return None
    call = functools.partial(push_downstream, node, x, metadata)
    return LoopEmission(pipeline.call_on_loop(call))
