"""Event-loop affinity: asynchronous functions of users run where their futures can be awaited.

A future of `distributed` can be awaited on the loop of its client alone, which need not be the
loop of the pipeline.  An asynchronous function that gets such futures runs there, and what it
emits returns to the loop of the pipeline.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from rapidz.kernel.compile.emit import push_downstream
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
        running = keep_failures(on_that_loop(x))
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(running, loop))

    return bound


class LoopEmission:
    """Awaitable, on another loop, for an element that is emitted on the loop of its pipeline."""

    __slots__ = ("__weakref__", "_awaited", "_call")

    def __init__(self, call: LoopCall) -> None:
        self._call, self._awaited = call, False

    def __await__(self) -> Generator[Any, Any, None]:
        self._awaited = True
        return self._call.__await__()

    def detach_unless_awaited(self) -> None:
        """Let the pipeline keep a failure, if nothing has awaited the element."""
        if not self._awaited:
            self._call.detach()


_emissions: ContextVar[WeakSet[LoopEmission] | None] = ContextVar("rapidz_emissions", default=None)
"""What the asynchronous function that runs here has emitted and still refers to."""


async def keep_failures(function: Coroutine[Any, Any, Any]) -> Any:
    """Run *function*; before it ends, the pipeline takes over what it emitted and did not await.

    Its result may refer to that, and the thread of this loop may refer to the result for longer
    than the function is in flight in the pipeline: `close` must not depend on that.
    """
    emissions: WeakSet[LoopEmission] = WeakSet()
    _emissions.set(emissions)
    try:
        return await function
    finally:
        for emission in list(emissions):
            emission.detach_unless_awaited()


def emit_on_pipeline_loop(node: Stream[Any], x: Any, metadata: Any) -> LoopEmission | None:
    """Emit *x* downstream of *node* on the loop of its pipeline; None if that is running here."""
    pipeline = node._pipeline
    if not pipeline.needs_loop or loops.running_loop() is pipeline.running_on:
        return None
    call = functools.partial(push_downstream, node, x, metadata)
    emission = LoopEmission(pipeline.call_on_loop(call))
    if (emissions := _emissions.get()) is not None:
        emissions.add(emission)
    return emission
