"""Runner: start the sources of pipelines, wait for their end, drain and close.

`run` blocks, `run_async` is awaited; the command ``rapidz run`` does the same for a script.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.runtime import loop as loops
from rapidz.runner.pipeline_run import EndReason, PipelineRun
from rapidz.runner.selection import check_streams, running_streams
from rapidz.runner.stop_signals import StopSignals
from rapidz.runner.supervisor import LONGEST_WAIT, supervise

if TYPE_CHECKING:
    from rapidz.dataframe.collection.streaming import Streaming

__all__ = ["EndReason", "run", "run_async"]

Runnable: TypeAlias = Union[
    Stream[Any], "Streaming", Iterable["Runnable"], Mapping[Any, "Runnable"]
]
"""A stream, a frame, or several of them."""


def run(
    *streams: Runnable,
    for_: Interval | None = None,
    until_idle: Interval | None = None,
    progress: bool = False,
) -> EndReason:
    """Start the sources of pipelines, wait for their end, and close them; blocks.

    Returns when all sources are done.  SIGINT, SIGTERM, *for_* and *until_idle* end the run
    earlier: the sources are stopped, then the pipelines are closed, so all elements that were
    emitted reach the sinks.  A source that fails ends the run too.  A pipeline without a source
    is closed after those that emit to it.  After the run all these streams are closed.

    Signals are handled if this is called in the main thread.  A second SIGINT raises
    KeyboardInterrupt, another second signal SystemExit, at once.

    Parameters
    ----------
    *streams : Stream
        Any node of each pipeline; lists and dicts of streams count as their items, and a frame
        as its stream.  Without any: all pipelines with a source that runs now.
    for_ : float or str, optional
        Seconds, or a string such as ``"10s"``, after which the sources are stopped.
    until_idle : float or str, optional
        Stop the sources when for so long no element has been emitted or has arrived at a sink,
        and nothing is in flight.
    progress : bool
        Show counts and rates on stderr, as ``rapidz run`` does.

    Returns
    -------
    str
        What ended the run: ``"done"``, ``"time"``, ``"idle"`` or ``"signal"``.

    Raises
    ------
    RuntimeError
        An event loop is running here; in a notebook `run` is allowed.
    Exception
        What failed in a pipeline without a policy, at the end of the run: one as it is, several
        as an ExceptionGroup.

    >>> source = Stream.from_iterable([1, 2, 3])
    >>> pairs = source.partition(2).sink_to_list()
    >>> run(source)
    'done'
    >>> pairs
    [(1, 2), (3,)]
    """
    if loops.running_loop() is not None and not loops.in_notebook():
        raise RuntimeError(
            "run: would block the event loop that is running here: "
            "write `await rapidz.run_async(...)`"
        )
    made = _make_run("run", streams, for_, until_idle, counts=progress)
    with StopSignals(_raise_at_once) as signals:
        if progress:
            from rapidz.runner.progress import RunProgress

            with RunProgress(made, sys.stderr) as display:
                reason = supervise(made, signals, display.tick, display.every)
        else:
            reason = supervise(made, signals, every=LONGEST_WAIT)
    return _outcome(made, reason)


async def run_async(
    *streams: Runnable,
    for_: Interval | None = None,
    until_idle: Interval | None = None,
) -> EndReason:
    """Start the sources of pipelines, wait for their end, and close them; to be awaited.

    As `run`, on the running loop: pipelines that have no loop yet run there.  It handles no
    signals: a cancellation, which is what ``asyncio.run`` makes of SIGINT, stops the sources
    and closes the pipelines, and is raised then; a second one ends at once.

    Parameters
    ----------
    *streams : Stream
        Any node of each pipeline; without any: all pipelines with a source that runs now.
    for_ : float or str, optional
        Seconds, or a string such as ``"10s"``, after which the sources are stopped.
    until_idle : float or str, optional
        Stop the sources when there was no element for so long.

    Returns and raises what `run` does.

    >>> import asyncio
    >>> async def main():
    ...     source = Stream.from_iterable([1, 2, 3])
    ...     seen = source.map(str).sink_to_list()
    ...     return await run_async(source), seen
    >>> asyncio.run(main())
    ('done', ['1', '2', '3'])
    """
    made = _make_run("run_async", streams, for_, until_idle)
    return _outcome(made, await made.execute())


def _make_run(
    operator: str,
    streams: tuple[Runnable, ...],
    for_: Interval | None,
    until_idle: Interval | None,
    counts: bool = False,
) -> PipelineRun:
    limit = None if for_ is None else read_interval(operator, for_, argument="for_")
    idle = None
    if until_idle is not None:
        idle = read_interval(operator, until_idle, argument="until_idle")
    found = [stream for each in streams for stream in check_streams(operator, each)]
    if not found:
        found = running_streams()
    if not found:
        raise ValueError(f"{operator}: no stream was given, and no source is running")
    return PipelineRun(found, limit, idle, counts)


def _outcome(made: PipelineRun, reason: EndReason) -> EndReason:
    """Return *reason*, or raise what failed."""
    failures = made.failures
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup(f"run: {len(failures)} failures", failures)
    return reason


def _raise_at_once(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
