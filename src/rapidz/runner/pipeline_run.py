"""Run of pipelines: from the start of their sources to the end of their sinks.

A run starts the sources and waits until all of them are done, or something ends it: a
request, a time limit, a source that has failed.  Then it stops the sources, waits until
their last elements are delivered, and closes the pipelines, those that emit to another one
first.  So every element that a source has emitted reaches the sinks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

from rapidz.kernel.graph import shutdown
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import DONE
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.failures import StreamClosed
from rapidz.runner.counts import FlowCounter
from rapidz.runner.drain_notice import note_long_drain
from rapidz.runner.selection import SelectedPipeline, identity, select
from rapidz.sources.base import ACTIVE, Source
from rapidz.sources.run import SourceRun, active_runs

logger = logging.getLogger("rapidz.runner")

EndReason: TypeAlias = Literal["done", "time", "idle", "signal", "failure"]
RunPhase: TypeAlias = Literal["starting", "running", "stopping", "closing", "ended"]

#: Seconds between two looks at the sources.
TICK = 0.1
#: Seconds that a source has to end after `stop`, once nothing else is in flight.
STOP_SECONDS = 5.0

#: How often to look for acknowledgements that others have caused.
ROUNDS = 3


class PipelineRun:
    """One run of some pipelines; `execute` is its coroutine.

    Parameters
    ----------
    streams : iterable of Stream
        Any node of each pipeline.
    time_limit : float, optional
        Seconds after which the sources are stopped.
    idle_limit : float, optional
        Seconds without an element, and with nothing in flight, after which they are stopped.
    counts : bool
        Whether to count the elements of sources and sinks.
    is_fatal : callable, optional
        Called with a pending failure, behind a queue: returns whether it ends the run.
    """

    def __init__(
        self,
        streams: Iterable[Stream[Any]],
        time_limit: float | None = None,
        idle_limit: float | None = None,
        counts: bool = False,
        is_fatal: Callable[[Exception], bool] | None = None,
    ) -> None:
        self.selected: list[SelectedPipeline] = select(streams)
        self.phase: RunPhase = "starting"
        self.failures: list[Exception] = []
        self.counter = FlowCounter(self.selected) if counts or idle_limit is not None else None
        self._is_fatal = is_fatal
        self._time_limit, self._idle_limit = time_limit, idle_limit
        self._request: EndReason | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Future[None] | None = None

    @property
    def sources(self) -> list[Source[Any]]:
        """All sources of the pipelines that emit by themselves."""
        return [source for each in self.selected for source in each.sources]

    def request_end(self, reason: EndReason = "signal") -> None:
        """Stop the sources and close the pipelines; from any thread."""
        self._request = self._request or reason
        if self.phase == "running":
            self.phase = "stopping"  # which the loop may not hear of for a while
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the run has ended
                self._loop.call_soon_threadsafe(self._wake_up)

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def execute(self) -> EndReason:
        """Run to the end; return what has ended the run.  Failures are in `failures`.

        A cancellation stops and closes too, and is raised then; a second one abandons that.
        """
        self._loop = asyncio.get_running_loop()
        self._wake = self._loop.create_future()
        try:
            if self._request is None:
                self._start_sources()
            self.phase = "running"
            reason = await self._wait_for_end()
        except asyncio.CancelledError:
            await self._shut_down()
            for failure in self.failures:
                logger.error("a pipeline failed, and its run was cancelled:", exc_info=failure)
            raise
        await self._shut_down()
        return "failure" if self.failures else reason

    # --- start -----------------------------------------------------------------------------

    def _start_sources(self) -> None:
        for source in self.sources:
            if source.state != "new" or source._closed or source._ended:
                continue  # the program has started it, or is through with it
            try:
                check_loop(source)
                source.start()
            except Exception as error:
                self.failures.append(error)

    # --- wait --------------------------------------------------------------------------------

    async def _wait_for_end(self) -> EndReason:
        """Return why to end, as soon as there is a reason."""
        assert self._loop is not None
        began = last_change = self._loop.time()
        before = self._elements()
        while True:
            if self._has_failed():
                return "failure"
            if self._request is not None:
                return self._request
            running = [source for source in self.sources if is_running(source)]
            if not running:
                return "done"
            now = self._loop.time()
            if self._time_limit is not None and now - began >= self._time_limit:
                return "time"
            if self._idle_limit is not None:
                if (elements := self._elements()) != before or self._in_flight():
                    before, last_change = elements, now
                elif now - last_change >= self._idle_limit:
                    return "idle"
            await self._sleep(running, self._pause(now, began, last_change))

    def _has_failed(self) -> bool:
        """Return whether something has failed that ends the run."""
        if self.failures or any(source.state == "failed" for source in self.sources):
            return True
        is_fatal = self._is_fatal
        return is_fatal is not None and any(
            is_fatal(entry.error)
            for one in self.selected
            for entry in list(one.pipeline.pending_failures)
        )

    def _pause(self, now: float, began: float, last_change: float) -> float:
        """Return the seconds until the next look."""
        pause = TICK
        if self._time_limit is not None:
            pause = min(pause, began + self._time_limit - now)
        if self._idle_limit is not None:
            pause = min(pause, last_change + self._idle_limit - now)
        return max(pause, 0.001)

    async def _sleep(self, running: list[Source[Any]], seconds: float) -> None:
        """Wait until a source has finished, an end is requested, or some *seconds* have passed."""
        assert self._wake is not None
        waits: set[asyncio.Future[None]] = {self._wake}
        for source in running:
            run = source._source_run
            if run is not None and run.loop is self._loop and not run.finished.done():
                waits.add(run.finished)
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    def _elements(self) -> tuple[int, int]:
        """Return how many elements were emitted, and have arrived."""
        if self.counter is None:
            return 0, 0
        counts = self.counter.read()
        return counts.emitted, counts.arrived

    def _in_flight(self) -> list[object]:
        """Return what is in flight in the pipelines, besides the sources themselves."""
        own = {run.finished for run in list(active_runs)}
        return [
            each for one in self.selected for each in list(one.pipeline.active) if each not in own
        ]

    # --- end ---------------------------------------------------------------------------------

    async def _shut_down(self) -> None:
        self.phase = "stopping"
        for source in self.sources:
            if is_running(source):
                try:
                    source.stop()
                except Exception as error:
                    self.failures.append(error)
        pipelines = [one.pipeline for one in self.selected]
        notices = asyncio.ensure_future(note_long_drain(pipelines))
        try:
            await self._wait_for_sources()
            self.phase = "closing"
            for one in self.selected:
                if not has_dead_loop(one.stream):
                    for node in one.ends():
                        await self._close(node)
            await self._wait_for_acknowledgements()
        finally:
            notices.cancel()
        failed = [source.exception for source in self.sources if source.state == "failed"]
        self.failures = flattened([*self.failures, *filter(None, failed)])
        self.phase = "ended"

    async def _wait_for_sources(self) -> None:
        """Wait until the sources have delivered their last elements; leave what never ends."""
        assert self._loop is not None
        quiet_since = self._loop.time()
        while runs := self._runs():
            now = self._loop.time()
            if self._in_flight():
                quiet_since = now
            elif now - quiet_since >= STOP_SECONDS:
                for run in runs:
                    logger.warning(
                        "%s has not ended %g s after stop(): it is left behind",
                        run.source,
                        STOP_SECONDS,
                    )
                    run.finish()
                return
            here = {run.finished for run in runs if run.loop is self._loop}
            if here:
                await asyncio.wait(here, timeout=TICK)
            else:
                await asyncio.sleep(TICK / 10)

    async def _wait_for_acknowledgements(self) -> None:
        """Let callbacks of elements that are done finish: the program may end right after this.

        They are scheduled when the last element is done, and may send requests.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                for _ in range(ROUNDS):
                    await asyncio.sleep(0)
                    if kept := [each for each in loops._kept if each.get_loop() is self._loop]:
                        await asyncio.wait(kept)
                    for one in self.selected:
                        if one.pipeline.loop is self._loop:
                            await shutdown.wait_idle(one.pipeline)

    def _runs(self) -> list[SourceRun]:
        """Return what runs of sources of the pipelines have not finished."""
        own = {identity(one.stream) for one in self.selected}
        return [run for run in list(active_runs) if id(vars(run.source._pipeline)) in own]

    async def _close(self, node: Stream[Any]) -> None:
        """End the stream at *node*, and wait until its pipeline is idle."""
        try:
            wait = shutdown.close(node, None, at_once=True)
            if wait is not None and wait is not DONE:
                await wait
        except StreamClosed:
            return
        except Exception as error:
            self.failures.append(error)


def has_dead_loop(stream: Stream[Any]) -> bool:
    """Return whether the pipeline was given a loop that does not run: nothing would happen."""
    pipeline = stream._pipeline
    return pipeline.loop is not None and pipeline.loop_given and not pipeline.loop.is_running()


def check_loop(source: Stream[Any]) -> None:
    """Refuse a source that would wait for ever for a loop that does not run."""
    if has_dead_loop(source):
        raise RuntimeError(
            f"run: {source}: its pipeline was given the event loop "
            f"{short_repr(source._pipeline.loop)}, "
            "which does not run: build the pipeline without loop="
        )


def is_running(source: Source[Any]) -> bool:
    """Return whether *source* is running, or about to try again."""
    return source.state in ACTIVE


def flattened(failures: list[Exception]) -> list[Exception]:
    """Return *failures*, each once, with those of groups that pipelines have made in their place.

    >>> a, b = ValueError("a"), ValueError("b")
    >>> flattened([ExceptionGroup("2 elements failed", [a, b]), a])
    [ValueError('a'), ValueError('b')]
    """
    found: list[Exception] = []
    for failure in failures:
        inner = failure.exceptions if isinstance(failure, ExceptionGroup) else [failure]
        found += [each for each in inner if not any(each is known for known in found)]
    return found
