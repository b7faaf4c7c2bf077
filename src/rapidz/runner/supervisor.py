"""Supervisor: the thread that waits for a run on another thread's loop, and hears signals."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import queue
import signal
from collections.abc import Callable

from rapidz.kernel.runtime import loop as loops
from rapidz.runner.pipeline_run import EndReason, PipelineRun
from rapidz.runner.stop_signals import StopSignals

logger = logging.getLogger("rapidz.runner")

#: Longest time without a look for signals, in seconds: Windows does not interrupt a wait.
LONGEST_WAIT = 0.25


def supervise(
    run: PipelineRun,
    signals: StopSignals,
    on_tick: Callable[[], object] = lambda: None,
    every: float = LONGEST_WAIT,
) -> EndReason:
    """Execute *run* on the background loop, and wait for its end.

    A stop signal requests its end.  *on_tick* is called in this thread, *every* so many
    seconds.
    """
    future = asyncio.run_coroutine_threadsafe(run.execute(), loops.background_loop())
    future.add_done_callback(lambda _: signals.inbox.put(None))
    try:
        while not future.done():
            on_tick()
            try:
                number = signals.inbox.get(timeout=min(every, LONGEST_WAIT))
            except queue.Empty:
                continue
            if number is not None:
                logger.info("%s: the run ends", signal.Signals(number).name)
                run.request_end("signal")
        on_tick()
        return future.result()
    except concurrent.futures.CancelledError:
        raise RuntimeError("run: the event loop of the library was stopped") from None
    except BaseException:
        future.cancel()
        raise
