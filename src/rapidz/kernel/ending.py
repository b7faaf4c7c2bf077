"""The end of elements: flush, join, close, and what happens when the program ends."""

from __future__ import annotations

import asyncio
import atexit
import logging
import time
import warnings
from typing import TYPE_CHECKING, Any

from rapidz.kernel import loop as loops
from rapidz.kernel import signals
from rapidz.kernel.pipeline import Pipeline, pipelines
from rapidz.kernel.push import DONE
from rapidz.kernel.running import over

if TYPE_CHECKING:
    from rapidz.kernel.stream import Stream

logger = logging.getLogger("rapidz")

#: How long the interpreter waits, when it exits, for elements under way, in seconds.
EXIT_SECONDS = 10.0


def flush(node: Stream[Any]) -> Any:
    return node._pipeline.run(lambda: signals.send(node, signals.Signal.FLUSH))


def join(node: Stream[Any], timeout: float | None) -> Any:
    return wait_untilidle(node._pipeline.root(), timeout)


def close(node: Stream[Any], timeout: float | None) -> Any:
    pipeline = node._pipeline.root()
    wait = pipeline.run(lambda: signals.send(node, signals.Signal.END))
    if wait is None or wait is DONE:
        return wait_untilidle(pipeline, timeout)

    async def end() -> None:
        failure: Exception | None = None
        try:
            await wait
        except Exception as error:
            failure = error
        await drained(pipeline, timeout)
        if failure is not None:
            raise failure

    return asyncio.ensure_future(end())


def wait_untilidle(pipeline: Pipeline, timeout: float | None) -> Any:
    """Wait, in the manner of the pipeline, until nothing is under way."""
    here = loops.running_loop()
    if pipeline.loop is None or pipeline.loop.is_closed() or not pipeline.loop.is_running():
        with pipeline.turn:
            pipeline.raise_all_kept()
        if pipeline.asynchronous or (pipeline.needs_loop and here is not None):
            return pipeline.promise(None)
        return None
    if here is not None and here is pipeline.loop:
        return here.create_task(drained(pipeline, timeout))
    waiting = asyncio.run_coroutine_threadsafe(drained(pipeline, timeout), pipeline.loop)
    return asyncio.wrap_future(waiting) if here is not None else waiting.result()


async def drained(pipeline: Pipeline, timeout: float | None) -> None:
    """Return when nothing is under way in *pipeline*; raise what it kept."""
    try:
        async with asyncio.timeout(timeout):
            await idle(pipeline)
    except TimeoutError:
        count = len(pipeline.active)
        raise TimeoutError(f"join: {count} still under way after {timeout} s") from None
    pipeline.raise_all_kept()


@atexit.register
def drain_at_exit() -> None:
    """Let running pipelines finish what they have, for a while; say what is left."""
    due = time.monotonic() + EXIT_SECONDS
    for pipeline in list(pipelines):
        if pipeline.merged_into is not None:
            continue
        loop = pipeline.loop
        if pipeline.active and loop is not None and loop.is_running() and not loop.is_closed():
            waiting = asyncio.run_coroutine_threadsafe(idle(pipeline), loop)
            try:
                waiting.result(max(0.0, due - time.monotonic()))
            except TimeoutError:
                warnings.warn(
                    f"rapidz: {len(pipeline.active)} still under way when the program ended",
                    RuntimeWarning,
                    stacklevel=1,
                )
        for error in pipeline.kept:
            logger.error("a failure in a pipeline that nobody attended to", exc_info=error)


async def idle(pipeline: Pipeline) -> None:
    """Return when nothing is under way in *pipeline*."""
    while pipeline.active:
        for running in list(pipeline.active):
            await over(running)
        await asyncio.sleep(0)
