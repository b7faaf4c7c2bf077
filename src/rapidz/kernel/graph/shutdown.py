"""Shutdown: flush, join, close, and the drain at the exit of the interpreter."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import importlib
import logging
import threading
import time
import warnings
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from rapidz.kernel.compile.feedback import function_within, is_feedback
from rapidz.kernel.graph import signals
from rapidz.kernel.graph.signals import Signal
from rapidz.kernel.protocol.push import DONE, Pending, exception_group, when_all
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.futures import wait_for
from rapidz.kernel.runtime.loop_call import LoopCall
from rapidz.kernel.runtime.pipeline import Pipeline, all_pipelines
from rapidz.kernel.runtime.tasks import detach, wait_done
from rapidz.kernel.runtime.thread_future import ThreadFuture

if TYPE_CHECKING:
    from rapidz.kernel.graph.engine_node import EngineNode

logger = logging.getLogger("rapidz")

#: Called when the program ends, before pipelines drain.
before_exit: list[Callable[[], object]] = []

#: Called when the program ends and pipelines have drained.
after_drain: list[Callable[[], object]] = []

#: Called when the program ends and has waited in vain.
after_exit_timeout: list[Callable[[], object]] = []

#: How many nodes a report names.
NODES_NAMED = 5

#: How long the interpreter waits, when it exits, for elements in flight, in seconds.
EXIT_SECONDS = 10.0


def flush(node: EngineNode) -> Any:
    """Send a flush from *node*, where its nodes run; return what `emit` does."""
    if node._pipeline.needs_running_loop():
        return _in_loop(lambda: flush(node))

    def action() -> Pending:
        wait = signals.send(node, Signal.FLUSH)
        for stream in signals.streams_of_failures(node._pipeline, ended=False):
            signals.send(stream, Signal.FLUSH)
        wait = detach(node._pipeline, wait)
        return None if wait is None or is_feedback(node) else wait

    return node._pipeline.run(action)


async def _in_loop(action: Callable[[], Any]) -> None:
    """Do *action* in the loop that runs this: elements are left over from one that has ended."""
    await wait_for(action())


def join(node: EngineNode, timeout: float | None) -> Any:
    """Wait until the pipeline of *node* is idle; refuse calls that would wait for themselves."""
    pipeline = node._pipeline
    if pipeline.needs_running_loop():
        return _in_loop(lambda: join(node, timeout))
    if (function := function_within(pipeline)) is not None:
        raise RuntimeError(
            f"join: called by {function}, which it would wait for; call it outside of "
            "the functions of the pipeline"
        )
    return wait_until_idle(pipeline, timeout)


@contextlib.contextmanager
def noted_on(error: BaseException | None, node: EngineNode) -> Iterator[None]:
    """Add a failure of the end of a stream to *error*, that of its ``with`` block, as a note."""
    try:
        yield
    except Exception as late:
        if error is None:
            raise
        if late is not error:
            error.add_note(f"{node}: at its close: {type(late).__name__}: {late}")


def close(node: EngineNode, timeout: float | None, *, at_once: bool = False) -> Any:
    """End the stream at *node*; *at_once*: sources are stopped, and not waited for."""
    pipeline = node._pipeline
    if pipeline.needs_running_loop():
        return _in_loop(lambda: close(node, timeout, at_once=at_once))
    within = pipeline.lock.is_taken_here()
    by_itself = not within and function_within(pipeline) is not None
    at_once = at_once or within or by_itself
    if not at_once and (running := _ends_of_data(node)):
        return _close_after(running, node, timeout)
    node._before_end(at_once)
    if within:
        return _close_later(node)
    failure: Exception | None = None
    wait: Any = None
    try:
        wait = pipeline.run(lambda: detach(pipeline, signals.send(node, Signal.END)))
    except Exception as error:  # the flush at the end failed; the rest continues
        failure = error
    if by_itself:  # detached: the caller would wait for itself
        return (
            pipeline.as_awaitable(None) if failure is None else pipeline.failed_awaitable(failure)
        )
    if wait is None or wait is DONE:
        try:
            result = wait_until_idle(pipeline, timeout)
        except Exception as error:
            raise (
                error if failure is None else exception_group([failure, error], "elements")
            ) from None
        if failure is not None:
            raise failure
        return result
    if isinstance(wait, ThreadFuture):  # in flight on a loop of another thread
        return pipeline.call_on_loop(
            lambda: asyncio.ensure_future(_finish_close(wait, pipeline, timeout))
        )
    return asyncio.ensure_future(_finish_close(wait, pipeline, timeout))


def _ends_of_data(node: EngineNode) -> list[asyncio.Future[None]]:
    """Return what says that the finite sources at or upstream of *node* are done."""
    found, seen = [], {node}
    stack = [node]
    while stack:
        at = stack.pop()
        if (end := at._end_of_data()) is not None:
            found.append(end)
        ahead = [up for up in at.upstreams if up is not None and up not in seen]
        seen.update(ahead)
        stack += ahead
    return found


def _close_after(
    sources: list[asyncio.Future[None]], node: EngineNode, timeout: float | None
) -> Any:
    """Close *node* once *sources* are done."""
    here, loop, pipeline = loops.running_loop(), sources[0].get_loop(), node._pipeline

    async def closing() -> None:
        began = loop.time()
        _, late = await asyncio.wait(sources, timeout=timeout)
        left = None if timeout is None else max(0.0, timeout - (loop.time() - began))
        if (wait := close(node, left, at_once=bool(late))) is not None:
            await wait
        if late:
            raise TimeoutError(
                f"close: {counted(len(late), 'source')} still running after {timeout} s; "
                f"the stream was ended at {node}"
            )

    if here is loop:
        return loop.create_task(closing())

    def begin() -> Pending:
        return asyncio.ensure_future(closing())

    if not pipeline.emit_blocks():
        return pipeline.call_on_loop(begin)
    pipeline.call(begin)
    return None if here is None else DONE


def _close_later(node: EngineNode) -> Any:
    """End the stream when the element in flight, of which this is called, is through."""
    pipeline = node._pipeline
    signals.refuse(node)

    def end() -> None:
        try:
            detach(pipeline, signals.send(node, Signal.END))
            if not pipeline.needs_loop:
                end_streams_of_failures(pipeline)
        except Exception as error:
            pipeline.record_failure(error)

    pipeline.lock.waiters.appendleft(end)
    return pipeline.as_awaitable(None) if pipeline.needs_loop or pipeline.asynchronous else None


async def _finish_close(wait: Awaitable[object], pipeline: Pipeline, timeout: float | None) -> None:
    """Return when all nodes have ended and nothing is in flight; raise what failed."""
    drain = asyncio.ensure_future(wait_drained(pipeline, timeout))
    await when_all([wait, drain], [], "elements")


def wait_until_idle(pipeline: Pipeline, timeout: float | None) -> Any:
    """Wait, in the manner of the pipeline, until nothing is in flight."""
    here = loops.running_loop()
    if pipeline.has_queued_elements():
        pipeline.bind()
    loop = pipeline.loop if pipeline.is_alive() else None
    if loop is None:
        with pipeline.lock:
            pipeline.resume_interrupted()
            end_streams_of_failures(pipeline)
            pipeline.raise_all_pending()
        if pipeline.asynchronous or (pipeline.needs_loop and here is not None):
            return pipeline.as_awaitable(None)
        return None
    if here is loop:
        return loop.create_task(wait_drained(pipeline, timeout))
    left = threading.Event()

    def drain() -> Pending:
        return asyncio.ensure_future(wait_drained(pipeline, timeout, left))

    if not pipeline.emit_blocks():
        return pipeline.call_on_loop(drain)
    waiting = LoopCall(pipeline)
    try:
        pipeline.call(drain, waiting)
    except KeyboardInterrupt:
        left.set()
        waiting.add_done_callback(functools.partial(_return_failures, pipeline))
        raise
    return None if here is None else DONE


def _return_failures(pipeline: Pipeline, waiting: ThreadFuture[None]) -> None:
    """Keep for others what was about to be raised to one who was interrupted."""
    error = waiting.exception()
    for failure in error.exceptions if isinstance(error, ExceptionGroup) else [error]:
        if isinstance(failure, Exception) and not isinstance(failure, TimeoutError):
            pipeline.record_failure(failure)


def end_streams_of_failures(pipeline: Pipeline) -> bool:
    """End the streams that will get no failures any more; whether there was one."""
    streams = signals.streams_of_failures(pipeline, ended=True)
    for stream in streams:
        signals.send(stream, Signal.END)
    return bool(streams)


async def wait_drained(
    pipeline: Pipeline, timeout: float | None, left: threading.Event | None = None
) -> None:
    """Return when nothing is in flight in *pipeline*; raise its pending failures.

    *left*: set if no caller waits for that any more.
    """
    try:
        async with asyncio.timeout(timeout):
            await wait_idle(pipeline)
            while end_streams_of_failures(pipeline):
                await wait_idle(pipeline)
    except TimeoutError:
        if count := len(pipeline.active):
            raise TimeoutError(f"join: {count} still in flight after {timeout} s") from None
    if left is None or not left.is_set():
        pipeline.raise_all_pending()


def drain_at_exit() -> None:
    """Let running pipelines finish what they have, for a while."""
    for prepare in before_exit:
        prepare()
    if not _deadline:
        _deadline.append(time.monotonic() + EXIT_SECONDS)
    while busy := [pipeline for pipeline in all_pipelines() if pipeline.is_busy()]:
        for pipeline in busy:
            waiting = asyncio.run_coroutine_threadsafe(wait_idle(pipeline), pipeline.running_on)
            try:
                waiting.result(max(0.0, _deadline[0] - time.monotonic()))
            except TimeoutError:
                _still_busy.extend(map(weakref.ref, busy))
                for callback in after_exit_timeout:
                    callback()
                return _log_kept()
    for release in after_drain:
        release()
    return _log_kept()


#: When the drain at exit times out: the program may ask for it several times.
_deadline: list[float] = []
#: The pipelines that were still busy then.
_still_busy: list[weakref.ref[Pipeline]] = []


def report_at_exit() -> None:
    """Warn of the elements that pipelines still buffer: exit does not flush.

    The last thing that the library does: threads that outlive the main one may
    emit, and close pipelines, until here.
    """
    if not _still_busy:
        _deadline.clear()
        drain_at_exit()
    late = [pipeline for ref in _still_busy if (pipeline := ref()) is not None]
    for pipeline in all_pipelines():
        if pipeline.is_of_this_process():
            left = _what_is_left(pipeline) or (pipeline in late and _what_goes_on(pipeline))
            if left:
                _warn(left)


def _warn(text: str) -> None:
    try:  # no registry: two pipelines with the same to report are reported both
        warnings.warn_explicit(text, RuntimeWarning, "rapidz", 0, "rapidz")
    except RuntimeWarning:  # the filter makes it an error, which nothing is left to catch
        logger.exception("when the program ended:")


def _what_is_left(pipeline: Pipeline) -> str:
    """Describe what *pipeline* buffers, "" if nothing."""
    counts = buffered(pipeline)
    if not counts:
        return ""
    total = sum(counts.values())
    nodes = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    places = [f"{count} in {node}" for node, count in nodes[:NODES_NAMED]]
    if len(nodes) > NODES_NAMED:
        places.append(f"the rest in {len(nodes) - NODES_NAMED} more nodes")
    return (
        f"{counted(total, 'element')} buffered when the program ended, and never emitted: "
        f"{', '.join(places)}; to emit all, use the source in a `with` block, or call its close()"
    )


def _what_goes_on(pipeline: Pipeline) -> str:
    return (
        f"{counted(len(pipeline.active), 'call')} still in flight in a pipeline after "
        f"{EXIT_SECONDS:g} s, when the program ended"
    )


def counted(n: int, noun: str) -> str:
    """*n* and its noun: "1 element", "2 elements"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def buffered(pipeline: Pipeline) -> dict[EngineNode, int]:
    """Return how many elements each node of *pipeline* buffers, those left out that buffer none."""
    counts: dict[EngineNode, int] = {}
    for node in list(pipeline.nodes):
        with contextlib.suppress(Exception):  # the node may change meanwhile, in another thread
            if count := node._count_buffered():
                counts[node] = count
    return counts


def _log_kept() -> None:
    for pipeline in all_pipelines():
        pipeline.pending_failures.log_all()


def drain_first() -> None:
    """Register the drain of pipelines ahead of all that registered so far to shut down.

    The pools of threads and processes must be there still: `atexit` comes too late. What
    registered last is called first, so code that adds pools calls this again.
    """
    getattr(threading, "_register_atexit", atexit.register)(drain_at_exit)


importlib.import_module("concurrent.futures.thread")
drain_first()
atexit.register(report_at_exit)


async def wait_idle(pipeline: Pipeline) -> None:
    """Return when nothing is in flight in *pipeline*, and acknowledgements are reported."""
    while True:
        for running in list(pipeline.active):
            await wait_done(running)
        await asyncio.sleep(0)  # callbacks of the last elements run, and may start something
        if not pipeline.active:
            return
